"""The slow reference for one measure, and the cells of a file, against answers by hand. Files are built byte by byte.

Unless a test says otherwise, a quarter is 12 ticks, so a tick is a grid step and a 4/4 bar is 48 ticks.
"""

from fractions import Fraction

import pytest
from plain_evidence import piece_cells
from plain_offsets import corpus_table, file_sums
from plain_player import play
from tracks import one_part, track, write_tracks

# Cells


def test_onsets_count_from_the_bar_line_that_the_signatures_give(tmp_path):
    # 3/4 to tick 40: bars at 0, 36, the second cut short; then 2/4
    notes = [(35, 1, 60), (36, 1, 60), (39, 1, 60), (40, 1, 60), (64, 1, 60)]
    path = write_tracks(tmp_path, track(notes, signatures=[(0, 3, 2), (40, 2, 2)]))
    cells = piece_cells(play(path.read_bytes()))
    assert {bar: [onset for onset, _, _ in parts[0, False, 0]] for bar, parts in cells.items()} == {
        0: [35],
        1: [0, 3],
        2: [0],
        3: [0],
    }


def test_a_bar_that_starts_between_ticks_counts_from_its_first_whole_tick(tmp_path):
    # 1/8 at 5 ticks a quarter: bars start at 0, 2.5, 5, 7.5
    path = write_tracks(tmp_path, track([(t, 1, 60) for t in range(10)], signatures=[(0, 1, 3)]), division=5)
    cells = piece_cells(play(path.read_bytes()))
    assert {bar: [onset for onset, _, _ in parts[0, False, 0]] for bar, parts in cells.items()} == {
        0: [0, 1, 2],
        1: [0, 1],
        2: [0, 1, 2],
        3: [0, 1],
    }


# Pairs of bars


def test_pairs_of_every_kind_counted_by_hand(tmp_path):
    # part a: C | . | E        part b: C E | C | .
    a = track([(0, 4, 60), (96, 4, 76)])
    b = track([(0, 4, 48), (0, 4, 64), (48, 4, 60)])
    assert file_sums(write_tracks(tmp_path, a, b)) == {
        ("cross", 0): (1, Fraction(1, 2)),  # {C} {C E}
        ("same", 1): (1, Fraction(1, 2)),  # b: {C} {C E}
        ("same", 2): (1, 0),  # a: {E} {C}
        ("cross", 1): (2, 1),  # b's second bar and a's first: 1; a's third and b's second: 0
        ("cross", 2): (1, Fraction(1, 2)),  # a's third and b's first
    }


def test_drums_are_left_out(tmp_path):
    path = write_tracks(tmp_path, one_part(60, 60), track([(0, 4, 60), (48, 4, 60)], channel=9))
    assert file_sums(path) == {("same", 1): (1, 1)}


def test_offsets_reach_32_bars_back_and_no_further(tmp_path):
    path = write_tracks(tmp_path, track([(0, 4, 60), (48, 4, 60), (33 * 48, 4, 60)]))
    assert file_sums(path) == {("same", 1): (1, 1), ("same", 32): (1, 1)}


def test_pooled_mean_and_mean_of_file_means(tmp_path):
    # offset 1: 1, 1, 0 in the first file, {C E} {C}: 1/2 in the second, nothing in the third
    first, second = one_part(60, 60, 60, 62), track([(0, 4, 60), (0, 4, 64), (48, 4, 60)])
    paths = [write_tracks(tmp_path, tracks) for tracks in (first, second, one_part(60))]
    assert corpus_table(paths)["same", 1] == (4, 5 / 8, pytest.approx(7 / 12))
