"""The processor cores that this process may use."""

import math
import os
from pathlib import Path


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that this process may use: those that it is bound to, or those whose time its control groups give it if fewer.

    Args:
        root: of the file system; another one in tests.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *_cores_of_groups(root)]))


def _cores_of_groups(root: Path) -> list[int]:
    """Cores whose time each control group (version 2) of this process may take, rounded up, where it has a limit."""
    out = []
    for folder in _unified_groups(root):
        try:
            quota, period = map(int, (folder / "cpu.max").read_text().split())
        except (OSError, ValueError):  # "max" is no number
            continue
        out.append(math.ceil(quota / period))
    return out


def _unified_groups(root: Path) -> list[Path]:
    """Folders of this process's control group of version 2 and of those around it."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    here = next((Path(line[3:].lstrip("/")) for line in lines if line.startswith("0::")), None)
    return [] if here is None else [root / "sys/fs/cgroup" / group for group in (here, *here.parents)]
