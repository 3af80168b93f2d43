"""Ticks of beats: beats at whole beats, downbeats at bar lines, every second where it was."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.piece import Notes, Part, Piece
from meloctl.beats.beat_ticks import TICKS_PER_QUARTER, beat_ticks, beats_of_bar
from meloctl.beats.beats import Beats


def beats(times, downbeats=(), metre=(4, 4)):
    times = np.asarray(times, dtype=np.float64)
    return Beats(times_s=times, downbeat=np.isin(np.arange(len(times)), downbeats), metre=metre)


def signatures(ticks):
    bars = ticks.bars
    return list(zip(bars.signature_tick.tolist(), bars.numerator.tolist(), bars.denominator.tolist(), strict=True))


def test_steady_beats_have_one_round_tempo():
    jitter = np.random.default_rng(1).uniform(-0.008, 0.008, 64)
    jitter[0] = 0
    ticks = beat_ticks(beats(0.5 * np.arange(64) + jitter, range(0, 64, 4)), 32.0)
    assert ticks.tempo.tolist() == [120.0]
    assert signatures(ticks) == [(0, 4, 4)]
    assert ticks.ticks_at([0.0, 0.5, 2.0, 31.9]).tolist() == [0, 480, 1920, 30624]


def test_a_pickup_is_a_short_first_bar():
    ticks = beat_ticks(beats([0.5, 1.0, 1.5, 2.0, 2.5, 3.0], [1, 5]), 3.0)  # one beat of rest comes before the first
    assert signatures(ticks) == [(0, 2, 4), (960, 4, 4)]
    assert ticks.bars.start_tick([0, 1, 2]).tolist() == [0, 960, 2880]


def test_a_first_beat_close_to_the_start_is_moved_there():
    ticks = beat_ticks(beats([0.1, 0.6, 1.1, 1.6], [0]), 2.0)
    assert signatures(ticks) == [(0, 4, 4)]
    assert ticks.ticks_at([0.0]).tolist() == [0]
    assert abs(ticks.ticks_at([1.1])[0] - 960) < 20


def test_bars_of_other_lengths_get_their_own_signature():
    ticks = beat_ticks(beats(0.5 * np.arange(12), [0, 4, 7, 11]), 5.5)
    assert signatures(ticks) == [(0, 4, 4), (1920, 3, 4), (3360, 4, 4)]


def test_missing_downbeats_are_filled_in():
    ticks = beat_ticks(beats(0.5 * np.arange(17), [4]), 8.0)
    assert signatures(ticks) == [(0, 4, 4)]
    assert signatures(beat_ticks(beats(0.5 * np.arange(9)), 4.0)) == [(0, 4, 4)]


def test_compound_metres_count_dotted_beats():
    assert beats_of_bar((6, 8)) == (2, 1.5)
    assert beats_of_bar((3, 8)) == (3, 0.5)
    assert beats_of_bar((2, 2)) == (2, 2.0)
    ticks = beat_ticks(beats([0, 0.6, 1.2, 1.8], [1, 3], (6, 8)), 1.8)
    assert signatures(ticks) == [(0, 3, 8), (720, 6, 8)]
    assert ticks.tempo.tolist() == pytest.approx([150.0], abs=0.001)


def test_without_beats_the_tempo_is_constant():
    ticks = beat_ticks(None, 9.0, tempo=90, signature=(3, 4))
    assert signatures(ticks) == [(0, 3, 4)]
    assert ticks.ticks_at([2 / 3]).tolist() == [480]
    assert beat_ticks(None, 9.0).tempo.tolist() == [120.0]


def test_a_change_of_tempo_is_followed():
    times = np.concatenate([0.5 * np.arange(9), 4 + 0.4 * np.arange(1, 9)])
    ticks = beat_ticks(beats(times, range(0, 17, 4)), 7.2)
    assert ticks.tempo[0] == 120.0
    assert ticks.tempo[-1] == pytest.approx(150.0, abs=1)
    assert np.abs(ticks.ticks_at(times) - 480 * np.arange(17)).max() <= 20 * 480 // 400


@given(
    start=st.floats(0, 3),
    steps=st.lists(st.floats(0.15, 2.0), min_size=1, max_size=40),
    metre=st.sampled_from([(4, 4), (3, 4), (2, 2), (6, 8), (12, 8), (5, 4)]),
    seed=st.integers(0, 99),
)
def test_seconds_stay_and_beats_lie_near_their_ticks(start, steps, metre, seed):
    random = np.random.default_rng(seed)
    times = start + np.cumsum([0.0, *steps])
    marks = np.flatnonzero(random.random(len(times)) < 0.3)
    end = times[-1] + 5
    ticks = beat_ticks(beats(times, marks, metre), end)
    seconds = random.uniform(0, end, 30)
    piece = Piece(
        parts=(Part(program=0, is_drum=False),),
        notes=Notes.of([0], [1], [60], [64], [0]),
        bars=ticks.bars,
        tempo_tick=ticks.tempo_tick,
        tempo=ticks.tempo,
    )
    found = ticks.ticks_at(seconds)
    assert (found >= 0).all()
    a_tick = 60 / ticks.tempo.min() / TICKS_PER_QUARTER
    np.testing.assert_allclose(piece.seconds_at(found), seconds, atol=a_tick)
    per_beat = beats_of_bar(metre)[1] * TICKS_PER_QUARTER
    off = np.abs(piece.seconds_at(np.rint(np.rint(ticks.ticks_at(times[1:]) / per_beat) * per_beat)) - times[1:])
    assert off.max(initial=0) <= 0.021 + a_tick
    assert np.isin(ticks.bars.signature_tick % per_beat, [0]).all()
