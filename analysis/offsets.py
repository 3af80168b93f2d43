"""Similarity by offset within one piece: sums in whole numbers, so that they add up to the same bits in any order.

Relation `same` compares bars b and b − k of one part (k ≥ 1). Relation `cross` compares bar b of one part with bar b − k of
another, in both directions; at offset 0 each pair of parts counts once.

How it is fast: equal cells are compared once, in a table of all different contents of a block of bars. With the number of
cells in each bar that have each content (N), the sums over all pairs of two bars are N · table · Nᵀ; what lies within one part is
taken out again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from analysis.arrays import Floats, Ints
from analysis.cells import Cells, cells_of
from analysis.families import FAMILIES
from analysis.features import Contents
from analysis.piece import Piece
from analysis.similarity import Measure

T = TypeVar("T", bound=np.generic)

Relation = Literal["same", "cross"]
RELATIONS: tuple[Relation, Relation] = ("same", "cross")

MAX_OFFSET = 32
"""Offsets 0..32 are measured."""

OFFSETS = MAX_OFFSET + 1

UNIT = 1 << 30
"""A similarity is rounded to whole multiples of 1 / UNIT before it is summed, so that every sum is exact."""

MOST_PAIRS = 1 << 27
"""A piece with more pairs of cells than this is not measured."""

_GOOD_CELLS, _GOOD_BARS, _MOST_CELLS = 512, 32, 2_048
"""Cells in a block of bars that is measured at once, the 32 bars before it counted: this many, or this many bars, but not more
than the last unless 33 bars alone hold more. Sums over all pairs of so many cells stay below 2^53, so they are exact."""


@dataclass(kw_only=True)
class OffsetSums:
    """Sums of one measure over the pairs of one piece, or of many. int64, similarities in multiples of 1 / UNIT."""

    pairs: Ints
    """(2, OFFSETS) by relation and offset."""

    similarity: Ints
    """(2, OFFSETS) sum over pairs."""

    square: Ints
    """(2, OFFSETS) sum of squares over pairs."""


@dataclass(kw_only=True)
class FamilySums:
    """The same by family. At offset 0 across parts, a pair of families stands in both places, each pair of parts once."""

    same_pairs: Ints
    """(OFFSETS, 17) by offset and the part's family."""

    same_similarity: Ints
    cross_pairs: Ints
    """(OFFSETS, 17, 17) by offset, family of the later bar's part, family of the earlier bar's part."""

    cross_similarity: Ints

    @staticmethod
    def empty() -> "FamilySums":
        """No pairs at all."""
        same, cross = (OFFSETS, len(FAMILIES)), (OFFSETS, len(FAMILIES), len(FAMILIES))
        zeros = [np.zeros(shape, dtype=np.int64) for shape in (same, same, cross, cross)]
        return FamilySums(
            same_pairs=zeros[0], same_similarity=zeros[1], cross_pairs=zeros[2], cross_similarity=zeros[3]
        )


@dataclass(frozen=True, kw_only=True)
class CellBlocks:
    """The cells of a piece, cut into blocks of bars that are measured one after the other."""

    cells: Cells
    families: Ints
    """(F,) families that are distinguished, as indices into FAMILIES; empty when they are not, and F is 1."""

    blocks: tuple["Block", ...]

    @staticmethod
    def of(piece: Piece, *, drums: bool, by_family: bool) -> "CellBlocks":
        """Layout of a piece's parts, with drums or without."""
        cells = cells_of(piece, drums=drums)
        families = np.unique(cells.part_family) if by_family else np.zeros(0, dtype=np.int64)
        return CellBlocks(cells=cells, families=families, blocks=tuple(_blocks(cells, families)))


@dataclass(frozen=True, kw_only=True)
class Block:
    """Some bars and the 32 before them. A group is the cells of one bar and family; empty groups count, bars before 0 too."""

    window: slice
    """Cells of the block's own bars and of those before."""

    own: slice
    """Own cells within the window."""

    own_family: Ints
    """(own cells,) number of their family, 0..F - 1."""

    group: Ints
    """(cells in the window,) group of each cell, ascending."""

    group_first: Ints
    """((32 + own bars) · F + 1,) first cell of each group in the window; cells of a group are neighbours."""

    place: Ints
    """(P, 32 + own bars) 1 + index in the window of each cell of the grid of parts and bars, 0 where it is empty."""

    pairs: tuple[Ints, Ints, Ints] = ()  # type: ignore[assignment]
    """Numbers of pairs, as `group_sums`, `part_sums` and `self_sums` give sums."""

    @property
    def n_families(self) -> int:
        """Instrument families that are measured apart; 1 where they are not."""
        return (len(self.group_first) - 1) // int(self.place.shape[1])


