"""Windows, augmentation, packs. The store and the stream have files of their own."""

from itertools import combinations

import numpy as np
import pytest
from conftest import piece_of
from hypothesis import given
from hypothesis import strategies as st
from strategies import pieces

from analysis.errors import MeloError
from analysis.piece import Part
from meloctl.dataset.augment import TEMPO_MOVES, TRANSPOSITIONS, allowed_moves, augment, shift_tempo, transpose
from meloctl.dataset.packs import arrange, pack_of, padded, padding_share
from meloctl.dataset.windows import LeftOut, Window, left_out, windows
from meloctl.rows.codec import encode
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTRUMENT, PITCH, TEMPO, default_vocabulary

V = default_vocabulary()
PARTS = (Part(program=0, is_drum=True), Part(program=0, is_drum=False))


def rows_of(notes, tempo=120.0):
    return encode(piece_of(notes, parts=PARTS, tempo=tempo), V)[0]


def bars_of(count, notes_each):
    """A piece of `count` bars with so many notes each, drums and piano alternating."""
    return rows_of([(i % 2, 48 * b + i, 6, 50 + i) for b in range(count) for i in range(notes_each)])


def window_of(length, first_bar=0):
    """A window of so many rows: a header, notes, the end."""
    return Window(rows=bars_of(1, length - 2), first_bar=first_bar)


# windows


def test_windows_are_whole_bars_that_fit():
    # bars of 1 + 4 rows, and the end row: 12 rows hold two bars
    rows = bars_of(5, 4)
    cut = windows([rows], 12, V)
    assert [(w.first_bar, len(w.rows)) for w in cut] == [(0, 10), (2, 10), (4, 6)]
    assert np.array_equal(np.concatenate([w.rows for w in cut]), rows)


def test_a_window_is_a_view():
    rows = bars_of(5, 4)
    assert all(np.shares_memory(w.rows, rows) for w in windows([rows], 12, V))


def test_a_long_silence_gives_no_window():
    rows = rows_of([(1, 0, 6, 60), (1, 48 * 100, 6, 60)])
    cut = windows([rows], 16, V)
    assert [w.first_bar for w in cut] == [0, 95]
    assert all((w.rows[:, PITCH] != ABSENT).any() for w in cut)


@given(st.integers(1, 9), st.integers(2, 6), st.integers(1, 40))
def test_windows_cover_a_piece_in_order(count, notes_each, context):
    rows = bars_of(count, notes_each)
    cut = windows([rows], context, V)
    assert all(len(w.rows) <= context for w in cut)
    assert all(w.rows[0, INSTRUMENT] == V.bar for w in cut)
    bar = np.flatnonzero(rows[:, INSTRUMENT] == V.bar)
    assert all(np.array_equal(rows[bar[w.first_bar] :][: len(w.rows)], w.rows) for w in cut)
    if context > notes_each + 2:
        assert np.array_equal(np.concatenate([w.rows for w in cut]), rows)


def test_what_long_bars_lose_is_counted():
    # bars of 1 + 4, 1 + 9 and 1 + 2 rows, and the end row: with 7 rows the second keeps 6 of its notes
    notes = [(1, 48 * bar + i, 6, 50 + i) for bar, count in enumerate((4, 9, 2)) for i in range(count)]
    piece = rows_of(notes)
    assert left_out([piece], 7, V) == LeftOut(bars=1, notes=3)
    assert left_out([piece, piece], 4, V) == LeftOut(bars=4, notes=2 * (1 + 6))
    assert left_out([piece], 3, V) == LeftOut(bars=2, notes=2 + 7)  # the last one loses no note, but the end row
    assert left_out([piece], 10, V) == LeftOut(bars=0, notes=0)
    for context in (3, 4, 7, 10):
        kept = sum(int((w.rows[:, PITCH] != ABSENT).sum()) for w in windows([piece], context, V))
        assert kept + left_out([piece], context, V).notes == len(notes)


# augmentation


