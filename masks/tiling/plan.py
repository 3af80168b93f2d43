"""A mask as a union of disjoint tiles, found from the cells alone, never from the L×L matrix.

No single order of rows makes a mask cheap: the rows of one part are contiguous part by part, the rows of one bar bar by bar. So
a plan may use several orders at once. Each pair (query, key) that the mask shows lies in exactly one tile; the attention of all
tiles, merged by log-sum-exp, is the attention under the mask. `plan` tries these and takes the cheapest:

    all rows causal             one causal tile, where the mask shows everything
    parts causal                one causal tile a part, where the own part is visible in full
    query runs of all parts     runs of rows in generation order; keys: the rows of all bars that they attend to
    query runs within parts     runs of rows of one part; keys: the rows of that part that they attend to
    query runs across parts     runs of rows of one part; keys: the rows of the other parts that they attend to
    query runs of drums         where drums are exempt: drums with all earlier rows, the rest with all earlier drums

Shape letters as in masks/tiling/tiles.py. Costs are in scores: the time in which a kernel computes one attention score.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from analysis.arrays import Bools, Ints
from masks.spec import MaskSpec, visible_offsets
from masks.tiling.cell_rows import CROSS, DRUMS, SAME, CellRows
from masks.tiling.kernel_costs import CPU, KernelCosts
from masks.tiling.orders import Order, across_parts, generation_order, within_parts
from masks.tiling.query_runs import CausalSets, QueryRuns, causal_sets, query_runs
from masks.tiling.tiles import Tile, count_visible_pairs

RUN_LENGTHS = (1, 32, 64, 96, 128, 256, 512)
"""Lengths of query runs that are tried, in rows; 1 is a run for each bar or cell."""

Group = CausalSets | QueryRuns


@dataclass(frozen=True, kw_only=True, eq=False)
class TilePlan:
    """Tiles that show each pair of the mask exactly once, and what they cost."""

    cells: CellRows
    tiles: tuple[Tile, ...]

    decomposition: str
    """What the tiles are, for people."""

    cost: float
    """Estimated time, in scores."""

    @cached_property
    def work(self) -> int:
        """Scores that kernels compute."""
        return sum(tile.work for tile in self.tiles)

    @property
    def dense_work(self) -> int:
        """Scores of dense causal attention."""
        return self.cells.n_rows * (self.cells.n_rows + 1) // 2

    def memory_bytes(self, *, heads: int, width: int, dtype_bytes: int) -> int:
        """Bytes that forward and backward hold for one layer and one piece: tiles' outputs, log-sum-exps (4 bytes each), masks.

        Masks have the scores' own type, as kernels on CPUs want them; all heads and layers share them.

        Args:
            heads: query heads.
            width: of one head.
            dtype_bytes: bytes of a number in the outputs.
        """
        outputs = sum(tile.n_queries for tile in self.tiles) * heads * (width * dtype_bytes + 4)
        return outputs + sum(tile.work for tile in self.tiles if tile.visible is not None) * dtype_bytes

    def in_words(self) -> str:
        """The plan in one line."""
        share = self.work / self.dense_work if self.dense_work else 0.0
        return f"{self.decomposition}: {share:.2f} of dense causal's work"


def plan(spec: MaskSpec, cells: CellRows, *, costs: KernelCosts = CPU) -> TilePlan:
    """The cheapest of the decompositions of a piece's mask, as tiles.

    Args:
        spec: the mask.
        cells: of one piece.
        costs: of the kernel that will compute the tiles.
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
    spec: MaskSpec, cells: CellRows, costs: KernelCosts = CPU, *, lengths: Sequence[int] = RUN_LENGTHS
) -> Iterator[Sequence[Group]]:
    """What `plan` chooses from: lists of groups of tiles, not made yet, that together show every pair of the mask once.

    Args:
        spec, cells, costs: as for `plan`.
        lengths: lengths of query runs that are tried, in rows.
    """
    yield from _decompositions(_Search(cells=cells, costs=costs, lengths=lengths), visible_offsets(spec, cells.n_bars))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Search:
    """The orders of one piece, made when first asked for, and the cheapest query runs in them."""

    cells: CellRows
    costs: KernelCosts
    lengths: Sequence[int]
    """Lengths of query runs that are tried, in rows."""

    pairs: dict[bytes, Ints] = field(default_factory=dict)
    """Cache of `visible_pairs`."""

    @cached_property
    def all(self) -> Order:
        """All pairs of rows, in generation order."""
        return generation_order(self.cells, "of all parts")

    @cached_property
    def within(self) -> Order:
        """All pairs within a part."""
        return within_parts(self.cells, "within parts")

    @cached_property
    def across(self) -> Order:
        """All pairs of two parts."""
        return across_parts(self.cells, "across parts", np.ones(len(self.cells.rows), dtype=np.bool_))

    @cached_property
    def pitched(self) -> list[Order]:
        """Two orders, each of all pairs of parts but drums."""
        among = ~self.cells.is_drums
        return [
            generation_order(self.cells, "of all parts but drums", among, among),
            across_parts(self.cells, "across parts but drums", among),
        ]

    @cached_property
    def drums(self) -> list[Order]:
        """Two orders that together hold every pair of drums with another part."""
        drums = self.cells.is_drums
        several = len(np.unique(self.cells.part[drums])) > 1
        return [
            generation_order(self.cells, "of drums with the rest", drums, None if several else ~drums),
            generation_order(self.cells, "of the rest with drums", ~drums, drums),
        ]

    def visible_pairs(self, visible: Bools) -> Ints:
        """(C,) visible pairs of each query cell's rows, cached by `visible` (R, T)."""
        key = visible.tobytes()
        if key not in self.pairs:
            self.pairs[key] = count_visible_pairs(self.cells, visible)
        return self.pairs[key]

    def fills(self, visible: Bools, sets: CausalSets) -> bool:
        """Whether `visible` (R, T), which shows nothing outside of the sets, shows every pair in them."""
        return int(self.visible_pairs(visible).sum()) == sets.n_pairs

    def cost(self, groups: Sequence[Group]) -> float:
        """Cost of several groups of tiles, in scores."""
        return sum(group.cost(self.costs) for group in groups)

    def cheapest(self, orders: Sequence[Order], visible: Bools) -> list[QueryRuns]:
        """The cheapest query runs, as the only group of a list; an empty list where nothing is visible.

        Args:
            orders: each holds every pair that `visible` shows.
            visible: (R, T) relations and offsets that are shown.
        """
        pairs = self.visible_pairs(visible)
        tried = [
            query_runs(order, visible, pairs, length, whole_bars=whole_bars)
            for order in orders
            if pairs[order.queries].any()
            for length in self.lengths
            for whole_bars in ((True, False) if length < order.longest_bar else (True,))
        ]
        return [min(tried, key=lambda runs: runs.cost(self.costs))] if tried else []

    def between_parts(self, visible: Bools) -> list[QueryRuns]:
        """The cheapest query runs for pairs of two parts; pairs with drums in tiles of their own where that is cheaper."""
        if (visible[CROSS] == visible[DRUMS]).all() or not self.cells.is_drums.any():
            return self.cheapest([self.all, self.across], visible)
        together = self.cheapest([self.all], visible)
        apart = self.cheapest(self.pitched, _only(visible, CROSS)) + [
            group for order in self.drums for group in self.cheapest([order], _only(visible, DRUMS))
        ]
        return min(together, apart, key=self.cost)


