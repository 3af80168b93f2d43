"""Metrics of pieces: answers derived by hand, and agreement with muspy where the two mean the same."""

import math

import numpy as np
import pytest
from conftest import piece_of
from hypothesis import given
from strategies import pieces

from analysis.intervals import (
    difference_estimates,
    mean_estimates,
    resample_counts,
    resample_means,
)
from analysis.piece import Part
from meloctl.evaluation.metrics import (
    METRICS,
    empty_bars,
    groove_consistency,
    piece_metrics,
    pitch_class_entropy,
    pitch_range,
    polyphony,
    scale_consistency,
)

NAMES = [m.name for m in METRICS]
DRUMS = Part(program=0, is_drum=True)
PIANO = Part(program=0, is_drum=False)


def metrics_of(piece):
    return dict(zip(NAMES, piece_metrics(piece).tolist(), strict=True))


def sounding(piece):
    pitched = ~np.array([p.is_drum for p in piece.parts])[piece.notes.part]
    return polyphony(piece.notes, pitched)


def test_entropy_of_one_two_and_four_pitch_classes():
    assert pitch_class_entropy(np.array([60, 72, 48])) == 0  # C in three octaves
    assert pitch_class_entropy(np.array([60, 67])) == 1
    assert pitch_class_entropy(np.array([60, 60, 64, 67])) == pytest.approx(1.5)  # 1/2, 1/4, 1/4
    assert pitch_class_entropy(np.arange(60, 72)) == pytest.approx(math.log2(12))
    assert math.isnan(pitch_class_entropy(np.zeros(0, dtype=np.int64)))


def test_scale_consistency_counts_notes_in_the_best_scale():
    c_major = np.array([60, 62, 64, 65, 67, 69, 71])
    assert scale_consistency(c_major) == 1
    assert scale_consistency(c_major + 3) == 1
    assert scale_consistency(np.append(c_major, 61)) == pytest.approx(7 / 8)
    assert scale_consistency(np.arange(60, 72)) == pytest.approx(7 / 12)
    assert scale_consistency(np.array([57, 59, 60, 62, 64, 65, 67])) == 1  # natural minor
    assert math.isnan(scale_consistency(np.zeros(0, dtype=np.int64)))


def test_groove_of_two_bars_that_differ_in_three_onsets():
    first = [(0, t, 6, 60) for t in (0, 12, 24, 36)]
    second = [(0, 48 + t, 6, 60) for t in (0, 12, 30)]  # 24 and 36 are gone, 30 is new
    assert groove_consistency(piece_of(first + second)) == pytest.approx(1 - 3 / 48)


def test_groove_has_48_positions_in_a_bar_of_any_length():
    waltz = [(0, 36 * b + t, 6, 60) for b in range(2) for t in (0, 12 if b else 24)]  # positions 0, 32; then 0, 16
    assert groove_consistency(piece_of(waltz, signatures=[(0, 3, 4)])) == pytest.approx(1 - 2 / 48)


def test_groove_does_not_depend_on_the_files_resolution():
    notes = [(0, 48 * b + t, 6, 60) for b in range(3) for t in ((0, 12, 30), (0, 24), (6, 12))[b]]
    finer = [(p, 40 * t, 40 * d, q) for p, t, d, q in notes]
    assert groove_consistency(piece_of(notes)) == groove_consistency(piece_of(finer, ticks_per_quarter=480))


def test_an_onset_just_before_the_bar_line_is_the_first_of_the_bar_that_it_opens():
    notes = [(0, 0, 10, 60), (0, 1880, 10, 60), (0, 1919, 10, 60), (0, 1920 + 1899, 10, 60)]
    assert groove_consistency(piece_of(notes, ticks_per_quarter=480)) == 1  # 0 and 47 in both bars


def test_an_early_onset_is_the_first_of_its_bar_in_short_bars_too():
    # 3/4 at 480 ticks: a position is 30 ticks, an onset up to 20 before the bar line is the next bar's
    notes = [(0, 0, 10, 60), (0, 1420, 10, 60), (0, 2880, 10, 60)]
    assert groove_consistency(piece_of(notes, signatures=[(0, 3, 4)], ticks_per_quarter=480)) == 1


