"""From the rows of a pack to the attention plans of rows and of summaries.

The windows of a pack stand one after the other and never see each other. Keys of rows are summaries first, then rows:

    rows' plan       RR: what the mask shows, as the tiles that `masks.tiling.plan` finds     RS: summaries of earlier bars
    summaries' plan  SS: summaries of this and earlier bars                            SR: the rows of the bar

A window that is rewritten has kept rows, then reopened bars. Segments are bars in the order in which they are opened, reopened
ones last; summaries are those of segments. Where nothing is reopened a segment is a bar.

Shape letters: N rows of a pack, T segments of a pack, L rows of a window.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch

from analysis.arrays import Ints
from masks.spec import MOST_OFFSET, MaskSpec
from masks.tiling.cell_rows import CellRows, cells_of_rows, expand_ranges
from masks.tiling.infill_tiles import infill_mask, infill_tiles
from masks.tiling.kernel_costs import CPU, KernelCosts
from masks.tiling.plan import plan
from masks.tiling.tiles import Tile
from meloctl.model.attention.flex.planner import FlexPlanner
from meloctl.model.attention.gates import OPEN, gate_of, numbered
from meloctl.model.attention.tiled.plan import AttentionPlan, RowTile, moved, placed, span, uncausal

_ROWS, _BARS = 512, 16
"""Rows in a run that sees summaries, bars in a run that sees its rows: their cost grows with rows alone."""

_PADDED = 16
"""Summaries of a pack are padded to a multiple of so many, so that products have few shapes; what is added sees nothing."""

_FEW = 16
"""A window with a gap never comes again: where it is cheaper than so many tiles as one, no better plan is looked for."""

KEPT_BYTES = 256 << 20
"""Plans of windows that are kept, the latest ones: where a corpus is small, the next epoch brings them again."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowPlan:
    """The tiles of one window, as if it stood alone."""

    n_rows: int
    n_bars: int
    """0 without summaries."""

    rows: tuple[RowTile, ...] = ()
    """Rows → rows."""

    summaries: tuple[RowTile, ...] = ()
    """Rows → summaries."""

    bars: tuple[RowTile, ...] = ()
    """Summaries → summaries."""

    heard: tuple[RowTile, ...] = ()
    """Summaries → rows."""

    rows_at_once: RowTile | None = None
    """Instead of `rows` and `summaries`, where one tile is cheaper: rows → summaries, then rows."""

    bars_at_once: RowTile | None = None
    """Instead of `bars` and `heard`: summaries → summaries, then rows."""

    @property
    def nbytes(self) -> int:
        """What its tensors hold."""
        spans = (*self.rows, *self.summaries, *self.bars, *self.heard, self.rows_at_once, self.bars_at_once)
        return sum(s.nbytes for s in spans if s)


