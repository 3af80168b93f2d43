"""Attributes and features of bars: values that a person can derive, and properties of any piece."""

import math

import numpy as np
import pytest
from conftest import piece_of
from hypothesis import given
from strategies import pieces

from analysis.errors import MeloError
from analysis.midi import read_midi
from analysis.piece import Part
from meloctl.dataset.augment import shift_tempo, transpose
from meloctl.rows.attribute_scale import AttributeScale, attribute_scale
from meloctl.rows.attributes import ATTRIBUTES, bar_attributes, piece_attributes, piece_sums
from meloctl.rows.bar_features import N_FEATURES, piece_features
from meloctl.rows.codec import encode
from meloctl.rows.vocabulary import VELOCITY, default_vocabulary

V = default_vocabulary()
TEMPO, DENSITY, REGISTER, LOUDNESS, ARTICULATION, LEAPS, MODE, PARTS = range(len(ATTRIBUTES))
PIANO, BASS = Part(program=0, is_drum=False), Part(program=33, is_drum=False)
DRUMS = Part(program=0, is_drum=True)


def measured(notes, **more):
    """Attributes of the bars of notes (part, onset, duration, pitch) at 12 ticks a quarter."""
    return bar_attributes(encode(piece_of(notes, **more), V)[0], V)


def test_a_bar_of_four_quarter_notes():
    (bar,) = measured([(0, 0, 12, 60), (0, 12, 12, 64), (0, 24, 12, 60), (0, 36, 12, 72)], parts=(PIANO,))
    assert bar[TEMPO] == pytest.approx(math.log2(120), abs=0.02)
    assert bar[DENSITY] == 0  # one note a quarter
    assert bar[REGISTER] == pytest.approx(4 / 12)
    assert bar[ARTICULATION] == 0  # each note lasts until the next, the last one until the bar line
    assert bar[LEAPS] == pytest.approx((4 + 4 + 12) / 3)
    assert bar[PARTS] == 0
    assert bar[MODE] > 0  # C, E and C


def test_short_notes_are_staccato_and_a_chord_is_one_onset():
    chord = [(0, 0, 6, pitch) for pitch in (60, 64, 67)]
    (bar,) = measured([*chord, (0, 24, 6, 69)], parts=(PIANO,))
    assert bar[ARTICULATION] == -2  # a quarter of the time to the next onset, and to the bar line
    assert bar[LEAPS] == 2  # from the chord's highest note
    assert bar[DENSITY] == 0


def test_leaps_and_lengths_are_those_of_one_part():
    apart = [(0, 0, 24, 40), (1, 0, 12, 80), (0, 24, 24, 43), (1, 12, 12, 81), (1, 24, 24, 83)]
    (bar,) = measured(apart, parts=(BASS, PIANO))
    assert bar[LEAPS] == pytest.approx((3 + 1 + 2) / 3)
    assert bar[ARTICULATION] == 0
    assert bar[PARTS] == 1


def test_drums_are_dense_and_loud_and_have_no_pitch():
    (bar,) = measured([(0, k, 3, 36) for k in range(0, 48, 6)], parts=(DRUMS,))
    assert bar[DENSITY] == 1
    assert np.isfinite(bar[[TEMPO, LOUDNESS, PARTS]]).all()
    assert np.isnan(bar[[REGISTER, ARTICULATION, LEAPS, MODE]]).all()


def test_an_empty_bar_has_a_tempo_alone():
    bars = measured([(0, 0, 12, 60), (0, 96, 12, 60)], parts=(PIANO,))
    assert np.isfinite(bars[1]).tolist() == [True, *[False] * 7]


def test_a_minor_chord_is_minor():
    (major,) = measured([(0, 0, 48, p) for p in (60, 64, 67)], parts=(PIANO,))
    (minor,) = measured([(0, 0, 48, p) for p in (60, 63, 67)], parts=(PIANO,))
    assert minor[MODE] < 0 < major[MODE]