def test_groove_counts_drums_and_needs_two_bars():
    notes = [(0, 0, 6, 60), (0, 48, 6, 60), (1, 24, 6, 36)]
    assert groove_consistency(piece_of(notes, parts=(PIANO, DRUMS))) == pytest.approx(1 - 1 / 48)
    assert math.isnan(groove_consistency(piece_of([(0, 0, 6, 60)])))


def test_polyphony_of_a_chord_then_one_note_then_silence():
    chord = [(0, 0, 12, 60), (0, 0, 12, 64), (0, 0, 12, 67), (0, 0, 24, 72)]  # four for 12 ticks, one for 12
    piece = piece_of([*chord, (1, 36, 12, 36)], parts=(PIANO, DRUMS))  # drums: the piece lasts 48 ticks
    assert sounding(piece) == (pytest.approx((4 * 12 + 12) / 24), pytest.approx(12 / 48))


def test_two_pitches_are_not_more_than_two():
    assert sounding(piece_of([(0, 0, 12, 60), (0, 0, 12, 64)])) == (2, 0)


def test_a_pitch_that_two_parts_hold_counts_once():
    assert sounding(piece_of([(0, 0, 12, 60), (1, 6, 12, 60)])) == (1, 0)


def test_pitch_range_is_of_each_part():
    assert pitch_range(np.array([60, 72, 40, 45]), np.array([0, 0, 2, 2])) == pytest.approx((12 + 5) / 2)


def test_empty_bars_are_those_without_a_sounding_note():
    notes = [(0, 0, 60, 60), (0, 4 * 48, 12, 60)]  # held into bar 1; bars 2 and 3 are silent
    assert empty_bars(piece_of(notes)) == pytest.approx(2 / 5)
    ends_on_the_line = [(0, 0, 48, 60), (0, 2 * 48, 12, 60)]
    assert empty_bars(piece_of(ends_on_the_line)) == pytest.approx(1 / 3)


def test_all_metrics_of_a_small_piece():
    piece = piece_of([(0, 0, 24, 60), (0, 24, 24, 67), (1, 0, 12, 36), (1, 48, 12, 36)], parts=(PIANO, DRUMS))
    assert metrics_of(piece) == {
        "pitch-class entropy": 1,
        "scale consistency": 1,
        "groove consistency": pytest.approx(1 - 1 / 48),
        "note density": 2,
        "polyphony": 1,
        "polyphony rate": 0,
        "pitch range of a part": 7,
        "parts": 2,
        "empty bars": 0,
    }


def test_drums_alone_have_no_pitch():
    numbers = metrics_of(piece_of([(0, 0, 12, 36), (0, 48, 12, 36)], parts=(DRUMS,)))
    assert [n for n, v in numbers.items() if math.isnan(v)] == [
        *("pitch-class entropy", "scale consistency", "polyphony", "polyphony rate", "pitch range of a part"),
    ]


@given(pieces())
def test_metrics_are_within_their_bounds(piece):
    numbers = metrics_of(piece)
    for name in ("scale consistency", "groove consistency", "polyphony rate", "empty bars"):
        assert math.isnan(numbers[name]) or 0 <= numbers[name] <= 1
    assert math.isnan(numbers["polyphony"]) or numbers["polyphony"] >= 1
    assert math.isnan(numbers["pitch-class entropy"]) or 0 <= numbers["pitch-class entropy"] <= math.log2(12) + 1e-9


@given(pieces())
def test_polyphony_is_that_of_a_piano_roll(piece):
    notes = piece.notes
    pitched = ~np.array([p.is_drum for p in piece.parts])[notes.part]
    end = notes.onset_tick + np.maximum(notes.duration_tick, 1)
    roll = np.zeros((end.max(), 128), dtype=bool)
    for a, b, p in zip(notes.onset_tick[pitched], end[pitched], notes.pitch[pitched], strict=True):
        roll[a:b, p] = True
    many = roll.sum(axis=1)
    if pitched.any():
        assert sounding(piece) == (pytest.approx(many.sum() / (many > 0).sum()), pytest.approx((many > 2).mean()))