def test_transposition_moves_pitches_and_leaves_drums():
    rows = rows_of([(0, 0, 6, 36), (1, 0, 6, 60)])
    moved = transpose(rows, 5, V)
    assert moved[:, PITCH].tolist() == [ABSENT, 36, 65, ABSENT]
    assert np.array_equal(transpose(moved, -5, V), rows)


def test_transposition_never_leaves_the_range():
    rows = rows_of([(1, 0, 6, 126), (1, 6, 6, 60)])
    assert np.array_equal(transpose(rows, 2, V), rows)
    assert transpose(rows, 1, V)[:, PITCH].max() == 127


def test_transpositions_are_every_key_once():
    assert sorted(t % 12 for t in TRANSPOSITIONS) == list(range(12))


def test_a_tempo_moves_by_its_levels_and_notes_stay():
    rows = rows_of([(1, 0, 6, 60), (1, 48, 6, 60)])  # 120 is level 72: levels start three octaves below it
    moved = shift_tempo(rows, 24, V)
    assert V.tempos[moved[0, TEMPO]] == 240
    assert moved[:, TEMPO].tolist() == [96, ABSENT, 96, ABSENT, ABSENT]
    assert np.array_equal(np.delete(moved, TEMPO, axis=1), np.delete(rows, TEMPO, axis=1))
    assert np.array_equal(shift_tempo(rows, 49, V), rows)  # there are 48 levels above 120


def test_only_moves_that_fit_are_drawn():
    values = np.array([3, 100, 125], dtype=np.int16)
    assert allowed_moves(values, 128, TRANSPOSITIONS) == range(-3, 3)
    assert allowed_moves(np.array([0, 127], dtype=np.int16), 128, TRANSPOSITIONS) == range(0, 1)
    assert allowed_moves(values[:0], 128, TRANSPOSITIONS) == TRANSPOSITIONS


def test_a_wide_piece_is_still_moved_where_it_can_be():
    rows = rows_of([(1, 0, 6, 2), (1, 6, 6, 127)])
    lowest = {int(augment(rows, V, np.random.default_rng(i))[:, PITCH].max()) for i in range(60)}
    assert lowest == {125, 126, 127}


def test_every_key_and_tempo_comes():
    rows = rows_of([(1, 0, 6, 60)])
    made = [augment(rows, V, np.random.default_rng(i)) for i in range(300)]
    assert {int(m[1, PITCH]) - 60 for m in made} == set(TRANSPOSITIONS)
    assert {int(m[0, TEMPO]) - 72 for m in made} == set(TEMPO_MOVES)
    factors = [V.tempos[m[0, TEMPO]] / 120 for m in made]
    assert (min(factors), max(factors)) == pytest.approx((2 ** (-3 / 24), 2 ** (3 / 24)))


@given(pieces(), st.integers(0, 2**32 - 1))
def test_another_key_and_tempo_change_nothing_else(piece, seed):
    rows = encode(piece, V)[0]
    kept = rows.copy()
    made = augment(rows, V, np.random.default_rng(seed))
    assert np.array_equal(rows, kept)
    free = [f for f in range(len(FIELDS)) if f not in (PITCH, TEMPO)]
    assert np.array_equal(made[:, free], rows[:, free])
    drums, pitched = rows[:, INSTRUMENT] == V.drums, (rows[:, INSTRUMENT] > V.drums) & (rows[:, PITCH] != ABSENT)
    assert np.array_equal(made[drums], rows[drums])
    assert len(set(made[pitched, PITCH] - rows[pitched, PITCH])) <= 1
    header = rows[:, INSTRUMENT] == V.bar
    assert len(set(made[header, TEMPO] - rows[header, TEMPO])) == 1
    assert made[pitched, PITCH].min(initial=0) >= 0
    assert made[pitched, PITCH].max(initial=0) <= 127
    assert made[header, TEMPO].min() >= 0
    assert made[header, TEMPO].max() < len(V.tempos)
    assert (made[~header, TEMPO] == ABSENT).all()
    assert (made[~drums & ~pitched, PITCH] == ABSENT).all()


