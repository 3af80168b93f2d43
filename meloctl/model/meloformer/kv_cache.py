"""The KV cache of one piece: keys and values of each part's rows and of bar summaries, as long as later rows can see them.

Rows come cell by cell, and what a cell's rows see grows by those rows alone. So when a cell opens, all that it sees is laid
side by side once, and each row adds itself at the end. Where a part sees all of its own past, and that is more than what it sees
of others, its past is not copied: what its cell sees of others is laid right before its rows. Rows of a middle (bars that
an infill header opened again) have segments of their own, so that the bars of a segment never fall.

Shape letters: Y layers, G key and value heads, D width of a head, n rows or bars. Axis 1 of every tensor: keys, then values.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from analysis.arrays import Ints
from masks.spec import MASK_RELATIONS, MOST_OFFSET, MaskSpec
from masks.tiling.cell_rows import CROSS, DRUMS, SAME
from masks.tiling.tiles import true_ranges
from meloctl.model.attention.gates import LAST_OFFSET, N_OFFSETS

_EVER = 1 << 40
"""More bars than any piece has."""


class OffsetReach:
    """The offsets that a mask shows, as intervals, and how many bars a row must be kept."""

    def __init__(self, spec: MaskSpec) -> None:
        listed = (0, spec.near, *spec.far, *(() if spec.same == "full" else spec.same))
        # what is seen changes at a listed offset and behind it, nowhere else
        starts = sorted({0, *(k for offset in listed for k in (offset, offset + 1) if k <= MOST_OFFSET)})
        edges = [*starts, _EVER]
        shown = [np.array([spec.sees(relation, k) for k in starts]) for relation in MASK_RELATIONS]
        self.intervals = [[(edges[low], edges[high]) for low, high in true_ranges(row)][::-1] for row in shown]
        """[low, high) of the offsets shown of each relation, farthest first; beyond the last offset it goes on as there."""

        self.whole_past = self.intervals[SAME] == [(0, _EVER)]
        """Does a part see all of its own past?"""

        self.bars = max(high for intervals in self.intervals for _, high in intervals)
        """A row this many bars back is never seen again."""

    @property
    def limited(self) -> bool:
        """Is there an offset beyond which nothing is seen?"""
        return self.bars < _EVER


def with_headroom(n: int) -> int:
    """Slots to allocate where `n` are needed and more will come: a quarter more.

    An entry is then moved about four times in all, which takes a hundredth of the time that computing it took.
    """
    return n + max(n // 4, 8)


class KVSegment:
    """Keys and values of rows, or of summaries, in consecutive slots, with headroom on both sides."""

    def __init__(self, like: Tensor) -> None:
        """An empty segment, of the dtype and shape (Y, 2, G, 0, D) of `like`."""
        self.kv = like
        self.first = self.end = 0
        """Slots of the first entry that is kept, and after the last."""

        self.bar: Ints = np.zeros(0, dtype=np.int64)
        """(slots,) bar of each slot."""

    def __len__(self) -> int:
        return self.end - self.first

    @property
    def nbytes(self) -> int:
        """Bytes allocated, headroom included."""
        return self.kv.nbytes

    def ensure_room(self, before: int, after: int) -> None:
        """Ensure `before` slots ahead of the first entry (contents kept) and `after` free slots behind the last; reallocates with
        25 % headroom."""
        if self.first >= before and self.kv.shape[3] - self.end >= after:
            return
        self._reallocate(with_headroom(before) if before else 0, with_headroom(len(self) + after))

    def append(self, bar: Ints | int, n: int) -> slice:
        """Slots of `n` new entries behind the last, whose keys and values the caller writes; `bar` () or (n,)."""
        self.ensure_room(0, n)
        slots = slice(self.end, self.end + n)
        self.bar[slots] = bar
        self.end += n
        return slots

    def slots_of_bars(self, first: int, end: int) -> slice:
        """Slots of the entries of bars first..end−1."""
        a, b = np.searchsorted(self.bar[self.first : self.end], [first, end])
        return slice(self.first + int(a), self.first + int(b))

    def drop_before(self, bar: int) -> None:
        """Drop the entries of bars before this one."""
        self.first = self.slots_of_bars(bar, bar).start
        if self.first > 64 and 2 * self.first > self.kv.shape[3]:  # mostly empty
            self._reallocate(0, with_headroom(len(self)))

    def _reallocate(self, left: int, right: int) -> None:
        """Move to new memory, `left` slots before the first entry and `right` from it on, with what stood before it as far as it
        fits."""
        n, kept = len(self), min(left, self.first)
        kv = self.kv.new_empty(*self.kv.shape[:3], left + right, self.kv.shape[4])
        bar = np.zeros(left + right, dtype=np.int64)
        kv[:, :, :, left - kept : left + n] = self.kv[:, :, :, self.first - kept : self.end]
        bar[left : left + n] = self.bar[self.first : self.end]
        self.kv, self.bar, self.first, self.end = kv, bar, left, left + n


@dataclass(kw_only=True)
class OpenCell:
    """The open cell: its rows see `segment.kv[:, :, :, first:segment.end]`, in which the newest row comes last."""

    segment: KVSegment
    bar: int
    part: int
    first: int
    first_own: int
    """Slot of the cell's first row."""

    gates: Tensor | None = None
    """(segment.end − first,) the gate of each key; None without gates."""


