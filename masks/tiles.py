"""The cells of a piece, and tiles: rectangles of queries and keys that an attention kernel computes at once.

DESIGN.md calls tiles the "pieces" of a mask; a piece is a MIDI file everywhere else, so the word here is tile.
Shape letters: C cells, L rows, T bars, P parts, N query rows and M key rows of a tile, R relations.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from analysis.errors import MeloError
from masks.spec import MOST_OFFSET, RELATIONS

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SAME, CROSS, DRUMS = range(len(RELATIONS))
"""Rows of a table of relations."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CellRows:
    """How many rows each cell of one piece has, in generation order: bar by bar, header rows as a part of their own.

    Raises:
        MeloError: cells out of order, given twice, or empty; more bars than any piece has.
    """

    bar: Ints
    """(C,) never falling."""

    part: Ints
    """(C,) any whole numbers that tell parts apart."""

    rows: Ints
    """(C,) 1 or more."""

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
        if len(np.unique(self.slot)) < len(self.slot):
            raise MeloError("cells: a part comes twice in one bar; rows of a cell must stand together")

    @property
    def n_rows(self) -> int:
        """L."""
        return int(self.rows.sum())

    @cached_property
    def n_bars(self) -> int:
        """T, from the first bar to the last, gaps counted."""
        return int(self.bar[-1] - self.bar[0]) + 1 if len(self.bar) else 0

    @cached_property
    def time(self) -> Ints:
        """(C,) bars since the first one."""
        return self.bar - self.bar[:1]

    @cached_property
    def line(self) -> Ints:
        """(C,) the parts, numbered 0..P−1."""
        return np.unique(self.part, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def n_parts(self) -> int:
        """P."""
        return int(self.line.max()) + 1 if len(self.line) else 0

    @cached_property
    def slot(self) -> Ints:
        """(C,) place in a P×T table."""
        return self.line * self.n_bars + self.time

    @cached_property
    def start(self) -> Ints:
        """(C,) first row of each cell."""
        return np.cumsum(self.rows) - self.rows

    @cached_property
    def drummed(self) -> Bools:
        """(C,) is it a cell of drums?"""
        return np.isin(self.part, list(self.drums))

    @cached_property
    def earlier_rows(self) -> tuple[Ints, Ints, Ints]:
        """Rows before each bar: (T + 1,) of all parts, (T + 1,) of drums, (P, T + 1) of each part."""
        table = np.zeros((self.n_parts, self.n_bars + 1), dtype=np.int64)
        table[self.line, self.time + 1] = self.rows
        own = np.cumsum(table, axis=1)
        drums = np.zeros(self.n_parts, dtype=np.bool_)
        drums[self.line[self.drummed]] = True
        return own.sum(axis=0), own[drums].sum(axis=0), own

    def relation(self, queries: Ints, keys: Ints) -> npt.NDArray[np.int8]:
        """(|queries|, |keys|) what cells are to each other, as rows of RELATIONS."""
        return relations(self.part[queries], self.part[keys], self.drums)


def relations(queries: Ints, keys: Ints, drums: Collection[int]) -> npt.NDArray[np.int8]:
    """(|queries|, |keys|) what parts are to each other, as rows of RELATIONS; `drums` are the parts that are drums."""
    drummed = np.isin(queries, list(drums))[:, None] | np.isin(keys, list(drums))
    same = queries[:, None] == keys
    return np.where(same, np.int8(SAME), np.where(drummed, np.int8(DRUMS), np.int8(CROSS)))


def cells_of_rows(bar: npt.ArrayLike, part: npt.ArrayLike, drums: Collection[int] = ()) -> CellRows:
    """The cells of rows in generation order.

    Args:
        bar, part: (L,) of each row, as `dense_mask` takes them.
        drums: the parts that are drums.

    Raises:
        MeloError: bars that fall, or rows of one cell that do not stand together.
    """
    bar_L, part_L = np.asarray(bar, dtype=np.int64), np.asarray(part, dtype=np.int64)
    if bar_L.ndim != 1 or bar_L.shape != part_L.shape:
        raise MeloError(f"rows: bars of shape {bar_L.shape} and parts of shape {part_L.shape}; give one of each a row")
    new_L = np.ones(len(bar_L), dtype=np.bool_)
    new_L[1:] = (bar_L[1:] != bar_L[:-1]) | (part_L[1:] != part_L[:-1])
    first = np.flatnonzero(new_L)
    rows = np.diff(np.append(first, len(bar_L)))
    return CellRows(bar=bar_L[first], part=part_L[first], rows=rows, drums=frozenset(drums))


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a kernel's tiles cost beside their score entries, in score entries.

    The defaults are PyTorch's flash kernel on one core of a CPU, 6 heads of width 64, forward and backward with gathers and
    merge: what `python benchmarks/plan.py --kernel` measures on equal tiles, rounded towards what whole plans of real pieces
    take (a score entry took 60 ns). Fewer heads or more cores make entries cheaper, so a tile is dearer: see `at`.
    """

    tile: float = 3000.0
    """Of each tile: the calls of its kernels."""

    gathered: float = 12.0
    """Of each query and key row, where a tile's queries (or keys) must be gathered, and their gradients be spread again."""

    together: float = 5.0
    """Of each, where they stand together and in order."""

    masked: float = 1.04
    """A score entry under a mask, against one without."""

    causal_block: int = 450
    """A causal kernel skips whole blocks of keys alone: a tile of n rows costs n (n + causal_block) / 2, or all n² of them."""

    def at(self, *, heads: int, width: int, threads: int) -> "Costs":
        """The same where a score entry is of other heads, and computed by several threads: the calls themselves take as long.

        Args:
            heads: query heads.
            width: of one head.
            threads: of the kernel.
        """
        return replace(self, tile=self.tile * threads * 6 * 64 / (heads * width))

    def of_rectangles(self, n_queries: Ints, n_keys: Ints, gathered: Ints, masked: Bools) -> npt.NDArray[np.float64]:
        """Cost of each tile that is not causal; `gathered` of its rows do not stand together."""
        work = n_queries * n_keys * np.where(masked, self.masked, 1.0)
        return self._of_rows(n_queries + n_keys, gathered) + work

    def of_causal(self, n_rows: Ints, gathered: Ints) -> npt.NDArray[np.float64]:
        """Cost of each causal tile."""
        work = np.minimum(n_rows, (n_rows + self.causal_block) / 2) * n_rows
        return self._of_rows(2 * n_rows, gathered) + work

    def _of_rows(self, n_rows: Ints, gathered: Ints) -> npt.NDArray[np.float64]:
        return np.asarray(self.tile + self.gathered * gathered + self.together * (n_rows - gathered), dtype=np.float64)


CPU = Costs()


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
        return spread(self.cells.start[self.query_cells], self.cells.rows[self.query_cells])

    @property
    def keys(self) -> Ints:
        """(M,) rows, ascending."""
        return spread(self.cells.start[self.key_cells], self.cells.rows[self.key_cells])

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


def spread(start: Ints, length: Ints) -> Ints:
    """start, start + 1, … (length of them), for each, one after the other."""
    end = np.cumsum(length)
    return np.arange(end[-1] if len(end) else 0) + np.repeat(start - end + length, length)


def pairs_seen(cells: CellRows, seen: Bools) -> Ints:
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
        for low, high in stretches(seen[relation, 1:]):
            keys += rows_before(np.maximum(time - low, 0)) - rows_before(np.maximum(time - high, 0))
    drums_before = np.cumsum(n * drummed) - drums[time]  # for a cell that is not drums itself
    here = cells.start - every[time]
    keys += seen[CROSS, 0] * np.where(drummed, 0, here - drums_before)
    keys += seen[DRUMS, 0] * np.where(drummed, here, drums_before)
    pairs: Ints = n * keys + seen[SAME, 0] * (n * (n + 1) // 2)
    return pairs


def stretches(shown: Bools) -> list[tuple[int, int]]:
    """[low, high) of each run of True."""
    edge = np.flatnonzero(np.diff(np.concatenate([[False], shown, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edge[::2], edge[1::2], strict=True)]
