"""Velocities of notes from their levels."""

import numpy as np

from analysis.arrays import Ints
from meloctl.transcription.notes import NoteTable

UNKNOWN = 80
"""The velocity of notes of unknown level."""

_LOUD, _LOUD_SHARE = 110, 0.95
"""The level that this share of notes does not exceed becomes this velocity."""

_LEAST = 16


def velocities(notes: NoteTable) -> Ints:
    """(N,) MIDI velocities, 16 to 127: amplitude grows with the square of velocity, as most synthesizers have it.

    The loudest notes of a recording have about 110, whatever the recording's own level; where all notes have one level, as
    where it is unknown, all have `UNKNOWN`.
    """
    if not len(notes) or np.ptp(notes.loudness) == 0:
        return np.full(len(notes), UNKNOWN, np.int64)
    decibels = notes.loudness.astype(np.float64) - np.quantile(notes.loudness, _LOUD_SHARE)
    return np.clip(np.rint(_LOUD * 10 ** (decibels / 40)), _LEAST, 127).astype(np.int64)
