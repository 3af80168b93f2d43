"""The definition of a mask, in plain loops: slow and obvious. Every fast path is tested equal to it."""

from collections.abc import Collection, Sequence

import numpy as np

from analysis.arrays import Bools
from masks.spec import MaskSpec


def dense_mask(spec: MaskSpec, bar: Sequence[int], part: Sequence[int], drums: Collection[int] = ()) -> Bools:
    """Which rows each row may attend to.

    Row q may attend to row k when k is not later than q in generation order, and either both belong to one part and the
    spec shows `same` at that offset, or they belong to two parts and it shows `cross` (`drums`, where one of the two parts
    is drums). A later row is never seen. Where rows of an early bar are written last, to fill a gap, rows of later bars come
    before them: the offset is how far apart two bars lie, on either side, since they are as alike seen from either one.

    Args:
        spec: the mask.
        bar: (L,) bar of each row, in generation order: never falling, but where bars are written last.
        part: (L,) part of each row; header rows are a part of their own.
        drums: the parts that are drums.

    Returns:
        (L, L) bool, [query, key], True = may attend.
    """
    see = np.zeros((len(bar), len(bar)), dtype=np.bool_)
    for q in range(len(bar)):
        for k in range(q + 1):
            drummed = part[q] in drums or part[k] in drums
            relation = "same" if part[q] == part[k] else "drums" if drummed else "cross"
            see[q, k] = spec.sees(relation, abs(bar[q] - bar[k]))
    return see


def dense_summary_mask(spec: MaskSpec, bar: Sequence[int], n_bars: int) -> Bools:
    """Which bar summaries each row may attend to: those of earlier bars, or none when the spec has summaries off.

    Returns:
        (L, n_bars) bool, [row, bar], True = may attend.
    """
    return np.array([[spec.summaries and c < b for c in range(n_bars)] for b in bar], dtype=np.bool_).reshape(
        len(bar), n_bars
    )
