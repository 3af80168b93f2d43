"""Similarity Error: curves derived by hand, the project's own curves, equal sets, shuffled bars."""

import math

import numpy as np
import pytest
from conftest import piece_of
from hypothesis import given, settings
from strategies import pieces

from analysis.offsets import OFFSETS, RELATIONS, UNIT, CellBlocks, measure
from analysis.piece import Notes, Part, Piece
from analysis.similarity import MEASURES
from meloctl.corpus.composer.compose import compose_piece
from meloctl.evaluation.similarity_error import (
    VARIANTS,
    T,
    curve_sums,
    error_of_real,
    firm_curves,
    mean_curves,
    similarity_error,
)

V = VARIANTS.index
MUSEFORMER = V(("museformer", "same"))
NOTE_SAME = V(("note-jaccard", "same"))


def bar(b, *pitches, part=0):
    """Quarter notes of one part from the start of bar b on."""
    return [(part, 48 * b + 12 * i, 12, p) for i, p in enumerate(pitches)]


def curves(*some):
    sums = [curve_sums(p) for p in some]
    return mean_curves(sum(s[0] for s in sums), sum(s[1] for s in sums))


def test_museformers_curve_of_three_bars():
    piece = piece_of([*bar(0, 60, 62, 64), *bar(1, 60, 62, 65), *bar(2, 60, 62, 64)])
    curve = curves(piece)[MUSEFORMER]
    assert curve[1] == pytest.approx(2 / 4)  # two notes of four in both, twice
    assert curve[2] == 1
    assert np.isnan(curve[3:]).all()


@pytest.mark.parametrize("changed", [(0, 48, 6, 60), (0, 54, 12, 60), (0, 48, 12, 61)])
def test_notes_are_equal_in_pitch_duration_and_onset(changed):
    assert curves(piece_of([(0, 0, 12, 60), changed]))[MUSEFORMER, 1] == 0
    assert curves(piece_of([(0, 0, 12, 60), (0, 48, 12, 60)]))[MUSEFORMER, 1] == 1


def test_an_empty_bar_has_similarity_0_for_museformer_and_is_left_out_for_us():
    piece = piece_of([*bar(0, 60), *bar(2, 60), *bar(5, 60)])  # bars 1, 3 and 4 are empty
    pairs, total = curve_sums(piece)
    assert pairs[MUSEFORMER, 1] == 4  # (0,1) (1,2) (2,3) (4,5); 3 and 4 are both empty
    assert (pairs[MUSEFORMER, 2], total[MUSEFORMER, 2]) == (
        3,
        1,
    )  # (0,2) equal, (2,4) and (3,5) different; (1,3) is left out
    assert pairs[NOTE_SAME, 1] == 0
    assert (pairs[NOTE_SAME, 2], total[NOTE_SAME, 2]) == (1, 1)


def test_two_parts_across():
    piece = piece_of([*bar(0, 60), *bar(1, 64), *bar(0, 72, part=1), *bar(1, 60, part=1)])
    curve = curves(piece)
    assert curve[V(("pc-jaccard", "cross")), 0] == pytest.approx(1 / 2)  # C and C; E and C
    assert curve[V(("pc-jaccard", "cross")), 1] == pytest.approx(1 / 2)  # E after C: 0; C after C: 1
    assert curve[V(("note-jaccard", "cross")), 1] == pytest.approx(1 / 2)
    assert curve[V(("onset-jaccard", "cross")), 1] == 1


def test_drums_are_compared_by_onsets_alone():
    parts = (Part(program=0, is_drum=False), Part(program=0, is_drum=True))
    piece = piece_of([*bar(0, 60), *bar(0, 36, part=1), *bar(1, 36, part=1)], parts=parts)
    pairs, _ = curve_sums(piece)
    assert pairs[V(("onset-jaccard", "same")), 1] == 1
    assert pairs[V(("note-jaccard", "same")), 1] == 0