# packs


def test_a_pack_is_its_windows_end_to_end():
    first, second = window_of(5, first_bar=7), window_of(3)
    pack = pack_of([first, second])
    assert pack.rows.dtype == np.int64
    assert np.array_equal(pack.rows, np.concatenate([first.rows, second.rows]))
    assert (pack.starts.tolist(), pack.first_bar.tolist()) == ([0, 5, 8], [7, 0])
    assert (pack.n_rows, pack.n_notes) == (8, 4)


def test_a_padded_pack_counts_what_it_counted():
    pack = pack_of([window_of(5), window_of(3)])
    longer = padded(pack, 11)
    assert longer.rows.shape == (11, len(FIELDS))
    assert (longer.rows[8:] == ABSENT).all()
    assert np.array_equal(longer.rows[:8], pack.rows)
    assert (longer.n_rows, longer.n_notes, longer.starts.tolist()) == (8, 4, [0, 5, 8])
    assert padded(longer, 8).rows.shape == (8, len(FIELDS))  # padding may go, windows may not
    with pytest.raises(ValueError, match="8 rows does not fit into 7"):
        padded(pack, 7)


def test_the_longest_go_first_each_into_the_fullest_pack_that_holds_it():
    # 7 and 6 open packs; 4 fills the second, 3 the first; 2 opens a third, 1 joins it
    made = arrange(np.array([1, 2, 3, 4, 6, 7]), 10)
    assert [made.of(p).tolist() for p in range(len(made))] == [[5, 2], [4, 3], [1, 0]]


def test_the_padding_of_a_fixed_length_is_told():
    # 23 rows in three packs of 10
    assert padding_share(23, 3, 10) == pytest.approx(7 / 30)
    assert padding_share(0, 0, 10) == 0


LENGTHS = st.lists(st.integers(1, 97), max_size=60).map(lambda ls: np.array(ls, dtype=np.int64))


@given(LENGTHS, st.none() | st.integers(0, 99))
def test_every_window_lies_in_one_pack_that_holds_it(lengths, seed):
    made = arrange(lengths, 97, None if seed is None else np.random.default_rng(seed))
    assert sorted(made.window) == list(range(len(lengths)))
    rows = [int(lengths[made.of(p)].sum()) for p in range(len(made))]
    assert all(0 < n <= 97 for n in rows)
    assert not len(rows) or 2 * sum(rows) > 97 * (len(rows) - 1)  # no two packs would fit into one


def test_packing_is_close_to_the_best():
    lengths = np.random.default_rng(1).integers(1, 2049, 5000)
    fewest = -(-int(lengths.sum()) // 2048)
    assert len(arrange(lengths, 2048)) <= 1.01 * fewest
    assert len(arrange(lengths, 2048, np.random.default_rng(2))) <= 1.02 * fewest


def pairs_of(arrangement):
    return {p for i in range(len(arrangement)) for p in combinations(sorted(arrangement.of(i).tolist()), 2)}


def test_windows_meet_others_in_each_draw():
    lengths = np.random.default_rng(0).permutation(
        np.arange(200, 1000)
    )  # no two alike: falling order alone never varies
    made = [arrange(lengths, 2048, np.random.default_rng(i)) for i in (1, 2, 1)]
    first, second, again = map(pairs_of, made)
    assert len(first & second) < 0.05 * len(first)
    assert first == again
    assert np.array_equal(made[0].window, made[2].window)
    longest = int(lengths.argmax())  # it opens a pack first, but that pack does not come first
    places = [arrange(lengths, 2048, np.random.default_rng(i)).window.tolist().index(longest) for i in range(8)]
    assert max(places) > 400 > min(places)


def test_a_window_longer_than_a_pack_is_refused():
    with pytest.raises(MeloError, match=r"packs of 1,024 rows cannot hold a window of 1,025"):
        arrange(np.array([7, 1025]), 1024)
