"""Targets of mixes of a few notes, cell by cell."""

import torch

from meloctl.transcription.network import FRAME_S
from meloctl.transcription.notes import NoteTable
from meloctl.transcription.transcription_targets import batch_targets


def frames(*times: float) -> list[float]:
    return [t * FRAME_S for t in times]


def test_two_notes_of_two_parts():
    table = NoteTable.of(frames(3, 5.5), frames(7, 9), [60, 64], part=[0, 1])
    found = batch_targets([table], 11)
    assert found.note[0, 39].tolist() == [0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]
    assert found.note[0, 43].tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0]
    assert found.onset[0, 39].tolist() == [0, 0, 0.5, 1, 0.5, 0, 0, 0, 0, 0, 0]
    assert found.onset[0, 43].tolist() == [0, 0, 0, 0, 0.25, 0.75, 0.75, 0.25, 0, 0, 0]
    assert found.note.sum() == 7
    assert len(found.mix) == 7
    assert found.cell_note.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert found.note_part.tolist() == [0, 1]


def test_a_note_that_began_before_has_no_onset():
    found = batch_targets([NoteTable.of(frames(-2), frames(3), [21], part=[0])], 5)
    assert found.note[0, 0].tolist() == [1, 1, 1, 0, 0]
    assert found.onset.sum() == 0


def test_cells_of_two_notes_at_once_have_no_timbre():
    table = NoteTable.of(frames(0, 2), frames(4, 6), [60, 60], part=[0, 1])
    found = batch_targets([table], 7)
    assert found.note[0, 39].tolist() == [1, 1, 1, 1, 1, 1, 0]
    assert found.frame.tolist() == [0, 1, 4, 5]
    assert found.cell_note.tolist() == [0, 0, 1, 1]


def test_notes_are_numbered_through_mixes_and_foreign_pitches_left_out():
    a = NoteTable.of(frames(1), frames(3), [12], part=[0])
    b = NoteTable.of(frames(1, 4), frames(3, 40), [108, 60], part=[2, 1])
    found = batch_targets([a, b], 5)
    assert found.note[0].sum() == 0
    assert found.note[1, 87].tolist() == [0, 1, 1, 0, 0]
    assert found.cell_note.tolist() == [2, 1, 1]
    assert found.note_mix.tolist() == [0, 1, 1]
    assert found.note_part[found.cell_note].tolist() == [1, 2, 2]


def test_no_notes():
    found = batch_targets([NoteTable.of([], [], [])], 5)
    assert found.note.shape == (1, 88, 5)
    assert not found.note.any()
    assert len(found.mix) == len(found.note_mix) == 0
    assert found.note_part.dtype == torch.int64
