"""Groups of tiles that are counted first and made only if chosen: causal sets of cells, and windows.

A window is a run of query rows, with all rows that one of them sees as keys.

Shape letters as in masks/tiles.py, and: U windows, S stretches of bars that a window sees, I query cells of an
order, J key cells.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from masks.tiles import Bools, CellRows, Costs, Ints, Offset, Tile, spread, stretches


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
    def shown(self) -> int:
        """Pairs seen, of all sets."""
        return int((self.n_rows * (self.n_rows + 1) // 2).sum())

    def in_words(self) -> str:
        """What the tiles are."""
        return f"{self.name} causal"

    def cost(self, costs: Costs) -> float:
        """Of all tiles, in score entries."""
        return float(costs.of_causal(self.n_rows).sum())

    def tiles(self, relation: str | None = None, offset: Offset | None = None) -> Iterator[Tile]:
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
                relation=relation,
                offset=offset,
            )


def causal(cells: CellRows, name: str, of: Ints) -> Causal:
    """A set for each value of `of` (C,)."""
    order = np.argsort(of, kind="stable")
    starts = np.concatenate([[0], np.flatnonzero(np.diff(of[order])) + 1])
    return Causal(name=name, cells=cells, order=order, starts=starts)


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """Query cells in an order of their own on a line of bars, and key cells on the same line.

    Every group of queries (all parts, or one) has a stretch of the line to itself, longer than any mask reaches.
    """

    name: str
    cells: CellRows
    queries: Ints
    """(I,) cells, in this order."""

    query_at: Ints
    """(I,) their bars on the line, never falling."""

    keys: Ints
    """(J,) cells, by bar on the line, then ascending."""

    key_at: Ints
    """(J,) their bars on the line."""

    holds_bars: bool
    """One bar of the line may hold several query cells."""

    @cached_property
    def key_row(self) -> Ints:
        """(J + 1,) key rows before each key cell."""
        return np.concatenate([[0], np.cumsum(self.cells.rows[self.keys])])

    @cached_property
    def first_key(self) -> Ints:
        """First key cell of each bar of the line, and the end."""
        length = max(self.query_at[-1:].max(initial=0), self.key_at[-1:].max(initial=0)) + 1
        return np.concatenate([[0], np.cumsum(np.bincount(self.key_at, minlength=length))])

    def cut(self, length: int, *, whole_bars: bool) -> Ints:
        """Where windows start among the queries: the cells (or bars) that begin in one stretch of `length` rows share one."""
        rows = self.cells.rows[self.queries]
        anchor = np.cumsum(rows) - rows
        if whole_bars:
            anchor = anchor[np.searchsorted(self.query_at, self.query_at)]
        group = self.query_at // (2 * self.cells.n_bars)
        stretch = (anchor - anchor[np.searchsorted(group, group)]) // length
        new = np.ones(len(rows), dtype=np.bool_)
        new[1:] = (np.diff(stretch) != 0) | (np.diff(group) != 0)
        return np.flatnonzero(new)


def everything(cells: CellRows, name: str, queries: Bools | None = None, keys: Bools | None = None) -> Order:
    """Generation order; `queries` and `keys` (C,) leave the other cells out."""
    q = np.arange(len(cells.rows)) if queries is None else np.flatnonzero(queries)
    k = np.arange(len(cells.rows)) if keys is None else np.flatnonzero(keys)
    return Order(
        name=name, cells=cells, queries=q, query_at=cells.time[q], keys=k, key_at=cells.time[k], holds_bars=True
    )


def within_parts(cells: CellRows, name: str) -> Order:
    """Part by part, the keys of the same part."""
    order = np.argsort(cells.line, kind="stable")
    at = _line(cells, cells.line[order], cells.time[order])
    return Order(name=name, cells=cells, queries=order, query_at=at, keys=order, key_at=at, holds_bars=False)


def across_parts(cells: CellRows, name: str, among: Bools) -> Order:
    """Part by part, the keys of the other parts; `among` (C,) leaves parts out altogether."""
    order = np.argsort(cells.line, kind="stable")
    order = order[among[order]]
    mine, other = np.nonzero((np.arange(cells.n_parts)[:, None] != cells.line) & among)
    return Order(
        name=name,
        cells=cells,
        queries=order,
        query_at=_line(cells, cells.line[order], cells.time[order]),
        keys=other,
        key_at=_line(cells, mine, cells.time[other]),
        holds_bars=False,
    )


def _line(cells: CellRows, group: Ints, time: Ints) -> Ints:
    """Bars of a line on which group g has the bars from (2g + 1)·T on, and nothing lies before them for T bars."""
    return (2 * group + 1) * cells.n_bars + time


@dataclass(frozen=True, kw_only=True, eq=False)
class Windows:
    """The windows of one order under some relations and offsets: what they cost, and on request their tiles."""

    order: Order
    seen: Bools
    """(R, T) the relations and offsets shown here."""

    length: int
    """Rows in a window, about."""

    whole_bars: bool
    """They begin with a bar, not with a cell."""

    starts: Ints
    """(U,) where they start among the order's queries."""

    n_queries: Ints
    """(U,) rows."""

    n_keys: Ints
    """(U,) rows."""

    shown: Ints
    """(U,) pairs seen."""

    def in_words(self) -> str:
        """What the tiles are."""
        one = "one bar" if self.order.holds_bars and self.whole_bars else "one cell"
        size = f"{self.length} rows" if self.length > 1 else one
        return f"{int((self.shown > 0).sum())} windows of {size} {self.order.name}"

    def cost(self, costs: Costs) -> float:
        """Of all tiles, in score entries."""
        work = self.n_queries * self.n_keys
        each = costs.of_rectangles(self.n_queries, self.n_keys, self.shown < work)
        return float(each[self.shown > 0].sum())

    def tiles(self, relation: str | None = None, offset: Offset | None = None) -> Iterator[Tile]:
        """A tile for each window that shows something."""
        order, cells = self.order, self.order.cells
        first, end = key_ranges(order, self.starts, self.seen)
        keys = order.keys[spread(first.ravel(), (end - first).ravel())]
        bounds = np.concatenate([[0], np.cumsum((end - first).sum(axis=1))])
        ends = np.append(self.starts[1:], len(order.queries))
        partial = self.shown < self.n_queries * self.n_keys
        for u in np.flatnonzero(self.shown).tolist():
            yield Tile(
                cells=cells,
                query_cells=order.queries[self.starts[u] : ends[u]],
                key_cells=keys[bounds[u] : bounds[u + 1]],
                causal=False,
                seen=self.seen if partial[u] else None,
                n_queries=int(self.n_queries[u]),
                n_keys=int(self.n_keys[u]),
                shown=int(self.shown[u]),
                relation=relation,
                offset=offset,
            )


