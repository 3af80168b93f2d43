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

    first: Ints
    """(n_bars + 1,) first cell of each bar."""

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
    from analysis.cell_loops import place_notes

    family = [family_of(p) for p in piece.parts]
    order = sorted((i for i, p in enumerate(piece.parts) if drums or not p.is_drum), key=family.__getitem__)
    rank = np.full(len(family), -1, dtype=np.int64)
    rank[order] = np.arange(len(order))
    notes = piece.notes
    bar, part, first, note, note_cell = place_notes(piece.note_bar, notes.part, rank, piece.n_bars, len(order))
    onset, pitch, duration = notes.onset_tick, notes.pitch, notes.duration_tick
    if len(note) < len(notes):
        onset, pitch, duration = (c[note] for c in (onset, pitch, duration))
    return Cells(
        bar=bar,
        first=first,
        part=part,
        part_family=np.array([family[i] for i in order], dtype=np.int64),
        n_bars=piece.n_bars,
        note_cell=note_cell,
        pitch=pitch,
        duration_tick=duration,
        onset_tick=onset,
        bars=piece.bars,
    )
