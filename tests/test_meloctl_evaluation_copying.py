"""Copies: runs of notes that are shared, against a plain search; planted copies are found."""

import math

import numpy as np
import pytest
from conftest import piece_of
from hypothesis import given
from hypothesis import strategies as st
from strategies import pieces

from analysis.near_duplicates import NEAR, shingles
from analysis.piece import Notes, Part, Piece
from meloctl.corpus.composer.compose import compose_piece
from meloctl.evaluation.copying import (
    COPIED_NOTES,
    longest_matches,
    nearest_pieces,
    not_repeated,
    note_steps,
    shared_notes,
)

DRUMS = Part(program=0, is_drum=True)


def tune(*pitches, part=0, start=0, step=12):
    return [(part, start + step * i, step, p) for i, p in enumerate(pitches)]


def random_tune(seed, count=60):
    return np.random.default_rng(seed).integers(50, 80, count).tolist()


def one(piece, *reference):
    (found,) = shared_notes([note_steps(piece)], [note_steps(r) for r in reference])
    return found


def plain_matches(steps, reference, skipped, owner):
    """The longest match of each suffix, by trying all."""
    best = [0] * len(steps)
    for i in range(len(steps)):
        for j in range(len(reference)):
            k = 0
            while i + k < len(steps) and j + k < len(reference) and steps[i + k] == reference[j + k] != -1:
                k += 1
            if owner[j] != skipped[i]:
                best[i] = max(best[i], k)
    return best


@given(st.data())
def test_matches_are_those_of_a_plain_search(data):
    steps = st.lists(st.integers(-1, 2), min_size=1, max_size=24)
    piece = [*data.draw(steps), -1]
    parts = [[*data.draw(steps), -1] for _ in range(data.draw(st.integers(1, 3)))]
    reference, owner = [x for p in parts for x in p], [i for i, p in enumerate(parts) for _ in p]
    skipped = [data.draw(st.integers(-1, 2))] * len(piece)
    length, where = longest_matches(*(np.array(x) for x in (piece, reference, skipped, owner)))
    assert length.tolist() == plain_matches(piece, reference, skipped, owner)
    for i, (n, j) in enumerate(zip(length, where, strict=True)):
        assert n == 0 or (piece[i : i + n] == reference[j : j + n] and owner[j] != skipped[i])


def test_steps_of_a_tune_and_a_chord():
    piece = piece_of([(0, 0, 12, 60), (0, 0, 12, 64), (0, 12, 12, 62), (1, 6, 6, 40)])
    interval, wait = np.divmod(note_steps(piece), 1 << 12)
    assert (interval[:2] - 128).tolist() == [4, -2]
    assert wait[:2].tolist() == [0, 12]
    assert note_steps(piece)[2:].tolist() == [-1, -1]


def test_ten_notes_in_another_key_at_another_place():
    original = random_tune(1)
    copied = [30, *(p + 5 for p in original[20:30]), 99]
    found = one(piece_of(tune(*copied, start=37 * 12)), piece_of(tune(*random_tune(2))), piece_of(tune(*original)))
    assert (found.longest, found.source) == (10, 1)
    assert found.share == 0  # shorter than COPIED_NOTES


def test_a_run_does_not_go_on_in_another_part():
    original = random_tune(1, 20)
    halves = piece_of([*tune(*original[:10]), *tune(*original[10:], part=1, start=120)])
    assert one(piece_of(tune(*original)), halves).longest == 10


def test_another_rhythm_is_no_copy():
    original = random_tune(1, 20)
    assert one(piece_of(tune(*original, step=6)), piece_of(tune(*original))).longest == 0


def test_a_repeated_figure_counts_once():
    assert not_repeated(np.array([5, 5, 5, 5, 7, 5])).tolist() == [True, False, False, False, True, True]
    assert not_repeated(np.array([1, 2, 1, 2, 1, 2])).tolist() == [True, True, True, False, False, False]
    assert not_repeated(np.array([1, 2, 3, 1, 2, 4])).tolist() == [True] * 6
    assert not_repeated(np.array([1, -1, 1, -1])).tolist() == [True] * 4  # parts, not a figure
    trill = piece_of(tune(*[60, 65] * 40))
    assert (one(trill, trill).longest, one(trill, trill).share) == (4, 0)


