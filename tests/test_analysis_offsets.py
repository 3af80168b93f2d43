"""Similarity by relation and offset: answers by hand, loops over all pairs, the plain count over mido, sums in any order."""

import random

import numpy as np
import plain_evidence
import pytest
from conftest import note, piece_of, signature, smf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import pieces

from analysis import offsets
from analysis.chunked_map import Workers
from analysis.families import FAMILIES
from analysis.measure_corpus import MeasureChunk, measure_corpus
from analysis.offsets import MAX_OFFSET, OFFSETS, UNIT, CellBlocks, count_pairs, measure
from analysis.piece import Part
from analysis.significance import evidence_of
from analysis.similarity import MEASURES, PC_JACCARD
from analysis.tables import OffsetTable, total_of

NAMES = tuple(m.name for m in MEASURES)


def table_of(piece, *, by_family=True):
    table = OffsetTable.empty(NAMES, dtype=np.int64)
    for m, kind in enumerate(MEASURES):
        layout = CellBlocks.of(piece, drums=kind.drums, by_family=by_family)
        table.add_piece(m, *measure(layout, kind.contents(layout.cells), kind))
    return table


def rows(table, name="pc-jaccard"):
    return {(r.relation, r.offset): (r.pairs, r.mean) for r in table.rows() if r.measure == name}


def two_parts():
    # bar by bar, part 0: {C} {C} .   part 1: {C,E} . {E}
    return piece_of([(0, 0, 6, 60), (0, 48, 6, 60), (1, 0, 6, 60), (1, 0, 6, 64), (1, 96, 6, 64)])


def test_relations_and_offsets_by_hand():
    close = pytest.approx
    assert rows(table_of(two_parts())) == {
        ("same", 1): (1, 1.0),  # part 0, bars 1 and 0
        ("same", 2): (1, 1 / 2),  # part 1, bars 2 and 0
        ("cross", 0): (1, 1 / 2),  # bar 0, the pair of parts once
        ("cross", 1): (2, close((1 / 2 + 0) / 2)),  # part 0 bar 1 with part 1 bar 0; part 1 bar 2 with part 0 bar 1
        ("cross", 2): (1, 0.0),  # part 1 bar 2 with part 0 bar 0
    }


def test_families_by_hand():
    piece = two_parts()  # programs 0 and 10: piano, chromatic percussion
    found = {
        (r.relation, r.offset, r.later, r.earlier): (r.pairs, r.mean)
        for r in table_of(piece).family_rows()
        if r.measure == "pc-jaccard"
    }
    piano, other = FAMILIES[:2]
    assert found == {
        ("same", 1, piano, piano): (1, 1.0),
        ("same", 2, other, other): (1, 1 / 2),
        ("cross", 0, piano, other): (1, 1 / 2),
        ("cross", 1, piano, other): (1, 1 / 2),
        ("cross", 1, other, piano): (1, 0.0),
        ("cross", 2, other, piano): (1, 0.0),
    }


def test_offset_zero_counts_each_pair_of_parts_once():
    assert rows(table_of(piece_of([(p, 0, 6, 60) for p in range(4)]))) == {("cross", 0): (6, 1.0)}


def test_two_parts_of_one_family_at_offset_zero():
    piece = piece_of([(p, 0, 6, 60) for p in range(3)], parts=(Part(program=33, is_drum=False),) * 3)
    (row,) = (r for r in table_of(piece).family_rows() if r.measure == "pc-jaccard")
    assert (row.later, row.earlier, row.pairs, row.mean) == ("bass", "bass", 3, 1.0)


def test_a_piece_of_one_part_has_no_cross_rows():
    assert set(rows(table_of(piece_of([(0, 48 * b, 6, 60) for b in range(3)])))) == {("same", 1), ("same", 2)}


def test_a_piece_of_drums_alone_has_rhythm_alone():
    piece = piece_of([(0, 48 * b, 6, 36) for b in range(2)], parts=(Part(program=0, is_drum=True),))
    assert {r.measure for r in table_of(piece).rows()} == {"onset-jaccard"}


