"""Matched notes: by hand, and equal to mir_eval's."""

import mir_eval
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meloctl.transcription.note_scores import matched, note_score, separated_score
from meloctl.transcription.notes import NoteTable


def drawn(seed: int, count: int, parts: int = 1) -> NoteTable:
    rng = np.random.default_rng(seed)
    onset = rng.integers(0, 60, count) / 50  # so that many lie just within 50 ms
    return NoteTable.of(
        onset, onset + rng.integers(3, 30, count) / 50, rng.integers(60, 63, count), part=rng.integers(0, parts, count)
    )


def of_mir_eval(reference: NoteTable, estimate: NoteTable, ratio: float | None) -> tuple[float, float, float]:
    def arguments(notes: NoteTable) -> tuple[np.ndarray, np.ndarray]:
        return np.stack([notes.onset, notes.offset], 1), 440 * 2 ** ((notes.pitch - 69) / 12)

    return mir_eval.transcription.precision_recall_f1_overlap(
        *arguments(reference), *arguments(estimate), offset_ratio=ratio
    )[:3]


@pytest.mark.parametrize("offsets", [False, True])
@given(seed=st.integers(0, 1000), found=st.integers(1, 23))
def test_scores_are_those_of_mir_eval(offsets, seed, found):
    reference, estimate = drawn(seed, 17), drawn(seed + 1, found)
    expected = of_mir_eval(reference, estimate, 0.2 if offsets else None)
    assert note_score(reference, estimate, offsets=offsets) == pytest.approx(expected)


def test_each_note_is_matched_once():
    reference = NoteTable.of([0.0, 0.04], [1, 1], [60, 60])
    assert matched(reference, NoteTable.of([0.04], [1], [60])) == 1
    assert matched(reference, NoteTable.of([0.04, 0.09], [1, 1], [60, 60])) == 2
    assert matched(reference, NoteTable.of([0.04, 0.09], [1, 1], [60, 61])) == 1


def test_nothing_gives_zero():
    none, some = NoteTable.of([], [], []), NoteTable.of([0], [1], [60])
    assert note_score(none, some) == note_score(some, none) == note_score(none, none) == (0, 0, 0)
    assert separated_score(none, some) == separated_score(some, none) == (0, 0, 0)


def test_parts_may_be_numbered_otherwise():
    reference = NoteTable.of([0, 1, 2, 3], [1, 2, 3, 4], [60, 61, 62, 63], part=[0, 0, 1, 1])
    assert (
        separated_score(reference, NoteTable.of([0, 1, 2, 3], [1, 2, 3, 4], [60, 61, 62, 63], part=[5, 5, 2, 2])).f == 1
    )
    # one of four in the wrong part
    assert (
        separated_score(reference, NoteTable.of([0, 1, 2, 3], [1, 2, 3, 4], [60, 61, 62, 63], part=[1, 1, 1, 0])).f
        == 3 / 4
    )
    # all in one part: half of them right
    assert (
        separated_score(reference, NoteTable.of([0, 1, 2, 3], [1, 2, 3, 4], [60, 61, 62, 63], part=[0] * 4)).f == 1 / 2
    )
