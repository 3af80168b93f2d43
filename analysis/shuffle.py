"""What order has to do with it: similarity when a piece's bars are put in another order.

Two ways, for two questions. *Chance*: every part's bars are shuffled by themselves, so what is left is how alike bars are that
merely belong to one piece; its mean over all shuffles is computed exactly. *Shuffles* for the test of peaks: whole bars are
shuffled, all parts together. Parts share their harmony, so they rise and fall together; shuffled one by one they would not, and
peaks that mean nothing would look rare.
"""

import numpy as np

from analysis.arrays import Floats, Ints
from analysis.features import Contents
from analysis.offsets import MAX_OFFSET, OFFSETS, UNIT, CellBlocks
from analysis.similarity import Measure

MOST_CONTENTS = 2_048
"""A piece with more different bars than this in a part or more bars than this is left out: its tables would be too large."""


def whole_table(layout: CellBlocks, contents: Contents, kind: Measure) -> Floats | None:
    """Similarity of all different bars of a piece, as `table_of` gives it; None for a piece that is too long."""
    if max(len(contents.items), layout.cells.n_bars) > MOST_CONTENTS:
        return None
    return table_of(kind.similarity(contents.items, contents.items))


def table_of(similarity: Floats) -> Floats:
    """(D, D) similarities as (D + 1, D + 1) whole multiples of 1 / UNIT; index 0 is silence, like nothing."""
    n = len(similarity)
    table = np.zeros((n + 1, n + 1))
    np.multiply(similarity, UNIT, out=table[1:, 1:])
    return np.rint(table, out=table)


def chance_sums(layout: CellBlocks, contents: Contents, table: Floats) -> Ints:
    """Sums of similarity over the pairs of one piece, in the mean over all ways to shuffle each part's bars by themselves.

    A part keeps its bars and its rests; the rests stay where they are, so the pairs stay the same.

    Args:
        contents: `kind.contents(layout.cells)`.
        table: from `whole_table`.

    Returns:
        (2, OFFSETS) by relation and offset, in multiples of 1 / UNIT, rounded.
    """
    if not len(layout.cells):
        return np.zeros((2, OFFSETS), dtype=np.int64)
    part, of_cell, n_parts = layout.cells.part, contents.of_cell + 1, layout.cells.n_parts
    has = (
        np.bincount(part * len(table) + of_cell, minlength=n_parts * len(table)).reshape(n_parts, -1).astype(np.float64)
    )
    size = has.sum(axis=1)
    sums = has @ table @ has.T
    itself = np.bincount(part, weights=table[of_cell, of_cell], minlength=n_parts)
    mean = sums / np.maximum(np.outer(size, size), 1)
    own = (np.diagonal(sums) - itself) / np.maximum(size * (size - 1), 1)
    pairs = _part_pairs(layout)
    same = (np.diagonal(pairs, axis1=1, axis2=2) * own).sum(axis=1)
    cross = (pairs * mean).sum(axis=(1, 2)) - (np.diagonal(pairs, axis1=1, axis2=2) * np.diagonal(mean)).sum(axis=1)
    same[0], cross[0] = 0, cross[0] / 2
    return np.asarray(np.rint(np.stack([same, cross])), dtype=np.int64)


def shuffled_sums(
    layout: CellBlocks, contents: Contents, table: Floats, *, draws: int, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Pairs, and sums of similarity over them, in each of `draws` shuffles of the whole bars of one piece.

    Returns:
        (draws, 2, OFFSETS) each, by relation and offset; similarity in multiples of 1 / UNIT.
    """
    cells = layout.cells
    orders = np.empty((draws, cells.n_bars), dtype=np.int64)
    for order in orders:
        order[:] = rng.permutation(cells.n_bars)
    there = np.zeros((cells.n_parts, cells.n_bars))
    there[cells.part, cells.bar] = 1
    in_bar = there.sum(axis=0)
    pairs = _in_orders(there.T @ there, np.outer(in_bar, in_bar), orders)
    return pairs, _in_orders(*_bar_sums(layout, contents.of_cell, table), orders)


def _part_pairs(layout: CellBlocks) -> Floats:
    """(OFFSETS, P, P) how many bars hold a cell of the one part and, so many bars before, one of the other."""
    there = np.zeros((layout.cells.n_bars + MAX_OFFSET, layout.cells.n_parts))
    there[layout.cells.bar + MAX_OFFSET, layout.cells.part] = 1
    early = np.lib.stride_tricks.sliding_window_view(there, OFFSETS, axis=0)[:, :, ::-1]  # (bars, P, OFFSETS)
    late = there[MAX_OFFSET:]
    pairs = late.T @ early.reshape(len(early), -1)
    return np.asarray(pairs.reshape(layout.cells.n_parts, layout.cells.n_parts, OFFSETS).transpose(2, 0, 1))


def _bar_sums(layout: CellBlocks, of_cell: Ints, table: Floats) -> tuple[Floats, Floats]:
    """(T, T) sums over all pairs of cells of two bars: within a part, and all."""
    from analysis.pair_loops import sum_within_parts

    cells, n = layout.cells, len(table)
    content = np.zeros((cells.n_parts, cells.n_bars), dtype=np.int64)
    content[cells.part, cells.bar] = of_cell + 1
    has = np.bincount(cells.bar * n + of_cell + 1, minlength=cells.n_bars * n).reshape(-1, n).astype(np.float64)
    return sum_within_parts(content, table), has @ table @ has.T


def _in_orders(same: Floats, every: Floats, orders: Ints) -> Ints:
    """(orders, 2, OFFSETS) sums by relation and offset with the bars in each order, (orders, T)."""
    from analysis.pair_loops import sum_in_orders

    sums = np.stack([sum_in_orders(same, orders, OFFSETS), sum_in_orders(every, orders, OFFSETS)], axis=1)
    # At offset 0 "within a part" is each cell with itself, and other pairs came in both directions.
    sums[:, 1] -= sums[:, 0]
    sums[:, 1, 0] //= 2
    sums[:, 0, 0] = 0
    return sums
