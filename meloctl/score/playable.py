"""Notes cut so that a synthesizer can play a piece and a reader can pair each note with its end."""

from dataclasses import replace

import numpy as np

from analysis.piece import Piece


def playable(piece: Piece) -> Piece:
    """The piece with notes shortened: none overlaps the next one of its part and pitch, none outlasts the piece's end."""
    notes = piece.notes
    order = np.lexsort((notes.onset_tick, notes.pitch, notes.part))
    onset, end = notes.onset_tick[order], (notes.onset_tick + notes.duration_tick)[order]
    again = (np.diff(notes.pitch[order]) == 0) & (np.diff(notes.part[order]) == 0)
    end[:-1] = np.where(again, np.minimum(end[:-1], onset[1:]), end[:-1])
    end = np.minimum(end, piece.end_tick)
    duration = np.empty_like(end)
    duration[order] = end - onset
    return replace(piece, notes=replace(notes, duration_tick=duration))
