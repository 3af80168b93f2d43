"""Similarity by offset within one piece: sums in whole numbers, so that they add up to the same bits in any order.

Relation `same` compares bars b and b − k of one part (k ≥ 1). Relation `cross` compares bar b of one part with bar b − k of
another, in both directions; at offset 0 each pair of parts counts once.

How it is fast: equal cells are compared once, in a table of all different contents of a stretch of bars. With the number of
cells in each bar that have each content (N), the sums over all pairs of two bars are N · table · Nᵀ; what lies within one part is
taken out again.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from analysis.cells import Cells, Ints, cells_of
from analysis.families import FAMILIES
from analysis.features import Contents, Floats
from analysis.piece import Piece
from analysis.similarity import Measure

RELATIONS = ("same", "cross")
SAME, CROSS = range(2)

MAX_OFFSET = 32
"""Offsets 0..32 are measured."""

OFFSETS = MAX_OFFSET + 1

UNIT = 1 << 30
"""A similarity is rounded to whole multiples of 1 / UNIT before it is summed, so that every sum is exact."""

MOST_PAIRS = 1 << 27
"""A piece with more pairs of cells than this is not measured."""

_GOOD_CELLS, _GOOD_BARS, _MOST_CELLS = 512, 32, 2_048
"""Cells in a stretch of bars that is measured at once, the 32 bars before it counted: this many, or this many bars, but not more
than the last unless 33 bars alone hold more. Sums over all pairs of so many cells stay below 2^53, so they are exact."""

_F = len(FAMILIES)


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
class Layout:
    """The cells of a piece, cut into stretches of bars that are measured one after the other."""

    cells: Cells
    blocks: tuple["Block", ...]
    by_family: bool

    @staticmethod
    def of(piece: Piece, *, drums: bool, by_family: bool) -> "Layout":
        """Layout of a piece's parts, with drums or without."""
        cells = cells_of(piece, drums=drums)
        return Layout(cells=cells, blocks=tuple(_blocks(cells, by_family)), by_family=by_family)


@dataclass(frozen=True, kw_only=True)
class Block:
    """Bars start..stop and the 32 before them: which groups of cells (a bar's, or a bar's of one family) meet at which offset."""

    window: slice
    """Cells of the block's bars and of those before."""

    group_first: Ints
    """(groups + 1,) first cell of each group; cells of a group are neighbours."""

    first_late: int
    """Groups from this one on belong to the block's own bars."""

    code: Ints
    """(groups, own groups) offset · F² + families of both, flat; one past the last code where they do not meet."""

    place: Ints
    """(P, bars before and own) 1 + index in the window of each cell of the grid of parts and bars, 0 where it is empty."""

    own: int
    """How many of those bars are the block's own: the last."""

    self_code: Ints
    """(own cells,) code of each own cell with itself."""

    self_cell: slice
    """Own cells within the window."""

    pairs: tuple[Ints, Ints, Ints]
    """Counts of pairs: by code, of same-part pairs by (part, offset), of self pairs by code."""


def count_pairs(layout: Layout) -> int:
    """Pairs of cells that are at most MAX_OFFSET bars apart."""
    per_bar = np.bincount(layout.cells.bar, minlength=layout.cells.n_bars)
    before = np.convolve(per_bar, np.ones(OFFSETS, dtype=np.int64))[: len(per_bar)]
    return int(per_bar @ before)


def measure(layout: Layout, contents: Contents, kind: Measure) -> tuple[OffsetSums, FamilySums | None]:
    """Sums of one measure over one piece; `contents` are `kind.contents(layout.cells)`."""
    n_codes, n_parts = _n_codes(layout.by_family), layout.cells.n_parts
    everything = np.zeros((3, n_codes), dtype=np.int64)
    itself = np.zeros((3, n_codes), dtype=np.int64)
    within = np.zeros((3, n_parts, OFFSETS), dtype=np.int64)
    for block in layout.blocks:
        of_cell = contents.of_cell[block.window]
        if len(layout.blocks) > 1:
            used, of_cell = np.unique(of_cell, return_inverse=True)
            items = contents.items[used]
        else:
            items = contents.items
        likeness = kind.similarity(items, items)
        of_cell = of_cell + 1
        for i, values in enumerate((likeness, likeness * likeness)):
            table = table_of(values)
            everything[1 + i] += group_sums(block, table, of_cell, n_codes)
            within[1 + i] += part_sums(block, table, of_cell)
            own = of_cell[block.self_cell]
            itself[1 + i] += _sums_by(block.self_code, table[own, own], n_codes)
        for total, counted in zip((everything, within, itself), block.pairs, strict=True):
            total[0] += counted
    return _offset_sums(everything, within, itself), (
        _family_sums(everything, within, itself, layout.cells.part_family) if layout.by_family else None
    )


def table_of(likeness: Floats) -> Floats:
    """(D, D) similarities as (D + 1, D + 1) whole multiples of 1 / UNIT; index 0 is silence, like nothing."""
    n = len(likeness)
    table = np.zeros((n + 1, n + 1))
    table[1:, 1:] = likeness * UNIT
    return np.rint(table, out=table)


def group_sums(block: Block, table: Floats, of_cell: Ints, n_codes: int) -> Ints:
    """Sums of a table over all pairs of cells of a block, by code: each cell also with itself, both directions at offset 0.

    Args:
        table: from `table_of`.
        of_cell: (cells in the window,) index into the table, 1 or more.
    """
    everyone = (np.ones(len(of_cell)), of_cell, block.group_first)
    counts = csr_array(everyone, shape=(len(block.group_first) - 1, len(table)))
    late = block.group_first[block.first_late :]
    own = csr_array(
        (np.ones(late[-1] - late[0]), of_cell[late[0] :], late - late[0]), shape=(len(late) - 1, len(table))
    )
    sums = np.asarray(counts @ (own @ table).T, dtype=np.float64)
    return _sums_by(block.code, sums.ravel(), n_codes)