@given(st.lists(st.integers(0, 2), max_size=40))
def test_repeats_are_those_of_a_plain_search(steps):
    def repeats(i):
        return any(
            steps[i - n + 1 : i + 1] == steps[i - 2 * n + 1 : i - n + 1] for n in range(1, 17) if i - 2 * n + 1 >= 0
        )

    assert not_repeated(np.array(steps, dtype=np.int64)).tolist() == [not repeats(i) for i in range(len(steps))]


def test_share_of_copied_notes():
    original = random_tune(1)
    copied = [*original[:COPIED_NOTES], *random_tune(7, COPIED_NOTES)]
    found = one(piece_of(tune(*copied)), piece_of(tune(*original)))
    assert found.longest == COPIED_NOTES
    assert found.share == pytest.approx((COPIED_NOTES - 1) / (2 * COPIED_NOTES - 1))


def test_drums_alone_have_no_shared_notes():
    drums = piece_of(tune(*random_tune(1)), parts=(DRUMS,))
    found = one(drums, drums)
    assert (found.longest, found.source) == (0, -1)
    assert math.isnan(found.share)


@given(st.lists(pieces(), min_size=2, max_size=4), st.integers(1, 50))
def test_chunks_of_the_reference_make_no_difference(some, chunk):
    steps = [note_steps(p) for p in some]
    whole, cut = shared_notes(steps[:1], steps[1:]), shared_notes(steps[:1], steps[1:], chunk=chunk)
    assert [c.longest for c in whole] == [c.longest for c in cut]


def transposed(piece, by):
    notes = piece.notes
    pitch = np.where(np.array([p.is_drum for p in piece.parts])[notes.part], notes.pitch, notes.pitch + by)
    return Piece(
        parts=piece.parts,
        notes=Notes.of(notes.onset_tick, notes.duration_tick, pitch, notes.velocity, notes.part),
        bars=piece.bars,
        tempo_tick=piece.tempo_tick,
        tempo=piece.tempo,
    )


def test_a_copy_is_found_among_composed_pieces_and_another_piece_is_not():
    random = np.random.default_rng(4)
    reference = [compose_piece(random) for _ in range(5)]
    copied = [transposed(reference[3], 2), compose_piece(random)]
    steps, hashes = ([f(p) for p in reference] for f in (note_steps, shingles))
    copy, another = shared_notes([note_steps(p) for p in copied], steps)
    assert (copy.source, copy.share) == (3, 1.0)
    assert another.longest < copy.longest / 2
    (similarity, index), (other, _) = nearest_pieces([shingles(p) for p in copied], hashes)
    assert (similarity, index) == (1.0, 3)
    assert other < NEAR


def test_a_piece_of_the_reference_is_not_compared_with_itself():
    random = np.random.default_rng(4)
    reference = [compose_piece(random) for _ in range(3)]
    steps, hashes = ([f(p) for p in reference] for f in (note_steps, shingles))
    every = range(3)
    assert all(c.source == i for i, c in enumerate(shared_notes(steps, steps)))
    assert all(c.source != i for i, c in enumerate(shared_notes(steps, steps, same=every)))
    assert all(index != i for i, (_, index) in enumerate(nearest_pieces(hashes, hashes, same=every)))


def test_nearest_is_the_jaccard_index_of_shingles():
    a, b = (np.array(x, dtype=np.uint64) for x in ([1, 2, 3, 4], [3, 4, 5]))
    assert nearest_pieces([a], [np.array([9], dtype=np.uint64), b]) == [(2 / 5, 1)]
    assert nearest_pieces([a], [np.array([9], dtype=np.uint64)]) == [(0.0, -1)]
    assert nearest_pieces([a[:0]], [b]) == [(0.0, -1)]
