from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from conftest import piece_of
from hypothesis import given
from hypothesis import strategies as st
from shifted_songs import TICKS, later, song
from strategies import pieces

from analysis import bar_phase
from analysis.bar_phase import shifted_stretches
from analysis.midi import read_midi
from analysis.piece import Bars, Notes


def found(piece):
    return [(s.first_bar, s.bars, s.shift) for s in shifted_stretches(piece)]


def test_bar_lines_at_the_accents_are_left_alone():
    for quarters in (2, 3, 4, 5):
        assert found(song(quarters=quarters)) == []


@pytest.mark.parametrize("beats", [1, 2, 3])
def test_a_pickup_without_a_signature_moves_all_bars(beats):
    # the first beats are gone, as in a piece that begins with a pickup of 4 − beats quarters
    pickup = 4 - beats
    shift = pickup if pickup <= 2 else pickup - 4
    assert found(later(song(48), -beats * TICKS)) == [(0, 48, shift)]
    assert found(later(song(47), beats * TICKS)) == [(0, 48, beats if beats <= 2 else beats - 4)]


def test_bars_of_three_have_two_other_phases():
    assert found(later(song(47, quarters=3), TICKS)) == [(0, 48, 1)]
    assert found(later(song(47, quarters=3), 2 * TICKS)) == [(0, 48, -1)]


@pytest.mark.parametrize("quarters", [0.5, 1, 1.5, -1])
def test_a_held_note_makes_every_later_bar_late(quarters):
    piece = later(song(48), int(quarters * TICKS), start=20 * 4 * TICKS)
    [(first, bars, shift)] = found(piece)
    assert abs(first - 20) <= 1
    assert (first + bars, shift) == (piece.n_bars, quarters)


def test_a_part_of_a_piece_may_be_moved():
    piece = later(song(60), TICKS, start=20 * 4 * TICKS)
    piece = later(piece, -TICKS, start=40 * 4 * TICKS + TICKS)
    [(first, bars, shift)] = found(piece)
    assert (abs(first - 20) <= 1, abs(first + bars - 40) <= 1, shift) == (True, True, 1)


def test_each_signature_is_judged_by_itself():
    # 24 bars of 3/4 that are right, then 24 of 4/4 that are a beat late
    three, four = song(24, quarters=3), later(song(24), TICKS + 72 * TICKS)
    notes = Notes.joined([three.notes, four.notes])
    piece = replace(three, notes=notes, bars=Bars.of([(0, 3, 4), (72 * TICKS, 4, 4)], TICKS))
    assert found(piece) == [(24, 25, 1)]


def test_notes_beside_the_beat_have_bars_beside_it():
    # everything sounds a sixth of a quarter after the file's beats; half a bar later, two quarters and a sixth
    assert [s.shift for s in shifted_stretches(later(song(), 4))] == [pytest.approx(1 / 6)]
    assert [s.shift for s in shifted_stretches(later(song(), 2 * TICKS - 4))] == [pytest.approx(2 - 1 / 6)]


def test_nothing_is_said_of_what_cannot_be_told():
    even = piece_of([(0, TICKS * i, TICKS, 60) for i in range(192)], ticks_per_quarter=TICKS)
    assert found(even) == []
    assert found(later(song(6), TICKS)) == []  # too few bars
    assert found(later(song(48, signatures=[(0, 1, 4)]), TICKS // 2)) == []  # bars of one beat
    rng = np.random.default_rng(5)
    onset = rng.integers(0, 192 * TICKS * 40, 900)
    free = piece_of([(0, int(t), 40 * TICKS, 60) for t in onset], ticks_per_quarter=40 * TICKS)
    assert found(free) == []  # played without a click


def test_sureness_lies_between_a_half_and_one_and_grows_with_the_accents():
    [plain] = shifted_stretches(later(song(), TICKS))
    weak = later(song(), TICKS)
    rng = np.random.default_rng(3)  # a third of the chords begin on some other beat
    moved = np.where((weak.notes.part == 0) & (rng.random(len(weak.notes)) < 0.3), 2 * TICKS, 0)
    weak = replace(weak, notes=Notes.of(weak.notes.onset_tick + moved, *weak.notes.columns[1:]))
    [less] = shifted_stretches(weak)
    assert 0.5 < less.sureness < plain.sureness < 1


@given(pieces())
def test_stretches_of_any_piece_lie_within_it_and_do_not_overlap(piece):
    last = 0
    for s in shifted_stretches(piece):
        assert s.first_bar >= last
        assert s.bars >= 8
        last = s.first_bar + s.bars
        assert last <= piece.n_bars
        assert s.shift != 0
        assert 0.5 <= s.sureness <= 1


@given(st.integers(1, 5), st.integers(2, 3), st.integers(0, 2**32 - 1))
def test_the_path_is_the_best_of_all_paths(bars, width, seed):
    evidence = np.random.default_rng(seed).normal(0, 6, (bars, width))

    def worth(path):
        changes = sum(a != b for a, b in zip(path, path[1:], strict=False))
        return sum(evidence[range(bars), path]) - bar_phase._CHANGE * changes - 4.0 * (path[0] != 0)

    best = max(product(range(width), repeat=bars), key=worth)
    assert bar_phase._likeliest_path(evidence, begin=4.0).tolist() == list(best)


@pytest.mark.parametrize(("name", "most"), [("lieder", 0), ("quartets", 2), ("chorales", 0)])
def test_real_pieces_whose_bars_are_right_are_left_alone(real, name, most):
    files = real(name)[::6]
    assert sum(bool(found(read_midi(path))) for path in files) <= most


def test_pickups_of_real_songs_are_found_when_their_signature_is_gone(real):
    right = tried = 0
    for path in real("lieder")[::2]:
        piece = read_midi(path)
        bars = piece.bars
        if len(bars.numerator) != 2 or bars.first_bar[1] != 1 or piece.n_bars < 24:
            continue
        pickup, quarters = bars.signature_tick[1] / bars.ticks_per_quarter, 4 * bars.numerator[1] / bars.denominator[1]
        plain = Bars.of([(0, *bars.signature(1))], bars.ticks_per_quarter)
        stretches = found(replace(piece, bars=plain))
        assert all(shift % quarters == pickup for _, _, shift in stretches)
        right, tried = right + bool(stretches), tried + 1
    assert tried > 10
    assert right >= 0.8 * tried
