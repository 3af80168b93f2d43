"""Shuffles, intervals and the test of peaks: answers by hand, and planted truths."""

from dataclasses import replace
from itertools import permutations, product
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import piece_of
from hypothesis import given
from strategies import pieces

from analysis import shuffle, significance
from analysis.chunked_map import ChunkResult, Workers
from analysis.features import Contents
from analysis.measure_corpus import MeasureChunk, measure_corpus
from analysis.midi_write import write_midi
from analysis.offsets import OFFSETS, UNIT, CellBlocks, measure
from analysis.piece import Notes, Part
from analysis.shuffle import _bar_sums, _in_orders, chance_sums, shuffled_sums, whole_table
from analysis.significance import LEVEL, Peak, _corrected_p, evidence_of, peak_heights, period_of
from analysis.similarity import MEASURES


def peak(offset, height, *, p=0.0005, low=None, relation="same"):
    return Peak(
        measure="pc-jaccard",
        relation=relation,
        offset=offset,
        pieces=9,
        height=height,
        interval=(height / 2 if low is None else low, 2 * height),
        effect=1.0,
        p=p,
    )


def test_peak_height_by_hand():
    pairs = np.zeros(OFFSETS, dtype=np.int64)
    pairs[1:6] = 10
    similarity = np.zeros(OFFSETS, dtype=np.int64)
    similarity[1:6] = [UNIT, 2 * UNIT, 8 * UNIT, 2 * UNIT, 3 * UNIT]  # means .1 .2 .8 .2 .3
    heights = peak_heights(pairs, similarity)
    assert heights[2:5] == pytest.approx([0.2 - 0.45, 0.8 - 0.2, 0.2 - 0.55])
    assert np.isnan(np.delete(heights, [2, 3, 4])).all()  # offset 1 has none, 5 lacks a neighbour


def test_a_period_is_the_smallest_of_the_great_peaks():
    assert period_of([peak(2, 0.05), peak(4, 0.2), peak(8, 0.24), peak(12, 0.2)]) == 4
    assert period_of([peak(4, 0.02), peak(8, 0.2), peak(16, 0.2)]) == 8
    assert period_of([peak(2, 0.07), peak(4, 0.07), peak(6, 0.3), peak(8, 0.07), peak(12, 0.3)]) == 6
    assert (
        period_of([peak(8, 0.3), peak(16, 0.5), peak(24, 0.9)]) == 8
    )  # AABA: the last A stands 24 bars after the first
    assert period_of([peak(24, 0.9)]) == 24
    assert period_of([]) is None
    answers = [peak(k, 0.01 if k % 2 else -0.01) for k in range(2, 32)]  # alike at 3, 5, 7 … back
    assert period_of(answers) is None


def test_a_peak_must_be_certain_high_enough_and_carried_by_many_pieces():
    assert peak(4, 0.2, p=LEVEL).real
    assert period_of([peak(4, 0.2, p=LEVEL + 0.001), peak(6, 0.004), peak(8, 0.2, low=-0.01)]) is None


def test_p_is_corrected_for_the_number_of_offsets():
    chance = np.random.default_rng(0).normal(size=(9_999, 1, 30))
    observed = np.zeros((1, 30))
    observed[0, 3], observed[0, 7] = 3.0, 9.0
    p = _corrected_p(observed, chance)[0]
    one_by_one = (1 + (chance[:, 0, 3] >= 3.0).sum()) / 10_000
    assert p[7] == 1 / 10_000
    assert one_by_one < 0.005 < p[3]  # among 30 offsets a height of 3 deviations is nothing rare
    assert p[3] == pytest.approx(1 - (1 - 0.00135) ** 30, abs=0.01)
    assert (p[[0, 1, 2]] > 0.9).all()


def layouts(piece):
    for kind in MEASURES:
        layout = CellBlocks.of(piece, drums=kind.drums, by_family=True)
        contents = kind.contents(layout.cells)
        yield kind, layout, contents, whole_table(layout, contents, kind)


