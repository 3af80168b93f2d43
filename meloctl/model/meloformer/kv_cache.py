"""What a decoder remembers of one piece: keys and values of each part's rows and of bar summaries, as long as they may be seen.

Rows come cell by cell, and what a cell's rows may see grows by those rows alone. So when a cell opens, all that it sees is laid
side by side once, and each row adds itself at the end. Where a part sees all of its own past, and that is more than what it sees
of others, it is not copied: what its cell sees of others is laid right before its rows. Rows of reopened bars have lines of
their own, so that the bars of a line never fall.

Shape letters: Y layers, G key and value heads, D width of a head, n rows or bars. Axis 1 of every tensor: keys, then values.
"""

from collections.abc import Iterator
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
    """What a mask shows, as stretches of offsets, and how long a row must be kept."""

    def __init__(self, spec: MaskSpec) -> None:
        shown = np.array([[spec.sees(relation, k) for k in range(MOST_OFFSET + 1)] for relation in MASK_RELATIONS])
        self.stretches = [
            [(low, _EVER if high > MOST_OFFSET else high) for low, high in true_ranges(row)][::-1] for row in shown
        ]
        """Of each relation, [low, high) of the offsets shown, farthest first; beyond the last offset it goes on as there."""

        self.whole = self.stretches[SAME] == [(0, _EVER)]
        """Does a part see all of its past?"""

        self.reach = max(high for some in self.stretches for _, high in some)
        """A row this many bars back is never seen again."""


