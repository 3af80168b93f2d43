"""FlexPlanner: from the places of a pack's rows to calls of FlexAttention, which is compiled once for packs of one length.

In generation order what a query attends to are ranges of consecutive keys:

    rows, for a run of offsets     one range; all its rows, or those of some relations. A row of a middle, which comes after the
                                   kept rows of its window, has two more: kept rows to the left of its bar, and to the right
    summaries                      one range: those of the earlier segments of the window

Where a row attends to its own part in full and to other parts in part, a second call holds the own part, with rows sorted by
window and part: there it is plain causal attention, and most blocks are shown whole or not at all, while in generation order it
would touch every block. The first call then holds the other parts and the summaries; `split_attention` merges the two.

Keys are summaries first, then rows; segments and places are those of `RowPlaces`.
Shape letters: N rows of a pack, padding last, n of them without it, W windows, T summaries with padding, L queries, M keys.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from analysis.arrays import Ints
from masks.spec import MASK_RELATIONS, MOST_OFFSET, MaskSpec
from masks.tiling.cell_rows import SAME
from meloctl.model.attention.attend import RowPlaces
from meloctl.model.attention.flex.block_mask import ALL_RELATIONS, KeyRange
from meloctl.model.attention.flex.plan import FlexPlan, GateRows, OwnPart, call_of, int32

BLOCK = 128
"""Rows of a block: what the kernels are made for."""

SUMMARY_SHARES = (16, 4)
"""Summaries are padded to 1/16 of the rows, or to 1/4 where they are more: the fewer sizes, the fewer compilations. Real pieces
have 4 to 90 rows a bar."""

_SUMMARY_PART = -2
"""Part code of a summary: that of no row, and not of drums."""


@dataclass(frozen=True, kw_only=True)
class OffsetRun:
    """Consecutive offsets, in bars, at which the mask shows the same relations."""

    relations: frozenset[int]
    """Indices of MASK_RELATIONS."""

    first: int
    last: int | None
    """None: every larger offset too."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PackRows:
    """The real rows of a pack, numbered as the ranges of keys need them."""

    n_rows: int
    """N."""

    bar: Ints
    """(n,) from 0 in each window."""

    segment: Ints
    """(n,) counted through all windows of the pack."""

    first_segment: Ints
    """(n,) the first segment of each row's window."""

    is_middle: Ints
    """(n,) 1 for rows of a middle, 0 for kept rows."""

    part: Ints
    """(n,) part codes: twice the part, numbered from 0, and 1 more for drums."""

    window: Ints
    """(n,)"""

    segments: Ints
    """(W,) number of segments of each window."""

    @cached_property
    def n_segments(self) -> int:
        """Of all windows."""
        return int(self.segments.sum())

    @cached_property
    def first_rows(self) -> Ints:
        """(n_segments + 1,) the first row of each segment; the last entry is n."""
        return np.searchsorted(self.segment, np.arange(self.n_segments + 1))

    @cached_property
    def _sort_key(self) -> Ints:
        """(n,) rising: bars of the kept rows of a window, then those of its middle, then those of the next window."""
        return self._key(self.is_middle, self.bar)

    def _key(self, is_middle: Ints | int, bar: Ints) -> Ints:
        span = int(self.bar.max(initial=0)) + 2
        return (2 * self.window + is_middle) * span + np.clip(bar, 0, span - 1)

    def first_at(self, bar: Ints, *, is_middle: Ints | int) -> Ints:
        """(n,) the first row of each row's window at a bar or after it, among its kept rows or its middle.

        Args:
            bar: (n,) may lie outside the window.
            is_middle: (n,) or one for all: 1 to look in the middle, 0 in the kept rows.
        """
        return np.searchsorted(self._sort_key, self._key(is_middle, bar))


class FlexPlanner:
    """Plans calls of FlexAttention under one mask; an `AttentionPlanner`. Plans are cheap, so none is kept."""

    row_multiple = 1

    def __init__(self, shown: MaskSpec, *, gated: bool = False, block: int = BLOCK) -> None:
        """A planner.

        Args:
            shown: the mask.
            gated: pairs of rows pass gates.
            block: rows of a block; other than 128 in tests alone.
        """
        self._gated, self._block, self._summaries = gated, block, shown.summaries
        runs = offset_runs(shown, ALL_RELATIONS)
        self._splits = shown.same == "full" and any(run.relations != ALL_RELATIONS for run in runs)
        self._runs = offset_runs(shown, ALL_RELATIONS - {SAME}) if self._splits else runs

    def plans(self, places: RowPlaces) -> tuple[FlexPlan, FlexPlan]:
        """The plan of a pack whose queries are rows, and the one whose queries are summaries.

        Kernels are compiled once for packs of one length with masked bars, and once for those without.
        """
        rows = _pack_rows(places)
        room = _summary_room(rows, self._block) if self._summaries else 0
        n_keys = room + rows.n_rows
        codes = _padded(rows.part, rows.n_rows)
        parts = codes, np.concatenate([np.full(room, _SUMMARY_PART), codes])
        ranges = [_key_range(rows, run, room) for run in self._runs]
        if rows.is_middle.any():
            ranges += [keys for run in self._runs for keys in _kept_ranges(rows, run, room)]
        if self._summaries:
            ranges.append(_padded_range(rows.first_segment, rows.segment, rows.n_rows))
        row_plan = FlexPlan(
            call=call_of(ranges, n_keys, self._block, parts),
            own=_own_part(rows, self._block) if self._splits else None,
            gates=_gate_rows(rows, room, parts) if self._gated else None,
        )
        of_summaries = (
            _summary_ranges(rows, room) if self._summaries else [_padded_range(rows.segments[:0], rows.segments[:0], 0)]
        )
        return row_plan, FlexPlan(call=call_of(of_summaries, n_keys, self._block))


