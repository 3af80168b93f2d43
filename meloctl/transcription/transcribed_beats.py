"""The beats of a transcription, where they are sure enough."""

from meloctl.beats.beats import Beats
from meloctl.beats.track_beats import track_beats
from meloctl.transcription.notes import NoteTable
from meloctl.transcription.velocity import velocities

LEAST_CONFIDENCE = 0.3
"""Beats of a lower mean probability are none; spoken memos have 0.25 to 0.32, music 0.35 and more."""


def transcribed_beats(notes: NoteTable) -> Beats | None:
    """The beats of pitched notes; None where there are none, or they are not sure."""
    beats = track_beats(notes.onset, notes.offset, notes.pitch, velocities(notes))
    return beats if beats is not None and beats.confidence >= LEAST_CONFIDENCE else None