@given(pieces())
def test_transposing_moves_the_register_alone_and_tempo_the_tempo_alone(piece):
    rows, _ = encode(piece, V)
    before = bar_attributes(rows, V)
    moved = transpose(rows, 1, V)
    if moved is not rows:
        after = bar_attributes(moved, V)
        np.testing.assert_allclose(
            after[:, REGISTER] - before[:, REGISTER], np.where(np.isnan(before[:, 2]), np.nan, 1 / 12)
        )
        others = [a for a in range(8) if a != REGISTER]
        np.testing.assert_allclose(after[:, others], before[:, others], atol=1e-9)
    faster = shift_tempo(rows, 24, V)
    if faster is not rows:
        np.testing.assert_allclose(bar_attributes(faster, V)[:, TEMPO] - before[:, TEMPO], 1, atol=1e-3)


@given(pieces())
def test_attributes_do_not_depend_on_the_order_of_rows_and_spans_are_sums(piece):
    rows, _ = encode(piece, V)
    sums = piece_sums(rows, V)
    whole = piece_attributes(rows, V)
    half = len(sums.bars) // 2
    counts = [float(sums.of(part).notes[0]) for part in (slice(0, half), slice(half, None))]
    loudness = [sums.of(part).attributes()[0, LOUDNESS] for part in (slice(0, half), slice(half, None))]
    heard = [n * x for n, x in zip(counts, loudness, strict=True) if n]
    assert sum(heard) / sum(counts) == pytest.approx(whole[LOUDNESS])
    features = piece_features(rows, V)
    assert features.values.shape == (len(sums.bars), N_FEATURES)
    assert np.isfinite(features.values).all()
    assert (features.known == np.isfinite(sums.attributes())).all()


def test_features_say_where_in_a_beat_notes_begin_and_who_plays():
    """On the quarter, on its half, on a fourth, on a third and elsewhere; a bass and drums."""
    onsets = [(0, 0), (0, 12), (0, 18), (0, 27), (0, 40), (1, 37)]
    piece = piece_of([(part, onset, 1, 40) for part, onset in onsets], parts=(BASS, DRUMS))
    (values,) = piece_features(encode(piece, V)[0], V).values
    families, places, chroma = np.split(values[11:], [17, 22])[0], values[28:33], values[33:45]
    np.testing.assert_allclose(families[[4, 16]], [np.log2(6) / 3, np.log2(2) / 3])
    assert np.count_nonzero(families) == 2
    np.testing.assert_allclose(places, np.array([2, 1, 1, 1, 1]) / 6)
    assert np.flatnonzero(chroma).tolist() == [40 % 12]
    np.testing.assert_allclose(values[45:47], (40 - 60) / 24)


def test_louder_rows_are_louder():
    rows, _ = encode(piece_of([(0, 0, 12, 60)], parts=(PIANO,)), V)
    loud = rows.copy()
    loud[rows[:, VELOCITY] >= 0, VELOCITY] = V.velocities.index(127)
    assert piece_attributes(loud, V)[LOUDNESS] == 1 > piece_attributes(rows, V)[LOUDNESS]


def test_a_scale_is_of_pieces_alike_and_turns_both_ways():
    random = np.random.default_rng(0)
    one, other = random.normal(3, 1, (5, 8)), random.normal(5, 1, (500, 8))
    scale = attribute_scale([one, other])
    np.testing.assert_allclose(scale.mean, (one.mean(axis=0) + other.mean(axis=0)) / 2)
    np.testing.assert_allclose(scale.attributes(scale.levels(one)), one)
    assert AttributeScale.from_json(scale.to_json()) == scale


def test_a_scale_of_what_never_differs_is_refused():
    with pytest.raises(MeloError, match="tempo never differ"):
        attribute_scale([np.concatenate([np.ones((4, 1)), np.random.default_rng(0).normal(size=(4, 7))], axis=1)])
    with pytest.raises(MeloError):
        AttributeScale(mean=(0.0,) * 8, deviation=(0.0,) * 8)


def test_real_music_is_where_people_would_put_it(real):
    for path in real("quartets")[:5]:
        attributes = piece_attributes(encode(read_midi(path), V)[0], V)
        assert 4.5 < attributes[TEMPO] < 8.5
        assert -1 < attributes[REGISTER] < 2
        assert 0 < attributes[PARTS] <= 2.1
