"""What this machine can do at most: bytes read a second by a plain loop, and operations a second of a plain matrix product.

    python benchmarks/limits.py [--json] [--threads N]

The loop reads float32 numbers in one thread and adds them up, over arrays that fit the caches and over one that does not.
Products are those of a training step of `tiny` (2,048 rows, width 192) and a square one, in float32 and bfloat16. Fastest of five
turns each.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent)]

import numba  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

TURNS = 5
MEBIBYTES = (1, 8, 32, 256)
PRODUCTS = ((2048, 192, 1024), (2048, 1024, 1024))
"""(rows, width in, width out)"""


@numba.njit(fastmath=True)  # type: ignore[misc,unused-ignore]
def total(numbers):  # type: ignore[no-untyped-def]
    """The sum of an array."""
    found = np.float32(0)
    for i in range(numbers.size):
        found += numbers[i]
    return found


def fastest(work: Callable[[], object], calls: int) -> float:
    """Seconds of one call, in the fastest turn of so many calls."""
    work()
    turns = []
    for _ in range(TURNS):
        began = time.perf_counter()
        for _ in range(calls):
            work()
        turns.append((time.perf_counter() - began) / calls)
    return min(turns)


def read_speed(mebibytes: int) -> float:
    """Gigabytes a second that one thread reads."""
    numbers = np.ones(mebibytes << 18, dtype=np.float32)
    return numbers.nbytes / fastest(lambda: total(numbers), max(1, 256 // mebibytes)) / 1e9


def product_speed(rows: int, width: int, out: int, kind: torch.dtype) -> float:
    """Billions of operations a second of (rows, width) × (width, out), additions and multiplications counted."""
    x, weight = torch.randn(rows, width, dtype=kind), torch.randn(out, width, dtype=kind)
    return 2 * rows * width * out / fastest(lambda: torch.nn.functional.linear(x, weight), 20) / 1e9


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one object, for programs")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of products")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    reads = {f"{size} MiB": round(read_speed(size), 1) for size in MEBIBYTES}
    products = {
        f"{'x'.join(map(str, shape))} {str(kind).removeprefix('torch.')}": round(product_speed(*shape, kind))
        for shape in PRODUCTS
        for kind in (torch.float32, torch.bfloat16)
    }
    if args.json:
        print(json.dumps({"read_gb_per_s": reads, "product_gflop_per_s": products, "threads": args.threads}))
        return
    for size, speed in reads.items():
        print(f"reading {size:>8}: {speed:6.1f} GB/s, one thread")
    for shape, flops in products.items():
        print(f"product {shape:24}: {flops:6,} GFLOP/s, {args.threads} threads")


if __name__ == "__main__":
    main()
