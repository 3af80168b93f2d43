"""Orders of a piece's cells, and their queries cut into runs that stand together in them.

Shape letters as in masks/tiling/tiles.py, and: U runs, I query cells of an order, J key cells.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from analysis.arrays import Bools, Ints
from masks.tiling.cell_rows import CellRows


@dataclass(frozen=True, kw_only=True, eq=False)
class RowRuns:
    """The queries of an order in runs: the cells (or bars) that begin in one stretch of `length` rows share one."""

    length: int
    whole_bars: bool
    """They begin with a bar, not with a cell."""

    starts: Ints
    """(U,) where they start among the order's queries."""

    ends: Ints
    """(U,) and end."""

    first_bar: Ints
    """(U,) bar of the first query, on the order's line."""

    last_bar: Ints
    """(U,) bar of the last."""

    keys_before: Ints
    """(U,) how many of the order's key cells do not come after the last query."""

    n_rows: Ints
    """(U,)"""

    apart: Bools
    """(U,) do other rows stand among them?"""


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

    kept: dict[tuple[int, bool], RowRuns] = field(default_factory=dict)
    """Runs made so far, by length and whether they are of whole bars."""

    @cached_property
    def key_row(self) -> Ints:
        """(J + 1,) key rows before each key cell."""
        return np.concatenate([[0], np.cumsum(self.cells.rows[self.keys])])

    @cached_property
    def first_key(self) -> Ints:
        """First key cell of each bar of the line, and the end."""
        length = max(self.query_at[-1:].max(initial=0), self.key_at[-1:].max(initial=0)) + 1
        return np.concatenate([[0], np.cumsum(np.bincount(self.key_at, minlength=length))])

    @cached_property
    def longest_bar(self) -> int:
        """Query rows in one bar of the line, at most; 0 where a bar is a cell, which is never cut."""
        rows = np.bincount(self.query_at, weights=self.cells.rows[self.queries]) if self.holds_bars else np.zeros(0)
        return int(rows.max(initial=0))

    @cached_property
    def group(self) -> Ints:
        """(I,) which stretch of the line a query has."""
        return self.query_at // (2 * self.cells.n_bars)

    def runs(self, length: int, *, whole_bars: bool) -> RowRuns:
        """Runs of about `length` rows, kept for the next time; 1 gives each bar (cell) its own."""
        key = (length, whole_bars)
        if key not in self.kept:
            self.kept[key] = self._cut(length, whole_bars)
        return self.kept[key]

    def _cut(self, length: int, whole_bars: bool) -> RowRuns:
        rows = self.cells.rows[self.queries]
        anchor = np.cumsum(rows) - rows
        if whole_bars:
            anchor = anchor[np.searchsorted(self.query_at, self.query_at)]
        stretch = (anchor - anchor[np.searchsorted(self.group, self.group)]) // length
        new = np.ones(len(rows), dtype=np.bool_)
        new[1:] = (np.diff(stretch) != 0) | (np.diff(self.group) != 0)
        starts = np.flatnonzero(new)
        ends = np.append(starts[1:], len(rows))
        first, last, n = self.queries[starts], self.queries[ends - 1], len(self.cells.rows)
        place = self.query_at[ends - 1] * n + last
        return RowRuns(
            length=length,
            whole_bars=whole_bars,
            starts=starts,
            ends=ends,
            first_bar=self.query_at[starts],
            last_bar=self.query_at[ends - 1],
            keys_before=np.searchsorted(self.key_at * n + self.keys, place, side="right"),
            n_rows=np.add.reduceat(rows, starts),
            apart=are_apart(first, last, ends - starts),
        )


def are_apart(first: Ints, last: Ints, count: Ints) -> Bools:
    """Are there other cells among so many cells from first to last?"""
    return np.asarray(last - first + 1 != count)


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