def muspy_piece():
    """Three bars for piano, chords and drums; the last note ends inside the third."""
    tune = [(0, 0, 12, 60), (0, 12, 12, 64), (0, 24, 24, 67), (0, 48, 12, 60), (0, 60, 12, 62), (0, 72, 24, 69)]
    low = [(1, 0, 24, 48), (1, 24, 24, 43), (1, 48, 48, 41), (1, 0, 24, 52), (1, 0, 24, 55), (0, 96, 12, 61)]
    drums = [(2, t, 6, 36) for t in (0, 24, 48, 72, 84)]
    return piece_of(tune + low + drums, parts=(PIANO, PIANO, DRUMS))


MUSPY = [
    # muspy 0.5.0's function on that piece (12 steps a quarter, 48 a measure), what it gave, our name
    ("pitch_class_entropy", 2.6258145836939115, "pitch-class entropy"),
    ("scale_consistency", 0.9166666666666666, "scale consistency"),
    ("polyphony", 2.3333333333333335, "polyphony"),
    ("polyphony_rate", 0.2222222222222222, "polyphony rate"),
    ("groove_consistency", 0.9583333333333334, "groove consistency"),
    ("empty_measure_rate", 0.0, "empty bars"),
]


@pytest.mark.parametrize(("function", "value", "name"), MUSPY)
def test_metrics_are_muspys_on_its_own_grid(function, value, name):
    assert metrics_of(muspy_piece())[name] == pytest.approx(value, abs=1e-12)


def test_metrics_are_those_of_muspy_itself():
    muspy = pytest.importorskip("muspy", reason="muspy is not installed; its numbers are written down above")
    piece, notes = muspy_piece(), muspy_piece().notes
    tracks = [muspy.Track(is_drum=p.is_drum) for p in piece.parts]
    for time, duration, pitch, part in zip(notes.onset_tick, notes.duration_tick, notes.pitch, notes.part, strict=True):
        tracks[part].notes.append(muspy.Note(time=int(time), duration=int(duration), pitch=int(pitch)))
    music = muspy.Music(resolution=12, tracks=tracks)
    for function, value, _ in MUSPY:
        more = {"measure_resolution": 48} if function in ("groove_consistency", "empty_measure_rate") else {}
        assert getattr(muspy, function)(music, **more) == pytest.approx(value, abs=1e-12)


def test_groove_leaves_out_the_bar_that_muspy_finds_behind_a_full_one():
    first = [(0, t, 12, 60) for t in (0, 12, 24, 36)]
    second = [(0, 48 + t, 12, 60) for t in (0, 12, 36)]  # ends at 96; muspy counts 96 // 48 + 1 = 3 bars
    ours, muspys = 1 - 1 / 48, 1 - (1 + 3) / (2 * 48)
    assert groove_consistency(piece_of(first + second)) == pytest.approx(ours)
    assert ours != pytest.approx(muspys)


def test_mean_over_pieces_with_an_interval():
    values = np.array([[1.0, np.nan], [3.0, 5.0]])
    mean, rare = mean_estimates(values, np.random.default_rng(0))
    assert (mean.value, mean.low, mean.high) == (
        2,
        1,
        3,
    )  # of two pieces a quarter of all draws is 1 alone, a quarter 3
    assert rare.value == 5
    assert math.isnan(rare.low)  # one piece does not show how pieces vary
    assert math.isnan(rare.high)


def test_an_interval_holds_the_mean_in_95_of_100_cases():
    random = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        (mean,) = mean_estimates(random.normal(7.0, 2.0, (60, 1)), random)
        held += mean.low <= 7 <= mean.high
    assert 175 <= held <= 198


def test_a_metric_that_no_piece_has_has_no_mean():
    (nothing,) = mean_estimates(np.full((3, 1), np.nan), np.random.default_rng(0))
    assert all(math.isnan(x) for x in (nothing.value, nothing.low, nothing.high))


def test_difference_of_means():
    one, other = np.full((4, 1), 3.0), np.full((5, 1), 1.0)
    (difference,) = difference_estimates(one, other, np.random.default_rng(0))
    assert (difference.value, difference.low, difference.high) == (2, 2, 2)
    (none,) = difference_estimates(one, one, np.random.default_rng(0))
    assert none.value == 0


def test_resamples_hold_as_many_pieces_as_there_are():
    counts = resample_counts(7, np.random.default_rng(0))
    assert set(counts.sum(axis=1)) == {7}
    values = np.arange(7.0)[:, None]
    assert resample_means(values, np.ones((1, 7)))[0, 0] == 3
