"""Of batches.py while it stays; goes with it."""

from conftest import piece_of

from analysis.piece import Part
from meloctl.dataset.batches import Window, batches, collate, training_batches, validation_batches
from meloctl.rows.codec import encode
from meloctl.rows.vocabulary import ABSENT, INSTRUMENT, default_vocabulary

V = default_vocabulary()
PARTS = (Part(program=0, is_drum=True), Part(program=0, is_drum=False))


def bars_of(count, notes_each):
    """A piece of `count` bars with so many notes each, drums and piano in turn."""
    notes = [(i % 2, 48 * b + i, 6, 50 + i) for b in range(count) for i in range(notes_each)]
    return encode(piece_of(notes, parts=PARTS), V)[0]


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
    rows = {bytes(r[r[:, INSTRUMENT] != ABSENT].astype("int16").tobytes()) for b in made for r in b.rows}
    assert rows == {w.rows.tobytes() for w in many}
