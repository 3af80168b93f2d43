"""Groups of tiles whose cost is computed first, and whose tiles are made only if chosen: causal sets, and query runs.

Shape letters as in masks/tiling/orders.py, and: S ranges of bars that a query run attends to.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.arrays import Bools, Ints
from masks.tiling.cell_rows import CellRows, expand_ranges
from masks.tiling.kernel_costs import KernelCosts
from masks.tiling.orders import Order, QueryCut, are_scattered
from masks.tiling.tiles import Tile, true_ranges


@dataclass(frozen=True, kw_only=True, eq=False)
class CausalSets:
    """Sets of cells in which every row attends to itself and to all rows before it: one causal tile a set."""

    name: str
    cells: CellRows
    order: Ints
    """(C,) cells, set by set, ascending in each."""

    starts: Ints
    """(U,) first cell of each set, as an index into `order`."""

    @cached_property
    def n_rows(self) -> Ints:
        """(U,) rows in each set."""
        return np.add.reduceat(self.cells.rows[self.order], self.starts)

    @property
    def gathered(self) -> Ints:
        """(U,) rows of each tile, queries and keys, that are not contiguous and must be gathered."""
        ends = np.append(self.starts[1:], len(self.order))
        scattered = are_scattered(self.order[self.starts], self.order[ends - 1], ends - self.starts)
        return np.where(scattered, 2 * self.n_rows, 0)

    @property
    def n_pairs(self) -> int:
        """Visible pairs of rows, in all sets."""
        return int((self.n_rows * (self.n_rows + 1) // 2).sum())

    def in_words(self) -> str:
        """What the tiles are, as "4 parts causal"."""
        return f"{self.name} causal"

    def cost(self, costs: KernelCosts) -> float:
        """Cost of all tiles, in scores."""
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
                visible=None,
                n_queries=n,
                n_keys=n,
                n_pairs=n * (n + 1) // 2,
            )


def causal_sets(cells: CellRows, name: str, set_of: Ints) -> CausalSets:
    """Cells grouped into causal sets.

    Args:
        cells: of one piece.
        name: of the sets.
        set_of: (C,) which set each cell belongs to.
    """
    order = np.argsort(set_of, kind="stable")
    starts = np.concatenate([[0], np.flatnonzero(np.diff(set_of[order])) + 1])
    return CausalSets(name=name, cells=cells, order=order, starts=starts)


@dataclass(frozen=True, kw_only=True, eq=False)
class QueryRuns:
    """The query runs of one order under some relations and offsets. The tile of a run has the rows of the run as queries, and as
    keys all rows that one of them attends to."""

    order: Order
    cut: QueryCut
    """The runs."""

    visible: Bools
    """(R, T) relations and offsets that are shown here."""

    n_keys: Ints
    """(U,) key rows."""

    gathered: Ints
    """(U,) query and key rows that are not contiguous and must be gathered."""

    n_pairs: Ints
    """(U,) visible pairs of rows."""

    @property
    def starts(self) -> Ints:
        """(U,) first query cell of each run, as an index into the order's queries."""
        return self.cut.starts

    def in_words(self) -> str:
        """What the tiles are, as "12 query runs of 64 rows within parts"."""
        one = "one bar" if self.order.several_cells_per_bar and self.cut.whole_bars else "one cell"
        size = f"{self.cut.length} rows" if self.cut.length > 1 else one
        return f"{int((self.n_pairs > 0).sum())} query runs of {size} {self.order.name}"

    def cost(self, costs: KernelCosts) -> float:
        """Cost of all tiles, in scores."""
        n_queries = self.cut.n_rows
        each = costs.of_rectangles(n_queries, self.n_keys, self.gathered, self.n_pairs < n_queries * self.n_keys)
        return float(each[self.n_pairs > 0].sum())

    def tiles(self) -> Iterator[Tile]:
        """A tile for each run with a visible pair."""
        order, cut = self.order, self.cut
        first, end = key_ranges(order, cut, self.visible)
        keys = order.keys[expand_ranges(first.ravel(), (end - first).ravel())]
        bounds = np.concatenate([[0], np.cumsum((end - first).sum(axis=1))])
        partial = self.n_pairs < cut.n_rows * self.n_keys
        for u in np.flatnonzero(self.n_pairs).tolist():
            yield Tile(
                cells=order.cells,
                query_cells=order.queries[cut.starts[u] : cut.ends[u]],
                key_cells=keys[bounds[u] : bounds[u + 1]],
                causal=False,
                visible=self.visible if partial[u] else None,
                n_queries=int(cut.n_rows[u]),
                n_keys=int(self.n_keys[u]),
                n_pairs=int(self.n_pairs[u]),
            )


