"""A mask as a union of disjoint tiles, found from the cells alone, never from the L×L matrix.

No single order of rows makes a mask cheap: the rows of one part lie together part by part, the rows of one bar lie together
bar by bar. So a plan may use several orders at once. Each pair (query, key) that the mask shows lies in exactly one tile; the
attention of all tiles, merged by log-sum-exp, is the attention under the mask. `plan` tries these and takes the cheapest:

    all rows causal          one causal tile, where the mask shows everything
    parts causal             one causal tile a part, where one's own part is seen in full
    windows of all parts     runs of rows in generation order, with the rows of all bars that they see
    windows within parts     runs of rows of one part, with the rows of that part that they see
    windows across parts     runs of rows of one part, with the rows of the other parts that they see
    windows of drums         where drums are exempt: drums with all earlier rows, the rest with all earlier drums

Shape letters as in masks/tiling/tiles.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from analysis.arrays import Bools, Ints
from masks.spec import MaskSpec, visible_offsets
from masks.tiling.cell_rows import CROSS, DRUMS, SAME, CellRows
from masks.tiling.kernel_costs import CPU, KernelCosts
from masks.tiling.orders import Order, across_parts, everything, within_parts
from masks.tiling.query_runs import Causal, QueryRuns, causal, query_runs
from masks.tiling.tiles import Tile, count_visible_pairs

RUN_ROWS = (1, 32, 64, 96, 128, 256, 512)
"""Rows in a window that are tried; 1 is a window for each bar or cell."""


Group = Causal | QueryRuns


@dataclass(frozen=True, kw_only=True, eq=False)
class TilePlan:
    """Tiles that show each pair of the mask exactly once, and what they cost."""

    cells: CellRows
    tiles: tuple[Tile, ...]

    decomposition: str
    """What the tiles are, for people."""

    cost: float
    """Estimated time, in score entries."""

    @cached_property
    def work(self) -> int:
        """Score entries that kernels compute."""
        return sum(tile.work for tile in self.tiles)

    @property
    def dense_work(self) -> int:
        """Score entries of dense causal attention."""
        return self.cells.n_rows * (self.cells.n_rows + 1) // 2

    def memory_bytes(self, *, heads: int, width: int, dtype_bytes: int) -> int:
        """What forward and backward hold for one layer and one piece: each tile's outputs and log-sum-exps (4 bytes), and masks.

        Masks are counted in the scores' own type, as kernels on CPUs want them; all heads and layers share them.

        Args:
            heads: query heads.
            width: of one head.
            dtype_bytes: of a number in the outputs.
        """
        outputs = sum(tile.n_queries for tile in self.tiles) * heads * (width * dtype_bytes + 4)
        return outputs + sum(tile.work for tile in self.tiles if tile.seen is not None) * dtype_bytes

    def in_words(self) -> str:
        """The plan in one line."""
        share = self.work / self.dense_work if self.dense_work else 0.0
        return f"{self.decomposition}: {share:.2f} of dense causal's work"


def plan(spec: MaskSpec, cells: CellRows, *, costs: KernelCosts = CPU) -> TilePlan:
    """The cheapest of the decompositions tried, as tiles.

    Args:
        spec: the mask.
        cells: of one piece.
        costs: of the kernel in use.
    """
    if not cells.n_rows:
        return TilePlan(cells=cells, tiles=(), decomposition="nothing", cost=0.0)
    chosen = min(decompositions(spec, cells, costs), key=lambda groups: sum(group.cost(costs) for group in groups))
    return TilePlan(
        cells=cells,
        tiles=tuple(tile for group in chosen for tile in group.tiles()),
        decomposition=" + ".join(group.in_words() for group in chosen),
        cost=sum(group.cost(costs) for group in chosen),
    )


def decompositions(
    spec: MaskSpec, cells: CellRows, costs: KernelCosts = CPU, *, lengths: Sequence[int] = RUN_ROWS
) -> Iterator[Sequence[Group]]:
    """What `plan` chooses from: groups of tiles, counted but not made, that together show every pair of the mask once.

    Args:
        spec, cells, costs: as for `plan`.
        lengths: rows in a window that are tried.
    """
    yield from _decompositions(_Search(cells=cells, costs=costs, lengths=lengths), visible_offsets(spec, cells.n_bars))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Search:
    """The orders of one piece, made when first asked for, and the cheapest windows in them."""

    cells: CellRows
    costs: KernelCosts
    lengths: Sequence[int]
    """Rows in a window that are tried."""

    pairs: dict[bytes, Ints] = field(default_factory=dict)

    @cached_property
    def all(self) -> Order:
        """All parts in generation order."""
        return everything(self.cells, "of all parts")

    @cached_property
    def within(self) -> Order:
        """Each part and itself."""
        return within_parts(self.cells, "within parts")

    @cached_property
    def across(self) -> Order:
        """Each part and the others."""
        return across_parts(self.cells, "across parts", np.ones(len(self.cells.rows), dtype=np.bool_))

    @cached_property
    def pitched(self) -> list[Order]:
        """Two orders, each of all pairs of parts but drums."""
        among = ~self.cells.drummed
        return [
            everything(self.cells, "of all parts but drums", among, among),
            across_parts(self.cells, "across parts but drums", among),
        ]

    @cached_property
    def drums(self) -> list[Order]:
        """Two orders that together hold every pair of drums with another part."""
        drums = self.cells.drummed
        several = len(np.unique(self.cells.part[drums])) > 1
        return [
            everything(self.cells, "of drums with the rest", drums, None if several else ~drums),
            everything(self.cells, "of the rest with drums", ~drums, drums),
        ]

    def visible_pairs(self, seen: Bools) -> Ints:
        """(C,) pairs that each cell sees."""
        key = seen.tobytes()
        if key not in self.pairs:
            self.pairs[key] = count_visible_pairs(self.cells, seen)
        return self.pairs[key]

    def fills(self, seen: Bools, sets: Causal) -> bool:
        """Does `seen`, which shows nothing outside of the sets, show every pair in them?"""
        return int(self.visible_pairs(seen).sum()) == sets.shown

    def cost(self, groups: Sequence[Group]) -> float:
        """Of several groups of tiles, in score entries."""
        return sum(group.cost(self.costs) for group in groups)

    def cheapest(self, orders: Sequence[Order], seen: Bools) -> list[QueryRuns]:
        """The cheapest windows, as the only group, in one of several orders that each hold all pairs shown; or no group."""
        pairs = self.visible_pairs(seen)
        tried = [
            query_runs(order, seen, pairs, length, whole_bars=whole_bars)
            for order in orders
            if pairs[order.queries].any()
            for length in self.lengths
            for whole_bars in ((True, False) if length < order.longest_bar else (True,))
        ]
        return [min(tried, key=lambda found: found.cost(self.costs))] if tried else []

    def between_parts(self, seen: Bools) -> list[QueryRuns]:
        """The cheapest windows for pairs of two parts, with drums told apart where that is cheaper."""
        if (seen[CROSS] == seen[DRUMS]).all() or not self.cells.drummed.any():
            return self.cheapest([self.all, self.across], seen)
        together = self.cheapest([self.all], seen)
        apart = self.cheapest(self.pitched, _only(seen, CROSS)) + [
            group for order in self.drums for group in self.cheapest([order], _only(seen, DRUMS))
        ]
        return min(together, apart, key=self.cost)


def _only(seen: Bools, *relations: int) -> Bools:
    """(R, T) what is shown of some relations."""
    kept = np.zeros_like(seen)
    kept[list(relations)] = seen[list(relations)]
    return kept


def _decompositions(search: _Search, seen: Bools) -> Iterator[Sequence[Group]]:
    """Groups of tiles that together show every pair of `seen` once. What is shown at offset 0 is one's whole bar."""
    cells = search.cells
    whole, parts = (
        causal(cells, "all rows", np.zeros_like(cells.line)),
        causal(cells, f"{cells.n_parts} parts", cells.line),
    )
    if search.fills(seen, whole):
        yield [whole]
    yield search.cheapest([search.all], seen)
    across = search.between_parts(_only(seen, CROSS, DRUMS))
    if search.fills(_only(seen, SAME), parts):
        yield [parts, *across]
    yield [*search.cheapest([search.within], _only(seen, SAME)), *across]
    shared = seen & seen.all(axis=0)
    if (shared == seen).all():
        return
    bar = shared & (np.arange(seen.shape[1]) == 0)
    for common in (bar, shared) if (bar != shared).any() else (bar,):
        yield [
            *search.cheapest([search.all], common),
            *search.cheapest([search.within], _only(seen & ~common, SAME)),
            *search.between_parts(_only(seen & ~common, CROSS, DRUMS)),
        ]
