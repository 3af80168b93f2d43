"""Weights of parts, fitted on mixes that are drawn by hand."""

import numpy as np
import pytest

from meloctl.transcription.clustering import divided
from meloctl.transcription.note_parts import note_probabilities, part_notes
from meloctl.transcription.note_scores import matched, partners
from meloctl.transcription.notes import NO_PART, NoteTable
from meloctl.transcription.part_fitting import (
    count_score,
    fitted_calibration,
    fitted_cost,
    fitted_count,
    fitted_parts,
    mean_separated_f,
    part_example,
    separated_f,
)
from meloctl.transcription.part_weights import CostWeights, PartWeights


def _mix(parts, seed, notes=16, spread=0.2):
    """(the notes that were played, the same with directions of timbre as they were found), one line a part."""
    rng = np.random.default_rng(seed)
    onset = np.tile(0.5 * np.arange(notes), parts)
    part = np.repeat(np.arange(parts), notes)
    pitch = 76 - 7 * part + rng.integers(-3, 4, len(part))
    embedding = np.eye(6)[part] + spread * rng.normal(size=(len(part), 6))
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    confidence = rng.uniform(0.5, 1, len(part))
    played = NoteTable.of(onset, onset + 0.5, pitch, part=part)
    return played, NoteTable.of(onset, onset + 0.5, pitch, part=part, embedding=embedding, confidence=confidence)


def _examples(seeds=6, most=4, **how):
    return [part_example(*_mix(k, 10 * k + s, **how), k) for k in range(1, most + 1) for s in range(seeds)]


def test_partners_of_notes():
    played = NoteTable.of([0.0, 1.0, 1.0], [0.5, 1.5, 1.5], [60, 60, 64])
    found = NoteTable.of([0.02, 0.04, 1.0, 1.06], [0.5, 0.5, 1.5, 1.5], [60, 60, 64, 60])
    pairs = partners(played, found)
    assert sorted(pairs[:2].tolist()) == [-1, 0]  # one of two estimates of one note
    assert pairs[2:].tolist() == [2, -1]  # 60 ms are too late
    assert matched(played, found) == 2
    assert partners(played, found.take(np.zeros(0, np.int64))).shape == (0,)
    assert partners(played.take(np.zeros(0, np.int64)), found).tolist() == [-1] * 4


def test_an_example_knows_which_notes_are_right():
    played = NoteTable.of([0.0, 1.0], [0.5, 1.5], [60, 64], part=[0, 1])
    found = NoteTable.of([0.0, 1.0, 2.0], [0.5, 1.5, 2.5], [60, 64, 64], embedding=np.eye(3))
    example = part_example(played, found, 2)
    assert example.true_part.tolist() == [0, 1, NO_PART]
    # two of three found notes, both played ones: 2 · 2 / (2 + 3), however parts are numbered
    assert separated_f(example, np.array([1, 0, 0])) == pytest.approx(4 / 5)
    assert separated_f(example, np.array([0, 0, 0])) == pytest.approx(2 / 5)


def test_no_notes_score_nothing():
    none = NoteTable.of([], [], [], embedding=np.zeros((0, 3)))
    example = part_example(none, none, 2)
    assert separated_f(example, divided(none, 2, CostWeights())) == 0.0
    assert mean_separated_f([], CostWeights()) == 0.0
    assert fitted_parts([example, example]) == PartWeights()
    assert count_score([example], [], CostWeights()).confusion.sum() == 0


def test_a_fitted_cost_is_never_worse_than_the_default():
    examples = _examples(seeds=2, spread=0.45)
    several = [example for example in examples if example.parts > 1]
    assert mean_separated_f(several, fitted_cost(examples)) >= mean_separated_f(several, CostWeights())


def test_the_number_of_parts_is_found_where_timbres_are_clear():
    examples = _examples()
    score = count_score(examples, [], CostWeights())
    assert score.confusion.sum() == len(examples)
    assert (score.right >= 0.8).all()
    assert (score.error <= 0.2).all()
    assert len(fitted_count(examples, CostWeights()).weights) == 9


def test_confidence_is_near_the_share_of_notes_that_are_right():
    examples = _examples(spread=0.5)
    fitted = fitted_parts(examples)
    stated, right = [], []
    for example in examples:
        notes = part_notes(example.notes, example.parts, fitted)
        stated.append(note_probabilities(notes, fitted).mean() * len(notes))
        right.append(separated_f(example, notes.part) * len(notes))  # all notes are found, so F is the share
    assert sum(stated) == pytest.approx(sum(right), rel=0.05)


def test_calibration_raises_the_odds_with_the_margin():
    assert fitted_calibration(_examples(spread=0.6), CostWeights()).margin > 0