class TilePlanner:
    """Plans under one spec; plans of windows are kept, since music comes again in other keys."""

    def __init__(
        self, spec: MaskSpec, *, gated: bool = False, costs: KernelCosts = CPU, kept_bytes: int = KEPT_BYTES
    ) -> None:
        self.spec, self.gated, self._costs = spec, gated, costs
        self.flex = FlexPlanner(everything(spec) if gated else spec, gated=gated)
        """Plans of whole packs for FlexAttention; they are not kept, since they are cheap."""

        self._kept: OrderedDict[bytes, WindowPlan] = OrderedDict()
        self._kept_bytes, self._most_bytes = 0, kept_bytes
        self._lock = Lock()
        """Loaders of training and of validation ask at the same time."""

    def window(self, bar: Ints, part: Ints, drums: frozenset[int], segment: Ints | None = None) -> WindowPlan:
        """The plan of one window.

        Args:
            bar: (L,) from 0, never falling but where the first reopened row comes.
            part: (L,)
            drums: the parts that are drums.
            segment: (L,) from 0, never falling; above the bar from the first reopened row on. None where nothing is reopened.
        """
        segment = bar if segment is None else segment
        key = np.stack([bar, segment, part]).tobytes() + np.array(sorted(drums), dtype=np.int64).tobytes()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        found = self._planned(bar, segment, part, drums)
        with self._lock:
            self._keep(key, found)
        return found

    def _keep(self, key: bytes, found: WindowPlan) -> None:
        """Keep a plan, and let those go that were not asked for the longest."""
        before = self._kept.pop(key, None)  # another thread's
        self._kept[key] = found
        self._kept_bytes += found.nbytes - (before.nbytes if before else 0)
        while self._kept_bytes > self._most_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= oldest.nbytes

    def _planned(self, bar: Ints, segment: Ints, part: Ints, drums: frozenset[int]) -> WindowPlan:
        n_rows, n_bars, n_kept = len(bar), int(segment[-1]) + 1, int((bar == segment).sum())
        if n_kept == n_rows:
            rows, cost = self._causal(cells_of_rows(bar, part, drums))
        elif self._at_once(n_rows, n_bars + n_rows) < _FEW * self._costs.tile:
            rows, cost = self._whole(bar, part, drums), np.inf
        else:
            rows, cost = self._of_gap(bar, part, drums, n_kept)
        if not self.spec.summaries:
            return WindowPlan(n_rows=n_rows, n_bars=0, rows=rows)
        every = np.arange(n_bars)
        summaries, heard = tuple(_rows_to_summaries(segment)), tuple(_summaries_to_rows(segment, n_bars))
        bars: tuple[RowTile, ...] = (span(every, every, causal=n_bars > 1),)
        rows_at_once = bars_at_once = None
        if self._at_once(n_rows, n_bars + n_rows) < cost + self._apart(summaries):
            rows_at_once, rows, summaries = _joined(n_rows, n_bars, n_rows, summaries, rows), (), ()
        if self._at_once(n_bars, n_bars + n_rows) < self._apart((*bars, *heard)):
            bars_at_once, bars, heard = _joined(n_bars, n_bars, n_rows, bars, heard), (), ()
        return WindowPlan(
            n_rows=n_rows,
            n_bars=n_bars,
            rows=rows,
            summaries=summaries,
            bars=bars,
            heard=heard,
            rows_at_once=rows_at_once,
            bars_at_once=bars_at_once,
        )

    @property
    def _shown(self) -> MaskSpec:
        """What rows see; under gates, also what lies behind them."""
        return everything(self.spec) if self.gated else self.spec

    def _causal(self, cells: CellRows) -> tuple[tuple[RowTile, ...], float]:
        """Tiles of rows bar by bar and themselves, and their cost."""
        found = plan(self._shown, cells, costs=self._costs)
        return tuple(s for tile in found.tiles for s in self._spans(tile)), found.cost

    def _whole(self, bar: Ints, part: Ints, drums: frozenset[int]) -> tuple[RowTile, ...]:
        """A window with a gap as one tile."""
        see, relation, distance = infill_mask(self._shown, bar, part, drums)
        every = np.arange(len(bar))
        return (span(every, every, see=see, gate=numbered(relation, distance) if self.gated else None),)

    def _of_gap(self, bar: Ints, part: Ints, drums: frozenset[int], n_kept: int) -> tuple[tuple[RowTile, ...], float]:
        """Tiles of a window with a gap: kept rows with themselves, those that fill the gap with kept ones and with themselves."""
        kept = cells_of_rows(bar[:n_kept], part[:n_kept], drums)
        filled = cells_of_rows(bar[n_kept:], part[n_kept:], drums)
        around = []
        for tile in infill_tiles(self._shown, kept, filled):
            gate = numbered(tile.relation, tile.distance) if self.gated else None
            around.append(span(tile.queries + n_kept, tile.keys, see=tile.mask, gate=gate))
        (rows, cost), (among, extra) = self._causal(kept), self._causal(filled)
        later = (moved(s, queries=n_kept, keys=n_kept) for s in among)
        return (*rows, *around, *later), cost + extra + self._apart(around)

    def _at_once(self, n_queries: int, n_keys: int) -> float:
        """Cost of one tile whose keys are summaries and rows, which must be gathered."""
        return self._cost(n_queries, n_keys, gathered=n_keys)

    def _apart(self, spans: Sequence[RowTile]) -> float:
        """Cost of masked tiles, whose rows stand together where they are slices."""
        gathered = (0 if isinstance(s.keys, slice) else s.n_keys for s in spans)
        return sum(self._cost(s.n_queries, s.n_keys, gathered=n) for s, n in zip(spans, gathered, strict=True))

    def _cost(self, n_queries: int, n_keys: int, *, gathered: int) -> float:
        q, k, apart = (np.array([n]) for n in (n_queries, n_keys, gathered))
        return float(self._costs.of_rectangles(q, k, apart, np.array([True]))[0])

    def _spans(self, tile: Tile) -> Iterator[RowTile]:
        cells, at, of = tile.cells, tile.query_cells, tile.key_cells
        queries, keys = (expand_ranges(cells.start[c], cells.rows[c]) for c in (at, of))
        if not self.gated:
            yield span(queries, keys, causal=tile.causal, see=tile.mask())
        elif not tile.causal:
            yield span(queries, keys, see=tile.mask(), gate=gate_of(cells, at, of))
        else:
            gates = gate_of(cells, at, of)
            yield from uncausal(queries, keys, lambda a, b: np.ascontiguousarray(gates[a:b, :b]))


