"""The scores of benchmarks/transcribe.py, on notes whose answers a person can count."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
transcribe_mixes = pytest.importorskip("transcribe_mixes")
transcribe_scores = pytest.importorskip("transcribe_scores", reason="mir_eval is not installed")
bars_agree = pytest.importorskip("transcribe_round_trip").bars_agree

PLAYED = np.array([(0.0, 1.0, 60, 0), (1.0, 2.0, 62, 0), (0.0, 1.0, 72, 1), (1.0, 2.0, 74, 1)])
"""Two parts of two notes."""


def test_note_f_counts_matches_of_all_parts():
    found = np.array([(0.04, 1.0, 60, 0), (1.06, 2.0, 62, 0), (0.0, 0.5, 72, 0)])  # right, late, right but short
    assert transcribe_scores.note_f(PLAYED, found) == pytest.approx(2 * 2 / (4 + 3))
    assert transcribe_scores.note_f(PLAYED, found, offsets=True) == pytest.approx(2 * 1 / (4 + 3))


def test_parts_may_be_numbered_in_any_order():
    found = PLAYED.copy()
    found[:, 3] = 7 - found[:, 3]
    assert transcribe_scores.parts_f(PLAYED, found) == transcribe_scores.PartsScore(1.0, 1.0)


def test_all_notes_in_one_part_where_two_were_played():
    found = PLAYED.copy()
    found[:, 3] = 0
    score = transcribe_scores.parts_f(PLAYED, found)
    assert score.pooled == pytest.approx(2 * 2 / (4 + 4))
    assert score.mean == pytest.approx((2 * 2 / (2 + 4)) / 2)


def test_one_part_found_as_two_counts_against_the_score():
    found = PLAYED[:2].copy()
    found[1, 3] = 1
    score = transcribe_scores.parts_f(PLAYED[:2], found)
    assert score.pooled == pytest.approx(2 * 1 / (2 + 2))
    assert score.mean == pytest.approx((2 * 1 / (2 + 1)) / 2)


def test_nothing_found_is_zero_and_no_error():
    nothing = np.zeros((0, 4))
    assert transcribe_scores.note_f(PLAYED, nothing) == 0
    assert transcribe_scores.parts_f(PLAYED, nothing).pooled == 0
    assert transcribe_scores.note_f(nothing, nothing) == 1


def test_interval_holds_the_mean_and_is_a_point_for_one_value():
    mean, low, high = transcribe_scores.interval([0.2, 0.4, 0.6, 0.8])
    assert mean == pytest.approx(0.5)
    assert 0.2 <= low < mean < high <= 0.8
    assert transcribe_scores.interval([0.3]) == pytest.approx((0.3, 0.3, 0.3))
    assert all(math.isnan(x) for x in transcribe_scores.interval([]))


def test_mixed_adds_and_stays_below_full_scale():
    quiet = transcribe_mixes.mixed([np.full(3, 0.25, np.float32), np.full(2, 0.5, np.float32)])
    assert quiet.tolist() == [0.75, 0.75, 0.25]
    loud = transcribe_mixes.mixed([np.full(2, 0.9, np.float32), np.array([0.9, 0.0], np.float32)])
    assert loud == pytest.approx([0.99, 0.495])


def test_bach10_has_20_parts_30_pairs_20_triples_5_quartets(monkeypatch, tmp_path):
    table = "part,onset_s,offset_s,pitch\n" + "".join(f"{part},0.1,0.5,60\n" for part in ("a", "b", "c", "d"))
    for piece in range(5):
        (tmp_path / f"{piece}-notes.csv").write_text(table)
    monkeypatch.setattr(transcribe_mixes, "_read", lambda path: np.full(4, 0.1, np.float32))
    mixes = list(transcribe_mixes.bach10_mixes(tmp_path))
    assert [sum(mix.parts == k for mix in mixes) for k in (1, 2, 3, 4)] == [20, 30, 20, 5]
    assert all(len(mix.notes) == mix.parts == len(set(mix.notes[:, 3])) for mix in mixes)
    assert len({mix.name for mix in mixes}) == 75


def test_bars_agree_wants_every_inner_bar_line_and_none_between():
    lines = np.array([0.0, 2.0, 4.0, 6.0, 8.0])
    assert bars_agree(lines, np.array([0.0, 2.05, 3.95, 6.0, 8.0, 10.0]))
    assert bars_agree(lines, np.array([-0.5, 0.4, 2.0, 4.0, 6.0]))  # what lies outside the inner bars is free
    assert not bars_agree(lines, np.array([0.0, 2.1, 4.0, 6.0, 8.0]))
    assert not bars_agree(lines, np.array([0.0, 2.0, 6.0, 8.0]))
    assert not bars_agree(lines, np.array([0.0, 2.0, 3.0, 4.0, 6.0, 8.0]))
