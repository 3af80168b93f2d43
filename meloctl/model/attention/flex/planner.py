"""From the rows of a pack to calls of FlexAttention, compiled once: all that differs between packs of one length is tensors.

What a query sees in generation order are stretches of keys that stand together, since bars do:

    a run of offsets     one stretch of rows; all of it, or its rows of some relations. A row of a reopened bar, which comes
                         after the kept rows of its window, sees two more among those: to the left of its bar and to the right
    summaries            those of the earlier bars of the window are one stretch too

Where one's own part is seen in full and other parts are not, a second call holds the own part, with rows sorted by window and
part: there it is plain causal attention, and most blocks are seen whole or not at all, while in generation order it would touch
every block. The first call then holds the other parts and the summaries. `meloctl.model.attention.flex.kernel` merges the two.

Keys are summaries first, then rows, and segments are bars in the order in which they are opened, as in
`meloctl.model.attention.tiled.planner`.
Shape letters: N rows of a pack, padding last, n of them without it, W windows, T summaries with padding, L queries, M keys.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from analysis.arrays import Bools, Ints
from masks.spec import MASK_RELATIONS, MOST_OFFSET, MaskSpec
from masks.tiling.cell_rows import SAME
from meloctl.model.attention.flex.block_mask import EVERY, Stretch
from meloctl.model.attention.flex.plan import FlexPlan, GateRows, OwnPart, call_of, int32

BLOCK = 128
"""Rows of a block: what the kernels are made for."""

ROOM = (16, 4)
"""Summaries are padded to the first of these shares of the rows that holds them: the fewer sizes, the fewer compilations. Real
pieces have 4 to 90 rows a bar."""

_SUMMARY = -2
"""What stands for the part of a summary: no row's, and not drums."""


@dataclass(frozen=True, kw_only=True)
class OffsetRun:
    """Offsets first..last at which the same relations are seen."""

    among: frozenset[int]
    first: int
    last: int | None
    """None: every earlier bar."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PackRows:
    """Where the rows of a pack stand."""

    n_rows: int
    """N."""

    bar: Ints
    """(n,) of the real rows, from 0 in each window."""

    segment: Ints
    """(n,) counted through all windows of the pack."""

    since: Ints
    """(n,) first segment of each row's window."""

    filled: Ints
    """(n,) 1 for rows of reopened bars, 0 for the others."""

    part: Ints
    """(n,) twice the part, numbered from 0, and 1 more for drums."""

    window: Ints
    """(n,)"""

    bars: Ints
    """(W,) segments of each window."""

    @cached_property
    def n_bars(self) -> int:
        """Of all windows."""
        return int(self.bars.sum())

    @cached_property
    def opens(self) -> Ints:
        """(n_bars + 1,) the first row of each segment; the last entry is n."""
        return np.searchsorted(self.segment, np.arange(self.n_bars + 1))

    @cached_property
    def _line(self) -> Ints:
        """(n,) rising: bars of the kept rows of a window, then those of its reopened ones, then those of the next window."""
        return self._at(self.filled, self.bar)

    def _at(self, filled: Ints | int, bar: Ints) -> Ints:
        span = int(self.bar.max(initial=0)) + 2
        return (2 * self.window + filled) * span + np.clip(bar, 0, span - 1)

    def first_of(self, bar: Ints, *, filled: Ints | int) -> Ints:
        """(n,) the first row at a bar or after it, among the kept or the reopened ones of each row's window."""
        return np.searchsorted(self._line, self._at(filled, bar))


class FlexPlanner:
    """Plans under one mask.

    Args:
        shown: the mask; under gates, what lies behind them too.
        gated: pairs of rows pass gates.
        block: rows of a block; other than 128 in tests alone.
    """

    def __init__(self, shown: MaskSpec, *, gated: bool = False, block: int = BLOCK) -> None:
        self.gated, self.block, self.summaries = gated, block, shown.summaries
        runs = runs_of(shown, EVERY)
        self._splits = shown.same == "full" and any(run.among != EVERY for run in runs)
        self._runs = runs_of(shown, EVERY - {SAME}) if self._splits else runs

    def plans(
        self, bar: Ints, part: Ints, drummed: Bools, starts: Ints, segment: Ints | None = None
    ) -> tuple[FlexPlan, FlexPlan]:
        """The plans of rows and of summaries of a pack. Kernels are compiled once for packs of one length in which bars are
        reopened, and once for those in which none is.

        Args:
            bar: (N,) from 0 in each window, never falling but where the first reopened row comes.
            part: (N,)
            drummed: (N,) is it a row of drums?
            starts: (W + 1,) where the windows start.
            segment: (N,) from 0 in each window, never falling; above the bar of reopened rows. None where there are none.
        """
        rows = _pack_rows(bar, bar if segment is None else segment, part, drummed, starts)
        room = _room(rows, self.block) if self.summaries else 0
        n_keys = room + rows.n_rows
        codes = _padded(rows.part, rows.n_rows)
        parts = codes, np.concatenate([np.full(room, _SUMMARY), codes])
        stretches = [_stretch(rows, run, room) for run in self._runs]
        if rows.filled.any():
            stretches += [found for run in self._runs for found in _around(rows, run, room)]
        if self.summaries:
            stretches.append(_padded_stretch(rows.since, rows.segment, rows.n_rows))
        row_plan = FlexPlan(
            call=call_of(stretches, n_keys, self.block, parts),
            own=_own_part(rows, self.block) if self._splits else None,
            gates=_gate_rows(rows, room, parts) if self.gated else None,
        )
        heard = _heard(rows, room) if self.summaries else [_padded_stretch(rows.bars[:0], rows.bars[:0], 0)]
        return row_plan, FlexPlan(call=call_of(heard, n_keys, self.block))