def test_piece_means_count_pieces_alike():
    short = table_of(piece_of([(0, 0, 6, 60), (0, 48, 6, 61)]))
    long = table_of(piece_of([(0, 48 * b, 6, 60) for b in range(4)]))
    (row,) = (r for r in (short + long).rows() if r.offset == 1 and r.measure == "pc-jaccard")
    assert (row.pairs, row.mean, row.pieces, row.piece_mean) == (4, 3 / 4, 2, 1 / 2)


def test_deviation_by_hand():
    row = table_of(piece_of([(0, 0, 6, 60), (0, 48, 6, 60), (0, 96, 6, 61)])).rows()[0]
    assert (row.mean, row.deviation) == (1 / 2, 1 / 2)  # similarities 1 and 0


def loops(piece, kind):
    """Every pair of cells, one by one: the definition."""
    layout = CellBlocks.of(piece, drums=kind.drums, by_family=True)
    cells, contents = layout.cells, kind.contents(layout.cells)
    family = cells.family.tolist()
    found = {}
    for i in range(len(cells)):
        for j in range(len(cells)):
            offset = int(cells.bar[i] - cells.bar[j])
            same = cells.part[i] == cells.part[j]
            if not 0 <= offset <= MAX_OFFSET or (offset == 0 and (same or i < j)):
                continue
            a, b = (contents.items[contents.of_cell[[c]]] for c in (i, j))
            value = round(float(kind.similarity(a, b)[0, 0]) * UNIT)
            key = ("same" if same else "cross", offset)
            for place in (key, (*key, *((family[i], family[j]) if offset else sorted((family[i], family[j]))))):
                pairs, total = found.get(place, (0, 0))
                found[place] = (pairs + 1, total + value)
    return found


def sums_of(table, m):
    relations = ("same", "cross")
    found = {
        (relations[r], k): (int(table.pairs[m, r, k]), int(table.similarity[m, r, k]))
        for r, k in np.argwhere(table.pairs[m])
    }
    for k, f in np.argwhere(table.same_pairs[m]).tolist():
        found["same", k, f, f] = (int(table.same_pairs[m, k, f]), int(table.same_similarity[m, k, f]))
    for k, f, g in np.argwhere(table.cross_pairs[m]).tolist():
        if k or f <= g:
            found["cross", k, f, g] = (int(table.cross_pairs[m, k, f, g]), int(table.cross_similarity[m, k, f, g]))
    return found


@given(pieces(ticks_per_quarter=24), st.sampled_from([1, 40, 1 << 20]))
@settings(max_examples=40)
def test_sums_are_those_of_loops_over_all_pairs_however_the_bars_are_cut(piece, cut):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offsets, "_MOST_COMPARED", cut)
        table, plain = table_of(piece), table_of(piece, by_family=False)
    for m, kind in enumerate(MEASURES):
        assert sums_of(table, m) == loops(piece, kind)
    for name in ("pairs", "similarity", "square"):
        assert (getattr(table, name) == getattr(plain, name)).all()


@given(pieces(ticks_per_quarter=24))
def test_pairs_are_counted_before_they_are_made(piece):
    layout = CellBlocks.of(piece, drums=True, by_family=False)
    per_bar = np.bincount(layout.cells.bar, minlength=piece.n_bars)
    plain = sum(int(per_bar[b] * per_bar[b - k]) for b in range(piece.n_bars) for k in range(OFFSETS) if b >= k)
    assert count_pairs(layout) == plain


