"""The four measures: known answers, and the formulas over random sets."""

from itertools import pairwise
from math import sqrt

import numpy as np
import pytest
from conftest import piece_of
from hypothesis import given
from hypothesis import strategies as st

from analysis.cell_loops import different_sets, number_keys
from analysis.cells import cells_of
from analysis.features import Sets
from analysis.piece import Part
from analysis.similarity import BRIEF, MEASURES, NOTE_JACCARD, ONSET_JACCARD, PC_COSINE, PC_JACCARD, cosine, jaccard


def sets(*members, items=12):
    first = np.cumsum([0, *map(len, members)])
    return Sets(first=first, item=np.array([i for m in members for i in m], dtype=np.int64), n_items=items)


def test_jaccard_by_hand():
    c_major, a_minor, e_flat = {0, 4, 7}, {9, 0, 4}, {3, 7, 10}
    got = jaccard(sets(c_major), sets(a_minor, e_flat, c_major, {1}))
    assert got.tolist() == [[2 / 4, 1 / 5, 1, 0]]


@given(st.sets(st.integers(0, 11), min_size=1), st.sets(st.integers(0, 11), min_size=1))
def test_jaccard_is_the_formula(a, b):
    assert jaccard(sets(a), sets(b)).tolist() == [[len(a & b) / len(a | b)]]


def test_some_of_the_sets_by_index():
    some = sets({0, 4, 7}, {1}, {3, 7})[np.array([2, 0, 2])]
    assert jaccard(some, sets({3, 7}, {0})).tolist() == [[1, 0], [1 / 4, 1 / 3], [1, 0]]
    assert len(some) == 3


def plain_sets(note_cell, item, n_cells):
    return [frozenset(i for c, i in zip(note_cell, item, strict=True) if c == cell) for cell in range(n_cells)]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=30))
def test_cells_that_hold_the_same_share_a_set(held):
    cell, item = (np.array(column, dtype=np.int64) for column in zip(*held, strict=True))
    first, items, of_cell = different_sets(cell, item, 5, 7)
    plain = plain_sets(cell.tolist(), item.tolist(), 5)
    found = [items[a:b].tolist() for a, b in pairwise(first.tolist())]
    assert [frozenset(found[c]) for c in of_cell] == plain
    assert len(found) == len(set(plain))
    assert all(len(s) == len(set(s)) for s in found)


@given(st.lists(st.integers(-5, 5) | st.integers(-(2**63), 2**63 - 1), max_size=40))
def test_keys_are_numbered_in_order_of_appearance(keys):
    number, n = number_keys(np.array(keys, dtype=np.int64))
    different = list(dict.fromkeys(keys))
    assert number.tolist() == [different.index(k) for k in keys]
    assert n == len(different)


def test_cosine_by_hand():
    a, b = np.array([[3.0, 4.0, 0.0]]), np.array([[4.0, 3.0, 0.0], [0.0, 0.0, 9.0], [30.0, 40.0, 0.0]])
    assert cosine(a, b)[0] == pytest.approx([24 / 25, 0, 1], abs=1e-7)


@given(st.lists(st.lists(st.integers(0, 10**9), min_size=12, max_size=12), min_size=2, max_size=5))
def test_cosine_is_the_formula_whatever_the_order_of_addition(rows):
    weights = np.array([r for r in rows if any(r)] or [[1] * 12], dtype=np.float64)
    got = cosine(weights, weights)
    for i, a in enumerate(weights.tolist()):
        for j, b in enumerate(weights.tolist()):
            plain = sum(x * y for x, y in zip(a, b, strict=True))
            plain /= sqrt(sum(x * x for x in a)) * sqrt(sum(y * y for y in b))
            assert got[i, j] == pytest.approx(plain, abs=1e-7)
    turned = weights[:, ::-1].copy()
    assert (cosine(turned, turned) == got).all()


