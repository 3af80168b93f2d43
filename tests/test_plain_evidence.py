"""The slow reference for four measures, families and peaks, against answers by hand, and what holds for any file.

A quarter is 12 ticks unless a test says otherwise, so a tick is a grid step and a 4/4 bar is 48 ticks.
"""

import json
import math
import random
import subprocess
import sys
from fractions import Fraction

import pytest
from conftest import ROOT
from hypothesis import given, settings
from plain_evidence import MEASURES, corpus_tables, family_sums, json_tables, offset_sums, step
from plain_offsets import corpus_table
from strategies import pieces
from tracks import one_part, track, write_tracks

from analysis.midi_write import write_midi

HALF = Fraction(1, 2)


def sums(path, measure):
    """(relation, offset) -> (pairs, sum) of one file."""
    by_offset = offset_sums(family_sums(path))
    return {(relation, k): row[:2] for (name, relation, k), row in by_offset.items() if name == measure}


def families(path, measure):
    return {key[1:]: row[:2] for key, row in family_sums(path).items() if key[0] == measure}


# The grid


@pytest.mark.parametrize(
    ("ticks", "division", "expected"),
    [
        (0, 480, 0),
        (19, 480, 0),
        (20, 480, 1),
        (59, 480, 1),
        (60, 480, 2),
        (1, 24, 1),
        (1, 25, 0),
        (1, 8, 2),
        (1, 1, 12),
    ],
)
def test_steps_round_to_the_nearest_and_halves_up(ticks, division, expected):
    assert step(ticks, division) == expected == (2 * ticks * 12 + division) // (2 * division)


# Pairs of bars, measure by measure


def test_note_jaccard_wants_pitch_onset_and_duration_equal(tmp_path):
    first = [(0, 12, 60), (12, 12, 62), (24, 12, 64)]
    second = [(48, 12, 60), (60, 11, 62), (73, 12, 64)]  # the same; shorter; later
    third = [(96, 12, 72), (108, 12, 62)]  # an octave up; the same as in the first bar
    path = write_tracks(tmp_path, track([*first, *second, *third]))
    assert sums(path, "note-jaccard") == {("same", 1): (2, Fraction(1, 5)), ("same", 2): (1, Fraction(1, 4))}


def test_note_jaccard_is_taken_on_the_grid(tmp_path):
    # 480 ticks a quarter, 40 a step, bars of 1920: equal up to 19 late or short, other from 20 on
    first = [(0, 480, 60), (960, 0, 67)]
    second = [(1920 + 19, 461, 60), (1920 + 960 - 20, 59, 67)]
    third = [(3840 + 20, 480, 60), (3840 + 960, 60, 67)]
    path = write_tracks(tmp_path, track([*first, *second, *third]), division=480)
    # (60, 0, 12), (67, 24, 1) | the same: a note has a step at least, halves go up | (60, 1, 12), (67, 24, 2)
    assert sums(path, "note-jaccard") == {("same", 1): (2, 1), ("same", 2): (1, 0)}


def test_a_note_just_before_the_bar_line_belongs_to_the_bar_that_it_opens(tmp_path):
    # at 480 a quarter tick 1919 is nearest to the second bar's first step, 1899 (21 ticks before it) is not
    path = write_tracks(tmp_path, track([(1899, 40, 60), (1919, 40, 60), (1930, 40, 62), (3839, 40, 60)]), division=480)
    assert sums(path, "note-jaccard") == {("same", 1): (2, HALF), ("same", 2): (1, 0)}
    assert sums(path, "onset-jaccard") == {("same", 1): (2, 1), ("same", 2): (1, 0)}


def test_two_equal_notes_of_one_cell_are_one(tmp_path):
    path = write_tracks(tmp_path, track([(0, 12, 60), (0, 12, 60), (48, 12, 60)]))
    assert sums(path, "note-jaccard") == {("same", 1): (1, 1)}


def test_pc_cosine_is_weighted_by_duration(tmp_path):
    # C for 3 ticks and E for 4, then C alone: 3 / 5; octaves add: C for 1 and 2, in the third bar, with E for 4: 3 / 5 and 1
    path = write_tracks(tmp_path, track([(0, 3, 60), (4, 4, 64), (48, 9, 48), (96, 1, 60), (98, 2, 72), (100, 4, 64)]))
    assert sums(path, "pc-cosine") == {("same", 1): (2, pytest.approx(6 / 5)), ("same", 2): (1, 1.0)}