def pack_plans(windows: list[WindowPlan], starts: Ints, n_rows: int) -> tuple[AttentionPlan, AttentionPlan]:
    """The plans of rows and of summaries of a pack.

    Args:
        windows: their plans.
        starts: (W + 1,) where the windows start.
        n_rows: N, with padding, which sees nothing.
    """
    n_bars = -(-sum(w.n_bars for w in windows) // _PADDED) * _PADDED
    rows: list[RowTile] = []
    bars: list[RowTile] = []
    bar = 0
    for window, row in zip(windows, starts.tolist(), strict=False):
        keys = torch.cat([torch.arange(bar, bar + window.n_bars), torch.arange(window.n_rows) + (n_bars + row)])
        rows += [placed(s, queries=row, keys=keys) for s in (window.rows_at_once,) if s]
        bars += [placed(s, queries=bar, keys=keys) for s in (window.bars_at_once,) if s]
        rows += [moved(s, queries=row, keys=n_bars + row) for s in window.rows]
        rows += [moved(s, queries=row, keys=bar) for s in window.summaries]
        bars += [moved(s, queries=bar, keys=bar) for s in window.bars]
        bars += [moved(s, queries=bar, keys=n_bars + row) for s in window.heard]
        bar += window.n_bars
    n_keys = n_bars + n_rows
    return (
        AttentionPlan(n_queries=n_rows, n_keys=n_keys, spans=tuple(rows)),
        AttentionPlan(n_queries=n_bars, n_keys=n_keys, spans=tuple(bars)),
    )


def everything(spec: MaskSpec) -> MaskSpec:
    """A spec that shows all earlier rows: under gates it is they that hide."""
    return MaskSpec(same="full", near=MOST_OFFSET, far=(), drums="masked", summaries=spec.summaries)


def _joined(n_queries: int, n_bars: int, n_rows: int, bars: tuple[RowTile, ...], rows: tuple[RowTile, ...]) -> RowTile:
    """One tile for what several show: queries → summaries, then rows.

    Args:
        bars, rows: what the same queries see of each.
    """
    both = AttentionPlan(
        n_queries=n_queries, n_keys=n_bars + n_rows, spans=(*bars, *(moved(s, queries=0, keys=n_bars) for s in rows))
    )
    gated = any(s.gate is not None for s in rows)
    # a pair without a gate passes the one that is always open
    gate = np.maximum(both.dense_gates(), OPEN).astype(np.uint8) if gated else None
    return span(np.arange(n_queries), np.arange(n_bars + n_rows), see=both.dense(), gate=gate)


def _rows_to_summaries(segment: Ints) -> Iterator[RowTile]:
    """Runs of rows with the summaries of the segments before their last."""
    for first in range(0, len(segment), _ROWS):
        rows = np.arange(first, min(first + _ROWS, len(segment)))
        if earlier := int(segment[rows[-1]]):
            bars = np.arange(earlier)
            yield span(rows, bars, see=bars < segment[rows][:, None])


def _summaries_to_rows(segment: Ints, n_bars: int) -> Iterator[RowTile]:
    """Runs of segments with their rows."""
    for first in range(0, n_bars, _BARS):
        bars = np.arange(first, min(first + _BARS, n_bars))
        rows = np.flatnonzero((segment >= bars[0]) & (segment <= bars[-1]))
        yield span(bars, rows, see=segment[rows] == bars[:, None])
