"""Whether a transcription is one of music: silence is refused, what is more like speech is named."""

import numpy as np

from analysis.errors import MeloError
from meloctl.formatting import percent, whole
from meloctl.transcription.notes import NoteTable
from meloctl.transcription.transcription import Transcription

SILENT_DB = -80.0
"""Sound whose loudest sample lies below this level holds no music."""

SHORTEST_S = 0.1
"""Shortest recording, in seconds."""

_SHORT_S, _SPARSE, _UNSURE, _FEW_NOTES = 0.18, 0.5, 0.7, 8
"""Speech has so many notes or more, half of them shorter and half less sure than this, which sound for less than this share of
the time. Three spoken memos have 0.12 to 0.13 s, 0.52 to 0.60 and 36 to 40 %; nine staccato solos 0.11 to 0.43 s, 0.76 to 0.87
and 50 to 85 % (docs/transcription.md)."""


def check_sound(transcription: Transcription) -> None:
    """Raises MeloError where a recording is silent, too short, or without notes."""
    peak, seconds = transcription.peak_db, transcription.duration_s
    if seconds < SHORTEST_S:
        raise MeloError(f"too short: {seconds:.2f} s of sound; give at least {SHORTEST_S:g} s")
    if peak < SILENT_DB:
        level = f"peak {whole(peak)} dB" if np.isfinite(peak) else "every sample is 0"
        raise MeloError(f"no music found: the file is silent ({level})")
    if not len(transcription.notes):
        raise MeloError(
            f"no music found: no note stands out of the sound (peak {whole(peak)} dB), as in noise, drums alone, clicks or hum"
        )


def speech_sentence(notes: NoteTable, duration_s: float) -> str | None:
    """What a user must know of a recording that is more like speech than music; None of music.

    Args:
        notes: of the recording.
        duration_s: seconds of sound.
    """
    if len(notes) < _FEW_NOTES:
        return None
    median = float(np.median(notes.offset - notes.onset))
    share = _sounding_share(notes, duration_s)
    if median >= _SHORT_S or share >= _SPARSE or float(np.median(notes.confidence)) >= _UNSURE:
        return None
    return (
        f"Few steady pitches: half of the notes are shorter than {median:.2f} s, and they sound for {percent(share)} of the "
        "time. This is more like speech than music; the notes may mean nothing."
    )


def _sounding_share(notes: NoteTable, seconds: float) -> float:
    """The share of the time in which a note sounds."""
    last = np.maximum.accumulate(np.append(0.0, notes.offset))
    return float(np.maximum(notes.offset - np.maximum(notes.onset, last[:-1]), 0).sum() / seconds)