def count_pairs(layout: CellBlocks) -> int:
    """Pairs of cells that are at most MAX_OFFSET bars apart."""
    per_bar = np.bincount(layout.cells.bar, minlength=layout.cells.n_bars)
    before = np.convolve(per_bar, np.ones(OFFSETS, dtype=np.int64))[: len(per_bar)]
    return int(per_bar @ before)


def measure(layout: CellBlocks, contents: Contents, kind: Measure) -> tuple[OffsetSums, FamilySums | None]:
    """Sums of one measure over one piece; `contents` are `kind.contents(layout.cells)`."""
    f = max(len(layout.families), 1)
    everything = np.zeros((3, OFFSETS, f, f), dtype=np.int64)
    within = np.zeros((3, layout.cells.n_parts, OFFSETS), dtype=np.int64)
    itself = np.zeros((3, f), dtype=np.int64)
    for block in layout.blocks:
        of_cell = contents.of_cell[block.window]
        items = contents.items
        if len(layout.blocks) > 1:
            used, of_cell = np.unique(of_cell, return_inverse=True)
            items = items[used]
        similarity, of_cell = kind.similarity(items, items), of_cell + 1
        tables = [table_of(similarity), table_of(np.square(similarity, out=similarity))]
        everything[1:] += group_sums(block, tables, of_cell)
        within[1:] += part_sums(block, tables, of_cell)
        itself[1:] += self_sums(block, tables, of_cell)
        for total, counted in zip((everything, within, itself), block.pairs, strict=True):
            total[0] += counted
    families = _family_sums(everything, within, itself, layout) if len(layout.families) else None
    return _offset_sums(everything, within, itself), families


def table_of(similarity: Floats) -> Floats:
    """(D, D) similarities as (D + 1, D + 1) whole multiples of 1 / UNIT; index 0 is silence, like nothing."""
    n = len(similarity)
    table = np.zeros((n + 1, n + 1))
    np.multiply(similarity, UNIT, out=table[1:, 1:])
    return np.rint(table, out=table)


def group_sums(block: Block, tables: Sequence[Floats], of_cell: Ints) -> Ints:
    """Sums of tables over all pairs of a block: every cell also with itself, and at offset 0 both directions.

    Args:
        tables: from `table_of`, of one size.
        of_cell: (cells in the window,) index into the tables, 1 or more.

    Returns:
        (tables, OFFSETS, F, F) by offset, family of the later cell, family of the earlier one.
    """
    f, bars = block.n_families, block.place.shape[1]
    counts = _counts(block, of_cell, len(tables[0]))
    own, found = counts[MAX_OFFSET * f :], np.empty((len(tables), OFFSETS, f, f), dtype=np.int64)
    for table, by_offset in zip(tables, found, strict=True):
        sums = np.ascontiguousarray(counts @ (own @ table).T).reshape(bars, f, bars - MAX_OFFSET, f)
        down, earlier, along, later = sums.strides
        diagonals: Floats = np.ndarray(  # own bar o meets bar o + 32 - k of the window at offset k
            shape=(bars - MAX_OFFSET, OFFSETS, f, f),
            dtype=np.float64,
            buffer=sums.data,
            offset=MAX_OFFSET * down,
            strides=(down + along, -down, later, earlier),
        )
        by_offset[:] = diagonals.sum(axis=0)
    return found


_DENSE = 1 << 14
"""Up to so many numbers, plain matrices are faster than sparse ones."""


def _counts(block: Block, of_cell: Ints, n: int) -> "Floats | csr_array":
    """(groups, n) how many cells of each group have each content."""
    groups = len(block.group_first) - 1
    if groups * n > _DENSE:
        return csr_array((np.ones(len(of_cell)), of_cell, block.group_first), shape=(groups, n))
    counts = np.bincount(block.group * n + of_cell, minlength=groups * n)
    return counts.astype(np.float64).reshape(groups, n)


def part_sums(block: Block, tables: Sequence[Floats], of_cell: Ints) -> Ints:
    """Sums of each table over the pairs of a block within each part.

    Args:
        tables: from `table_of`, of one size.
        of_cell: (cells in the window,) index into the tables, 1 or more.

    Returns:
        (tables, P, OFFSETS) by part and offset; 0 at offset 0.
    """
    code = np.zeros(len(of_cell) + 1, dtype=np.int64)
    code[1:] = of_cell
    content = code[block.place]
    met = content[:, MAX_OFFSET:, None] * len(tables[0]) + back_to(content)
    sums = np.empty((len(tables), len(content), OFFSETS), dtype=np.int64)
    for table, found in zip(tables, sums, strict=True):
        found[:] = table.ravel().take(met).sum(axis=1)
    sums[:, :, 0] = 0
    return sums


