"""The beats of a transcription, where they are sure enough."""

from meloctl.beats.beats import Beats
from meloctl.beats.track_beats import track_beats
from meloctl.transcription.notes import NoteTable
from meloctl.transcription.options import TranscribeOptions
from meloctl.transcription.velocity import velocities

LEAST_CONFIDENCE = 0.3
"""Beats of a lower mean probability are none; spoken memos have 0.25 to 0.32, music 0.35 and more."""


def transcribed_beats(notes: NoteTable, options: TranscribeOptions) -> Beats | None:
    """The beats of pitched notes; None where there are none, or they are not sure and nothing was said of them.

    Args:
        notes: all notes of a recording.
        options: tempo and time signature, where they are given.
    """
    beats = track_beats(
        notes.onset,
        notes.offset,
        notes.pitch,
        velocities(notes),
        tempo=options.tempo,
        signature=options.signature,
    )
    known = options.tempo is not None or options.signature is not None
    return beats if beats is not None and (known or beats.confidence >= LEAST_CONFIDENCE) else None