def windows(order: Order, seen: Bools, pairs: Ints, length: int, *, whole_bars: bool) -> Windows:
    """Windows of about `length` rows, counted but not made.

    Args:
        order: whose queries are cut into runs.
        seen: (R, T) the relations and offsets shown; the order must hold every pair that they show.
        pairs: (C,) `pairs_seen` under `seen`.
        length: rows in a window, about; 1 gives each bar (cell) its own.
        whole_bars: windows begin with a bar, not with a cell.
    """
    starts = order.cut(length, whole_bars=whole_bars)
    first, end = key_ranges(order, starts, seen)
    return Windows(
        order=order,
        seen=seen,
        length=length,
        whole_bars=whole_bars,
        starts=starts,
        n_queries=np.add.reduceat(order.cells.rows[order.queries], starts),
        n_keys=(order.key_row[end] - order.key_row[first]).sum(axis=1),
        shown=np.add.reduceat(pairs[order.queries], starts),
    )


def reached(order: Order, starts: Ints, seen: Bools) -> tuple[Ints, Ints]:
    """(U, S) the bars of the line that a window sees, as S disjoint stretches [low, high), ascending; empty where high ≤ low.

    Offsets a..b−1 of bars first..last are the bars first−b+1..last−a. Stretches of offsets that lie closer together than a
    window is long overlap there: the farther one ends where the nearer one begins.
    """
    ends = np.append(starts[1:], len(order.queries)) - 1
    first, last = order.query_at[starts], order.query_at[ends]
    lows, highs = [], []
    nearer = last + 1
    for a, b in stretches(np.logical_or.reduce(seen)):
        low = np.maximum(first - b + 1, 0)
        lows.append(low)
        highs.append(np.minimum(last - a + 1, nearer))
        nearer = low
    return np.stack(lows[::-1], axis=1), np.maximum(np.stack(highs[::-1], axis=1), 0)


def key_ranges(order: Order, starts: Ints, seen: Bools) -> tuple[Ints, Ints]:
    """(U, S) the keys of each window, as ranges [first, end) of the order's key cells; none comes after its last query."""
    low, high = reached(order, starts, seen)
    ends = np.append(starts[1:], len(order.queries)) - 1
    n = len(order.cells.rows)
    up_to = np.searchsorted(order.key_at * n + order.keys, order.query_at[ends] * n + order.queries[ends], side="right")
    first = order.first_key[low]
    return first, np.maximum(np.minimum(order.first_key[high], up_to[:, None]), first)
