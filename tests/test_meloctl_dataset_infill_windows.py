"""Infill windows: no row is lost, each is where it should be, and random ones vary."""

from collections import Counter

import numpy as np
import pytest
from conftest import piece_of
from hypothesis import given
from hypothesis import strategies as st
from strategies import pieces

from analysis.piece import Part
from meloctl.dataset.infill_windows import infill_window, random_infill_window
from meloctl.dataset.packs import pack_of
from meloctl.dataset.stream import PackStream
from meloctl.dataset.windows import Middle, Window, windows
from meloctl.rows.codec import encode
from meloctl.rows.grammar import check_rows
from meloctl.rows.vocabulary import INSTANCE, INSTRUMENT, PITCH, POSITION, TIME_SIGNATURE, default_vocabulary

V = default_vocabulary()
PARTS = (Part(program=0, is_drum=True), Part(program=33, is_drum=False), Part(program=0, is_drum=False))
PIANO = (V.instrument_of(0, is_drum=False), 0)


def song(bars=3):
    """In each bar a drum, a bass and two piano notes; pitches tell bars apart."""
    notes = [(0, 48 * b, 6, 36) for b in range(bars)] + [(1, 48 * b, 6, 40 + b) for b in range(bars)]
    notes += [(2, 48 * b + i, 6, 60 + b) for b in range(bars) for i in (0, 24)]
    return encode(piece_of(notes, parts=PARTS), V)[0]


def in_words(rows):
    """Rows as short words."""
    names = {V.bar: "bar", V.masked_bar: "masked", V.infill_bar: "infill", V.end: "end"}
    return " ".join(names.get(int(row[INSTRUMENT]), str(row[PITCH])) for row in rows)


def restored(rows, middle):
    """Rows with the notes of the middle back in their bars: undoes `infill_window`."""
    opens = np.isin(rows[:, INSTRUMENT], (V.bar, V.masked_bar, V.infill_bar))
    segment = np.cumsum(opens) - 1
    first = segment[middle.row] if middle.row < len(rows) else 0
    bar = np.where(np.arange(len(rows)) < middle.row, segment, segment - first + middle.bar)
    ended = rows[:, INSTRUMENT] == V.end
    music = ~ended & (rows[:, INSTRUMENT] != V.infill_bar)
    kept, bar = rows[music], bar[music]
    kept[kept[:, INSTRUMENT] == V.masked_bar, INSTRUMENT] = V.bar
    order = np.lexsort((kept[:, PITCH], kept[:, POSITION], kept[:, INSTANCE], kept[:, INSTRUMENT], bar))
    return np.concatenate([kept[order], rows[ended]])


def test_a_bar_is_written_last():
    window = infill_window(song(), range(1, 2), None, V)
    assert in_words(window.rows) == "bar 36 40 60 60 masked bar 36 42 62 62 infill 36 41 61 61 end"
    assert window.middle == Middle(row=11, bar=1, masked_headers=(5,))
    assert check_rows(window.rows, V) == []


def test_a_part_is_written_last():
    window = infill_window(song(), range(3), [PIANO], V)
    assert in_words(window.rows) == "masked 36 40 masked 36 41 masked 36 42 infill 60 60 infill 61 61 infill 62 62 end"
    assert window.middle == Middle(row=9, bar=0, masked_headers=(0, 3, 6))


def test_a_bar_of_a_part_is_written_last_and_without_an_end_row_there_is_none():
    window = infill_window(song()[:-1], range(2, 3), [PIANO], V)
    assert in_words(window.rows) == "bar 36 40 60 60 bar 36 41 61 61 masked 36 42 infill 62 62"


def test_an_infill_header_has_the_time_signature_and_the_tempo_of_its_header():
    piece = piece_of([(0, 0, 6, 60), (0, 60, 6, 60)], signatures=[(0, 5, 4), (60, 3, 8)])
    window = infill_window(encode(piece, V)[0], range(1, 2), None, V)
    header, infill = window.rows[2], window.rows[3]
    assert (header[INSTRUMENT], infill[INSTRUMENT]) == (V.masked_bar, V.infill_bar)
    assert (header[1:] == infill[1:]).all()
    assert V.time_signatures[infill[TIME_SIGNATURE]] == "3/8"