def room_for(n: int) -> int:
    """Places to take where so many entries are needed and more will come: a quarter more.

    An entry is then moved about four times in all, which takes a hundredth of the time that computing it took.
    """
    return n + max(n // 4, 8)


class KVSegment:
    """Keys and values of rows, or of summaries, that follow each other; room grows with what is held, on the left too."""

    def __init__(self, like: Tensor) -> None:
        """Empty, of the type and shape (Y, 2, G, 0, D) of `like`."""
        self.kv = like
        self.first = self.end = 0
        """Places of the first entry that is kept, and after the last."""

        self.bar: Ints = np.zeros(0, dtype=np.int64)
        """(room,) bar of each place."""

    def __len__(self) -> int:
        return self.end - self.first

    def make_room(self, before: int, after: int) -> None:
        """See that there are so many places before the first entry, with what lies there, and free ones after the last."""
        if self.first >= before and self.kv.shape[3] - self.end >= after:
            return
        self._move(room_for(before) if before else 0, room_for(len(self) + after))

    def _move(self, left: int, right: int) -> None:
        """To new places, so many before the first entry and so many from it on, with as much before it as was there and fits."""
        n, held = len(self), min(left, self.first)
        kv, bar = (
            self.kv.new_empty(*self.kv.shape[:3], left + right, self.kv.shape[4]),
            np.zeros(left + right, dtype=np.int64),
        )
        kv[:, :, :, left - held : left + n] = self.kv[:, :, :, self.first - held : self.end]
        bar[left : left + n] = self.bar[self.first : self.end]
        self.kv, self.bar, self.first, self.end = kv, bar, left, left + n

    def of_bars(self, first: int, end: int) -> slice:
        """Places of the entries of bars first..end−1."""
        a, b = np.searchsorted(self.bar[self.first : self.end], [first, end])
        return slice(self.first + int(a), self.first + int(b))

    def forget(self, before: int) -> None:
        """Let the entries of bars before this one go."""
        self.first = self.of_bars(before, before).start
        if self.first > 64 and 2 * self.first > self.kv.shape[3]:  # mostly empty
            self._move(0, room_for(len(self)))

    @property
    def nbytes(self) -> int:
        """Memory taken, room included."""
        return self.kv.nbytes


@dataclass(kw_only=True)
class OpenCell:
    """The open cell: its rows see `line.kv[:, :, :, first:line.end]`, in which the newest row comes last."""

    line: KVSegment
    bar: int
    part: int
    first: int
    own: int
    """Place of the cell's first row."""

    gates: Tensor | None = None
    """(line.end − first,) the gate of each key; None without gates."""


@dataclass(kw_only=True)
class PieceKVCache:
    """Of one piece."""

    sight: OffsetReach
    like: Tensor
    """(Y, 2, G, 0, D) an empty tensor: type and shape of what is kept."""

    gated: bool
    reopened: int | None = None
    """The bar that the first reopening row will open once more; None where none will come."""

    lines: dict[tuple[bool, int], KVSegment] = field(default_factory=dict)
    """{(of reopened bars, part): its rows}"""

    drums: set[int] = field(default_factory=set)
    """The parts that are drums."""

    bar: int = -1
    filling: bool = False
    """The open bar has been opened before."""

    cell: OpenCell | None = None

    def __post_init__(self) -> None:
        self.second, self.bars = KVSegment(self.like), KVSegment(self.like)
        """Summaries of closed bars, as rows see them and as later summaries see them."""

        self.desk = KVSegment(self.like)
        """Where a cell's keys are laid when they do not stand before its own rows."""

    @property
    def nbytes(self) -> int:
        """Memory taken by keys and values."""
        return sum(line.nbytes for line in (*self.lines.values(), self.second, self.bars, self.desk))

    def open_bar(self, *, again: bool) -> None:
        """The next bar opens, for the first time or once more; the one before it has been closed."""
        self.bar = self.reopened if again and not self.filling and self.reopened is not None else self.bar + 1
        self.filling = again

    def enter(self, part: int, *, drum: bool) -> tuple[KVSegment, int]:
        """A new row: where its keys and values go, at this place of `line.kv`. `open_bar` comes before one that opens a bar."""
        if drum:
            self.drums.add(part)
        if self.cell is None or (self.cell.bar, self.cell.part) != (self.bar, part):
            self.close_cell()
            self.cell = self._opened(part)
        cell, line = self.cell, self.cell.line
        before = line.first
        line.make_room(line.first - cell.first, 1)
        moved = line.first - before
        cell.first, cell.own = cell.first + moved, cell.own + moved
        line.bar[line.end] = self.bar
        line.end += 1
        if cell.gates is not None:
            cell.gates = torch.cat([cell.gates, torch.zeros(1, dtype=torch.int64)])  # of one's own bar: always open
        return line, line.end - 1

    def close_cell(self) -> None:
        """Put the open cell's rows to those of their part."""
        if self.cell and self.cell.line is self.desk:
            line, rows = self.lines[self.filling, self.cell.part], slice(self.cell.own, self.desk.end)
            n = rows.stop - rows.start
            line.make_room(0, n)
            line.kv[:, :, :, line.end : line.end + n] = self.desk.kv[:, :, :, rows]
            line.bar[line.end : line.end + n] = self.bar
            line.end += n
        self.cell = None

    def rows_of_bar(self) -> Tensor:
        """(Y, 2, G, n, D) the rows of the bar that just closed, in any order."""
        mine = [line for (filling, _), line in self.lines.items() if filling == self.filling]
        found = [(line, line.of_bars(self.bar, self.bar + 1)) for line in mine]
        return torch.cat([line.kv[:, :, :, rows] for line, rows in found], dim=3)

    def forget(self) -> None:
        """Let go what no row of the next bar, nor of a later one, may see."""
        upcoming = self.bar + 1
        if self.reopened is not None and not self.filling:
            upcoming = min(upcoming, self.reopened)
        if self.sight.reach < _EVER:
            for line in self.lines.values():
                line.forget(upcoming + 1 - self.sight.reach)

    def _opened(self, part: int) -> OpenCell:
        """A cell without rows, with all that it sees laid out."""
        own = self.lines.setdefault((self.filling, part), KVSegment(self.like))
        seen: list[tuple[KVSegment, slice, int | None]] = []
        if len(self.second):
            seen.append((self.second, slice(self.second.first, self.second.end), None))
        for (filling, other), line in self.lines.items():
            relation = SAME if other == part else DRUMS if {part, other} & self.drums else CROSS
            if line is own and self.sight.whole:
                continue
            for first, end in self._bars_seen(relation, around=filling != self.filling):
                rows = line.of_bars(first, end)
                if rows.stop > rows.start:
                    seen.append((line, rows, relation))
        n = sum(rows.stop - rows.start for _, rows, _ in seen)
        line = own if self.sight.whole and len(own) >= n else self.desk
        if line is self.desk:
            line.first = line.end = 0
            if self.sight.whole and len(own):
                seen.append((own, slice(own.first, own.end), SAME))
                n += len(own)
        line.make_room(n if line is own else 0, n)
        first = line.first - n if line is own else 0
        if line is self.desk:
            line.end = n
        place = first
        for source, rows, _ in seen:
            upto = place + rows.stop - rows.start
            line.kv[:, :, :, place:upto] = source.kv[:, :, :, rows]
            place = upto
        cell = OpenCell(line=line, bar=self.bar, part=part, first=first, own=line.end)
        if self.gated:
            gates = [self._gates(source, rows, relation) for source, rows, relation in seen]
            if line is own:
                gates.append(self._gates(own, slice(own.first, own.end), SAME))
            cell.gates = torch.from_numpy(np.concatenate([np.zeros(0, dtype=np.int64), *gates]))
        return cell

    def _bars_seen(self, relation: int, *, around: bool) -> Iterator[tuple[int, int]]:
        """[first, end) of bars that the open bar sees of a part; `around`: of the kept rows of a gap, which lie on both sides."""
        for low, high in self.sight.stretches[relation]:
            if around and low == 0:
                yield self.bar - high + 1, self.bar + high
            else:
                yield self.bar - high + 1, self.bar - low + 1
                if around:
                    yield self.bar + low, self.bar + high

    def _gates(self, line: KVSegment, rows: slice, relation: int | None) -> Ints:
        """(n,) the gate of each row; that of one's own bar, which is open, for summaries."""
        if relation is None:
            return np.zeros(rows.stop - rows.start, dtype=np.int64)
        return relation * N_OFFSETS + np.minimum(np.abs(self.bar - line.bar[rows]), LAST_OFFSET + 1)