def part_sums(block: Block, table: Floats, of_cell: Ints) -> Ints:
    """Sums of a table over the pairs of a block within each part, shape (P, OFFSETS); offset 0 is left at 0."""
    content = np.concatenate([[0], of_cell])[block.place]
    late = content[:, MAX_OFFSET:] * len(table)
    early = np.lib.stride_tricks.sliding_window_view(content, OFFSETS, axis=1)[:, :, ::-1]
    sums: Ints = table.ravel().take(late[:, :, None] + early).sum(axis=1).astype(np.int64)
    sums[:, 0] = 0
    return sums


def _n_codes(by_family: bool) -> int:
    return OFFSETS * (_F * _F if by_family else 1)


def _sums_by(code: Ints, values: Floats, n_codes: int) -> Ints:
    """Sums by code; the last, "beyond", is dropped."""
    return np.bincount(code, weights=values, minlength=n_codes + 1)[:n_codes].astype(np.int64)


def _blocks(cells: Cells, by_family: bool) -> Iterator[Block]:
    per_bar = np.bincount(cells.bar, minlength=cells.n_bars)
    first = np.concatenate([[0], np.cumsum(per_bar)])
    start = 0
    while start < cells.n_bars:
        low = max(start - MAX_OFFSET, 0)
        good, most = (int(np.searchsorted(first, first[low] + n, side="right")) - 1 for n in (_GOOD_CELLS, _MOST_CELLS))
        stop = min(max(good, min(start + _GOOD_BARS, most), start + 1), cells.n_bars)
        if first[stop] > first[start]:  # drums alone have no cells where pitch is measured
            yield _block(cells, by_family, start, stop, slice(int(first[low]), int(first[stop])))
        start = stop


def _block(cells: Cells, by_family: bool, start: int, stop: int, window: slice) -> Block:
    bar, part = cells.bar[window], cells.part[window]
    families = _F if by_family else 1
    family = cells.part_family[part] if by_family else np.zeros(len(part), dtype=np.int64)
    key = bar * families + family  # ascending: cells are sorted by bar, then family
    group_first = np.flatnonzero(np.diff(key, prepend=-1, append=key[-1] + 1))
    groups, size = key[group_first[:-1]], np.diff(group_first)
    group_bar, group_family = groups // families, groups % families
    first_late = int(np.searchsorted(group_bar, start))
    n_codes = _n_codes(by_family)
    late = group_bar * families * families + group_family * families
    early = group_bar * families * families - group_family
    code = late[None, first_late:] - early[:, None]
    apart = group_bar[None, first_late:] - group_bar[:, None]
    code[(apart < 0) | (apart > MAX_OFFSET)] = n_codes
    first_own = int(np.searchsorted(bar, start))
    own_family = family[first_own:]
    n_own = stop - start
    place = np.zeros((cells.n_parts, MAX_OFFSET + n_own), dtype=np.int64)
    place[part, bar - start + MAX_OFFSET] = np.arange(1, len(bar) + 1)
    self_code = own_family * families + own_family
    block = Block(
        window=window,
        group_first=group_first,
        first_late=first_late,
        code=code.ravel(),
        place=place,
        own=n_own,
        self_code=self_code,
        self_cell=slice(first_own, len(bar)),
        pairs=(
            _sums_by(code.ravel(), np.multiply.outer(size, size[first_late:]).ravel().astype(np.float64), n_codes),
            np.zeros(0, dtype=np.int64),
            np.bincount(self_code, minlength=n_codes),
        ),
    )
    everyone = np.ones(len(bar), dtype=np.int64)
    return Block(**{**vars(block), "pairs": (block.pairs[0], part_sums(block, _ONE, everyone), block.pairs[2])})


_ONE = np.array([[0.0, 0.0], [0.0, 1.0]])
"""The table that counts pairs."""


def _offset_sums(everything: Ints, within: Ints, itself: Ints) -> OffsetSums:
    """Relations from sums over all pairs, over pairs within a part, and over cells with themselves; (3, …) each."""
    all_pairs = everything.reshape(3, OFFSETS, -1).sum(axis=2)
    same = within.sum(axis=1)
    cross = all_pairs - same
    cross[:, 0] = (all_pairs[:, 0] - itself.sum(axis=1)) // 2
    sums = np.stack([same, cross], axis=1)
    return OffsetSums(pairs=sums[0], similarity=sums[1], square=sums[2])


def _family_sums(everything: Ints, within: Ints, itself: Ints, part_family: Ints) -> FamilySums:
    same = np.zeros((2, OFFSETS, _F), dtype=np.int64)
    for p, f in enumerate(part_family.tolist()):
        same[:, :, f] += within[:2, p]
    cross = everything[:2].reshape(2, OFFSETS, _F, _F).copy()
    diagonal = np.arange(_F)
    cross[:, :, diagonal, diagonal] -= same
    cross[:, 0] -= itself[:2].reshape(2, OFFSETS, _F, _F)[:, 0]
    cross[:, 0, diagonal, diagonal] //= 2
    return FamilySums(same_pairs=same[0], same_similarity=same[1], cross_pairs=cross[0], cross_similarity=cross[1])
