"""Beats, bars and metre of notes: planted ones are found, whatever the tempo does, and bad columns are refused."""

import numpy as np
import pytest
from played_notes import played

from analysis.errors import MeloError
from meloctl.beats.track_beats import track_beats


def share_found(true, found):
    """Share of times that have a found one within 70 ms."""
    return np.mean([np.abs(found - t).min() < 0.07 for t in true])


@pytest.mark.parametrize("bpm", [72, 120])
@pytest.mark.parametrize(("metre", "first"), [(4, 0), (3, 0), (4, 3)])
def test_planted_beats_and_bars_are_found(bpm, metre, first):
    columns, times, opens = played(24, metre, lambda b: 60 / bpm, first=first)
    beats = track_beats(*columns)
    assert share_found(times[4:-4], beats.times_s) > 0.9
    assert abs(len(beats.times_s) - len(times)) < 0.15 * len(times)
    assert share_found(times[opens][2:-2], beats.times_s[beats.downbeat]) > 0.8
    assert beats.metre == (metre, 4)
    assert beats.confidence > 0.3


def test_a_ritardando_is_followed():
    columns, times, _ = played(24, 4, lambda b: 0.5 if b < 64 else 0.5 * 1.015 ** (b - 64))
    beats = track_beats(*columns)
    assert share_found(times, beats.times_s) > 0.9
    assert abs(len(beats.times_s) - len(times)) < 10


def test_thirds_of_beats_make_a_compound_metre():
    columns, times, _ = played(32, 2, lambda b: 0.75, eighths=3)
    beats = track_beats(*columns)
    assert beats.metre[1] == 8
    assert share_found(times, beats.times_s) > 0.9


def test_times_may_begin_late_and_notes_come_in_any_order():
    columns, _, _ = played(16, 4, lambda b: 0.5)
    beats = track_beats(*columns)
    order = np.random.default_rng(1).permutation(len(columns[0]))
    onset, offset, pitch, velocity = (c[order] for c in columns)
    later = track_beats(onset + 100, offset + 100, pitch, velocity)
    assert later.times_s - 100 == pytest.approx(beats.times_s, abs=1e-6)
    assert later.downbeat.tolist() == beats.downbeat.tolist()


def test_few_notes_have_no_beats():
    assert track_beats([], [], []) is None
    assert track_beats([0, 1, 2], [1, 2, 3], [60, 61, 62]) is None


@pytest.mark.parametrize(
    ("onset", "message"),
    [
        ([0.0, 1.0], "one length"),
        ([-1.0] * 9, "seconds from 0 on"),
        ([float("nan")] * 9, "seconds"),
        ([1e6] * 9, "at most"),
    ],
)
def test_bad_columns_are_refused(onset, message):
    with pytest.raises(MeloError, match=message):
        track_beats(onset, np.full(9, 2e6), np.full(9, 60))


def test_music_shorter_than_the_reach_of_the_network():
    onset = 0.5 * np.arange(12)
    found = track_beats(onset, onset + 0.4, np.full(12, 60))
    assert found is None or len(found.times_s) >= 2


@pytest.mark.parametrize("factor", [0.5, 1, 2])
def test_a_given_tempo_is_kept_to(factor):
    columns, _, _ = played(24, 4, lambda b: 0.5)
    beats = track_beats(*columns, tempo=120 * factor)
    assert np.median(beats.tempo) == pytest.approx(120 * factor, rel=0.1)


def test_a_given_signature_is_that_of_all_bars():
    columns, _, _ = played(24, 4, lambda b: 0.5)
    beats = track_beats(*columns, signature=(3, 4))
    assert beats.metre == (3, 4)
    assert set(np.diff(np.flatnonzero(beats.downbeat)).tolist()) == {3}
    assert track_beats(*columns, signature=(6, 8)).metre == (6, 8)


def test_a_tempo_that_no_music_has_is_refused():
    with pytest.raises(MeloError, match="quarter notes a minute"):
        track_beats([], [], [], tempo=2000)