def offset_runs(spec: MaskSpec, relations: frozenset[int]) -> tuple[OffsetRun, ...]:
    """Runs of offsets that together hold each relation and offset shown by a mask once.

    Args:
        relations: indices of MASK_RELATIONS; others are left out.
    """
    farthest = max((spec.near, *spec.far, *(() if spec.same == "full" else spec.same)))
    offsets = range(min(farthest + 1, MOST_OFFSET) + 1)  # those beyond are like the last
    shown = [frozenset(r for r in relations if spec.sees(MASK_RELATIONS[r], offset)) for offset in offsets]
    changes = [0, *(k for k in range(1, len(shown)) if shown[k] != shown[k - 1]), len(shown)]
    return tuple(
        OffsetRun(relations=shown[a], first=a, last=None if b == len(shown) else b - 1)
        for a, b in zip(changes[:-1], changes[1:], strict=True)
        if shown[a]
    )


def _pack_rows(places: RowPlaces) -> PackRows:
    starts = places.starts
    n, lengths = int(starts[-1]), np.diff(starts)
    segments = places.segment[starts[1:] - 1] + 1
    first_segment = np.repeat(np.cumsum(segments) - segments, lengths)
    part = np.unique(places.part[:n], return_inverse=True)[1].astype(np.int64)
    return PackRows(
        n_rows=places.n_rows,
        bar=places.bar[:n],
        segment=places.segment[:n] + first_segment,
        first_segment=first_segment,
        is_middle=(places.segment[:n] > places.bar[:n]).astype(np.int64),
        part=2 * part + places.is_drums[:n],
        window=np.repeat(np.arange(len(lengths)), lengths),
        segments=segments,
    )


def _summary_room(rows: PackRows, block: int) -> int:
    """T: keys set aside for the summaries of a pack, in whole blocks."""
    rooms = (-(-rows.n_rows // (share * block)) * block for share in SUMMARY_SHARES)
    return next((room for room in rooms if room >= rows.n_segments), -(-rows.n_segments // block) * block)


def _key_range(rows: PackRows, run: OffsetRun, room: int) -> KeyRange:
    """Of a run of offsets, the kept rows that each kept row attends to, and the middle's rows that each row of it does."""
    bar, is_middle = rows.bar, rows.is_middle
    start = rows.first_at(0 * bar if run.last is None else bar - run.last, is_middle=is_middle)
    # in its own bar a row attends up to itself
    own_bar = np.arange(1, len(bar) + 1)
    end = rows.first_at(bar - run.first + 1, is_middle=is_middle) if run.first else own_bar
    return _padded_range(room + start, room + end, rows.n_rows, run.relations)


def _kept_ranges(rows: PackRows, run: OffsetRun, room: int) -> list[KeyRange]:
    """Of a run of offsets, the kept rows that each row of a middle attends to: left and right of its bar, or all around it."""
    last = int(rows.bar.max()) if run.last is None else run.last
    sides = [(-last, -run.first), (run.first, last)] if run.first else [(-last, last)]
    ranges = []
    for first_bar, last_bar in sides:
        start, end = (rows.first_at(rows.bar + k, is_middle=0) for k in (first_bar, last_bar + 1))
        end = np.where(rows.is_middle > 0, room + end, 0)
        ranges.append(_padded_range(room + start, end, rows.n_rows, run.relations))
    return ranges


def _summary_ranges(rows: PackRows, room: int) -> list[KeyRange]:
    """What each summary attends to: summaries of its window up to itself, and the rows of its segment."""
    first = np.cumsum(rows.segments) - rows.segments
    return [
        _padded_range(np.repeat(first, rows.segments), np.arange(1, rows.n_segments + 1), room),
        _padded_range(room + rows.first_rows[:-1], room + rows.first_rows[1:], room),
    ]


def _own_part(rows: PackRows, block: int) -> OwnPart:
    n = len(rows.bar)
    key = rows.window * (rows.part.max() + 1) + rows.part
    order = np.concatenate([np.argsort(key, kind="stable"), np.arange(n, rows.n_rows)])
    place = np.empty_like(order)
    place[order] = np.arange(rows.n_rows)
    ordered = key[order[:n]]
    causal = _padded_range(np.searchsorted(ordered, ordered), np.arange(1, n + 1), rows.n_rows)
    return OwnPart(
        call=call_of([causal], rows.n_rows, block), order=torch.from_numpy(order), place=torch.from_numpy(place)
    )


def _gate_rows(rows: PackRows, room: int, parts: tuple[Ints, Ints]) -> GateRows:
    bar = _padded(rows.bar, rows.n_rows)
    bar_L, bar_M, part_L, part_M = (int32(x) for x in (bar, np.pad(bar, (room, 0)), *parts))
    return GateRows(bar_L=bar_L, bar_M=bar_M, part_L=part_L, part_M=part_M)


def _padded_range(start: Ints, end: Ints, length: int, relations: frozenset[int] = ALL_RELATIONS) -> KeyRange:
    """A range of keys for `length` queries; those beyond the given ones have none."""
    return KeyRange(start=_padded(start, length), end=_padded(end, length), relations=relations)


def _padded(x: Ints, length: int) -> Ints:
    """(length,) x with zeros behind it."""
    return np.concatenate([x, np.zeros(length - len(x), dtype=np.int64)])