@pytest.mark.slow
def test_the_level_holds_with_few_shuffles_a_piece(monkeypatch):
    """100 pieces with 8 shuffles each, as in large corpora; any order is as good as another. Of 600 curves 6 may show a peak."""
    monkeypatch.setattr(significance, "_CHANCES", 499)
    rng, shown = np.random.default_rng(7), 0
    pairs = np.full((100, 9, 1, 2, OFFSETS), 40)
    for _ in range(300):
        sums = np.rint(40 * UNIT * (0.5 + 0.05 * rng.standard_normal(pairs.shape))).astype(np.int64)
        chunk = ChunkResult(
            arrays={
                "of_piece.pairs": pairs[:, 0],
                "of_piece.similarity": sums[:, 0],
                "shuffled.piece": np.arange(100),
                "shuffled.pairs": pairs[:, 1:],
                "shuffled.similarity": sums[:, 1:],
            },
            facts={},
        )
        corpus = SimpleNamespace(table=SimpleNamespace(pairs=pairs[0, 0]), each_chunk=lambda found=chunk: iter([found]))
        p = significance._p_values(corpus, seed=int(rng.integers(1 << 30)))
        shown += int((np.nanmin(p, axis=-1) <= LEVEL).sum())
    assert shown <= 13, shown  # one chance in 200; without a piece's own order among its shuffles it is about 20


@given(pieces(ticks_per_quarter=24))
def test_bars_in_their_own_order_give_what_was_measured(piece):
    for kind, layout, contents, table in layouts(piece):
        order = np.arange(piece.n_bars)[None]
        plain, _ = measure(layout, contents, kind)
        assert (_in_orders(*_bar_sums(layout, contents.of_cell, table), order)[0] == plain.similarity).all()


