"""Songs whose bars are plain to hear, and notes that are moved beside them."""

from dataclasses import replace

import numpy as np
from conftest import note, piece_of, smf

from analysis.piece import Notes, Piece

TICKS = 24
"""A quarter; every bar of the examples has 4 of them unless it says otherwise."""

CHORDS = ((48, 52, 55), (45, 48, 52), (41, 45, 48), (43, 47, 50))


def song(bars=48, *, quarters=4, signatures=None):
    """A chord on the first beat that lasts the bar, a new one in each bar, and a short high note on every beat."""
    length = TICKS * quarters
    notes = [(0, b * length, length, p) for b in range(bars) for p in CHORDS[b % 4]]
    notes += [(1, b * length + q * TICKS, TICKS // 2, 72) for b in range(bars) for q in range(quarters)]
    return piece_of(notes, signatures=signatures or [(0, quarters, 4)], ticks_per_quarter=TICKS)


def later(piece: Piece, ticks: int, *, start: int = 0) -> Piece:
    """All notes from a tick on so much later; where it is less than 0, what would come before that tick is cut off."""
    notes = piece.notes
    notes = notes.take((notes.onset_tick < start) | (notes.onset_tick >= start - ticks))
    onset = np.where(notes.onset_tick >= start, notes.onset_tick + ticks, notes.onset_tick)
    return replace(piece, notes=Notes.of(onset, *notes.columns[1:]))


def pickup_song(bars: int = 24, *, key: int = 36) -> bytes:
    """A MIDI file in 4/4 with a pickup of a quarter that no signature names, a note a bar and one a beat."""
    bass = [event for bar in range(bars) for event in note(key + 5 * bar % 12, 1920, rest=480 * (bar == 0))]
    return smf(note(72, 240, rest=0) + note(72, 240, rest=240) * 4 * bars, bass)