@given(st.lists(pieces(ticks_per_quarter=24), min_size=1, max_size=4), st.randoms())
@settings(max_examples=15)
def test_tables_add_to_the_same_bits_in_any_order(many, rng):
    tables = [table_of(p) for p in many]
    forward = sum(tables[1:], tables[0])
    shuffled = rng.sample(tables, len(tables))
    left, right = OffsetTable.empty(NAMES), OffsetTable.empty(NAMES)
    for t in shuffled[: len(shuffled) // 2]:
        left = left + t
    for t in shuffled[len(shuffled) // 2 :]:
        right = right + t
    assert left + right == forward
    assert OffsetTable.from_arrays(NAMES, forward.arrays()) == forward
    assert (forward + tables[0] == forward) is not bool(tables[0].rows())


def test_sums_go_on_beyond_64_bits():
    one = table_of(two_parts())
    huge = OffsetTable.empty(NAMES)
    many = OffsetTable(measures=NAMES, **{n: a.astype(object) << 62 for n, a in one.arrays().items()})
    for _ in range(4):
        huge = huge + many
    assert int(huge.pairs[0, 1, 1]) == 2 << 64
    assert rows(huge)["cross", 1][1] == rows(one)["cross", 1][1]


@given(st.lists(st.integers(0, (1 << 62) - 1), min_size=1, max_size=9))
@example([(1 << 62) - 1] * 9)
@settings(max_examples=15)
def test_a_total_is_exact_however_large(numbers):
    tables = []
    for n in numbers:
        table = OffsetTable.empty(NAMES, dtype=np.int64)
        table.cross_similarity[1, 2, 3, 4], table.pairs[0, 0, 1] = n, 1
        tables.append(table)
    total = total_of(NAMES, tables)
    assert (int(total.cross_similarity[1, 2, 3, 4]), int(total.pairs.sum())) == (sum(numbers), len(numbers))


def test_tables_of_other_measures_do_not_add():
    with pytest.raises(ValueError, match="cannot be added"):
        OffsetTable.empty(("pc-jaccard",)) + OffsetTable.empty(NAMES)


def measured(paths, folder):
    paths = [str(p) for p in paths]
    return measure_corpus(paths, MeasureChunk.of(len(paths)), folder, key="test", workers=Workers(processes=0))


def assert_agrees_with_plain_loops(paths, folder, *, least=60):
    """Every measure that the slow reference has: pairs equal, means within the rounding of one similarity; families, peaks."""
    corpus = measured(paths, folder)
    plain = plain_evidence.corpus_tables(paths)
    known = set(plain_evidence.MEASURES)
    ours = {(r.measure, r.relation, r.offset): r for r in corpus.table.rows() if r.measure in known}
    assert ours.keys() == plain["offsets"].keys()
    assert len(ours) >= least
    for key, row in plain["offsets"].items():
        mine = ours[key]
        assert (mine.pairs, mine.pieces) == (row["pairs"], row["pieces"]), key
        assert [mine.mean, mine.piece_mean] == pytest.approx([row["mean"], row["piece_mean"]], abs=3e-8), key
    families = {
        (r.measure, r.relation, r.offset, FAMILIES.index(r.later), FAMILIES.index(r.earlier)): (r.pairs, r.mean)
        for r in corpus.table.family_rows()
        if r.measure in known
    }
    assert families.keys() == plain["families"].keys()
    for key, row in plain["families"].items():
        assert families[key] == (row["pairs"], pytest.approx(row["mean"], abs=3e-8)), key
    peaks = {(p.measure, p.relation, p.offset): p for p in evidence_of(corpus).peaks if p.measure in known}
    assert peaks.keys() == plain["peaks"].keys()
    for key, row in plain["peaks"].items():
        assert peaks[key].pieces == row["pieces"], key
        assert peaks[key].height == pytest.approx(row["mean"], abs=1e-7), key
        if row["sd"]:
            assert peaks[key].effect == pytest.approx(row["mean"] / row["sd"], abs=1e-5, rel=1e-5), key


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


@pytest.mark.parametrize("seed", range(3))
def test_a_corpus_agrees_with_plain_loops_over_mido(tmp_path, seed):
    assert_agrees_with_plain_loops(write_random_corpus(tmp_path, seed, files=6), tmp_path / "chunks")


def test_real_files_agree_with_plain_loops_over_mido(real, tmp_path):
    paths = [p for name in ("band", "quartets", "pop909") for p in real(name)[::380]]
    assert_agrees_with_plain_loops(paths, tmp_path, least=250)


@pytest.mark.slow
def test_the_whole_band_agrees_with_plain_loops_over_mido(real, tmp_path):
    assert_agrees_with_plain_loops(real("band"), tmp_path, least=260)


def test_pc_jaccard_is_the_default():
    assert MEASURES[0] is PC_JACCARD