@given(pieces(), st.data())
def test_restored_undoes_it(piece, data):
    rows = encode(piece, V)[0]
    n_bars = int((rows[:, INSTRUMENT] == V.bar).sum())
    first = data.draw(st.integers(0, n_bars - 1))
    bars = range(first, data.draw(st.integers(first, n_bars - 1)) + 1)
    all_parts = sorted({(int(r[INSTRUMENT]), int(r[INSTANCE])) for r in rows if r[PITCH] >= 0})
    parts = data.draw(st.one_of(st.none(), st.sets(st.sampled_from(all_parts), min_size=1)))
    window = infill_window(rows, bars, parts, V)
    assert check_rows(window.rows, V) == []
    assert len(window.rows) == len(rows) + len(bars)
    assert window.rows[window.middle.row, INSTRUMENT] == V.infill_bar
    assert np.array_equal(restored(window.rows, window.middle), rows)
    kept = window.rows[: window.middle.row]
    bar = np.cumsum(np.isin(kept[:, INSTRUMENT], (V.bar, V.masked_bar))) - 1
    assert sorted(bar[kept[:, INSTRUMENT] == V.masked_bar].tolist()) == list(bars)
    gone = np.isin(bar, list(bars)) & (kept[:, PITCH] >= 0)
    assert not any(parts is None or (int(r[INSTRUMENT]), int(r[INSTANCE])) in parts for r in kept[gone])


# at random


def test_all_three_ways_are_sampled_about_equally_often():
    rows, random, ways = song(bars=8), np.random.default_rng(0), Counter()
    for _ in range(600):
        window = random_infill_window(Window(rows=rows, first_bar=0), 8, V, random)
        kept, behind = window.rows[: window.middle.row], window.rows[window.middle.row :]
        n_bars = int((behind[:, INSTRUMENT] == V.infill_bar).sum())
        n_parts = len({int(i) for i in behind[behind[:, PITCH] >= 0, INSTRUMENT]})
        ways["parts" if n_bars == 8 else "bars" if n_parts == 3 else "some"] += 1
        assert np.array_equal(restored(window.rows, window.middle), rows)
        assert (kept[:, PITCH] >= 0).any()  # it never hears nothing
    assert min(ways["parts"], ways["bars"], ways["some"]) > 150


def test_one_part_alone_is_rewritten_by_half_of_its_bars_at_most():
    rows, random = encode(piece_of([(0, 48 * b, 6, 60) for b in range(7)]), V)[0], np.random.default_rng(1)
    counts = {
        int(
            (
                random_infill_window(Window(rows=rows, first_bar=0), 7, V, random).rows[:, INSTRUMENT] == V.infill_bar
            ).sum()
        )
        for _ in range(100)
    }
    assert counts == {1, 2, 3}


@given(st.integers(1, 12), st.integers(0, 12), st.integers(0, 10**6))
def test_without_room_bars_are_left_out_at_the_end(bars, room, seed):
    rows = song(bars)
    window = random_infill_window(Window(rows=rows, first_bar=5), room, V, np.random.default_rng(seed))
    assert len(window.rows) <= len(rows) + room
    assert window.first_bar == 5
    if window.middle is None:
        assert window.rows is rows
    else:
        whole = restored(window.rows, window.middle)
        assert np.array_equal(whole, rows[: len(whole)])
        assert len(whole) == len(rows) or rows[len(whole), INSTRUMENT] == V.bar


def test_what_says_that_there_is_a_gap_does_not_count():
    plain, window = Window(rows=song(2), first_bar=0), infill_window(song(2), range(1, 2), [PIANO], V)
    assert in_words(window.rows) == "bar 36 40 60 60 masked 36 41 infill 61 61 end"
    pack = pack_of([plain, window, Window(rows=song(1), first_bar=3)])
    assert pack.loss_mask.tolist() == [True] * 16 + [False, True, True, False] + [True] * 3 + [False] + [True] * 5


# in a stream


def many(n=40):
    return [w for i in range(n) for w in windows([song(2 + i % 9)], 40, V)]


def packs_of(infill, length=90):
    stream = PackStream(many(), length, V, seed=3, infill=infill)
    return [stream.pack_at(n) for n in range(stream.first_of(2))]


def test_a_stream_rewrites_about_the_share_that_is_asked_for_and_still_fits():
    packs = packs_of(0.4)
    assert all(pack.n_rows <= 90 for pack in packs)
    is_infill = [bool(middle) for pack in packs for middle in pack.middles]
    assert len(is_infill) == 2 * len(many())
    assert np.mean(is_infill) == pytest.approx(0.4, abs=0.12)


def test_without_a_share_nothing_is_drawn_for_it():
    plain = PackStream(many(), 90, V, seed=3)
    stream = packs_of(0.0)
    assert all(np.array_equal(pack.rows, plain.pack_at(n).rows) for n, pack in enumerate(stream))
    assert not any(middle for pack in stream for middle in pack.middles)


def test_a_stream_draws_anew_each_epoch():
    stream = PackStream(many(1), 90, V, seed=3, infill=1.0)
    assert len({stream.pack_at(n).middles for n in range(20)}) > 5
