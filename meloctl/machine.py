"""Free memory, other load, and speed of computing and copying, of this machine."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import torch

_UNLIMITED = 1 << 60
"""A control group (version 1) without a limit reports a number near the largest there is."""

_SECONDS = 0.25
"""Time for which each of the two rates is measured."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The device that a model is trained on."""

    device: str
    """"cpu" or "cuda"."""

    memory_bytes: int
    """Free for this process, on the GPU where there is one."""

    flops_per_second: float
    """Speed of a matrix product of the model's width, in the precision of training."""

    bytes_per_second: float
    """Bytes read and written per second by an elementwise function of float32."""

    processes: int = 1
    """Processes that share the work and, on a CPU, the memory and the cores."""

    @property
    def name(self) -> str:
        """ "GPU" or "CPU"."""
        return "GPU" if self.device == "cuda" else "CPU"


def this_machine(width: int, *, processes: int = 1) -> Machine:
    """Measure this machine in half a second.

    Args:
        width: of the model's rows; narrow matrix products are slower for each operation.
        processes: processes that train together.
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
    """Whether training computes matrix products in bf16, from float32 weights: on GPUs, and on CPUs with instructions for it.

    Args:
        device: "cpu" or "cuda".
    """
    if device == "cuda":
        return True
    if not hasattr(torch.cpu, "get_capabilities"):  # an older torch: float32 works everywhere
        return False
    if torch.backends.cpu.get_cpu_capability() in (
        "DEFAULT",
        "AVX2",
    ):  # ATEN_CPU_CAPABILITY, whatever the processor has
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


class OtherLoad:
    """Measures, from when it is made, how many cores other programs of this machine use."""

    def __init__(self) -> None:
        self._began, self._all, self._own = time.monotonic(), _busy_seconds(), time.process_time()

    def cores(self, *, processes: int = 1) -> float:
        """Mean number of cores that others used since then; `processes` like this one belong to it."""
        own = (time.process_time() - self._own) * processes
        others = _busy_seconds() - self._all - own
        return max(0.0, others / max(time.monotonic() - self._began, 1e-9))


def _busy_seconds() -> float:
    """Time for which all cores together have computed, since the machine was started."""
    times = psutil.cpu_times()
    return float(times.user + times.system + getattr(times, "nice", 0.0))


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that this process can still allocate: those of the system, or those that its control groups leave if fewer.

    Args:
        root: of the file system; another one in tests.
    """
    try:
        info = dict(line.split(":", 1) for line in (root / "proc/meminfo").read_text().splitlines())
        free = int(info["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        free = int(psutil.virtual_memory().available)
    return max(0, min([free, *_left_in_groups(root)]))


def _left_in_groups(root: Path) -> list[int]:
    """Bytes left in each control group of this process that has a limit; cached pages of files count as free."""
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
    """Bytes left in one group; None where it has no limit, or cannot be read."""
    try:
        most = int((folder / limit).read_text())
        used = int((folder / usage).read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # "max" is no number
        return None
    return None if most >= _UNLIMITED else most - used + int(stat.get(cache, 0))


def _flops_per_second(width: int, device: torch.device) -> float:
    """Speed of (1024, C) × (C, 2C), C being the width."""
    kind = torch.bfloat16 if computes_in_half(device.type) else torch.float32
    a = torch.ones(1024, width, device=device, dtype=kind)
    b = torch.ones(width, 2 * width, device=device, dtype=kind)
    return 2.0 * 1024 * width * 2 * width * _calls_per_second(lambda: a @ b, device)


def _bytes_per_second(device: torch.device) -> float:
    """Speed of exp(x) for 8 MB of x: each element is read once and written once, to new memory."""
    x = torch.ones(1 << 21, device=device)
    return 2.0 * x.nbytes * _calls_per_second(x.exp, device)


def _calls_per_second(call: Callable[[], object], device: torch.device) -> float:
    """Calls per second, after two that warm up."""
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