def runs_of(spec: MaskSpec, relations: frozenset[int]) -> tuple[OffsetRun, ...]:
    """What a mask shows of some relations, as runs of offsets: together each pair once."""
    farthest = max((spec.near, *spec.far, *(() if spec.same == "full" else spec.same)))
    offsets = range(min(farthest + 1, MOST_OFFSET) + 1)  # those beyond are like the last
    seen = [frozenset(r for r in relations if spec.sees(MASK_RELATIONS[r], offset)) for offset in offsets]
    changes = [0, *(k for k in range(1, len(seen)) if seen[k] != seen[k - 1]), len(seen)]
    return tuple(
        OffsetRun(among=seen[a], first=a, last=None if b == len(seen) else b - 1)
        for a, b in zip(changes[:-1], changes[1:], strict=True)
        if seen[a]
    )


def _pack_rows(bar: Ints, segment: Ints, part: Ints, drummed: Bools, starts: Ints) -> PackRows:
    n, lengths = int(starts[-1]), np.diff(starts)
    bars = segment[starts[1:] - 1] + 1
    since = np.repeat(np.cumsum(bars) - bars, lengths)
    line = np.unique(part[:n], return_inverse=True)[1].astype(np.int64)
    return PackRows(
        n_rows=len(bar),
        bar=bar[:n],
        segment=segment[:n] + since,
        since=since,
        filled=(segment[:n] > bar[:n]).astype(np.int64),
        part=2 * line + drummed[:n],
        window=np.repeat(np.arange(len(lengths)), lengths),
        bars=bars,
    )


def _room(rows: PackRows, block: int) -> int:
    """T: room for the summaries of a pack, in whole blocks."""
    rooms = (-(-rows.n_rows // (share * block)) * block for share in ROOM)
    return next((room for room in rooms if room >= rows.n_bars), -(-rows.n_bars // block) * block)


def _stretch(rows: PackRows, run: OffsetRun, room: int) -> Stretch:
    """The rows that each row sees in a run of offsets, of kept rows a kept one, of reopened ones a reopened one."""
    bar, filled = rows.bar, rows.filled
    low = rows.first_of(0 * bar if run.last is None else bar - run.last, filled=filled)
    # in one's own bar, up to oneself
    high = rows.first_of(bar - run.first + 1, filled=filled) if run.first else np.arange(1, len(bar) + 1)
    return _padded_stretch(room + low, room + high, rows.n_rows, run.among)


def _around(rows: PackRows, run: OffsetRun, room: int) -> list[Stretch]:
    """The kept rows that each reopened row sees in a run of offsets: left and right of its bar, or all around it."""
    far = int(rows.bar.max()) if run.last is None else run.last
    sides = [(-far, -run.first), (run.first, far)] if run.first else [(-far, far)]
    found = []
    for first, last in sides:
        low, high = (rows.first_of(rows.bar + k, filled=0) for k in (first, last + 1))
        found.append(_padded_stretch(room + low, np.where(rows.filled > 0, room + high, 0), rows.n_rows, run.among))
    return found


def _heard(rows: PackRows, room: int) -> list[Stretch]:
    """What each summary sees: those of its window up to itself, and the rows of its bar."""
    first = np.cumsum(rows.bars) - rows.bars
    return [
        _padded_stretch(np.repeat(first, rows.bars), np.arange(1, rows.n_bars + 1), room),
        _padded_stretch(room + rows.opens[:-1], room + rows.opens[1:], room),
    ]


def _own_part(rows: PackRows, block: int) -> OwnPart:
    n = len(rows.bar)
    key = rows.window * (rows.part.max() + 1) + rows.part
    order = np.concatenate([np.argsort(key, kind="stable"), np.arange(n, rows.n_rows)])
    place = np.empty_like(order)
    place[order] = np.arange(rows.n_rows)
    ordered = key[order[:n]]
    causal = _padded_stretch(np.searchsorted(ordered, ordered), np.arange(1, n + 1), rows.n_rows)
    return OwnPart(
        call=call_of([causal], rows.n_rows, block), order=torch.from_numpy(order), place=torch.from_numpy(place)
    )


def _gate_rows(rows: PackRows, room: int, parts: tuple[Ints, Ints]) -> GateRows:
    bar = _padded(rows.bar, rows.n_rows)
    bar_L, bar_M, part_L, part_M = (int32(x) for x in (bar, np.pad(bar, (room, 0)), *parts))
    return GateRows(bar_L=bar_L, bar_M=bar_M, part_L=part_L, part_M=part_M)


def _padded_stretch(low: Ints, high: Ints, length: int, among: frozenset[int] = EVERY) -> Stretch:
    """For as many queries as asked for; those at the end see nothing."""
    return Stretch(low=_padded(low, length), high=_padded(high, length), among=among)


def _padded(x: Ints, length: int) -> Ints:
    return np.concatenate([x, np.zeros(length - len(x), dtype=np.int64)])
