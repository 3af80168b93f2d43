"""Compiled loops over pairs: how alike contents are, and sums over pairs of cells.

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
    """The cosine of each row with each of others.

    Args:
        a: (D, n) weights ≥ 0, none of them all zero.
        b: (E, n) the same.
        exact: rows of length 1 are rounded to multiples of 1 / exact, so that a product of two is exact in any order of addition.

    Returns:
        (D, E)
    """
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
    bar: Ints,
    part: Ints,
    family: Ints,
    column: Ints,
    unit: float,
    totals: Ints,
    same: Ints,
    cross: Ints,
) -> None:
    """Add up, in place, over the pairs of each of the last cells of a window with all before it that are near enough.

    Args:
        similarity: (D, E) of contents.
        row: (those last cells,) the row of each in `similarity`.
        bar: (W,) of the cells of the window, ascending.
        part: (W,) of the cells; in a bar each part has one.
        family: (W,) of the cells, in a bar ascending.
        column: (W,) the column of each cell in `similarity`.
        unit: similarities are rounded to whole multiples of 1 / unit.
        totals: (3, 2, offsets) pairs, similarity and its square, by relation (same, cross) and offset.
        same: (2, offsets, F) pairs and similarity within a part, by its family.
        cross: (2, offsets, F, F) across parts, by family of the later and of the earlier cell; of one bar in both orders.
    """
    _, offsets, f, _ = cross.shape
    table, before = _in_units(similarity, unit), _cell_before(part)
    every, own = np.zeros((offsets * f * f, 3), dtype=np.int64), np.zeros((offsets * f, 3), dtype=np.int64)
    place, near = family - bar * (f * f), 0
    for i in range(len(bar) - len(row), len(bar)):
        values = table[row[i - len(bar) + len(row)]]
        while bar[near] <= bar[i] - offsets:
            near += 1
        later = bar[i] * (f * f) + family[i] * f
        for j in range(near, i):
            at, c = later + place[j], column[j]
            every[at, 0] += 1
            every[at, 1] += np.int64(values[c, 0])
            every[at, 2] += np.int64(values[c, 1])
        j = before[i]
        while j >= near:
            at, c = (bar[i] - bar[j]) * f + family[i], column[j]
            own[at, 0] += 1
            own[at, 1] += np.int64(values[c, 0])
            own[at, 2] += np.int64(values[c, 1])
            j = before[j]
    _tell_apart(every.reshape(offsets, f, f, 3), own.reshape(offsets, f, 3), totals, same, cross)


@compiled
def _cell_before(part: Ints) -> Ints:
    """(W,) the last cell of the same part before each, −1 where there is none."""
    before, last = np.empty(len(part), dtype=np.int64), np.full(part.max() + 1, -1, dtype=np.int64)
    for i in range(len(part)):
        before[i], last[part[i]] = last[part[i]], i
    return before


@compiled
def _tell_apart(every: Ints, own: Ints, totals: Ints, same: Ints, cross: Ints) -> None:
    """Add sums over all pairs, (offsets, F, F, 3), and over those within a part, (offsets, F, 3), to what `sum_pairs` gives."""
    for k in range(own.shape[0]):
        for f in range(own.shape[1]):
            for what in range(3):
                every[k, f, f, what] -= own[k, f, what]
                totals[what, 0, k] += own[k, f, what]
            for what in range(2):
                same[what, k, f] += own[k, f, what]
            for g in range(own.shape[1]):
                if every[k, f, g, 0]:
                    for what in range(3):
                        totals[what, 1, k] += every[k, f, g, what]
                    for what in range(2):
                        cross[what, k, f, g] += every[k, f, g, what]
                        if k == 0 and g != f:
                            cross[what, 0, g, f] += every[0, f, g, what]


@compiled
def _in_units(similarity: Floats, unit: float) -> npt.NDArray[np.int32]:
    """(D, E) similarities and their squares as whole multiples of 1 / unit: (D, E, 2)."""
    table = np.empty((*similarity.shape, 2), dtype=np.int32)
    for d in range(similarity.shape[0]):
        for e in range(similarity.shape[1]):
            value = similarity[d, e]
            table[d, e, 0], table[d, e, 1] = np.rint(value * unit), np.rint(value * value * unit)
    return table


@compiled
def sum_within_parts(content: Ints, table: Floats) -> Floats:
    """(T, T) sums over the parts of what two bars of a part have in a table.

    Args:
        content: (P, T) index into the table of each part's bar.
        table: (n, n)
    """
    sums = np.zeros((content.shape[1], content.shape[1]))
    for mine in content:
        for bar in range(len(mine)):
            row, values = sums[bar], table[mine[bar]]
            for other in range(len(mine)):
                row[other] += values[mine[other]]
    return sums


@compiled
def sum_in_orders(sums: Floats, orders: Ints, offsets: int) -> Ints:
    """Sums over each bar and the one so many before it, with the bars in each of several orders → (orders, offsets).

    Args:
        sums: (T, T) of two bars, whole numbers.
        orders: (orders, T)
        offsets: how many, from 0 on.
    """
    found = np.zeros((len(orders), offsets))
    for i in range(len(orders)):
        order = orders[i]
        for bar in range(len(order)):
            row = sums[order[bar]]
            for k in range(min(offsets, bar + 1)):
                found[i, k] += row[order[bar - k]]
    return found.astype(np.int64)
