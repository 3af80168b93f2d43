"""Compiled loops over rows, in as many threads as PyTorch computes with."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

Part = TypeVar("Part")

_FEW_ROWS = 256
"""Rows that are not worth another thread."""


def in_threads(call: Callable[[Part], object], parts: Sequence[Part]) -> None:
    """Call a function that leaves Python with each part, the parts at the same time; return when all are done."""
    first, *others = parts
    waiting = [_pool(len(others)).submit(call, part) for part in others]
    call(first)
    for future in waiting:
        future.result()


def by_rows(call: Callable[[int, int, int], object], rows: int) -> None:
    """Call a function with ranges of rows that together are all: (first, last + 1, number of the range)."""
    parts = row_parts(rows)
    in_threads(lambda i: call(rows * i // parts, rows * (i + 1) // parts, i), range(parts))


def row_parts(rows: int) -> int:
    """How many ranges `by_rows` makes, at least 1."""
    return max(1, min(torch.get_num_threads(), rows // _FEW_ROWS))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="rows")