@settings(max_examples=40)
@given(pieces())
def test_curves_are_those_of_analysis_offsets(piece):
    pairs, total = curve_sums(piece)
    for kind in MEASURES:
        layout = CellBlocks.of(piece, drums=kind.drums, by_family=False)
        if not len(layout.cells):
            continue
        sums, _ = measure(layout, kind.contents(layout.cells), kind)
        for r, relation in enumerate(RELATIONS):
            v = V((kind.name, relation))
            assert pairs[v, :OFFSETS].tolist() == sums.pairs[r].tolist()
            assert total[v, :OFFSETS] == pytest.approx(sums.similarity[r] / UNIT, abs=1e-6)


def long_piece(bars, seed=0):
    random = np.random.default_rng(seed)
    return piece_of(
        [n for b in range(bars) for part in range(3) for n in bar(b, *random.integers(60, 64, 2), part=part)]
    )


def test_windows_of_a_long_piece_add_up():
    piece = long_piece(150)
    pairs, total = curve_sums(piece)
    layout = CellBlocks.of(piece, drums=False, by_family=False)
    kind = next(m for m in MEASURES if m.name == "note-jaccard")
    sums, _ = measure(layout, kind.contents(layout.cells), kind)
    v = V(("note-jaccard", "same"))
    assert pairs[v : v + 2, :OFFSETS].tolist() == sums.pairs.tolist()
    assert total[v : v + 2, :OFFSETS] == pytest.approx(sums.similarity / UNIT, abs=1e-6)
    assert pairs[v, T] == 3 * 110


def test_error_is_the_mean_distance_of_curves():
    curve, reference = np.full(T + 1, np.nan), np.zeros(T + 1)
    curve[[0, 1, 3]] = 1.0, 0.5, 0.1
    assert similarity_error(curve, reference) == pytest.approx((0.5 + 0.1) / 2)  # offset 0 is no offset of the error
    assert math.isnan(similarity_error(np.full(T + 1, np.nan), reference))


def test_offsets_with_few_pairs_are_left_out():
    pairs = np.zeros(T + 1)
    pairs[[0, 1, 2, 3]] = 900, 50, 5, 4.9
    firm = firm_curves(pairs, pairs / 2)
    assert firm[1:3].tolist() == [0.5, 0.5]
    assert np.isnan(firm[3:]).all()
    assert mean_curves(pairs, pairs / 2)[3] == 0.5


def composed(count, seed, **form):
    random = np.random.default_rng(seed)
    return [compose_piece(random, **form) for _ in range(count)]


def shuffled(piece, random):
    """The same bars in another order, all parts together."""
    order = random.permutation(piece.n_bars)
    notes, start = piece.notes, piece.bars.start_tick(np.arange(piece.n_bars))
    onset = notes.onset_tick - start[piece.note_bar] + start[order[piece.note_bar]]
    return Piece(
        parts=piece.parts,
        notes=Notes.of(onset, notes.duration_tick, notes.pitch, notes.velocity, notes.part),
        bars=piece.bars,
        tempo_tick=piece.tempo_tick,
        tempo=piece.tempo,
    )


def test_a_corpus_against_itself_has_no_error_and_shuffled_bars_have():
    corpus, other = composed(6, 1), composed(6, 2)
    random = np.random.default_rng(3)
    reference = curves(*corpus)
    assert similarity_error(curves(*corpus), reference).max() == 0
    honest = similarity_error(curves(*other), reference)
    broken = similarity_error(curves(*(shuffled(p, random) for p in other)), reference)
    for name in ("museformer", "note-jaccard", "pc-jaccard"):
        assert broken[V((name, "same"))] > 1.5 * honest[V((name, "same"))]


def test_error_of_real_music_falls_with_the_number_of_pieces():
    one = curve_sums(composed(1, 5)[0])
    same = np.stack([one[0]] * 4), np.stack([one[1]] * 4)
    assert np.nanmax(error_of_real(*same, 3, np.random.default_rng(0))) == pytest.approx(0, abs=1e-12)
    sums = [curve_sums(p) for p in composed(8, 6)]
    pairs, total = np.stack([s[0] for s in sums]), np.stack([s[1] for s in sums])
    few, many = (error_of_real(pairs, total, n, np.random.default_rng(0))[:, MUSEFORMER].mean() for n in (2, 50))
    assert few > many > 0
