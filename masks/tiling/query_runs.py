"""Groups of tiles that are counted first and made only if chosen: causal sets of cells, and windows.

A window is a run of query rows, with all rows that one of them sees as keys.

Shape letters as in masks/tiling/orders.py, where a window's queries are a run; S stretches of bars that a window sees.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.arrays import Bools, Ints
from masks.tiling.cell_rows import CellRows, expand_ranges
from masks.tiling.kernel_costs import KernelCosts
from masks.tiling.orders import Order, RowRuns, are_apart
from masks.tiling.tiles import Tile, true_ranges


@dataclass(frozen=True, kw_only=True, eq=False)
class Causal:
    """Sets of cells in which every row sees itself and all rows before it: a causal tile for each."""

    name: str
    cells: CellRows
    order: Ints
    """(C,) cells, set by set, ascending in each."""

    starts: Ints
    """(U,) where the sets start in `order`."""

    @cached_property
    def n_rows(self) -> Ints:
        """(U,) rows in each set."""
        return np.add.reduceat(self.cells.rows[self.order], self.starts)

    @property
    def gathered(self) -> Ints:
        """(U,) rows in each tile, queries and keys, that do not stand together."""
        ends = np.append(self.starts[1:], len(self.order))
        return np.where(
            are_apart(self.order[self.starts], self.order[ends - 1], ends - self.starts), 2 * self.n_rows, 0
        )

    @property
    def shown(self) -> int:
        """Pairs seen, of all sets."""
        return int((self.n_rows * (self.n_rows + 1) // 2).sum())

    def in_words(self) -> str:
        """What the tiles are."""
        return f"{self.name} causal"

    def cost(self, costs: KernelCosts) -> float:
        """Of all tiles, in score entries."""
        return float(costs.of_causal(self.n_rows, self.gathered).sum())

    def tiles(self) -> Iterator[Tile]:
        """A tile for each set."""
        ends = np.append(self.starts[1:], len(self.order)).tolist()
        for start, end, n in zip(self.starts.tolist(), ends, self.n_rows.tolist(), strict=True):
            inside = self.order[start:end]
            yield Tile(
                cells=self.cells,
                query_cells=inside,
                key_cells=inside,
                causal=True,
                seen=None,
                n_queries=n,
                n_keys=n,
                shown=n * (n + 1) // 2,
            )


def causal(cells: CellRows, name: str, of: Ints) -> Causal:
    """A set for each value of `of` (C,)."""
    order = np.argsort(of, kind="stable")
    starts = np.concatenate([[0], np.flatnonzero(np.diff(of[order])) + 1])
    return Causal(name=name, cells=cells, order=order, starts=starts)


@dataclass(frozen=True, kw_only=True, eq=False)
class QueryRuns:
    """The windows of one order under some relations and offsets: what they cost, and on request their tiles."""

    order: Order
    runs: RowRuns
    """The queries of each window."""

    seen: Bools
    """(R, T) the relations and offsets shown here."""

    n_keys: Ints
    """(U,) rows."""

    gathered: Ints
    """(U,) queries and keys that do not stand together."""

    shown: Ints
    """(U,) pairs seen."""

    @property
    def starts(self) -> Ints:
        """(U,) where they start among the order's queries."""
        return self.runs.starts

    def in_words(self) -> str:
        """What the tiles are."""
        one = "one bar" if self.order.holds_bars and self.runs.whole_bars else "one cell"
        size = f"{self.runs.length} rows" if self.runs.length > 1 else one
        return f"{int((self.shown > 0).sum())} windows of {size} {self.order.name}"

    def cost(self, costs: KernelCosts) -> float:
        """Of all tiles, in score entries."""
        n_queries = self.runs.n_rows
        each = costs.of_rectangles(n_queries, self.n_keys, self.gathered, self.shown < n_queries * self.n_keys)
        return float(each[self.shown > 0].sum())

    def tiles(self) -> Iterator[Tile]:
        """A tile for each window that shows something."""
        order, runs = self.order, self.runs
        first, end = key_ranges(order, runs, self.seen)
        keys = order.keys[expand_ranges(first.ravel(), (end - first).ravel())]
        bounds = np.concatenate([[0], np.cumsum((end - first).sum(axis=1))])
        partial = self.shown < runs.n_rows * self.n_keys
        for u in np.flatnonzero(self.shown).tolist():
            yield Tile(
                cells=order.cells,
                query_cells=order.queries[runs.starts[u] : runs.ends[u]],
                key_cells=keys[bounds[u] : bounds[u + 1]],
                causal=False,
                seen=self.seen if partial[u] else None,
                n_queries=int(runs.n_rows[u]),
                n_keys=int(self.n_keys[u]),
                shown=int(self.shown[u]),
            )


def query_runs(order: Order, seen: Bools, pairs: Ints, length: int, *, whole_bars: bool) -> QueryRuns:
    """Windows of about `length` rows, counted but not made.

    Args:
        order: whose queries are cut into runs.
        seen: (R, T) the relations and offsets shown; the order must hold every pair that they show.
        pairs: (C,) `pairs_seen` under `seen`.
        length: rows in a window, about; 1 gives each bar (cell) its own.
        whole_bars: windows begin with a bar, not with a cell.
    """
    runs = order.runs(length, whole_bars=whole_bars)
    first, end = key_ranges(order, runs, seen)
    n_keys = (order.key_row[end] - order.key_row[first]).sum(axis=1)
    return QueryRuns(
        order=order,
        runs=runs,
        seen=seen,
        n_keys=n_keys,
        gathered=runs.n_rows * runs.apart + n_keys * _keys_apart(order, first, end),
        shown=np.add.reduceat(pairs[order.queries], runs.starts),
    )


def _keys_apart(order: Order, first: Ints, end: Ints) -> Bools:
    """(U,) are the keys of a window, the ranges [first, end) (U, S) of the order's key cells, other than a stretch of rows?"""
    some = end > first
    lowest = np.where(some, first, len(order.keys)).min(axis=1).clip(max=len(order.keys) - 1)  # of no keys: any cell
    highest = np.where(some, end, 1).max(axis=1) - 1
    return are_apart(order.keys[lowest], order.keys[highest], (end - first).sum(axis=1))


def reached(runs: RowRuns, seen: Bools) -> tuple[Ints, Ints]:
    """(U, S) the bars of the line that a window sees, as S disjoint stretches [low, high), ascending; empty where high ≤ low.

    Offsets a..b−1 of bars first..last are the bars first−b+1..last−a. Stretches of offsets that lie closer together than a
    window is long overlap there: the farther one ends where the nearer one begins.
    """
    lows, highs = [], []
    nearer = runs.last_bar + 1
    for a, b in true_ranges(np.logical_or.reduce(seen)):
        low = np.maximum(runs.first_bar - b + 1, 0)
        lows.append(low)
        highs.append(np.minimum(runs.last_bar - a + 1, nearer))
        nearer = low
    return np.stack(lows[::-1], axis=1), np.maximum(np.stack(highs[::-1], axis=1), 0)


def key_ranges(order: Order, runs: RowRuns, seen: Bools) -> tuple[Ints, Ints]:
    """(U, S) the keys of each window, as ranges [first, end) of the order's key cells; none comes after its last query."""
    low, high = reached(runs, seen)
    first = order.first_key[low]
    return first, np.maximum(np.minimum(order.first_key[high], runs.keys_before[:, None]), first)
