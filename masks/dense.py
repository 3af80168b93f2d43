"""The reference that defines a mask: the dense matrix in plain loops, slow and obvious. Every fast path is tested equal to it."""

from collections.abc import Collection, Sequence

import numpy as np

from analysis.arrays import Bools
from masks.spec import MaskSpec


def dense_mask(spec: MaskSpec, bar: Sequence[int], part: Sequence[int], drums: Collection[int] = ()) -> Bools:
    """The mask of the rows of one piece as a dense matrix.

    Row q may attend to row k when k is not later than q in generation order, and either both belong to one part and the
    spec shows `same` at that offset, or they belong to two parts and it shows `cross` (`drums`, where one of the two parts
    is drums). No row attends to a later one. In infill, where the rows of masked bars come last, rows of later bars come before
    them: the offset is the distance of two bars on either side, since similarity is symmetric.

    Args:
        spec: the mask.
        bar: (L,) bar of each row, in generation order: never falling, but where the masked bars of an infill begin.
        part: (L,) part of each row; header rows are a part of their own.
        drums: the parts that are drums.

    Returns:
        (L, L) bool, [query, key], True = may attend.
    """
    mask = np.zeros((len(bar), len(bar)), dtype=np.bool_)
    for q in range(len(bar)):
        for k in range(q + 1):
            any_drums = part[q] in drums or part[k] in drums
            relation = "same" if part[q] == part[k] else "drums" if any_drums else "cross"
            mask[q, k] = spec.sees(relation, abs(bar[q] - bar[k]))
    return mask


def dense_summary_mask(spec: MaskSpec, bar: Sequence[int], n_bars: int) -> Bools:
    """The mask of rows and bar summaries: a row may attend to those of earlier bars, or to none when the spec has them off.

    Args:
        spec: the mask.
        bar: (L,) bar of each row, from 0.
        n_bars: bars of the piece, each with a summary.

    Returns:
        (L, n_bars) bool, [row, bar], True = may attend.
    """
    return np.array([[spec.summaries and c < b for c in range(n_bars)] for b in bar], dtype=np.bool_).reshape(
        len(bar), n_bars
    )
