"""TilePlanner: from the places of a pack's rows to tiles, the cheapest that hold what the mask shows.

Each window is planned by itself (`meloctl.model.attention.tiled.window_plan`), and its plan is kept: an epoch later, and in other
transpositions, the same window comes again. Rows among themselves get the tiles that `masks.tiling.plan` finds. A window with
masked bars has its kept rows first, then its middle: the kept rows and the middle are planned each by itself, and
`masks.tiling.infill_tiles` adds the tiles of the middle's rows with kept ones.

Shape letters: L rows of a window, S segments of a window.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from threading import Lock

import numpy as np

from analysis.arrays import Ints
from masks.spec import MaskSpec
from masks.tiling.cell_rows import CellRows, cells_of_rows, expand_ranges
from masks.tiling.infill_tiles import infill_mask, infill_tiles
from masks.tiling.kernel_costs import CPU, KernelCosts
from masks.tiling.plan import plan
from masks.tiling.tiles import Tile
from meloctl.model.attention.attend import RowPlaces
from meloctl.model.attention.gates import OPEN_GATE, gate_index, gate_index_of_cells
from meloctl.model.attention.tiled.plan import RowTilePlan
from meloctl.model.attention.tiled.row_tile import QUERY_BLOCK, RowTile, masked_runs, row_tile, shifted
from meloctl.model.attention.tiled.window_plan import WindowPlan, pack_plans

ROW_MULTIPLE = 64
"""Packs are padded to a multiple of so many rows: oneDNN makes, and keeps, a bf16 kernel for each new shape."""

_RUN_ROWS, _RUN_SEGMENTS = 512, 8
"""Rows in a tile of rows with summaries, and segments in a tile of summaries with rows: so their cost is linear in L."""

_FEW_PAIRS = 96_000
"""A window with masked bars never comes again: where all its rows and keys make fewer pairs, it becomes one tile, and no better
plan is looked for."""

KEPT_BYTES = 256 << 20
"""Most bytes of window plans that are kept, the latest ones."""


class TilePlanner:
    """Plans tiles under one mask; an `AttentionPlanner`."""

    row_multiple = ROW_MULTIPLE

    def __init__(
        self, shown: MaskSpec, *, gated: bool = False, costs: KernelCosts = CPU, kept_bytes: int = KEPT_BYTES
    ) -> None:
        """A planner that has kept nothing yet.

        Args:
            shown: the mask.
            gated: pairs of rows pass gates.
            costs: of a kernel call, by which tiles are chosen.
            kept_bytes: most bytes of window plans that are kept.
        """
        self._shown, self._gated, self._costs = shown, gated, costs
        self._kept: OrderedDict[bytes, WindowPlan] = OrderedDict()
        self._kept_bytes, self._most_bytes = 0, kept_bytes
        self._lock = Lock()
        """The loaders of training and of validation plan at the same time."""

    def plans(self, places: RowPlaces) -> tuple[RowTilePlan, RowTilePlan]:
        """The plan of a pack whose queries are rows, and the one whose queries are summaries."""
        windows = []
        for first, end in zip(places.starts[:-1].tolist(), places.starts[1:].tolist(), strict=True):
            part = places.part[first:end]
            drums = np.unique(part[places.is_drums[first:end]])
            windows.append(
                self.window(places.bar[first:end], part, frozenset(drums.tolist()), places.segment[first:end])
            )
        return pack_plans(windows, places.starts, places.n_rows)

    def window(self, bar: Ints, part: Ints, drums: frozenset[int], segment: Ints | None = None) -> WindowPlan:
        """The plan of one window, from those kept if it was planned before.

        Args:
            bar, part: (L,) of each row, as in `RowPlaces`.
            drums: the parts that are drums.
            segment: (L,) as in `RowPlaces`; None where no bars are masked, so that segments are bars.
        """
        segment = bar if segment is None else segment
        key = np.stack([bar, segment, part]).tobytes() + np.array(sorted(drums), dtype=np.int64).tobytes()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = self._plan_window(bar, segment, part, drums)
        with self._lock:
            self._keep(key, made)
        return made

    def _keep(self, key: bytes, made: WindowPlan) -> None:
        """Keep a plan, and drop those not used for the longest time beyond the most bytes."""
        before = self._kept.pop(key, None)  # another thread's
        self._kept[key] = made
        self._kept_bytes += made.nbytes - (before.nbytes if before else 0)
        while self._kept_bytes > self._most_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= oldest.nbytes

    def _plan_window(self, bar: Ints, segment: Ints, part: Ints, drums: frozenset[int]) -> WindowPlan:
        n_rows, n_segments, n_kept = len(bar), int(segment[-1]) + 1, int((bar == segment).sum())
        if n_kept == n_rows:
            rows, cost = self._causal(cells_of_rows(bar, part, drums))
        elif n_rows * (n_segments + n_rows) < _FEW_PAIRS:
            rows, cost = self._whole(bar, part, drums), np.inf
        else:
            rows, cost = self._with_middle(bar, part, drums, n_kept)
        if not self._shown.summaries:
            return WindowPlan(n_rows=n_rows, n_summaries=0, rows_to_rows=rows)
        every = np.arange(n_segments)
        to_summaries, from_summaries = (
            tuple(_rows_to_summaries(segment)),
            tuple(_summaries_to_rows(segment, n_segments)),
        )
        among: tuple[RowTile, ...] = (row_tile(every, every, causal=n_segments > 1),)
        rows_to_all = summaries_to_all = None
        ordered = n_kept == n_rows
        if self._one_tile_cost(n_rows, n_segments + n_rows, ordered=ordered) < cost + self._masked_cost(to_summaries):
            rows_to_all, rows, to_summaries = _joined(n_rows, n_segments, n_rows, to_summaries, rows), (), ()
        if self._one_tile_cost(n_segments, n_segments + n_rows) < self._masked_cost((*among, *from_summaries)):
            summaries_to_all = _joined(n_segments, n_segments, n_rows, among, from_summaries)
            among, from_summaries = (), ()
        return WindowPlan(
            n_rows=n_rows,
            n_summaries=n_segments,
            rows_to_rows=rows,
            rows_to_summaries=to_summaries,
            summaries_to_summaries=among,
            summaries_to_rows=from_summaries,
            rows_to_all=rows_to_all,
            summaries_to_all=summaries_to_all,
        )

    def _causal(self, cells: CellRows) -> tuple[tuple[RowTile, ...], float]:
        """Tiles of rows in generation order among themselves, and their cost."""
        found = plan(self._shown, cells, costs=self._costs)
        return tuple(made for tile in found.tiles for made in self._row_tiles(tile)), found.cost

    def _whole(self, bar: Ints, part: Ints, drums: frozenset[int]) -> tuple[RowTile, ...]:
        """All rows of a window with masked bars as one tile."""
        mask_LL, relation_LL, distance_LL = infill_mask(self._shown, bar, part, drums)
        every = np.arange(len(bar))
        gate = gate_index(relation_LL, distance_LL) if self._gated else None
        return (row_tile(every, every, mask=mask_LL, gate=gate),)

    def _with_middle(
        self, bar: Ints, part: Ints, drums: frozenset[int], n_kept: int
    ) -> tuple[tuple[RowTile, ...], float]:
        """Tiles of kept rows among themselves, of the middle's rows with kept ones and among themselves, and their cost."""
        kept = cells_of_rows(bar[:n_kept], part[:n_kept], drums)
        middle = cells_of_rows(bar[n_kept:], part[n_kept:], drums)
        middle_to_kept = []
        for tile in infill_tiles(self._shown, kept, middle):
            gate = gate_index(tile.relation, tile.distance) if self._gated else None
            middle_to_kept.append(row_tile(tile.queries + n_kept, tile.keys, mask=tile.mask, gate=gate))
        (among_kept, kept_cost), (among_middle, middle_cost) = self._causal(kept), self._causal(middle)
        shifted_middle = (shifted(tile, queries=n_kept, keys=n_kept) for tile in among_middle)
        cost = kept_cost + middle_cost + self._masked_cost(middle_to_kept)
        return (*among_kept, *middle_to_kept, *shifted_middle), cost

    def _one_tile_cost(self, n_queries: int, n_keys: int, *, ordered: bool = False) -> float:
        """Cost of one masked tile whose keys, summaries and rows, must be gathered.

        Args:
            ordered: later queries attend to later keys, so that a kernel that skips computes half of the tile.
        """
        skipped = n_queries * max(0, n_keys - self._costs.causal_block) // 2 if ordered and self._costs.skips else 0
        return self._cost(n_queries, n_keys, gathered=n_keys) - skipped

    def _masked_cost(self, tiles: Sequence[RowTile]) -> float:
        """Cost of masked tiles; keys that are a slice need not be gathered."""
        return sum(self._tile_cost(tile) for tile in tiles)

    def _tile_cost(self, tile: RowTile) -> float:
        gathered = 0 if isinstance(tile.keys, slice) else tile.n_keys
        skipped = 0
        if self._costs.skips:
            low_high = tile.key_ranges
            skipped = tile.n_queries * tile.n_keys - QUERY_BLOCK * int((low_high[:, 1] - low_high[:, 0]).sum())
        return self._cost(tile.n_queries, tile.n_keys, gathered=gathered) - max(0, skipped)

    def _cost(self, n_queries: int, n_keys: int, *, gathered: int) -> float:
        q, k, apart = (np.array([n]) for n in (n_queries, n_keys, gathered))
        return float(self._costs.of_rectangles(q, k, apart, np.array([True]))[0])

    def _row_tiles(self, tile: Tile) -> Iterator[RowTile]:
        """A tile of cells as tiles of rows: one, or under gates several for a causal one."""
        cells, query_cells, key_cells = tile.cells, tile.query_cells, tile.key_cells
        queries, keys = (expand_ranges(cells.start[c], cells.rows[c]) for c in (query_cells, key_cells))
        if not self._gated:
            yield row_tile(queries, keys, causal=tile.causal, mask=tile.mask())
        elif not tile.causal:
            yield row_tile(queries, keys, mask=tile.mask(), gate=gate_index_of_cells(cells, query_cells, key_cells))
        else:
            gates = gate_index_of_cells(cells, query_cells, key_cells)
            yield from masked_runs(queries, keys, lambda a, b: np.ascontiguousarray(gates[a:b, :b]))


