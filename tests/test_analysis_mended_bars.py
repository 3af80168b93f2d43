from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shifted_songs import TICKS, later, song

from analysis import mended_bars
from analysis.bar_phase import ShiftedStretch, shifted_stretches
from analysis.mended_bars import mend_bars
from analysis.midi import read_midi
from analysis.piece import Bars


def bar_lengths(piece):
    """Quarters of each bar."""
    return (np.diff(piece.bars.start_tick(np.arange(piece.n_bars + 1))) / piece.ticks_per_quarter).tolist()


def signatures(piece):
    bars = piece.bars
    columns = (bars.signature_tick / piece.ticks_per_quarter, bars.numerator, bars.denominator)
    return list(zip(*(c.tolist() for c in columns), strict=True))


def test_a_piece_whose_bars_are_right_is_the_same_object():
    piece = song()
    assert mend_bars(piece) is piece


def test_a_pickup_becomes_a_short_bar():
    piece = mend_bars(later(song(), -3 * TICKS))
    assert signatures(piece) == [(0, 1, 4), (1, 4, 4)]
    assert bar_lengths(piece) == [1] + 47 * [4]


def test_a_held_note_makes_one_bar_longer_or_shorter():
    for beats, odd in ((1, (5, 4)), (-1, (3, 4)), (0.5, (9, 8))):
        piece = mend_bars(later(song(), int(beats * TICKS), start=80 * TICKS))
        [(_, *first), (_, *held), (_, *rest)] = signatures(piece)
        assert (first, tuple(held), rest) == ([4, 4], odd, [4, 4])
        chords = piece.notes.onset_tick[piece.notes.part == 0]
        lines = piece.bars.start_tick(np.arange(piece.n_bars))
        assert len(np.setdiff1d(chords, lines)) <= 1  # the bar before or behind the change at most


def test_a_part_that_was_moved_has_an_odd_bar_at_either_end():
    piece = later(later(song(60), TICKS, start=80 * TICKS), -TICKS, start=161 * TICKS)
    mended = mend_bars(piece)
    assert sorted(bar_lengths(mended)) == [3] + 58 * [4] + [5]


def test_no_bar_line_is_put_behind_the_next_signature(monkeypatch):
    # half a bar beside, but for the last bar before 3/4: the way back would need a bar and a half
    piece = song(20, signatures=[(0, 4, 4), (40 * TICKS, 3, 4)])
    stretch = ShiftedStretch(first_bar=0, bars=9, shift=2.0, sureness=0.9)
    monkeypatch.setattr(mended_bars, "shifted_stretches", lambda piece: (stretch,))
    assert signatures(mend_bars(piece)) == [(0, 2, 4), (2, 4, 4), (40, 3, 4)]


def test_bars_beside_the_beat_open_with_a_bar_that_holds_no_note():
    piece = mend_bars(later(song(), 4))
    assert bar_lengths(piece)[0] == pytest.approx(4 + 1 / 6)
    assert set(bar_lengths(piece)[1:]) == {4}
    assert (piece.notes.onset_tick[piece.notes.part == 0] - 4).tolist()[:4] == [0, 0, 0, 4 * TICKS]


def test_notes_stay_and_mended_bars_are_mended_once():
    piece = later(song(), TICKS)
    mended = mend_bars(piece)
    assert mended.notes is piece.notes
    assert mend_bars(mended) is mended


@given(st.integers(-95, 95), st.integers(0, 47), st.lists(st.tuples(st.integers(0, 47), st.integers(2, 6)), max_size=2))
def test_moved_songs_with_any_signatures_keep_their_notes_and_have_bars_one_after_another(ticks, bar, changes):
    song_with = song(signatures=[(0, 4, 4), *((4 * TICKS * at, n, 4) for at, n in changes)])
    piece = later(song_with, ticks, start=4 * TICKS * bar)
    mended = mend_bars(piece)
    assert mended.notes is piece.notes
    lengths = np.array(bar_lengths(mended))
    assert (lengths > 0).all()
    assert lengths.sum() * TICKS >= piece.notes.onset_tick.max()
    assert set(piece.bars.signature_tick) <= set(mended.bars.signature_tick)


def test_pickups_of_real_songs_get_the_bars_of_their_scores(real):
    same = 0
    for path in real("lieder")[1::2]:
        piece = read_midi(path)
        bars = piece.bars
        if len(bars.numerator) == 2 and bars.first_bar[1] == 1 and piece.n_bars >= 24:
            plain = replace(piece, bars=Bars.of([(0, *bars.signature(1))], bars.ticks_per_quarter))
            if shifted_stretches(plain):
                assert bar_lengths(mend_bars(plain)) == bar_lengths(piece)
                same += 1
    assert same >= 8
