"""Compiled loops over pairs: how alike contents are, and sums over the pairs of a piece's cells.

C cells of a piece in the order of its bars, D and E different contents, F families.
"""

import numpy as np
import numpy.typing as npt

from analysis.arrays import Floats, Ints
from analysis.compiled import compiled


@compiled
def jaccard_of_sets(first_a: Ints, items_a: Ints, first_b: Ints, items_b: Ints, n_items: int) -> Floats:
    """What share of all that lies in either set lies in both.

    Args:
        first_a: (D + 1,) where each set begins among `items_a`; no set is empty.
        items_a: items, 0 .. n_items - 1, each once a set.
        first_b: (E + 1,) the same of other sets.
        items_b: the same.
        n_items: how many items there are.

    Returns:
        (D, E)
    """
    n_a, n_b = len(first_a) - 1, len(first_b) - 1
    begin = np.zeros(n_items + 1, dtype=np.int64)  # of each item, which sets b hold it
    for item in items_b:
        begin[item + 1] += 1
    for item in range(n_items):
        begin[item + 1] += begin[item]
    holders, at = np.empty(len(items_b), dtype=np.int64), begin.copy()
    for b in range(n_b):
        for item in items_b[first_b[b] : first_b[b + 1]]:
            holders[at[item]] = b
            at[item] += 1
    size_b = (first_b[1:] - first_b[:-1]).astype(np.float64)
    alike = np.zeros((n_a, n_b))
    for a in range(n_a):
        row, size = alike[a], np.float64(first_a[a + 1] - first_a[a])
        for item in items_a[first_a[a] : first_a[a + 1]]:
            for b in holders[begin[item] : begin[item + 1]]:
                row[b] += 1
        for b in range(n_b):
            row[b] /= size + size_b[b] - row[b]
    return alike


@compiled
def cosine_of_rows(a: Floats, b: Floats, exact: float) -> Floats:
    """The cosine of each row of (D, n) with each of (E, n), whose lengths are rounded to multiples of 1 / exact: (D, E)."""
    unit_a, unit_b = _unit_columns(a, exact), _unit_columns(b, exact)
    alike = np.zeros((len(a), len(b)))
    for d in range(len(a)):
        row = alike[d]
        for i in range(len(unit_a)):
            weight, column = unit_a[i, d], unit_b[i]
            for e in range(len(b)):
                row[e] += weight * column[e]
        for e in range(len(b)):
            row[e] = min(row[e] / (exact * exact), 1.0)
    return alike


@compiled
def _unit_columns(rows: Floats, exact: float) -> Floats:
    """(D, n) rows as (n, D) columns of length 1, rounded to whole multiples of 1 / exact and scaled up by it."""
    unit = np.empty((rows.shape[1], len(rows)))
    for d in range(len(rows)):
        square = 0.0
        for weight in rows[d]:  # one by one, so that the order of addition is the same on any machine
            square += weight * weight
        scale = exact / np.sqrt(square)
        for i in range(len(unit)):
            unit[i, d] = np.rint(rows[d, i] * scale)
    return unit


@compiled
def sum_pairs(
    similarity: Floats,
    row: Ints,
    column: Ints,
    first: Ints,
    part: Ints,
    family: Ints,
    bars: tuple[int, int],
    unit: float,
    totals: Ints,
    same: Ints,
    cross: Ints,
) -> None:
    """Add up similarity, in place, over the pairs of cells whose later bar lies in a block of bars.

    Args:
        similarity: (D, E) of contents.
        row: (cells of the block,) the row of each in `similarity`.
        column: (cells of the block, those up to the last offset before it included,) the column of each.
        first: (bars of the piece + 1,) first cell of each bar.
        part: (C,) of each cell of the piece.
        family: (C,) the same.
        bars: the first bar of the block and the first behind it.
        unit: similarities are rounded to whole multiples of 1 / unit.
        totals: (3, 2, offsets) pairs, similarity and its square, by relation (same, cross) and offset.
        same: (2, offsets, F) pairs and similarity within a part, by its family.
        cross: (2, offsets, F, F) across parts, by family of the later and of the earlier cell; within a bar that is the one
            further on.
    """
    table, last = _in_units(similarity, unit), totals.shape[2] - 1
    low = first[max(bars[0] - last, 0)]
    for bar in range(bars[0], bars[1]):
        for i in range(first[bar], first[bar + 1]):
            values, p, f = table[row[i - first[bars[0]]]], part[i], family[i]
            for k in range(min(last, bar) + 1):
                n, s, q, own_n, own_s, own_q = 0, 0, 0, 0, 0, 0
                for j in range(first[bar - k], first[bar - k + 1] if k else i):
                    value = np.int64(values[column[j - low], 0])
                    square = np.int64(values[column[j - low], 1])
                    if part[j] == p:
                        own_n, own_s, own_q = own_n + 1, own_s + value, own_q + square
                    else:
                        n, s, q = n + 1, s + value, q + square
                        cross[0, k, f, family[j]] += 1
                        cross[1, k, f, family[j]] += value
                _add(totals, 0, k, own_n, own_s, own_q)
                _add(totals, 1, k, n, s, q)
                same[0, k, f] += own_n
                same[1, k, f] += own_s


@compiled
def _add(totals: Ints, relation: int, k: int, pairs: int, similarity: int, square: int) -> None:
    totals[0, relation, k] += pairs
    totals[1, relation, k] += similarity
    totals[2, relation, k] += square


@compiled
def _in_units(similarity: Floats, unit: float) -> npt.NDArray[np.int32]:
    """(D, E) similarities and their squares as whole multiples of 1 / unit: (D, E, 2)."""
    table = np.empty((*similarity.shape, 2), dtype=np.int32)
    for d in range(similarity.shape[0]):
        for e in range(similarity.shape[1]):
            value = similarity[d, e]
            table[d, e, 0], table[d, e, 1] = np.rint(value * unit), np.rint(value * value * unit)
    return table