def _joined(
    n_queries: int, n_summaries: int, n_rows: int, to_summaries: tuple[RowTile, ...], to_rows: tuple[RowTile, ...]
) -> RowTile:
    """One tile for what several hold: all queries, and as keys all summaries and then all rows.

    Args:
        to_summaries, to_rows: tiles of the same queries, with summaries and with rows as keys.
    """
    both = RowTilePlan(
        n_queries=n_queries,
        n_keys=n_summaries + n_rows,
        tiles=(*to_summaries, *(shifted(tile, queries=0, keys=n_summaries) for tile in to_rows)),
    )
    gated = any(tile.gate is not None for tile in to_rows)
    # pairs without a gate pass the one that is always open
    gate = np.maximum(both.dense_gates(), OPEN_GATE).astype(np.uint8) if gated else None
    return row_tile(np.arange(n_queries), np.arange(n_summaries + n_rows), mask=both.dense(), gate=gate)


def _rows_to_summaries(segment: Ints) -> Iterator[RowTile]:
    """Runs of rows with the summaries of the segments before that of their last row; segment (L,)."""
    for first in range(0, len(segment), _RUN_ROWS):
        rows = np.arange(first, min(first + _RUN_ROWS, len(segment)))
        if earlier := int(segment[rows[-1]]):
            summaries = np.arange(earlier)
            yield row_tile(rows, summaries, mask=summaries < segment[rows][:, None])


def _summaries_to_rows(segment: Ints, n_segments: int) -> Iterator[RowTile]:
    """Runs of summaries with the rows of their segments; segment (L,)."""
    for first in range(0, n_segments, _RUN_SEGMENTS):
        summaries = np.arange(first, min(first + _RUN_SEGMENTS, n_segments))
        rows = np.flatnonzero((segment >= summaries[0]) & (segment <= summaries[-1]))
        yield row_tile(summaries, rows, mask=segment[rows] == summaries[:, None])
