"""Orders of a piece's cells, and their queries cut into query runs.

An order lays query cells, and the key cells that belong to them, on one axis of bars. Queries that share their keys (all parts,
or one part) are a group, and each group has 2T positions of the axis to itself: T that stay empty, then its T bars. So no offset
reaches from one group into another, and every bar that a query may attend to lies before it on the axis.

Shape letters as in masks/tiling/tiles.py, and: U query runs, I query cells of an order, J key cells.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from analysis.arrays import Bools, Ints
from masks.tiling.cell_rows import CellRows


@dataclass(frozen=True, kw_only=True, eq=False)
class QueryCut:
    """The queries of an order, cut into query runs of about `length` rows: consecutive query cells (or bars) of one group."""

    length: int
    """Rows: the cells (or bars) of a group whose first rows lie in one multiple of `length` rows share a run."""

    whole_bars: bool
    """Runs begin with a bar, not with any cell."""

    starts: Ints
    """(U,) first query cell of each run, as an index into the order's queries."""

    ends: Ints
    """(U,) end of each run, exclusive."""

    first_position: Ints
    """(U,) axis position of each run's first query cell."""

    last_position: Ints
    """(U,) axis position of each run's last query cell."""

    keys_before: Ints
    """(U,) how many of the order's key cells do not come after the run's last query cell."""

    n_rows: Ints
    """(U,) query rows."""

    scattered: Bools
    """(U,) True where rows of other cells lie between the run's rows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """Query cells and key cells on one axis of bars; see the module's docstring."""

    name: str
    """Which pairs of parts it holds, for people."""

    cells: CellRows
    queries: Ints
    """(I,) cells, in this order."""

    query_position: Ints
    """(I,) their positions on the axis, never falling."""

    keys: Ints
    """(J,) cells, by position, then ascending."""

    key_position: Ints
    """(J,) their positions on the axis."""

    several_cells_per_bar: bool
    """One position may hold several query cells."""

    cuts: dict[tuple[int, bool], QueryCut] = field(default_factory=dict)
    """Cache of `cut`: {(length, whole_bars): cut}."""

    @cached_property
    def keys_start(self) -> Ints:
        """(J + 1,) key rows before each key cell, and in all."""
        return np.concatenate([[0], np.cumsum(self.cells.rows[self.keys])])

    @cached_property
    def first_key(self) -> Ints:
        """(positions + 1,) first key cell at each position of the axis, and the end."""
        length = max(self.query_position[-1:].max(initial=0), self.key_position[-1:].max(initial=0)) + 1
        return np.concatenate([[0], np.cumsum(np.bincount(self.key_position, minlength=length))])

    @cached_property
    def longest_bar(self) -> int:
        """Query rows at one position, at most; 0 where a bar is one cell, which is never cut."""
        if not self.several_cells_per_bar:
            return 0
        rows = np.bincount(self.query_position, weights=self.cells.rows[self.queries])
        return int(rows.max(initial=0))

    @cached_property
    def group(self) -> Ints:
        """(I,) group of each query cell."""
        return self.query_position // (2 * self.cells.n_bars)

    def cut(self, length: int, *, whole_bars: bool) -> QueryCut:
        """The queries in runs of about `length` rows, cached; length 1 gives each bar (or cell) a run of its own."""
        key = (length, whole_bars)
        if key not in self.cuts:
            self.cuts[key] = self._cut(length, whole_bars)
        return self.cuts[key]

    def _cut(self, length: int, whole_bars: bool) -> QueryCut:
        rows = self.cells.rows[self.queries]
        anchor = np.cumsum(rows) - rows
        if whole_bars:
            anchor = anchor[np.searchsorted(self.query_position, self.query_position)]
        run = (anchor - anchor[np.searchsorted(self.group, self.group)]) // length
        new = np.ones(len(rows), dtype=np.bool_)
        new[1:] = (np.diff(run) != 0) | (np.diff(self.group) != 0)
        starts = np.flatnonzero(new)
        ends = np.append(starts[1:], len(rows))
        first, last, n = self.queries[starts], self.queries[ends - 1], len(self.cells.rows)
        last_cell = self.query_position[ends - 1] * n + last  # cells by position, then ascending
        return QueryCut(
            length=length,
            whole_bars=whole_bars,
            starts=starts,
            ends=ends,
            first_position=self.query_position[starts],
            last_position=self.query_position[ends - 1],
            keys_before=np.searchsorted(self.key_position * n + self.keys, last_cell, side="right"),
            n_rows=np.add.reduceat(rows, starts),
            scattered=are_scattered(first, last, ends - starts),
        )


def are_scattered(first: Ints, last: Ints, count: Ints) -> Bools:
    """Whether sets of cells leave cells out between their first and their last one.

    Args:
        first: (U,) first cell of each set.
        last: (U,) its last cell.
        count: (U,) its cells.

    Returns:
        (U,) True where the set is not contiguous.
    """
    return np.asarray(last - first + 1 != count)


def generation_order(cells: CellRows, name: str, queries: Bools | None = None, keys: Bools | None = None) -> Order:
    """The order in which rows are generated, as one group.

    Args:
        cells: of one piece.
        name: of the order.
        queries: (C,) the cells that are queries; None for all.
        keys: (C,) the cells that are keys; None for all.
    """
    q = np.arange(len(cells.rows)) if queries is None else np.flatnonzero(queries)
    k = np.arange(len(cells.rows)) if keys is None else np.flatnonzero(keys)
    return Order(
        name=name,
        cells=cells,
        queries=q,
        query_position=cells.bar_index[q],
        keys=k,
        key_position=cells.bar_index[k],
        several_cells_per_bar=True,
    )


def within_parts(cells: CellRows, name: str) -> Order:
    """Part by part, each a group; its keys are its own cells."""
    order = np.argsort(cells.part_index, kind="stable")
    position = _axis_position(cells, cells.part_index[order], cells.bar_index[order])
    return Order(
        name=name,
        cells=cells,
        queries=order,
        query_position=position,
        keys=order,
        key_position=position,
        several_cells_per_bar=False,
    )


def across_parts(cells: CellRows, name: str, among: Bools) -> Order:
    """Part by part, each a group; its keys are the other parts' cells.

    Args:
        cells: of one piece.
        name: of the order.
        among: (C,) the cells that are queries and keys.
    """
    order = np.argsort(cells.part_index, kind="stable")
    order = order[among[order]]
    group, other = np.nonzero((np.arange(cells.n_parts)[:, None] != cells.part_index) & among)
    return Order(
        name=name,
        cells=cells,
        queries=order,
        query_position=_axis_position(cells, cells.part_index[order], cells.bar_index[order]),
        keys=other,
        key_position=_axis_position(cells, group, cells.bar_index[other]),
        several_cells_per_bar=False,
    )


def _axis_position(cells: CellRows, group: Ints, bar_index: Ints) -> Ints:
    """Position on the axis of a bar of a group, (N,) each: group g has positions 2gT to 2gT + 2T − 1, its bars the last T."""
    return (2 * group + 1) * cells.n_bars + bar_index