def back_to(values: "npt.NDArray[T]") -> "npt.NDArray[T]":
    """(…, 32 + n) values of n bars and the 32 before them, as (…, n, OFFSETS): of each bar, the bar so many before. A view."""
    values = np.ascontiguousarray(values)
    step = values.strides[-1]
    return np.ndarray(
        shape=(*values.shape[:-1], values.shape[-1] - MAX_OFFSET, OFFSETS),
        dtype=values.dtype,
        buffer=values.data,
        offset=MAX_OFFSET * step,
        strides=(*values.strides, -step),
    )


def self_sums(block: Block, tables: Sequence[Floats], of_cell: Ints) -> Ints:
    """Sums of each table over a block's own cells, each with itself.

    Args:
        tables: from `table_of`, of one size.
        of_cell: (cells in the window,) index into the tables, 1 or more.

    Returns:
        (tables, F) by family.
    """
    mine, f = of_cell[block.own], block.n_families
    sums = [np.bincount(block.own_family, weights=table[mine, mine], minlength=f) for table in tables]
    return np.array(sums, dtype=np.float64).astype(np.int64)


def _blocks(cells: Cells, families: Ints) -> Iterator[Block]:
    per_bar = np.bincount(cells.bar, minlength=cells.n_bars)
    first = np.concatenate([[0], np.cumsum(per_bar)])
    start = 0
    while start < cells.n_bars:
        low = max(start - MAX_OFFSET, 0)
        good, most = (int(np.searchsorted(first, first[low] + n, side="right")) - 1 for n in (_GOOD_CELLS, _MOST_CELLS))
        stop = min(max(good, min(start + _GOOD_BARS, most), start + 1), cells.n_bars)
        if first[stop] > first[start]:  # drums alone have no cells where pitch is measured
            yield _block(cells, families, start, stop, slice(int(first[low]), int(first[stop])))
        start = stop


def _block(cells: Cells, families: Ints, start: int, stop: int, window: slice) -> Block:
    bar, part = cells.bar[window] - start + MAX_OFFSET, cells.part[window]
    f, bars = max(len(families), 1), stop - start + MAX_OFFSET
    family = np.searchsorted(families, cells.part_family)[part] if len(families) else np.zeros_like(part)
    group = bar * f + family
    place = np.zeros((cells.n_parts, bars), dtype=np.int64)
    place[part, bar] = np.arange(1, len(bar) + 1)
    first_own = int(np.searchsorted(bar, MAX_OFFSET))
    block = Block(
        window=window,
        own=slice(first_own, len(bar)),
        own_family=family[first_own:],
        group=group,
        group_first=np.searchsorted(group, np.arange(bars * f + 1)),
        place=place,
    )
    return replace(block, pairs=_pair_counts(block, f))


def _pair_counts(block: Block, f: int) -> tuple[Ints, Ints, Ints]:
    """How many pairs `group_sums`, `part_sums` and `self_sums` add up."""
    size = np.diff(block.group_first).reshape(-1, f).astype(np.float64)
    early = back_to(size.T.copy())  # (F, own bars, OFFSETS)
    everything = np.tensordot(size[MAX_OFFSET:], early, axes=(0, 1))  # (F later, F earlier, OFFSETS)
    there = (block.place > 0).astype(np.float64)
    within = np.einsum("po,pok->pk", there[:, MAX_OFFSET:], back_to(there))
    within[:, 0] = 0
    itself = np.bincount(block.own_family, minlength=f)
    return everything.transpose(2, 0, 1).astype(np.int64), within.astype(np.int64), itself.astype(np.int64)


def _offset_sums(everything: Ints, within: Ints, itself: Ints) -> OffsetSums:
    """Relations from sums over all pairs, over pairs within a part, and over cells with themselves; (3, …) each."""
    all_pairs, same = everything.sum(axis=(2, 3)), within.sum(axis=1)
    cross = all_pairs - same
    cross[:, 0] = (all_pairs[:, 0] - itself.sum(axis=1)) // 2
    sums = np.stack([same, cross], axis=1)
    return OffsetSums(pairs=sums[0], similarity=sums[1], square=sums[2])


def _family_sums(everything: Ints, within: Ints, itself: Ints, layout: CellBlocks) -> FamilySums:
    used, f = layout.families, len(layout.families)
    of_part = np.searchsorted(used, layout.cells.part_family)
    same = np.zeros((2, OFFSETS, f), dtype=np.int64)
    for part, family in enumerate(of_part.tolist()):
        same[:, :, family] += within[:2, part]
    cross, diagonal = everything[:2].copy(), np.arange(f)
    cross[:, :, diagonal, diagonal] -= same
    cross[:, 0, diagonal, diagonal] = (cross[:, 0, diagonal, diagonal] - itself[:2]) // 2
    sums = FamilySums.empty()
    for i, (within_part, across) in enumerate(
        ((sums.same_pairs, sums.cross_pairs), (sums.same_similarity, sums.cross_similarity))
    ):
        within_part[:, used] = same[i]
        across[np.ix_(np.arange(OFFSETS), used, used)] = cross[i]
    return sums
