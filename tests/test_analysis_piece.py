import numpy as np
import pytest
from conftest import piece_of
from hypothesis import given
from strategies import pieces

from analysis.errors import MeloError
from analysis.piece import Bars, Notes, meter


def test_bars_are_four_four_where_nothing_is_said():
    bars = Bars.of([], 480)
    assert bars.bar_of([0, 1919, 1920, 3840]).tolist() == [0, 0, 1, 2]
    assert bars.signature(7) == (4, 4)


def test_a_signature_inside_a_bar_cuts_it_short():
    # 4/4 at 0, 3/4 at tick 10 of 48: bar 0 lasts 10 ticks, bar 1 starts there
    bars = Bars.of([(0, 4, 4), (10, 3, 4)], 12)
    assert bars.bar_of([9, 10, 45, 46]).tolist() == [0, 1, 1, 2]
    assert bars.start_tick([0, 1, 2]).tolist() == [0, 10, 46]


def test_a_late_first_signature_leaves_four_four_before_it():
    bars = Bars.of([(96, 3, 4)], 12)
    assert bars.bar_of([47, 48, 96, 132]).tolist() == [0, 1, 2, 3]


def test_the_last_of_several_signatures_at_one_tick_counts():
    assert Bars.of([(0, 3, 4), (0, 5, 8)], 12).signature(0) == (5, 8)


def test_bars_that_are_no_whole_ticks_do_not_drift():
    # 1/64 at 120 ticks a quarter is 7.5 ticks
    bars = Bars.of([(0, 1, 64)], 120)
    assert bars.bar_of([7, 8, 14, 15, 22, 23]).tolist() == [0, 1, 1, 2, 2, 3]
    assert bars.start_tick([1, 2, 3]).tolist() == [8, 15, 23]


@given(pieces())
def test_start_tick_is_the_first_tick_of_its_bar(piece):
    for b in range(piece.n_bars):
        start, after = piece.bars.start_tick([b, b + 1]).tolist()
        inside = np.arange(start, min(after, start + 50))
        assert (piece.bars.bar_of(inside) == b).all()
        if b and after > start:
            assert piece.bars.bar_of(start - 1) < b


@pytest.mark.parametrize(("n", "d"), [(0, 4), (4, 3), (-1, 4), (4, 256)])
def test_impossible_signatures_are_refused(n, d):
    with pytest.raises(MeloError, match=f"time signature {n}/{d} at tick 5"):
        Bars.of([(5, n, d)], 480)


def test_a_piece_ends_with_the_bar_of_its_last_onset():
    piece = piece_of([(0, 0, 4, 60), (0, 47, 500, 60)])
    assert piece.n_bars == 1


def test_seconds_follow_the_tempo():
    # 8 quarters at 120 a minute
    assert piece_of([(0, 0, 96, 60)], tempo=120).seconds == 4.0


def test_meter_reads_a_signature():
    assert meter("6/8") == (6, 8)


@pytest.mark.parametrize(
    "text", ["", "4", "4/", "/4", "4/5", "0/4", "65/4", "-3/4", "four/four", "4/4/4", "1" * 5000 + "/4"]
)
def test_meter_refuses_anything_else(text):
    with pytest.raises(MeloError, match="is not a time signature"):
        meter(text)


NOTES = Notes.of([0, 5, 5, 9], [1, 2, 3, 4], [60, 61, 62, 63], [70, 71, 72, 73], [2, 0, 1, 2])


@pytest.mark.parametrize("chosen", [np.array([True, False, True, True]), np.array([3, 2, 0])])
def test_some_notes_are_taken_in_order(chosen):
    taken = NOTES.take(chosen)
    assert taken.onset_tick.tolist() == [0, 5, 9]
    assert taken.duration_tick.tolist() == [1, 3, 4]
    assert taken.pitch.tolist() == [60, 62, 63]
    assert taken.velocity.tolist() == [70, 72, 73]
    assert taken.part.tolist() == [2, 1, 2]
    assert len(NOTES.take(np.zeros(4, dtype=np.bool_))) == 0


def test_notes_are_joined_in_order():
    joined = Notes.joined([NOTES, Notes.of([7, 0], [1, 1], [50, 51], [1, 2], [3, 0])])
    assert joined.onset_tick.tolist() == [0, 0, 5, 5, 7, 9]
    assert joined.pitch.tolist() == [51, 60, 61, 62, 50, 63]
    assert joined.part.tolist() == [0, 2, 0, 1, 3, 2]


@given(pieces(), pieces())
def test_notes_split_and_joined_are_the_same(one, other):
    both = Notes.joined([one.notes, other.notes])
    low = both.pitch < 60
    again = Notes.joined([both.take(~low), both.take(low)])
    assert all((a == b).all() for a, b in zip(both.columns, again.columns, strict=True))
