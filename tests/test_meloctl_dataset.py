import numpy as np
import pytest
from conftest import note, piece_of, smf
from hypothesis import given
from hypothesis import strategies as st

from analysis.corpus import find_files
from analysis.errors import MeloError
from analysis.piece import Part
from meloctl.dataset.batches import (
    TRANSPOSITIONS,
    Window,
    batches,
    collate,
    training_batches,
    transposed,
    validation_batches,
    windows,
)
from meloctl.dataset.store import encode_corpus, read_shard, write_shard
from meloctl.rows.codec import encode
from meloctl.rows.vocabulary import ABSENT, INSTRUMENT, PITCH, default_vocabulary

V = default_vocabulary()
PARTS = (Part(program=0, is_drum=True), Part(program=0, is_drum=False))


def rows_of(notes):
    return encode(piece_of(notes, parts=PARTS), V)[0]


def bars_of(count, notes_each):
    """A piece of `count` bars with so many notes each, drums and piano in turn."""
    return rows_of([(i % 2, 48 * b + i, 6, 50 + i) for b in range(count) for i in range(notes_each)])


def test_windows_are_whole_bars_that_fit():
    # bars of 1 + 4 rows, and the end row: 12 rows hold two bars
    rows = bars_of(5, 4)
    cut = windows([rows], 12, V)
    assert [(w.first_bar, len(w.rows)) for w in cut] == [(0, 10), (2, 10), (4, 6)]
    assert np.array_equal(np.concatenate([w.rows for w in cut]), rows)


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


def test_transposition_moves_pitches_and_leaves_drums():
    rows = rows_of([(0, 0, 6, 36), (1, 0, 6, 60)])
    moved = transposed(rows, 5, V)
    assert moved[:, PITCH].tolist() == [ABSENT, 36, 65, ABSENT]
    assert np.array_equal(transposed(moved, -5, V), rows)


def test_transposition_never_leaves_the_range():
    rows = rows_of([(1, 0, 6, 126), (1, 6, 6, 60)])
    assert np.array_equal(transposed(rows, 2, V), rows)
    assert transposed(rows, 1, V)[:, PITCH].max() == 127


def test_transpositions_are_every_key_once():
    assert sorted(t % 12 for t in TRANSPOSITIONS) == list(range(12))


def test_batches_hold_what_fits():
    many = [Window(rows=bars_of(1, n), first_bar=0) for n in (2, 2, 3, 5, 5, 9)]
    for group in batches(many, 16):
        longest = max(len(many[i].rows) for i in group)
        assert len(group) == 1 or len(group) * longest <= 16
    assert sorted(i for g in batches(many, 16) for i in g) == list(range(6))


def test_a_batch_is_padded_with_absent():
    batch = collate([Window(rows=bars_of(1, 2), first_bar=3), Window(rows=bars_of(1, 4), first_bar=0)])
    assert batch.rows.shape == (2, 6, 8)
    assert (batch.rows[0, 4:] == ABSENT).all()
    assert (batch.n_rows, batch.n_notes, batch.first_bar.tolist()) == (10, 6, [3, 0])


def content(made):
    return [b.rows.tobytes() for b in made]


def test_an_epoch_is_every_window_once_and_depends_on_seed_and_epoch():
    many = [Window(rows=bars_of(1 + n % 3, 2 + n), first_bar=0) for n in range(12)]
    first = list(training_batches(many, 40, V, seed=1, epoch=0))
    assert content(first) == content(training_batches(many, 40, V, seed=1, epoch=0))
    assert content(first) != content(training_batches(many, 40, V, seed=1, epoch=1))
    assert content(first) != content(training_batches(many, 40, V, seed=2, epoch=0))
    assert sum(b.n_rows for b in first) == sum(len(w.rows) for w in many)
    assert sum(len(b.rows) for b in first) == 12


def test_validation_is_fixed_and_unchanged():
    many = [Window(rows=bars_of(1, n), first_bar=0) for n in range(2, 9)]
    made = list(validation_batches(many, 40))
    assert content(made) == content(validation_batches(many, 40))
    rows = {bytes(r[r[:, INSTRUMENT] != ABSENT].astype(np.int16).tobytes()) for b in made for r in b.rows}
    assert rows == {w.rows.tobytes() for w in many}


@pytest.fixture
def corpus(tmp_path):
    for i in range(30):
        (tmp_path / f"{i:02d}.mid").write_bytes(smf(note(40 + i, 480), note(60, 480)))
    (tmp_path / "broken.mid").write_text("no")
    return tmp_path


def test_a_corpus_becomes_rows_and_splits_by_its_notes(corpus):
    shard = encode_corpus(find_files(corpus), V)
    assert len(shard) == 30
    assert len(shard.of_split("train")) + len(shard.of_split("validation")) + len(shard.of_split("test")) == 30
    assert np.array_equal(np.concatenate([shard.piece(i) for i in range(30)]), shard.rows)
    (corpus / "copy.mid").write_bytes((corpus / "00.mid").read_bytes())
    again = encode_corpus(find_files(corpus), V)
    assert again.split[:30] == shard.split
    assert again.split[30] == shard.split[0]  # a copy lies on the side of its original


def test_a_shard_round_trips(corpus, tmp_path):
    shard = encode_corpus(find_files(corpus), V)
    write_shard(shard, tmp_path / "rows-1")
    again = read_shard(tmp_path / "rows-1")
    assert np.array_equal(again.rows, shard.rows)
    assert (again.split, again.loss) == (shard.split, shard.loss)


def test_a_damaged_shard_is_refused(corpus, tmp_path):
    write_shard(encode_corpus(find_files(corpus), V), tmp_path / "rows-1")
    (tmp_path / "rows-1.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(MeloError, match="damaged row shard"):
        read_shard(tmp_path / "rows-1")


def test_a_corpus_without_readable_files_is_refused(tmp_path):
    (tmp_path / "a.mid").write_text("no")
    with pytest.raises(MeloError, match="none of the 1 files could be read"):
        encode_corpus(find_files(tmp_path), V)
