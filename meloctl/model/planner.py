"""From the rows of a pack to the attention plans of rows and of summaries.

The windows of a pack stand one after the other and never see each other. Keys of rows are summaries first, then rows:

    rows' plan       RR: what the mask shows, as the tiles that `masks.plan` finds     RS: summaries of earlier bars
    summaries' plan  SS: summaries of this and earlier bars                            SR: the rows of the bar

Shape letters: N rows of a pack, T bars of a pack, L rows of a window.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock

import numpy as np

from masks.plan import plan
from masks.spec import MOST_OFFSET, MaskSpec
from masks.tiles import CellRows, Ints, Tile, cells_of_rows, spread
from meloctl.model.attention_plan import AttentionPlan, Span, moved, span, uncausal
from meloctl.model.flex_planner import FlexPlanner
from meloctl.model.gates import gate_of

_ROWS, _BARS = 512, 16
"""Rows in a run that sees summaries, bars in a run that sees its rows: their cost grows with rows alone."""

KEPT_BYTES = 256 << 20
"""Plans of windows that are kept, the latest ones: where a corpus is small, the next epoch brings them again."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowPlan:
    """The tiles of one window, as if it stood alone."""

    n_bars: int
    rows: tuple[Span, ...]
    """Rows → rows."""

    summaries: tuple[Span, ...]
    """Rows → summaries."""

    bars: tuple[Span, ...]
    """Summaries → summaries."""

    heard: tuple[Span, ...]
    """Summaries → rows."""

    @property
    def nbytes(self) -> int:
        """What its tensors hold."""
        return sum(s.nbytes for s in (*self.rows, *self.summaries, *self.bars, *self.heard))


class Planner:
    """Plans under one spec; plans of windows are kept, since music comes again in other keys."""

    def __init__(self, spec: MaskSpec, *, gated: bool = False, kept_bytes: int = KEPT_BYTES) -> None:
        self.spec, self.gated = spec, gated
        self.flex = FlexPlanner(everything(spec) if gated else spec, gated=gated)
        """Plans of whole packs for FlexAttention; they are not kept, since they are cheap."""

        self._kept: OrderedDict[bytes, WindowPlan] = OrderedDict()
        self._kept_bytes, self._most_bytes = 0, kept_bytes
        self._lock = Lock()
        """Loaders of training and of validation ask at the same time."""

    def window(self, bar: Ints, part: Ints, drums: frozenset[int]) -> WindowPlan:
        """The plan of one window.

        Args:
            bar: (L,) from 0, never falling.
            part: (L,)
            drums: the parts that are drums.
        """
        key = np.stack([bar, part]).tobytes() + np.array(sorted(drums), dtype=np.int64).tobytes()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        found = self._planned(cells_of_rows(bar, part, drums), bar)
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

    def _planned(self, cells: CellRows, bar: Ints) -> WindowPlan:
        tiles = plan(everything(self.spec) if self.gated else self.spec, cells).tiles
        rows = tuple(s for tile in tiles for s in self._spans(tile))
        if not self.spec.summaries:
            return WindowPlan(n_bars=0, rows=rows, summaries=(), bars=(), heard=())
        n_bars = int(bar[-1]) + 1
        every = np.arange(n_bars)
        return WindowPlan(
            n_bars=n_bars,
            rows=rows,
            summaries=tuple(_rows_to_summaries(bar)),
            bars=(span(every, every, causal=n_bars > 1),),
            heard=tuple(_summaries_to_rows(bar, n_bars)),
        )

    def _spans(self, tile: Tile) -> Iterator[Span]:
        cells, at, of = tile.cells, tile.query_cells, tile.key_cells
        queries, keys = (spread(cells.start[c], cells.rows[c]) for c in (at, of))
        if not self.gated:
            yield span(queries, keys, causal=tile.causal, see=tile.see())
        elif not tile.causal:
            yield span(queries, keys, see=tile.see(), gate=gate_of(cells, at, of))
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
    n_bars = sum(w.n_bars for w in windows)
    rows: list[Span] = []
    bars: list[Span] = []
    bar = 0
    for window, row in zip(windows, starts.tolist(), strict=False):
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


def _rows_to_summaries(bar: Ints) -> Iterator[Span]:
    """Runs of rows with the summaries of the bars before their last."""
    for first in range(0, len(bar), _ROWS):
        rows = np.arange(first, min(first + _ROWS, len(bar)))
        if earlier := int(bar[rows[-1]]):
            bars = np.arange(earlier)
            yield span(rows, bars, see=bars < bar[rows][:, None])


def _summaries_to_rows(bar: Ints, n_bars: int) -> Iterator[Span]:
    """Runs of bars with their rows."""
    for first in range(0, n_bars, _BARS):
        bars = np.arange(first, min(first + _BARS, n_bars))
        rows = np.flatnonzero((bar >= bars[0]) & (bar <= bars[-1]))
        yield span(bars, rows, see=bar[rows] == bars[:, None])
