"""Velocities of notes whose levels are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meloctl.transcription.notes import NoteTable
from meloctl.transcription.velocity import velocities


def _notes(loudness):
    count = len(loudness)
    return NoteTable.of(np.arange(count), np.arange(count) + 1.0, [60] * count, loudness=loudness)


def test_a_quarter_of_the_amplitude_is_half_the_velocity():
    quarter_db = 20 * np.log10(1 / 4)
    assert velocities(_notes([0.0] * 30 + [quarter_db])).tolist() == [110] * 30 + [55]


@pytest.mark.parametrize("level", [-60.0, 0.0, 20.0])
def test_the_level_of_the_recording_does_not_matter(level):
    shape = np.array([0.0, -3.0, -10.0, -1.0])
    assert velocities(_notes(shape + level)).tolist() == velocities(_notes(shape)).tolist()


def test_unknown_levels_are_one_velocity():
    assert velocities(_notes([0.0, 0.0])).tolist() == [80, 80]
    assert velocities(_notes([])).tolist() == []


@given(st.lists(st.floats(-120, 40), min_size=2, max_size=30))
def test_louder_notes_are_never_softer_and_all_are_velocities(loudness):
    found = velocities(_notes(loudness))
    assert ((found >= 16) & (found <= 127)).all()
    assert (np.diff(found[np.argsort(np.float32(loudness), kind="stable")]) >= 0).all()
