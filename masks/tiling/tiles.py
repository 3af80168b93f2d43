"""Tiles: rectangles of queries and keys that an attention kernel computes at once.

DESIGN.md calls tiles the "pieces" of a mask; a piece is a MIDI file everywhere else, so the word here is tile.
Shape letters as in masks/tiling/cell_rows.py, and: N query rows and M key rows of a tile, R relations (MASK_RELATIONS).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.arrays import Bools, Ints
from masks.tiling.cell_rows import CROSS, DRUMS, SAME, CellRows, expand_ranges


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Tile:
    """Query rows, key rows, and which pairs of them are visible. Stored by cell; rows are computed when asked for."""

    cells: CellRows
    query_cells: Ints
    """Ascending; all rows of these cells are queries."""

    key_cells: Ints
    """Ascending; all rows of these cells are keys."""

    causal: bool
    """Plain causal attention: the keys are the queries, and each row attends to itself and all rows before it."""

    visible: Bools | None
    """(R, T) relations and offsets that this tile shows; None where no mask is needed."""

    n_queries: int
    n_keys: int
    n_pairs: int
    """Visible pairs of rows."""

    @property
    def queries(self) -> Ints:
        """(N,) rows, ascending."""
        return expand_ranges(self.cells.start[self.query_cells], self.cells.rows[self.query_cells])

    @property
    def keys(self) -> Ints:
        """(M,) rows, ascending."""
        return expand_ranges(self.cells.start[self.key_cells], self.cells.rows[self.key_cells])

    @property
    def work(self) -> int:
        """Scores that a kernel computes."""
        return self.n_queries * (self.n_queries + 1) // 2 if self.causal else self.n_queries * self.n_keys

    def mask(self) -> Bools | None:
        """(N, M) True = may attend; None where a kernel needs no mask (a causal tile, or every pair is visible)."""
        if self.visible is None:
            return None
        cells, q, k = self.cells, self.query_cells, self.key_cells
        offset = cells.bar[q][:, None] - cells.bar[k]
        mask = self.visible[cells.relation(q, k), np.maximum(offset, 0)] & (k <= q[:, None])
        mask = np.repeat(np.repeat(mask, cells.rows[k], axis=1), cells.rows[q], axis=0)
        if len(np.intersect1d(q, k, assume_unique=True)):  # within one cell no row attends to a later one
            mask &= self.keys <= self.queries[:, None]
        return mask


def count_visible_pairs(cells: CellRows, visible: Bools) -> Ints:
    """Visible pairs (query, key) of the queries of each cell.

    Args:
        cells: of one piece.
        visible: (R, T) relations and offsets that are shown.

    Returns:
        (C,) pairs.
    """
    every, drums, by_part = cells.earlier_rows
    n, bar, is_drums = cells.rows, cells.bar_index, cells.is_drums
    rows_before: dict[
        int, Callable[[Ints], Ints]
    ] = {  # rows of a relation to each cell, in the bars before a given one
        SAME: lambda t: by_part[cells.part_index, t],
        CROSS: lambda t: np.where(is_drums, 0, every[t] - drums[t] - by_part[cells.part_index, t]),
        DRUMS: lambda t: np.where(is_drums, every[t] - by_part[cells.part_index, t], drums[t]),
    }
    keys = np.zeros(len(n), dtype=np.int64)
    for relation, before in rows_before.items():
        for low, high in true_ranges(visible[relation, 1:]):
            keys += before(np.maximum(bar - low, 0)) - before(np.maximum(bar - high, 0))
    drums_before = np.cumsum(n * is_drums) - drums[bar]  # in the cell's own bar, for a cell that is not drums itself
    in_bar = cells.start - every[bar]
    keys += visible[CROSS, 0] * np.where(is_drums, 0, in_bar - drums_before)
    keys += visible[DRUMS, 0] * np.where(is_drums, in_bar, drums_before)
    pairs: Ints = n * keys + visible[SAME, 0] * (n * (n + 1) // 2)
    return pairs


def true_ranges(flags: Bools) -> list[tuple[int, int]]:
    """The ranges [low, high) of consecutive True in `flags` (N,), ascending."""
    edge = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edge[::2], edge[1::2], strict=True)]
