"""The rows of a piece by cell (bar, part), in generation order.

Shape letters: C cells, L rows, T bars, P parts.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from analysis.arrays import Bools, Ints
from analysis.errors import MeloError
from masks.spec import MASK_RELATIONS, MOST_OFFSET

SAME, CROSS, DRUMS = range(len(MASK_RELATIONS))
"""Indices into MASK_RELATIONS."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CellRows:
    """How many rows each cell of one piece has, in generation order: bar by bar, header rows as a part of their own.

    Raises:
        MeloError: cells out of order, given twice, or empty; more bars than any piece has.
    """

    bar: Ints
    """(C,) bar of each cell, never falling."""

    part: Ints
    """(C,) part of each cell; any whole numbers that distinguish parts."""

    rows: Ints
    """(C,) rows in each cell, 1 or more."""

    drums: frozenset[int] = frozenset()
    """The parts that are drums."""

    def __post_init__(self) -> None:
        if not len(self.bar) == len(self.part) == len(self.rows):
            raise MeloError(
                f"cells: {len(self.bar)} bars, {len(self.part)} parts and {len(self.rows)} counts; give one of each a cell"
            )
        if len(self.rows) and self.rows.min() < 1:
            raise MeloError(f"cells: a cell has {self.rows.min()} rows; leave out the cells that are empty")
        if (np.diff(self.bar) < 0).any():
            raise MeloError("cells: the bars fall; give the cells in generation order, bar by bar")
        if self.n_bars > MOST_OFFSET:
            raise MeloError(f"cells: {self.n_bars} bars; a piece has at most {MOST_OFFSET}")
        if len(np.unique(self.table_index)) < len(self.table_index):
            raise MeloError("cells: a part comes twice in one bar; rows of a cell must be contiguous")

    @property
    def n_rows(self) -> int:
        """L: rows of all cells."""
        return int(self.rows.sum())

    @cached_property
    def n_bars(self) -> int:
        """T: bars from the first cell's to the last cell's, bars without a cell included."""
        return int(self.bar[-1] - self.bar[0]) + 1 if len(self.bar) else 0

    @cached_property
    def bar_index(self) -> Ints:
        """(C,) bar of each cell counted from the first cell's, 0..T − 1."""
        return self.bar - self.bar[:1]

    @cached_property
    def part_index(self) -> Ints:
        """(C,) part of each cell as 0..P − 1."""
        return np.unique(self.part, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def n_parts(self) -> int:
        """P: distinct parts."""
        return int(self.part_index.max()) + 1 if len(self.part_index) else 0

    @cached_property
    def table_index(self) -> Ints:
        """(C,) flat index of each cell in a (P, T) table."""
        return self.part_index * self.n_bars + self.bar_index

    @cached_property
    def start(self) -> Ints:
        """(C,) first row of each cell."""
        return np.cumsum(self.rows) - self.rows

    @cached_property
    def is_drums(self) -> Bools:
        """(C,) True where a cell's part is drums."""
        return np.isin(self.part, list(self.drums))

    @cached_property
    def earlier_rows(self) -> tuple[Ints, Ints, Ints]:
        """Rows in the bars before bar 0, 1, … T: (T + 1,) of all parts, (T + 1,) of drums, (P, T + 1) of each part."""
        table = np.zeros((self.n_parts, self.n_bars + 1), dtype=np.int64)
        table[self.part_index, self.bar_index + 1] = self.rows
        by_part = np.cumsum(table, axis=1)
        drums = np.zeros(self.n_parts, dtype=np.bool_)
        drums[self.part_index[self.is_drums]] = True
        return by_part.sum(axis=0), by_part[drums].sum(axis=0), by_part

    def relation(self, queries: Ints, keys: Ints) -> npt.NDArray[np.int8]:
        """Relation of each pair of cells.

        Args:
            queries: (N,) cells.
            keys: (M,) cells.

        Returns:
            (N, M) indices into MASK_RELATIONS.
        """
        return relations(self.part[queries], self.part[keys], self.drums)


def relations(queries: Ints, keys: Ints, drums: Collection[int]) -> npt.NDArray[np.int8]:
    """Relation of each pair of parts.

    Args:
        queries: (N,) parts.
        keys: (M,) parts.
        drums: the parts that are drums.

    Returns:
        (N, M) indices into MASK_RELATIONS.
    """
    any_drums = np.isin(queries, list(drums))[:, None] | np.isin(keys, list(drums))
    same = queries[:, None] == keys
    return np.where(same, np.int8(SAME), np.where(any_drums, np.int8(DRUMS), np.int8(CROSS)))


def cells_of_rows(bar: npt.ArrayLike, part: npt.ArrayLike, drums: Collection[int] = ()) -> CellRows:
    """Rows in generation order grouped into cells.

    Args:
        bar: (L,) bar of each row.
        part: (L,) part of each row, as `dense_mask` takes it.
        drums: the parts that are drums.

    Raises:
        MeloError: bars that fall, or rows of one cell that are not contiguous.
    """
    bar_L, part_L = np.asarray(bar, dtype=np.int64), np.asarray(part, dtype=np.int64)
    if bar_L.ndim != 1 or bar_L.shape != part_L.shape:
        raise MeloError(f"rows: bars of shape {bar_L.shape} and parts of shape {part_L.shape}; give one of each a row")
    new_L = np.ones(len(bar_L), dtype=np.bool_)
    new_L[1:] = (bar_L[1:] != bar_L[:-1]) | (part_L[1:] != part_L[:-1])
    first = np.flatnonzero(new_L)
    rows = np.diff(np.append(first, len(bar_L)))
    return CellRows(bar=bar_L[first], part=part_L[first], rows=rows, drums=frozenset(drums))


def expand_ranges(start: Ints, length: Ints) -> Ints:
    """The whole numbers of several ranges, one range after the other.

    Args:
        start: (N,) first number of each range.
        length: (N,) how many numbers it holds.

    Returns:
        (sum of lengths,) start, start + 1, … of the first range, then of the second, …
    """
    end = np.cumsum(length)
    return np.arange(end[-1] if len(end) else 0) + np.repeat(start - end + length, length)