def query_runs(order: Order, visible: Bools, pairs: Ints, length: int, *, whole_bars: bool) -> QueryRuns:
    """The query runs of an order with what is needed to cost their tiles, which are not made.

    Args:
        order: whose queries are cut into runs; it must hold every pair that `visible` shows.
        visible: (R, T) relations and offsets that are shown.
        pairs: (C,) `count_visible_pairs` under `visible`.
        length: rows in a run, about; 1 gives each bar (or cell) a run of its own.
        whole_bars: runs begin with a bar, not with any cell.
    """
    cut = order.cut(length, whole_bars=whole_bars)
    first, end = key_ranges(order, cut, visible)
    n_keys = (order.keys_start[end] - order.keys_start[first]).sum(axis=1)
    return QueryRuns(
        order=order,
        cut=cut,
        visible=visible,
        n_keys=n_keys,
        gathered=cut.n_rows * cut.scattered + n_keys * _keys_scattered(order, first, end),
        n_pairs=np.add.reduceat(pairs[order.queries], cut.starts),
    )


def _keys_scattered(order: Order, first: Ints, end: Ints) -> Bools:
    """(U,) True where the keys of a run, the ranges [first, end) (U, S) of the order's key cells, are not contiguous rows."""
    some = end > first
    lowest = np.where(some, first, len(order.keys)).min(axis=1).clip(max=len(order.keys) - 1)  # of no keys: any cell
    highest = np.where(some, end, 1).max(axis=1) - 1
    return are_scattered(order.keys[lowest], order.keys[highest], (end - first).sum(axis=1))


def visible_positions(cut: QueryCut, visible: Bools) -> tuple[Ints, Ints]:
    """The axis positions that each query run attends to, as S disjoint ranges [low, high), ascending; empty where high ≤ low.

    Offsets a..b−1 of positions first..last are the positions first−b+1..last−a. Ranges of offsets that lie closer together than a
    run is long overlap there: the farther one ends where the nearer one begins.

    Args:
        cut: the runs.
        visible: (R, T) relations and offsets that are shown.

    Returns:
        low and high, (U, S) each.
    """
    lows, highs = [], []
    nearer = cut.last_position + 1
    for a, b in true_ranges(np.logical_or.reduce(visible)):
        low = np.maximum(cut.first_position - b + 1, 0)
        lows.append(low)
        highs.append(np.minimum(cut.last_position - a + 1, nearer))
        nearer = low
    return np.stack(lows[::-1], axis=1), np.maximum(np.stack(highs[::-1], axis=1), 0)


def key_ranges(order: Order, cut: QueryCut, visible: Bools) -> tuple[Ints, Ints]:
    """The keys of each query run as S ranges [first, end) of the order's key cells; none comes after the run's last query.

    Args:
        order: whose queries are cut.
        cut: the runs.
        visible: (R, T) relations and offsets that are shown.

    Returns:
        first and end, (U, S) each.
    """
    low, high = visible_positions(cut, visible)
    first = order.first_key[low]
    return first, np.maximum(np.minimum(order.first_key[high], cut.keys_before[:, None]), first)