def test_in_pc_cosine_a_note_of_no_length_counts_one_tick(tmp_path):
    path = write_tracks(tmp_path, track([(0, 0, 60), (0, 1, 64), (48, 5, 60)]))
    assert sums(path, "pc-cosine") == {("same", 1): (1, pytest.approx(math.sqrt(1 / 2)))}


def test_onset_jaccard_compares_the_drums_and_nothing_of_pitch(tmp_path):
    piano = track([(0, 12, 60), (24, 6, 67), (48, 12, 61), (72, 6, 61)])
    drums = track([(0, 1, 36), (0, 1, 42), (12, 1, 42)], channel=9)
    path = write_tracks(tmp_path, piano, drums)
    # piano {0 24} | {0 24}, drums {0 12}: a third with each of the piano's bars
    assert sums(path, "onset-jaccard") == {
        ("cross", 0): (1, Fraction(1, 3)),
        ("same", 1): (1, 1),
        ("cross", 1): (1, Fraction(1, 3)),
    }
    for measure in ("pc-jaccard", "note-jaccard", "pc-cosine"):
        assert list(sums(path, measure)) == [("same", 1)]


# Families


def test_families_are_those_of_general_midi_and_drums_come_last(tmp_path):
    piano, strings = track([(0, 4, 60), (48, 4, 60)], program=7), track([(0, 4, 60)], program=48, channel=1)
    drums = track([(0, 4, 36), (48, 4, 36)], channel=9, program=48)
    path = write_tracks(tmp_path, piano, strings, drums)
    pairs = {
        ("cross", 0, 0, 6): (1, 1),
        ("same", 1, 0, 0): (1, 1),
        ("cross", 1, 0, 6): (1, 1),  # the piano's second bar and the strings' first; the strings have no second
    }
    assert families(path, "pc-jaccard") == pairs
    assert families(path, "onset-jaccard") == pairs | {
        ("cross", 0, 0, 16): (2, 2),
        ("cross", 0, 6, 16): (1, 1),
        ("same", 1, 16, 16): (1, 1),
        ("cross", 1, 0, 16): (1, 1),
        ("cross", 1, 16, 0): (1, 1),
        ("cross", 1, 16, 6): (1, 1),
    }


def test_at_offset_0_the_smaller_family_comes_first_whatever_the_order_of_the_tracks(tmp_path):
    path = write_tracks(
        tmp_path,
        track([(0, 4, 60)], program=127),
        track([(0, 4, 60)], program=0, channel=1),
        track([(0, 4, 62)], program=1, channel=2),
    )
    assert families(path, "pc-jaccard") == {("cross", 0, 0, 15): (2, 1), ("cross", 0, 0, 0): (1, 0)}


# Corpus


def test_pooled_mean_and_mean_of_piece_means(tmp_path):
    # offset 1: 1, 1, 0 in the first piece, {C E} {C}: 1/2 in the second, nothing in the third
    first, second = one_part(60, 60, 60, 62), track([(0, 4, 60), (0, 4, 64), (48, 4, 60)])
    paths = [write_tracks(tmp_path, tracks) for tracks in (first, second, one_part(60))]
    row = corpus_tables(paths)["offsets"]["pc-jaccard", "same", 1]
    assert row == {
        "pairs": 4,
        "sum": Fraction(5, 2),
        "squares": Fraction(9, 4),
        "mean": Fraction(5, 8),
        "pieces": 2,
        "piece_mean": Fraction(7, 12),
    }


def test_family_rows_add_up_over_pieces(tmp_path):
    paths = [write_tracks(tmp_path, one_part(60, 60)), write_tracks(tmp_path, one_part(60, 62))]
    assert corpus_tables(paths)["families"]["pc-jaccard", "same", 1, 0, 0] == {"pairs": 2, "sum": 1, "mean": HALF}


def test_the_peak_is_what_stands_above_the_middle_of_the_neighbours(tmp_path):
    # means at 1, 2, 3. C D C D: 0, 1, 0; C C D D: 2/3, 0, 0, so below by 1/3; C C C D: 2/3, 1/2, 0, so above by 1/6
    melodies = [(60, 62, 60, 62), (60, 60, 62, 62), (60, 60, 60, 62)]
    paths = [write_tracks(tmp_path, one_part(*melody)) for melody in melodies]
    first, second, third = Fraction(1), -Fraction(1, 3), Fraction(1, 6)
    peaks = corpus_tables(paths)["peaks"]
    mean = (first + second + third) / 3
    variance = ((first - mean) ** 2 + (second - mean) ** 2 + (third - mean) ** 2) / 2
    row = {"pieces": 3, "mean": Fraction(5, 18), "sd": pytest.approx(math.sqrt(variance))}
    assert peaks["pc-jaccard", "same", 2] == row
    assert peaks["pc-cosine", "same", 2] == row | {"mean": pytest.approx(5 / 18)}
    assert {key[2] for key in peaks} == {2}


