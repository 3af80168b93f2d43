"""Similarity by offset within one piece: sums in whole numbers, so that they add up to the same bits in any order.

Relation `same` compares bars b and b − k of one part (k ≥ 1). Relation `cross` compares bar b of one part with bar b − k of
another, in both directions; at offset 0 each pair of parts counts once.

How it is fast: equal cells are compared once, in a table of all different contents of a block of bars, and a compiled loop looks
up each pair.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.arrays import Floats, Ints
from analysis.cells import Cells, cells_of
from analysis.families import FAMILIES
from analysis.features import Contents, Sets
from analysis.piece import Piece
from analysis.similarity import Measure

Relation = Literal["same", "cross"]
RELATIONS: tuple[Relation, Relation] = ("same", "cross")

MAX_OFFSET = 32
"""Offsets 0..32 are measured."""

OFFSETS = MAX_OFFSET + 1

UNIT = 1 << 30
"""A similarity is rounded to whole multiples of 1 / UNIT before it is summed, so that every sum is exact."""

MOST_PAIRS = 1 << 27
"""A piece with more pairs of cells than this is not measured."""

_MOST_COMPARED = 1 << 20
"""Cells of a block of bars times cells that they are compared with, at most, unless one bar alone has more."""


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


@dataclass(frozen=True, kw_only=True)
class CellBlocks:
    """The cells of a piece, cut into blocks of bars that are measured one after the other."""

    cells: Cells
    by_family: bool
    """Whether families are distinguished."""

    blocks: tuple[tuple[int, int], ...]
    """First bar of each, and the first behind it."""

    @staticmethod
    def of(piece: Piece, *, drums: bool, by_family: bool) -> "CellBlocks":
        """Layout of a piece's parts, with drums or without."""
        cells = cells_of(piece, drums=drums)
        return CellBlocks(cells=cells, by_family=by_family, blocks=tuple(_blocks(cells)))


def count_pairs(layout: CellBlocks) -> int:
    """Pairs of cells that are at most MAX_OFFSET bars apart."""
    first = layout.cells.first
    earliest = np.maximum(np.arange(layout.cells.n_bars) - MAX_OFFSET, 0)
    return int(np.diff(first) @ (first[1:] - first[earliest]))


def measure(layout: CellBlocks, contents: Contents, kind: Measure) -> tuple[OffsetSums, FamilySums | None]:
    """Sums of one measure over one piece; `contents` are `kind.contents(layout.cells)`."""
    from analysis.pair_loops import sum_pairs

    cells, f = layout.cells, len(FAMILIES) if layout.by_family else 1
    family = cells.family if layout.by_family else np.zeros(len(cells), dtype=np.int64)
    totals = np.zeros((3, 2, OFFSETS), dtype=np.int64)
    same, cross = np.zeros((2, OFFSETS, f), dtype=np.int64), np.zeros((2, OFFSETS, f, f), dtype=np.int64)
    for start, stop in layout.blocks:
        low, own, high = cells.first[[max(start - MAX_OFFSET, 0), start, stop]]
        row, column = contents.of_cell[own:high], contents.of_cell[low:high]
        bar, part = cells.bar[low:high], cells.part[low:high]
        rows = columns = contents.items
        if len(layout.blocks) > 1:
            (rows, row), (columns, column) = (_used(contents.items, of_cell) for of_cell in (row, column))
        similarity = kind.similarity(rows, columns)
        sum_pairs(similarity, row, bar, part, family[low:high], column, UNIT, totals, same, cross)
    pairs, total, square = totals
    if not layout.by_family:
        return OffsetSums(pairs=pairs, similarity=total, square=square), None
    families = FamilySums(same_pairs=same[0], same_similarity=same[1], cross_pairs=cross[0], cross_similarity=cross[1])
    return OffsetSums(pairs=pairs, similarity=total, square=square), families


def _used(items: "Floats | Sets", of_cell: Ints) -> tuple["Floats | Sets", Ints]:
    """The contents that some cells have, and each cell's index among those."""
    used, of_cell = np.unique(of_cell, return_inverse=True)
    return items[used], of_cell


def _blocks(cells: Cells) -> Iterator[tuple[int, int]]:
    first, start = cells.first, 0
    while start < cells.n_bars:
        ends = first[start + 1 :]
        compared = (ends - first[start]) * (ends - first[max(start - MAX_OFFSET, 0)])
        stop = start + max(int(np.searchsorted(compared, _MOST_COMPARED, side="right")), 1)
        if first[stop] > first[start]:  # drums alone have no cells where pitch is measured
            yield start, stop
        start = stop