@dataclass(kw_only=True)
class PieceKVCache:
    """Keys and values of one piece, and where it stands: the open bar and the open cell."""

    reach: OffsetReach
    like: Tensor
    """(Y, 2, G, 0, D) an empty tensor: dtype and shape of what is kept."""

    gated: bool
    first_masked_bar: int | None = None
    """The bar that the first infill header will open again; None where none will come."""

    segments: dict[tuple[bool, int], KVSegment] = field(default_factory=dict)
    """{(in the middle, part): its rows}"""

    drums: set[int] = field(default_factory=set)
    """The parts that are drums."""

    bar: int = -1
    """The open bar, from 0; −1 before the first."""

    in_middle: bool = False
    """The open bar was opened by an infill header."""

    cell: OpenCell | None = None

    def __post_init__(self) -> None:
        self.summaries, self.summaries2 = KVSegment(self.like), KVSegment(self.like)
        """Summaries of closed bars, as later summaries see them and as rows see them (the second projection)."""

        self.scratch = KVSegment(self.like)
        """What a cell sees and its own rows, where they do not stand in the part's own segment."""

    @property
    def nbytes(self) -> int:
        """Bytes allocated for keys and values."""
        return sum(s.nbytes for s in (*self.segments.values(), self.summaries, self.summaries2, self.scratch))

    def clone(self) -> "PieceKVCache":
        """A copy that shares no memory that changes."""
        return deepcopy(self, {id(self.reach): self.reach})

    def open_bar(self, *, infill: bool) -> None:
        """Open the next bar, or by an infill header the next masked one; the bar before it has been closed."""
        masked_bar = self.first_masked_bar if infill and not self.in_middle else None
        self.bar = self.bar + 1 if masked_bar is None else masked_bar
        self.in_middle = infill

    def append_rows(self, part: int, *, drum: bool, n: int = 1) -> tuple[KVSegment, int]:
        """Add `n` rows of one part to the open bar. `open_bar` comes before a row that opens a bar.

        Returns:
            The segment, and the slot of the first of them in `segment.kv`, where their keys and values are to be written.
        """
        if drum:
            self.drums.add(part)
        if self.cell is None or (self.cell.bar, self.cell.part) != (self.bar, part):
            self.close_cell()
            self.cell = self._open_cell(part)
        cell, segment = self.cell, self.cell.segment
        before = segment.first
        segment.ensure_room(segment.first - cell.first, n)
        moved = segment.first - before
        cell.first, cell.first_own = cell.first + moved, cell.first_own + moved
        segment.bar[segment.end : segment.end + n] = self.bar
        segment.end += n
        if cell.gates is not None:
            cell.gates = torch.cat([cell.gates, torch.zeros(n, dtype=torch.int64)])  # of one's own bar: always open
        return segment, segment.end - n

    def close_cell(self) -> None:
        """Move the open cell's rows to their part's segment, where they do not stand there."""
        if self.cell and self.cell.segment is self.scratch:
            segment = self.segments[self.in_middle, self.cell.part]
            slots = segment.append(self.bar, self.scratch.end - self.cell.first_own)
            segment.kv[:, :, :, slots] = self.scratch.kv[:, :, :, self.cell.first_own : self.scratch.end]
        self.cell = None

    def rows_of_bar(self) -> Tensor:
        """(Y, 2, G, n, D) the rows of the bar that just closed, in any order."""
        own = [segment for (in_middle, _), segment in self.segments.items() if in_middle == self.in_middle]
        return torch.cat([s.kv[:, :, :, s.slots_of_bars(self.bar, self.bar + 1)] for s in own], dim=3)

    def drop_unseen(self) -> None:
        """Drop the rows that no row of a later bar can see, when a bar has closed."""
        if self.reach.limited:
            first = self.first_bar_needed(self.bar, in_middle=self.in_middle)
            for segment in self.segments.values():
                segment.drop_before(first)

    def first_bar_needed(self, closed_bar: int, *, in_middle: bool) -> int:
        """The first bar that a row of a later bar can see, once `closed_bar` has closed."""
        upcoming = closed_bar + 1
        if self.first_masked_bar is not None and not in_middle:
            upcoming = min(upcoming, self.first_masked_bar)
        return upcoming + 1 - self.reach.bars

    def _open_cell(self, part: int) -> OpenCell:
        """A cell without rows, with all that it sees laid out."""
        own = self.segments.setdefault((self.in_middle, part), KVSegment(self.like))
        seen = [*self._seen_of_others(part, own)]
        n = sum(slots.stop - slots.start for _, slots, _ in seen)
        segment = own if self.reach.whole_past and len(own) >= n else self.scratch
        if segment is self.scratch:
            segment.first = segment.end = 0
            if self.reach.whole_past and len(own):
                seen.append((own, slice(own.first, own.end), SAME))
                n += len(own)
        segment.ensure_room(n if segment is own else 0, n)
        first = segment.first - n if segment is own else 0
        if segment is self.scratch:
            segment.end = n
        start = first
        for source, slots, _ in seen:
            stop = start + slots.stop - slots.start
            segment.kv[:, :, :, start:stop] = source.kv[:, :, :, slots]
            start = stop
        cell = OpenCell(segment=segment, bar=self.bar, part=part, first=first, first_own=segment.end)
        if self.gated:
            gates = [self._gates(source, slots, relation) for source, slots, relation in seen]
            if segment is own:
                gates.append(self._gates(own, slice(own.first, own.end), SAME))
            cell.gates = torch.from_numpy(np.concatenate([np.zeros(0, dtype=np.int64), *gates]))
        return cell

    def _seen_of_others(self, part: int, own: KVSegment) -> Iterator[tuple[KVSegment, slice, int | None]]:
        """Segment, slots and relation of all that a new cell of a part sees, None for summaries; without its own past where it
        sees all of that."""
        if len(self.summaries2):
            yield self.summaries2, slice(self.summaries2.first, self.summaries2.end), None
        for (in_middle, other), segment in self.segments.items():
            relation = SAME if other == part else DRUMS if {part, other} & self.drums else CROSS
            if segment is own and self.reach.whole_past:
                continue
            for first, end in self._bars_seen(relation, both_sides=in_middle != self.in_middle):
                slots = segment.slots_of_bars(first, end)
                if slots.stop > slots.start:
                    yield segment, slots, relation

    def _bars_seen(self, relation: int, *, both_sides: bool) -> Iterator[tuple[int, int]]:
        """[first, end) of the bars of a part that the open bar sees; `both_sides`: from a middle, of the rows around it."""
        for low, high in self.reach.intervals[relation]:
            if both_sides and low == 0:
                yield self.bar - high + 1, self.bar + high
            else:
                yield self.bar - high + 1, self.bar - low + 1
                if both_sides:
                    yield self.bar + low, self.bar + high

    def _gates(self, segment: KVSegment, slots: slice, relation: int | None) -> Ints:
        """(n,) the gate of each slot; that of one's own bar, which is open, for summaries."""
        if relation is None:
            return np.zeros(slots.stop - slots.start, dtype=np.int64)
        return relation * N_OFFSETS + np.minimum(np.abs(self.bar - segment.bar[slots]), LAST_OFFSET + 1)
