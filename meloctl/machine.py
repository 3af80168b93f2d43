"""What this machine has for a run: the memory that is free, and how fast it computes and copies."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import torch

_UNLIMITED = 1 << 60
"""A control group without a limit says so with a number near the largest there is (version 1)."""

_SECONDS = 0.25
"""How long each of the two rates is measured."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One device, as training finds it."""

    device: str
    """"cpu" or "cuda"."""

    memory_bytes: int
    """Free for this process: of the GPU where there is one."""

    flops_per_second: float
    """Of a matrix product of the model's width, in the precision of training."""

    bytes_per_second: float
    """Read and written by an elementwise function of float32."""

    processes: int = 1
    """That share the work and, on a CPU, the memory and the cores."""

    @property
    def name(self) -> str:
        """For people."""
        return "GPU" if self.device == "cuda" else "CPU"


def this_machine(width: int, *, processes: int = 1) -> Machine:
    """Measure this machine, in half a second.

    Args:
        width: of the model's rows; narrow matrix products are slower for each operation.
        processes: that train together.
    """
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    memory = torch.cuda.mem_get_info()[0] if cuda else free_memory() // processes
    return Machine(
        device=device.type,
        memory_bytes=memory,
        flops_per_second=_flops_per_second(width, device),
        bytes_per_second=_bytes_per_second(device),
        processes=processes,
    )


def computes_in_half(device: str) -> bool:
    """Are matrix products of training computed in bf16 here, from float32 weights? On GPUs, and on CPUs with instructions for it.

    Args:
        device: "cpu" or "cuda".
    """
    if device == "cuda":
        return True
    if not hasattr(torch.cpu, "get_capabilities"):  # an older torch does not tell: float32 is right everywhere
        return False
    told = torch.cpu.get_capabilities()
    return any(told.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that this process may still take: what the system has, or what its control group leaves if that is less.

    Args:
        root: of the file system; another one in tests.
    """
    try:
        told = dict(line.split(":", 1) for line in (root / "proc/meminfo").read_text().splitlines())
        free = int(told["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        free = int(psutil.virtual_memory().available)
    return max(0, min([free, *_left_in_groups(root)]))


def _left_in_groups(root: Path) -> list[int]:
    """Bytes left in each control group above this process that has a limit; pages of files can be taken back."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    out = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, limit, usage, cache = "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            base, limit, usage = "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cache = "total_inactive_file"
        else:
            continue
        here = Path(path.lstrip("/"))
        for group in (here, *here.parents):
            left = _left_in_group(root / base / group, limit, usage, cache)
            if left is not None:
                out.append(left)
    return out


def _left_in_group(folder: Path, limit: str, usage: str, cache: str) -> int | None:
    """Bytes left in one group; None where it has no limit, or does not tell."""
    try:
        most = int((folder / limit).read_text())
        used = int((folder / usage).read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # "max" is no number
        return None
    return None if most >= _UNLIMITED else most - used + int(stat.get(cache, 0))


def _flops_per_second(width: int, device: torch.device) -> float:
    """Of (1024, C) × (C, 2C), both C the width."""
    kind = torch.bfloat16 if computes_in_half(device.type) else torch.float32
    a = torch.ones(1024, width, device=device, dtype=kind)
    b = torch.ones(width, 2 * width, device=device, dtype=kind)
    return 2.0 * 1024 * width * 2 * width * _calls_per_second(lambda: a @ b, device)


def _bytes_per_second(device: torch.device) -> float:
    """Of exp(x) for 8 MB of x: each element is read once and written once, where new memory is taken."""
    x = torch.ones(1 << 21, device=device)
    return 2.0 * x.nbytes * _calls_per_second(x.exp, device)


def _calls_per_second(call: Callable[[], object], device: torch.device) -> float:
    """How often something is done in a second, after two calls that warm up."""
    for _ in range(2):
        call()
    _wait(device)
    calls, began = 0, time.perf_counter()
    while True:
        call()
        calls += 1
        if time.perf_counter() - began >= _SECONDS or calls >= 10_000:
            _wait(device)
            return calls / (time.perf_counter() - began)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
