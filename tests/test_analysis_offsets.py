"""Similarity by relation and offset: answers by hand, the plain count over mido, and sums that add in any order."""

import random
from fractions import Fraction

import numpy as np
import plain_offsets
import pytest
from conftest import note, piece_of, pieces, signature, smf
from hypothesis import given
from hypothesis import strategies as st

from analysis.engine import measure_corpus
from analysis.features import pitch_class_sets
from analysis.midi import write_midi
from analysis.offsets import OffsetTable, measure_piece
from analysis.piece import Part
from analysis.similarity import pc_jaccard


def bits(*pitch_classes):
    return np.array(sum(1 << p for p in pitch_classes), dtype=np.uint16)


def test_pc_jaccard_by_hand():
    c_major, a_minor, e_flat = bits(0, 4, 7), bits(9, 0, 4), bits(3, 7, 10)
    assert pc_jaccard(c_major, a_minor) == 2 / 4
    assert pc_jaccard(c_major, e_flat) == 1 / 5
    assert pc_jaccard(c_major, c_major) == 1
    assert pc_jaccard(bits(0), bits(1)) == 0
    assert pc_jaccard(bits(), bits()) == 0


@given(st.sets(st.integers(0, 11)), st.sets(st.integers(0, 11), min_size=1))
def test_pc_jaccard_is_the_formula(a, b):
    got = float(pc_jaccard(bits(*a), bits(*b)))
    assert got == len(a & b) / len(a | b) == float(pc_jaccard(bits(*b), bits(*a)))


def test_pitch_class_sets_leave_drums_out():
    parts = (Part(program=0, is_drum=True), Part(program=0, is_drum=False))
    piece = piece_of([(0, 0, 12, 36), (1, 0, 12, 60), (1, 12, 12, 76), (1, 96, 12, 61)], parts=parts)
    assert pitch_class_sets(piece).tolist() == [[1 | 1 << 4, 0, 2]]


def rows(table):
    return {(r.relation, r.offset): (r.pairs, r.mean) for r in table.rows()}


def test_relations_and_offsets_by_hand():
    # part 0: {C} {C} .   part 1: {C,E} . {E}
    sets = np.array([[1, 1, 0], [1 | 16, 0, 16]], dtype=np.uint16)
    assert rows(measure_piece(sets)) == {
        ("same", 1): (1, 1.0),  # part 0, bars 1 and 0
        ("same", 2): (1, 1 / 2),  # part 1, bars 2 and 0
        ("cross", 0): (1, 1 / 2),  # bar 0, the pair of parts once
        ("cross", 1): (2, (1 / 2 + 0) / 2),  # part 0 bar 1 with part 1 bar 0; part 1 bar 2 with part 0 bar 1
        ("cross", 2): (1, 0.0),  # part 1 bar 2 with part 0 bar 0
    }


def test_offset_zero_counts_each_pair_of_parts_once():
    sets = np.full((4, 1), 1, dtype=np.uint16)
    assert rows(measure_piece(sets)) == {("cross", 0): (6, 1.0)}


def test_a_piece_of_one_part_has_no_cross_rows():
    sets = np.full((1, 3), 1, dtype=np.uint16)
    assert set(rows(measure_piece(sets))) == {("same", 1), ("same", 2)}


def test_piece_means_weigh_pieces_alike():
    short = measure_piece(np.array([[1, 2]], dtype=np.uint16))
    long = measure_piece(np.array([[1, 1, 1, 1]], dtype=np.uint16))
    (row,) = (r for r in (short + long).rows() if r.offset == 1)
    assert (row.pairs, row.mean, row.pieces, row.piece_mean) == (4, 3 / 4, 2, 1 / 2)


def test_deviation_by_hand():
    (row,) = measure_piece(np.array([[1, 1, 2]], dtype=np.uint16), max_offset=1).rows()[:1]
    assert (row.mean, row.deviation) == (1 / 2, 1 / 2)  # similarities 1 and 0


@given(st.lists(pieces(ticks_per_quarter=24), min_size=1, max_size=5), st.randoms())
def test_tables_add_to_the_same_bits_in_any_order(many, rng):
    tables = [measure_piece(pitch_class_sets(p)) for p in many]
    forward = sum(tables[1:], tables[0])
    shuffled = rng.sample(tables, len(tables))
    left, right = OffsetTable("pc-jaccard"), OffsetTable("pc-jaccard")
    for t in shuffled[: len(shuffled) // 2]:
        left = left + t
    for t in shuffled[len(shuffled) // 2 :]:
        right = right + t
    assert left + right == forward


def test_tables_of_two_measures_do_not_add():
    with pytest.raises(ValueError, match="cannot be added"):
        OffsetTable("a") + OffsetTable("b")


def plain(paths):
    return {k: v for k, v in plain_offsets.corpus_table(paths).items() if v[0]}


def ours(paths):
    return {(r.relation, r.offset): (r.pairs, r.mean, r.piece_mean) for r in measure_corpus(paths).table.rows()}


def assert_equal(a, b):
    assert set(a) == set(b)
    for key in a:
        assert a[key][0] == b[key][0], key
        assert a[key][1:] == pytest.approx(b[key][1:], abs=1e-9, rel=0), key


def write_random_corpus(folder, seed, files):
    random.seed(seed)
    paths = []
    for i in range(files):
        tracks = []
        for _ in range(random.randint(1, 4)):
            channel, track = random.choice([0, 1, 9]), []
            if random.random() < 0.5:
                track.append(
                    signature(random.choice([2, 3, 4, 7]), random.choice([2, 3]), delta=random.choice([0, 700]))
                )
            for _ in range(random.randint(1, 60)):
                if random.random() < 0.1:
                    track.append((0, bytes([0xC0 | channel, random.choice([0, 40])])))
                track += note(
                    random.randint(40, 80), random.randint(0, 900), rest=random.randint(0, 900), channel=channel
                )
            tracks.append(track)
        path = folder / f"{i}.mid"
        path.write_bytes(smf(*tracks))
        paths.append(path)
    return paths


@pytest.mark.parametrize("seed", range(5))
def test_a_corpus_agrees_with_plain_loops_over_mido(tmp_path, seed):
    paths = write_random_corpus(tmp_path, seed, files=6)
    table = plain(paths)
    assert len(table) > 30
    assert_equal(ours(paths), table)


def test_real_files_agree_with_plain_loops_over_mido(real):
    paths = [p for name in ("band", "quartets", "pop909") for p in real(name)[::90]]
    assert_equal(ours(paths), plain(paths))


@pytest.mark.slow
def test_the_whole_band_agrees_with_plain_loops_over_mido(real):
    assert_equal(ours(real("band")), plain(real("band")))


def test_the_plain_count_is_right_by_hand(tmp_path):
    parts = tuple(Part(program=p, is_drum=False) for p in (0, 40))
    notes = [(0, 0, 6, 60), (0, 48, 6, 60), (1, 0, 6, 60), (1, 0, 6, 64), (1, 96, 6, 64)]
    write_midi(piece_of(notes, parts=parts), tmp_path / "a.mid")
    sums = plain_offsets.file_sums(tmp_path / "a.mid")
    assert sums == {
        ("same", 1): (1, Fraction(1)),
        ("same", 2): (1, Fraction(1, 2)),
        ("cross", 0): (1, Fraction(1, 2)),
        ("cross", 1): (2, Fraction(1, 2)),
        ("cross", 2): (1, Fraction(0)),
    }
