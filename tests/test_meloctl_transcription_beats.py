"""Beats of transcriptions: what is said of them holds."""

import numpy as np

from meloctl.transcription.notes import NoteTable
from meloctl.transcription.options import TranscribeOptions
from meloctl.transcription.transcribed_beats import transcribed_beats


def tune():
    """Notes of a waltz at 120 quarter notes a minute: a low note at each bar, two high ones after it."""
    onset = 0.5 * np.arange(96)
    pitch = np.where(np.arange(96) % 3 == 0, 40, 64 + np.arange(96) % 5)
    return NoteTable.of(onset, onset + 0.45, pitch)


def test_a_given_tempo_and_metre_hold():
    found = transcribed_beats(tune(), TranscribeOptions(tempo=120, meter="3/4"))
    assert found.metre == (3, 4)
    assert np.median(found.tempo) == 120
    starts = np.flatnonzero(found.downbeat)
    assert set(np.diff(starts)) == {3}
    doubled = transcribed_beats(tune(), TranscribeOptions(tempo=240))
    assert abs(np.median(doubled.tempo) - 240) < 10


def test_few_notes_have_no_beat():
    assert transcribed_beats(tune().take(np.arange(3)), TranscribeOptions()) is None