def similarity_of_two_bars(measure, first, second, *, drums=False):
    """Of bars 0 and 1 of one part, each given as (onset step, duration in steps, pitch); 12 ticks a quarter."""
    notes = [
        (0, 48 * bar + onset, length, pitch) for bar, ns in enumerate((first, second)) for onset, length, pitch in ns
    ]
    cells = cells_of(piece_of(notes, parts=(Part(program=0, is_drum=drums),)), drums=measure.drums)
    contents = measure.contents(cells)
    return float(measure.similarity(contents.items, contents.items)[tuple(contents.of_cell)])


C_CHORD = [(0, 12, 60), (0, 12, 64), (24, 24, 67)]
BROKEN = [(0, 12, 60), (12, 12, 64), (24, 12, 67), (36, 12, 72)]  # the same chord, one note at a time


def test_pc_jaccard_compares_pitch_classes_alone():
    assert similarity_of_two_bars(PC_JACCARD, C_CHORD, BROKEN) == 1


def test_note_jaccard_compares_pitch_place_and_length():
    assert similarity_of_two_bars(NOTE_JACCARD, C_CHORD, BROKEN) == 1 / 6  # only c' on the first beat
    assert similarity_of_two_bars(NOTE_JACCARD, C_CHORD, C_CHORD) == 1
    octave_up = [(onset, length, pitch + 12) for onset, length, pitch in C_CHORD]
    assert similarity_of_two_bars(NOTE_JACCARD, C_CHORD, octave_up) == 0


def test_pc_cosine_is_weighted_by_length():
    # c 12, e 12, g 24 against c 24, e 12, g 12: 12·24 + 12·12 + 24·12 = 720 over 12² + 12² + 24² = 864
    assert similarity_of_two_bars(PC_COSINE, C_CHORD, BROKEN) == pytest.approx(720 / 864, abs=1e-7)


def test_a_note_of_no_length_counts_one_tick():
    assert similarity_of_two_bars(PC_COSINE, [(0, 0, 60)], [(0, 9, 72)]) == pytest.approx(1, abs=1e-7)


def test_onset_jaccard_compares_rhythm_alone():
    assert similarity_of_two_bars(ONSET_JACCARD, C_CHORD, BROKEN) == 2 / 4
    assert similarity_of_two_bars(ONSET_JACCARD, C_CHORD, BROKEN, drums=True) == 2 / 4


def test_onsets_go_to_the_nearest_step_and_to_the_bar_that_it_opens():
    ticks = 96  # a quarter: 8 ticks a step
    notes = [(0, 3, 8, 60), (0, 4, 8, 61), (0, 4 * ticks - 1, 8, 62), (0, 4 * ticks, 8, 63)]
    cells = cells_of(piece_of(notes, ticks_per_quarter=ticks), drums=False)
    assert cells.onset_step.tolist() == [0, 1, 0, 0]
    assert cells.bar[cells.note_cell].tolist() == [0, 0, 1, 1]


def test_drums_take_part_in_rhythm_only():
    parts = (Part(program=0, is_drum=True), Part(program=33, is_drum=False))
    piece = piece_of([(0, 0, 12, 36), (1, 0, 12, 60)], parts=parts)
    four = (PC_JACCARD, NOTE_JACCARD, PC_COSINE, ONSET_JACCARD)
    assert [len(cells_of(piece, drums=m.drums)) for m in four] == [1, 1, 1, 2]


def test_each_measure_has_a_name_and_a_title_of_its_own():
    for entries in ([m.name for m in MEASURES], [m.title for m in MEASURES], [m.definition for m in MEASURES]):
        assert all(entries)
        assert len(set(entries)) == len(entries)
    assert set(BRIEF) <= set(MEASURES)


def test_cells_are_sorted_by_bar_then_family_then_part():
    parts = tuple(Part(program=p, is_drum=d) for p, d in ((40, False), (0, True), (33, False), (35, False)))
    piece = piece_of([(3, 0, 1, 60), (0, 0, 1, 60), (1, 0, 1, 60), (2, 48, 1, 60), (1, 96, 1, 60)], parts=parts)
    cells = cells_of(piece, drums=True)
    assert cells.part_family.tolist() == [4, 4, 5, 16]  # bass, bass, strings, drums
    assert list(zip(cells.bar.tolist(), cells.part.tolist(), strict=True)) == [(0, 1), (0, 2), (0, 3), (1, 0), (2, 3)]
