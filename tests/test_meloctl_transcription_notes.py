"""Tables of notes: sorted, filled in, taken from and joined."""

import numpy as np
import pytest

from meloctl.transcription.notes import NO_PART, NoteTable, joined


def test_notes_are_sorted_and_what_is_unknown_is_filled_in():
    table = NoteTable.of([1.0, 0.5, 0.5], [2.0, 0.9, 0.8], [60, 64, 62])
    assert table.pitch.tolist() == [62, 64, 60]
    assert table.offset.tolist() == [0.8, 0.9, 2.0]
    assert table.part.tolist() == [NO_PART] * 3
    assert table.confidence.tolist() == [1.0] * 3
    assert table.embedding.shape == (3, 0)


def test_columns_of_one_length_are_wanted():
    with pytest.raises(ValueError, match="different lengths"):
        NoteTable.of([0.0, 1.0], [1.0, 2.0], [60])


def test_taken_notes_and_joined_tables():
    low = NoteTable.of([0.0, 2.0], [1.0, 3.0], [40, 41], part=[0, 0], embedding=np.eye(2))
    high = NoteTable.of([1.0], [2.0], [70], part=[1], embedding=[[0.6, 0.8]])
    both = joined([low, high])
    assert both.pitch.tolist() == [40, 70, 41]
    assert both.part.tolist() == [0, 1, 0]
    np.testing.assert_allclose(both.embedding[1], [0.6, 0.8])
    assert both.take(both.part == 0).pitch.tolist() == [40, 41]
    assert len(both.take(np.array([2, 0]))) == 2