def reordered(piece, order):
    """A piece in 4/4 whose bar b is bar order[b] of this one."""
    at = np.argsort(order)
    notes = piece.notes
    length = 4 * piece.ticks_per_quarter
    onset = at[notes.onset_tick // length] * length + notes.onset_tick % length
    moved = Notes.of(onset, notes.duration_tick, notes.pitch, notes.velocity, notes.part)
    return replace(piece, notes=moved)


def test_a_shuffle_is_the_piece_with_its_bars_in_another_order():
    rng = np.random.default_rng(3)
    parts = tuple(Part(program=p, is_drum=d) for p, d in ((0, False), (33, False), (0, True)))
    piece = piece_of(
        [
            (int(rng.integers(3)), 48 * b + int(rng.integers(48)), 6, int(rng.integers(60, 66)))
            for b in range(23)
            for _ in range(4)
        ],
        parts=parts,
    )
    for kind, layout, contents, table in layouts(piece):
        pairs, similarity = shuffled_sums(layout, contents, table, draws=5, rng=np.random.default_rng(5))
        orders = np.random.default_rng(5)
        for draw in range(5):
            other = reordered(piece, orders.permutation(23))
            there = CellBlocks.of(other, drums=kind.drums, by_family=False)
            plain, _ = measure(there, kind.contents(there.cells), kind)
            assert (plain.pairs == pairs[draw]).all()
            assert (plain.similarity == similarity[draw]).all()


def test_chance_is_the_mean_over_all_shuffles_of_each_part():
    piece = piece_of(
        [
            *((0, 48 * b, 12, p) for b, p in ((0, 60), (1, 60), (2, 64), (4, 60))),
            *((1, 48 * b, 12, p) for b, p in ((0, 60), (0, 64), (2, 64), (3, 60))),
            *((2, 48 * b, 12, p) for b, p in ((1, 64), (3, 60))),
        ]
    )
    for kind, layout, contents, table in layouts(piece):
        cells = [np.flatnonzero(layout.cells.part == p) for p in range(3)]
        total, shuffles = np.zeros((2, OFFSETS)), 0
        for orders in product(*(permutations(c) for c in cells)):
            of_cell = contents.of_cell.copy()
            of_cell[np.concatenate(cells)] = contents.of_cell[np.concatenate(orders)]
            total += measure(layout, Contents(items=contents.items, of_cell=of_cell), kind)[0].similarity
            shuffles += 1
        assert shuffles == 24 * 6 * 2
        assert chance_sums(layout, contents, table) == pytest.approx(total / shuffles, abs=1)


def test_a_piece_too_long_for_its_tables_is_left_out(monkeypatch):
    monkeypatch.setattr(shuffle, "MOST_CONTENTS", 6)
    bars = [(0, 48 * b, 12, 60 + b % 3) for b in range(7)]
    assert all(table is None for *_, table in layouts(piece_of(bars)))
    assert all(table is not None for *_, table in layouts(piece_of(bars[:6])))


def corpus_of(many, tmp_path):
    folder = tmp_path / "midi"
    folder.mkdir()
    for i, piece in enumerate(many):
        write_midi(piece, folder / f"{i:03d}.mid")
    paths = sorted(map(str, folder.iterdir()))
    return measure_corpus(
        paths, MeasureChunk.of(len(paths)), tmp_path / "chunks", key="k", workers=Workers(processes=0)
    )


def loop(rng, bars, period, *, copied=0.9):
    """One part of bars of three random notes; with a period, most bars are copies of the one `period` before."""
    made = []
    for b in range(bars):
        again = period and b >= period and rng.random() < copied
        made.append(made[b - period] if again else rng.choice(12, 3, replace=False) + 60)
    notes = [(0, 48 * b + 12 * i, 12, int(p)) for b, chord in enumerate(made) for i, p in enumerate(chord)]
    return piece_of(notes, parts=(Part(program=0, is_drum=False),))


@pytest.mark.parametrize("period", [None, 3, 4, 6, 8])
def test_a_planted_period_is_found(tmp_path, period):
    rng = np.random.default_rng(period or 0)
    evidence = evidence_of(corpus_of([loop(rng, 40, period) for _ in range(10)], tmp_path))
    assert evidence.period("pc-jaccard", "same") == period
    real = {p.offset for p in evidence.peaks if p.real and p.measure == "pc-jaccard"}
    assert all(k % period == 0 for k in real) if period else not real


def test_one_piece_is_enough_for_a_clear_period(tmp_path):
    evidence = evidence_of(corpus_of([loop(np.random.default_rng(1), 64, 4)], tmp_path))
    assert evidence.period("pc-jaccard", "same") == 4
    assert evidence.draws == 999


def test_the_interval_of_a_mean_over_pieces_is_that_of_the_textbook(tmp_path):
    """Every piece has one pair at offset 1, alike in a third of them: the interval of a proportion."""
    many = [piece_of([(0, 0, 12, 60), (0, 48, 12, 60 if i % 3 == 0 else 61)]) for i in range(90)]
    evidence = evidence_of(corpus_of(many, tmp_path))
    low, high = evidence.mean_interval[:, 0, 0, 1]
    spread = 1.96 * (1 / 3 * 2 / 3 / 90) ** 0.5
    assert (low, high) == (pytest.approx(1 / 3 - spread, abs=0.02), pytest.approx(1 / 3 + spread, abs=0.02))
    assert evidence.piece_interval[:, 0, 0, 1].tolist() == [low, high]
    assert np.isnan(evidence.mean_interval[:, 0, 0, 2]).all()


def test_the_same_corpus_gives_the_same_evidence(tmp_path):
    many = [loop(np.random.default_rng(i), 20, 4) for i in range(12)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    a, b = evidence_of(corpus_of(many, tmp_path / "a")), evidence_of(corpus_of(many, tmp_path / "b"))
    assert a.peaks == b.peaks
    assert np.array_equal(a.mean_interval, b.mean_interval, equal_nan=True)


def test_chance_has_the_height_of_the_bars_of_a_piece(tmp_path):
    """Two bars that alternate: shuffled, a pair is alike in (n/2 - 1) / (n - 1) of all cases."""
    piece = piece_of([(0, 48 * b, 12, 60 + b % 2) for b in range(16)])
    evidence = evidence_of(corpus_of([piece] * 9, tmp_path))
    for found in (evidence.chance, *evidence.chance_interval):
        assert found[0, 0, 1:12] == pytest.approx(np.full(11, 7 / 15), abs=1e-8)