def _only(visible: Bools, *relations: int) -> Bools:
    """(R, T) `visible` with the other relations' rows False."""
    kept = np.zeros_like(visible)
    kept[list(relations)] = visible[list(relations)]
    return kept


def _decompositions(search: _Search, visible: Bools) -> Iterator[Sequence[Group]]:
    """Groups of tiles that together show every pair of `visible` (R, T) once. What is shown at offset 0 is the whole own bar."""
    cells = search.cells
    whole, parts = (
        causal_sets(cells, "all rows", np.zeros_like(cells.part_index)),
        causal_sets(cells, f"{cells.n_parts} parts", cells.part_index),
    )
    if search.fills(visible, whole):
        yield [whole]
    yield search.cheapest([search.all], visible)
    across = search.between_parts(_only(visible, CROSS, DRUMS))
    if search.fills(_only(visible, SAME), parts):
        yield [parts, *across]
    yield [*search.cheapest([search.within], _only(visible, SAME)), *across]
    shared = visible & visible.all(axis=0)
    if (shared == visible).all():
        return
    bar = shared & (np.arange(visible.shape[1]) == 0)
    for common in (bar, shared) if (bar != shared).any() else (bar,):
        yield [
            *search.cheapest([search.all], common),
            *search.cheapest([search.within], _only(visible & ~common, SAME)),
            *search.between_parts(_only(visible & ~common, CROSS, DRUMS)),
        ]
