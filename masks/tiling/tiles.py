"""The cells of a piece, and tiles: rectangles of queries and keys that an attention kernel computes at once.

DESIGN.md calls tiles the "pieces" of a mask; a piece is a MIDI file everywhere else, so the word here is tile.
Shape letters: C cells, L rows, T bars, P parts, N query rows and M key rows of a tile, R relations.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.arrays import Bools, Ints
from masks.tiling.cell_rows import CROSS, DRUMS, SAME, CellRows, expand_ranges


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Tile:
    """Some rows as queries and some as keys, and which pairs of them are seen. Kept by cell; rows come on request."""

    cells: CellRows
    query_cells: Ints
    """Ascending; all rows of these cells are queries."""

    key_cells: Ints
    """Ascending; all rows of these cells are keys."""

    causal: bool
    """Plain causal attention: the keys are the queries, and each sees itself and all before it."""

    seen: Bools | None
    """(R, T) the relations and offsets that this tile shows; None where no mask is needed."""

    n_queries: int
    n_keys: int
    shown: int
    """Pairs of rows seen."""

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
        """Score entries to compute."""
        return self.n_queries * (self.n_queries + 1) // 2 if self.causal else self.n_queries * self.n_keys

    def see(self) -> Bools | None:
        """(N, M) True = may attend; None where a kernel needs no mask (a causal tile, or everything in it is seen)."""
        if self.seen is None:
            return None
        cells, q, k = self.cells, self.query_cells, self.key_cells
        offset = cells.bar[q][:, None] - cells.bar[k]
        see = self.seen[cells.relation(q, k), np.maximum(offset, 0)] & (k <= q[:, None])
        see = np.repeat(np.repeat(see, cells.rows[k], axis=1), cells.rows[q], axis=0)
        if len(np.intersect1d(q, k, assume_unique=True)):  # in its own cell a row sees no later one
            see &= self.keys <= self.queries[:, None]
        return see


def count_visible_pairs(cells: CellRows, seen: Bools) -> Ints:
    """(C,) how many pairs (query, key) the rows of each cell see.

    Args:
        cells: of one piece.
        seen: (R, T) which relations and offsets are shown.
    """
    every, drums, own = cells.earlier_rows
    n, time, drummed = cells.rows, cells.time, cells.drummed
    before: dict[int, Callable[[Ints], Ints]] = {  # rows of a relation to each cell, in the bars before the one given
        SAME: lambda t: own[cells.line, t],
        CROSS: lambda t: np.where(drummed, 0, every[t] - drums[t] - own[cells.line, t]),
        DRUMS: lambda t: np.where(drummed, every[t] - own[cells.line, t], drums[t]),
    }
    keys = np.zeros(len(n), dtype=np.int64)
    for relation, rows_before in before.items():
        for low, high in true_ranges(seen[relation, 1:]):
            keys += rows_before(np.maximum(time - low, 0)) - rows_before(np.maximum(time - high, 0))
    drums_before = np.cumsum(n * drummed) - drums[time]  # for a cell that is not drums itself
    here = cells.start - every[time]
    keys += seen[CROSS, 0] * np.where(drummed, 0, here - drums_before)
    keys += seen[DRUMS, 0] * np.where(drummed, here, drums_before)
    pairs: Ints = n * keys + seen[SAME, 0] * (n * (n + 1) // 2)
    return pairs


def true_ranges(shown: Bools) -> list[tuple[int, int]]:
    """[low, high) of each run of True."""
    edge = np.flatnonzero(np.diff(np.concatenate([[False], shown, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edge[::2], edge[1::2], strict=True)]
