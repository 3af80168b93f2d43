"""Parts of notes whose timbres and registers are drawn by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meloctl.transcription.clustering import divided, margins
from meloctl.transcription.note_parts import note_probabilities, part_confidences, part_notes
from meloctl.transcription.notes import NoteTable
from meloctl.transcription.number_of_parts import MOST_FOUND, count_features, number_of_parts
from meloctl.transcription.part_refinement import note_costs, overlap_shares
from meloctl.transcription.part_weights import COUNT_FEATURES, CostWeights, PartWeights

BRIGHT, DARK = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)


def _line(pitches, embedding, *, first_s=0.0, length_s=0.5):
    """Notes one after another."""
    onset = first_s + length_s * np.arange(len(pitches))
    return onset, onset + length_s, np.asarray(pitches), np.tile(embedding, (len(pitches), 1))


def _table(*lines):
    onset, offset, pitch, embedding = (np.concatenate(some) for some in zip(*lines, strict=True))
    return NoteTable.of(onset, offset, pitch, embedding=embedding)


def _near(direction, count, rng, spread=0.15):
    drawn = np.asarray(direction) + spread * rng.normal(size=(count, 3))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_two_timbres_are_two_parts_and_the_higher_one_comes_first():
    notes = _table(_line([48, 50, 52, 53], DARK), _line([72, 74, 76, 77], BRIGHT))
    part = divided(notes, 2, CostWeights())
    assert part.tolist() == [1 if pitch < 60 else 0 for pitch in notes.pitch]


def test_one_timbre_in_two_registers_is_divided_by_register_where_two_parts_are_asked_for():
    notes = _table(_line([48, 50, 52, 53, 48, 47], BRIGHT), _line([72, 74, 76, 77, 74, 72], BRIGHT))
    part = divided(notes, 2, CostWeights())
    assert part.tolist() == [1 if pitch < 60 else 0 for pitch in notes.pitch]


def test_notes_that_sound_together_go_to_two_parts_where_timbre_does_not_tell_them_apart():
    lower, upper = _line([60, 62, 64, 65], BRIGHT), _line([64, 65, 67, 69], BRIGHT)
    notes = _table(lower, upper)
    part = divided(notes, 2, CostWeights())
    assert overlap_shares(notes, part).max() == 0.0


def test_chords_of_one_timbre_stay_one_part_beside_another_timbre():
    chords = [_line([48 + step, 50 + step, 52 + step], BRIGHT) for step in (0, 4, 7)]
    notes = _table(*chords, _line([60, 62, 64, 65, 67, 69], DARK, length_s=0.25))
    part = divided(notes, 2, CostWeights())
    assert (part == (notes.embedding[:, 0] == 1)).all()


def test_the_cost_of_a_note_is_timbre_and_register_and_overlap():
    notes = _table(_line([60], BRIGHT), _line([72], BRIGHT))
    costs = note_costs(notes, np.array([0, 0]), 1, CostWeights(octave=0.5, register_s=1.0, overlap=0.25))
    # the register of each: the other note with weight 1, the part's mean, half an octave away, with ½
    assert costs[:, 0].tolist() == pytest.approx([0.5 * 1.25 / 1.5 + 0.25] * 2, abs=1e-6)


def test_notes_that_touch_do_not_sound_together():
    touching = _table(_line([60, 62], BRIGHT))
    assert overlap_shares(touching, np.zeros(2, np.int64)).tolist() == [0, 0]


@pytest.mark.parametrize("parts", [1, 2, 5, 16])
def test_few_notes_and_many_parts(parts):
    for count in (0, 1, 3):
        notes = _table(_line([60] * count, BRIGHT))
        part = part_notes(notes, parts, PartWeights()).part
        assert len(part) == count
        assert set(part.tolist()) <= set(range(max(min(parts, count), 1)))


@given(st.integers(0, 40), st.integers(1, 6), st.integers(0, 1000))
def test_every_number_up_to_the_last_part_has_notes(count, parts, seed):
    rng = np.random.default_rng(seed)
    onset = rng.uniform(0, 10, count)
    embedding = rng.normal(size=(count, 4))
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True) if count else 1
    notes = NoteTable.of(onset, onset + rng.uniform(0.05, 2, count), rng.integers(21, 109, count), embedding=embedding)
    part = divided(notes, parts, CostWeights())
    assert sorted(set(part.tolist())) == list(range(int(part.max(initial=-1)) + 1))
    assert part.max(initial=0) < parts
    probability = note_probabilities(part_notes(notes, parts, PartWeights()), PartWeights())
    assert ((probability >= 0) & (probability <= 1)).all()


def test_margins_are_what_the_next_part_costs_more():
    notes = _table(_line([60, 60, 60], BRIGHT, length_s=1.0), _line([60, 60, 60], DARK, first_s=20, length_s=1.0))
    part = np.array([0, 0, 0, 1, 1, 1])
    assert margins(notes, part, CostWeights(octave=0.0, overlap=0.0)).tolist() == pytest.approx([1.0] * 6)
    assert np.isinf(margins(notes, np.zeros(6, np.int64), CostWeights())).all()


def test_a_part_apart_from_all_others_is_surer_than_one_like_another():
    rng = np.random.default_rng(0)
    clear = _table(_line([60] * 20, BRIGHT), _line([60] * 20, DARK))
    blurred = NoteTable.of(clear.onset, clear.offset, clear.pitch, embedding=_near((1, 1, 0), 40, rng))
    weights = PartWeights()
    of_clear = part_confidences(part_notes(clear, 2, weights), weights)
    of_blurred = part_confidences(part_notes(blurred, 2, weights), weights)
    assert min(of_clear) > max(of_blurred)


def test_the_features_of_one_part_and_of_two():
    notes = _table(_line([60] * 6, BRIGHT), _line([72] * 6, DARK))
    one, two = count_features(notes, CostWeights())[:2]
    assert len(one) == COUNT_FEATURES
    assert one[[0, 4, 5, 7]].tolist() == pytest.approx([1, 0, 1, 1], abs=1e-4)  # alone, no neighbour, all in overlap
    assert two[[0, 4, 5, 7]].tolist() == pytest.approx([0, 0, 0, 1], abs=1e-4)  # orthogonal, no overlap, equal shares


def test_one_steady_timbre_is_one_part_and_distinct_ones_that_overlap_are_as_many():
    rng = np.random.default_rng(1)
    lines = [(60, (1, 0, 0)), (67, (0, 1, 0)), (52, (0, 0, 1))]
    tables = []
    for count in (1, 2, 3):
        drawn = [_line(pitch + rng.integers(-4, 5, 24), d) for pitch, d in lines[:count]]
        embeddings = [_near(d, 24, rng) for _, d in lines[:count]]
        tables.append(_table(*[(a, b, p, e) for (a, b, p, _), e in zip(drawn, embeddings, strict=True)]))
    assert [number_of_parts(table, PartWeights()) for table in tables] == [1, 2, 3]


def test_the_number_of_parts_of_no_note_is_one_and_never_more_than_can_be_found():
    assert number_of_parts(_table(_line([], np.zeros(3))), PartWeights()) == 1
    rng = np.random.default_rng(2)
    notes = NoteTable.of(
        np.arange(200.0), np.arange(200.0) + 1, rng.integers(30, 90, 200), embedding=_near((0, 0, 0), 200, rng)
    )
    assert count_features(notes, CostWeights()).shape == (MOST_FOUND, COUNT_FEATURES)