def test_no_peak_where_a_neighbour_is_missing(tmp_path):
    # bars 0, 2 and 3: offsets 1, 2 and 3; bars 0 and 2: 2 alone
    tables = corpus_tables(
        [write_tracks(tmp_path, one_part(60, None, 62, 62)), write_tracks(tmp_path, one_part(60, None, 60))]
    )
    assert tables["offsets"]["pc-jaccard", "same", 2]["pieces"] == 2
    assert tables["peaks"]["pc-jaccard", "same", 2] == {"pieces": 1, "mean": -HALF, "sd": None}


def test_peaks_lie_from_2_to_31(tmp_path):
    tables = corpus_tables([write_tracks(tmp_path, one_part(*[60] * 40))])
    assert {key[2] for key in tables["offsets"]} == set(range(1, 33))
    assert {key[2] for key in tables["peaks"]} == set(range(2, 32))
    assert {row["mean"] for row in tables["peaks"].values()} == {0}


def test_nothing_gives_empty_tables(tmp_path):
    assert (
        corpus_tables([])
        == corpus_tables([write_tracks(tmp_path, one_part(60))])
        == {"offsets": {}, "families": {}, "peaks": {}}
    )


def test_the_command_prints_the_tables(tmp_path):
    path = write_tracks(tmp_path, one_part(60, 62, 60, 62))
    script = ROOT / "tests" / "plain_evidence.py"
    out = subprocess.run([sys.executable, script, path], check=True, capture_output=True, text=True).stdout
    lists = json.loads(out)
    assert lists == json_tables(corpus_tables([path]))
    assert lists["peaks"][0] == {
        "measure": "note-jaccard",
        "relation": "same",
        "offset": 2,
        "pieces": 1,
        "mean": 1.0,
        "sd": None,
    }


# What must hold for any file


def assert_tables_hang_together(paths):
    tables = corpus_tables(paths)
    assert {key[0] for key in tables["offsets"]} <= set(MEASURES)
    ours = {
        key[1:]: (row["pairs"], float(row["mean"]), float(row["piece_mean"]))
        for key, row in tables["offsets"].items()
        if key[0] == "pc-jaccard"
    }
    assert ours == corpus_table(paths)
    added = {}
    for (measure, relation, offset, later, earlier), row in tables["families"].items():
        pairs, value = added.get((measure, relation, offset), (0, 0))
        added[measure, relation, offset] = (pairs + row["pairs"], value + row["sum"])
        assert relation == "cross" or later == earlier
        assert offset > 0 or later <= earlier
        assert measure == "onset-jaccard" or later < 16 > earlier
    whole = {key: (row["pairs"], pytest.approx(row["sum"])) for key, row in tables["offsets"].items()}
    assert added == whole
    for (measure, relation, offset), row in tables["offsets"].items():
        assert 0 <= row["squares"] <= row["sum"] + 1e-9 <= row["pairs"] + 1e-9
        if measure != "onset-jaccard":
            assert row["pairs"] == tables["offsets"]["pc-jaccard", relation, offset]["pairs"]
        else:
            assert row["pairs"] >= tables["offsets"].get(("pc-jaccard", relation, offset), {"pairs": 0})["pairs"]


@given(pieces())
@settings(max_examples=25)
def test_the_tables_of_any_piece_hang_together(tmp_path_factory, piece):
    path = tmp_path_factory.mktemp("any") / "a.mid"
    write_midi(piece, path)
    assert_tables_hang_together([path])


def test_the_tables_of_real_files_hang_together(real):
    assert_tables_hang_together([*real("band")[::70], *real("pop909")[::300]])


def test_the_order_of_files_and_tracks_is_nothing(tmp_path):
    dice = random.Random(7)
    tracks = [
        track(
            [(dice.randrange(480), dice.randrange(30), dice.randrange(60, 72)) for _ in range(20)],
            program=program,
            channel=channel,
        )
        for channel, program in enumerate((0, 40, 40, 80))
    ]
    forward, backward = write_tracks(tmp_path, *tracks), write_tracks(tmp_path, *reversed(tracks))
    one, other = family_sums(forward), family_sums(backward)
    assert set(one) == set(other)
    assert all(one[key] == pytest.approx(other[key]) for key in one)
    short = write_tracks(tmp_path, one_part(60, 62, 60, 62))
    assert json_tables(corpus_tables([forward, short])) == json_tables(corpus_tables([short, forward]))
