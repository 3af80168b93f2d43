"""The cells of a piece: where they are, and which notes lie in which. An empty cell is no cell."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.arrays import Ints
from analysis.families import family_of
from analysis.grid import nearest_step
from analysis.piece import Bars, Piece


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The C non-empty cells of some parts of a piece, by bar, in a bar by family, then part; and the N notes in them."""

    bar: Ints
    """(C,) ascending."""

    part: Ints
    """(C,) 0..n_parts - 1, numbered by family; not the piece's own numbers."""

    part_family: Ints
    """(n_parts,) index into FAMILIES, ascending."""

    n_bars: int

    note_cell: Ints
    """(N,) index of each note's cell."""

    pitch: Ints
    """(N,)"""

    duration_tick: Ints
    """(N,)"""

    onset_tick: Ints
    """(N,)"""

    bars: Bars
    """Of the piece."""

    @cached_property
    def onset_step(self) -> Ints:
        """(N,) nearest grid step after the bar line; that of a note just before the next bar line may be the next bar's first."""
        start = self.bars.start_tick(np.arange(self.n_bars))
        return nearest_step(self.onset_tick - start[self.bar[self.note_cell]], self.bars.ticks_per_quarter)

    @cached_property
    def duration_step(self) -> Ints:
        """(N,) nearest number of steps, 1 or more."""
        return np.maximum(nearest_step(self.duration_tick, self.bars.ticks_per_quarter), 1)

    def __len__(self) -> int:
        return len(self.bar)

    @property
    def n_parts(self) -> int:
        """Parts of the piece, those without a cell too."""
        return len(self.part_family)

    @property
    def family(self) -> Ints:
        """(C,) index into FAMILIES."""
        return self.part_family[self.part]


def cells_of(piece: Piece, *, drums: bool) -> Cells:
    """The cells of a piece's parts, drums among them or not."""
    family = np.array([family_of(p) for p in piece.parts], dtype=np.int64)
    kept = np.array([drums or not p.is_drum for p in piece.parts], dtype=np.bool_)
    order = np.argsort(family, kind="stable")
    order = order[kept[order]]
    rank = np.full(len(family), -1, dtype=np.int64)
    rank[order] = np.arange(len(order))

    notes, bar = piece.notes, piece.note_bar
    part = rank[notes.part]
    onset, pitch, duration = notes.onset_tick, notes.pitch, notes.duration_tick
    if not kept.all():
        mine = np.flatnonzero(part >= 0)
        bar, part, onset, pitch, duration = (c[mine] for c in (bar, part, onset, pitch, duration))
    n_parts, n_bars = max(len(order), 1), piece.n_bars
    slot = bar * n_parts + part
    there = np.zeros(n_bars * n_parts, dtype=np.bool_)
    there[slot] = True
    where = np.flatnonzero(there)
    index = np.cumsum(there) - 1
    return Cells(
        bar=where // n_parts,
        part=where % n_parts,
        part_family=family[order],
        n_bars=n_bars,
        note_cell=index[slot],
        pitch=pitch,
        duration_tick=duration,
        onset_tick=onset,
        bars=piece.bars,
    )
