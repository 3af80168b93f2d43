"""Pairs of rows by relation and offset: counted by hand, equal to the definition's matrix, additive."""

import numpy as np
import pytest
from conftest import piece_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analysis.errors import MeloError
from analysis.midi_write import write_midi
from analysis.piece import Part
from masks.cost.row_pairs import PieceRows, RowPairs, mean_pairs, row_pairs
from masks.cost.sample import read_piece_rows, sample_files
from masks.dense import dense_mask
from masks.spec import MASK_RELATIONS, MaskSpec, near_and_far
from meloctl.rows.codec import encode
from meloctl.rows.vocabulary import INSTRUMENT, default_vocabulary

tables = arrays(np.int64, st.tuples(st.integers(1, 4), st.integers(1, 7)), elements=st.integers(0, 3))


def test_pairs_by_hand():
    # part 0 has 2 rows in bar 0 and 1 in bar 1, part 1 has 1 and 3, part 2 (drums) 1 and 0
    pairs = row_pairs(np.array([[2, 1], [1, 3], [1, 0]]), drums={2})
    assert pairs.counts.tolist() == [
        [3 + 1 + 1 + 1 + 6, 2 * 1 + 1 * 3],  # same: within each cell, then bar 1 with bar 0
        [2 * 1 + 1 * 3, 1 * 1 + 3 * 2],  # cross, parts 0 and 1
        [2 + 1, 1 + 3],  # drums of bar 0 with the others, in bar 0 and seen from bar 1
    ]
    assert pairs.total == 8 * 9 / 2


def test_headers_and_drums_have_no_pitch():
    rows = np.array([[1, 1], [2, 1], [1, 3], [1, 1]])
    pairs = row_pairs(rows, drums={3}, headers={0})
    assert (pairs.pitched[:2] == row_pairs(rows[1:3]).counts[:2]).all()
    assert not pairs.pitched[2].any()


@given(tables, st.sets(st.integers(0, 3), max_size=2))
def test_pairs_are_those_of_the_matrix(rows, drums):
    cells = [(b, p) for b in range(rows.shape[1]) for p in range(rows.shape[0]) for _ in range(rows[p, b])]
    expected = np.zeros((3, rows.shape[1]))
    for i, (b, p) in enumerate(cells):
        for c, q in cells[: i + 1]:
            relation = "same" if p == q else "drums" if {p, q} & drums else "cross"
            expected[MASK_RELATIONS.index(relation), b - c] += 1
    assert row_pairs(rows, drums=drums).counts.tolist() == expected.tolist()


def test_many_rows_are_counted_exactly():
    rows = np.full((64, 500), 997, dtype=np.int64)
    pairs = row_pairs(rows)
    assert pairs.counts[0, 1:].tolist() == [64 * (500 - k) * 997**2 for k in range(1, 500)]
    assert pairs.total == rows.sum() * (rows.sum() + 1) // 2


@given(tables, tables)
def test_pairs_add_up_over_pieces_of_any_length(a, b):
    both = row_pairs(a) + row_pairs(b)
    assert both.total == row_pairs(a).total + row_pairs(b).total
    assert both.at("same", 1) == row_pairs(a).at("same", 1) + row_pairs(b).at("same", 1)
    assert both.at("cross", 99) == 0.0


def test_each_piece_has_equal_weight_in_the_mean():
    # one piece of one bar, one of 100 bars: the mean of their shares of pairs at offset 0, 1 and 100 · 1 / 5050
    short, long = (PieceRows(rows=np.ones((1, n), dtype=np.int64), drums=()) for n in (1, 100))
    pairs = mean_pairs([short, long])
    assert pairs.total == pytest.approx(1)
    assert pairs.at("same", 0) == pytest.approx((1 + 100 / 5050) / 2)
    assert RowPairs.of(long).normalized().total == pytest.approx(1)


BAND = piece_of(
    [(0, 0, 6, 60), (0, 6, 6, 62), (1, 0, 6, 36), (2, 0, 6, 40), (0, 50, 6, 64), (2, 97, 6, 41), (3, 0, 6, 70)],
    parts=(
        Part(program=40, is_drum=False),
        Part(program=0, is_drum=True),
        Part(program=33, is_drum=False),
        Part(program=5, is_drum=False),
    ),
)


def test_rows_of_a_piece_by_hand():
    # headers, drums, bass, program 5, program 40
    found = PieceRows.of(BAND)
    assert found.rows.tolist() == [[1, 1, 1], [1, 0, 0], [1, 0, 1], [1, 0, 0], [2, 1, 0]]
    assert found.drums == (1,)


def test_cells_are_those_of_the_encoded_piece_in_generation_order():
    vocabulary = default_vocabulary()
    rows, _ = encode(BAND, vocabulary)
    rows = rows[rows[:, INSTRUMENT] != vocabulary.end]
    bar = np.cumsum(rows[:, INSTRUMENT] == vocabulary.bar) - 1
    part = [sorted(set(rows[:, INSTRUMENT])).index(i) for i in rows[:, INSTRUMENT]]
    cells = PieceRows.of(BAND).cells()
    assert np.repeat(cells.bar, cells.rows).tolist() == bar.tolist()
    assert np.repeat(cells.part, cells.rows).tolist() == part
    spec = MaskSpec(same=(), near=0, far=(), summaries=True, drums="exempt")
    see = dense_mask(spec, bar.tolist(), part, cells.drums)
    assert see[-1].tolist() == [
        False,
        True,
        *[False] * (len(see) - 4),
        True,
        True,
    ]  # the drums of bar 0, and its own bar


def test_near_and_far():
    assert near_and_far([]) == (0, ())
    assert near_and_far([4, 2, 1]) == (2, (4,))
    assert near_and_far([3, 2]) == (0, (2, 3))


def test_files_are_chosen_by_their_names_alone(tmp_path):
    paths = [tmp_path / f"{i}.mid" for i in range(40)]
    some = sample_files(paths, tmp_path, 10)
    assert sample_files(paths[::-1], tmp_path, 10) == some
    assert len(set(some)) == 10
    assert some != paths[:10]
    fewer = [p for p in paths if p != some[3]]  # one gone: the other nine stay
    assert set(some) - {some[3]} <= set(sample_files(fewer, tmp_path, 10))
    assert sample_files(paths, tmp_path, 99) == sample_files(paths, tmp_path, 40)


def test_rows_are_read_and_broken_files_left_out(tmp_path):
    write_midi(BAND, tmp_path / "a.mid")
    (tmp_path / "b.mid").write_text("no music")
    calls = []
    (found,) = read_piece_rows(sorted(tmp_path.iterdir()), on_file=lambda: calls.append(1))
    assert found.rows.sum() == 3 + 7
    assert len(calls) == 2
    with pytest.raises(MeloError, match=r"none of 1 files could be read; the first, b\.mid: not a MIDI file"):
        read_piece_rows([tmp_path / "b.mid"])
