import gc
import threading
import time
from itertools import count, islice

import numpy as np
import pytest
import torch
from conftest import piece_of
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import MeloError
from analysis.piece import Part
from meloctl.dataset.loader import Loader
from meloctl.dataset.packs import pack_of, padding_share
from meloctl.dataset.store import make_shard
from meloctl.dataset.stream import PackStream
from meloctl.dataset.windows import Window, windows
from meloctl.rows.codec import encode
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTRUMENT, PITCH, TEMPO, default_vocabulary

V = default_vocabulary()
PARTS = (Part(program=0, is_drum=True), Part(program=0, is_drum=False))


def window_of(number, length):
    """A window with a first bar of its own, of alternating drum and piano notes."""
    notes = [(i % 2, i, 6, 40 + i % 40) for i in range(length - 2)]
    return Window(rows=encode(piece_of(notes, parts=PARTS), V)[0], first_bar=number)


LENGTHS = (26, 29, 9, 30, 21, 22, 25, 16, 34, 10, 16, 18, 23, 19, 12, 10, 9, 10, 12, 34, 13, 25, 28, 15)
"""476 rows: in packs of 60 they take 8 or 9, as the draw falls."""

MANY = [window_of(i, n) for i, n in enumerate(LENGTHS)]


def content(packs):
    return [(p.rows.tobytes(), p.starts.tolist(), p.first_bar.tolist()) for p in packs]


def stream_of(many=MANY, length=60, seed=1):
    return PackStream(many, length, V, seed=seed)


def epoch_of_packs(stream, epoch):
    return [stream.pack_at(n) for n in range(stream.first_of(epoch), stream.first_of(epoch + 1))]


@given(st.lists(st.integers(3, 31), min_size=1, max_size=20), st.integers(31, 80), st.integers(0, 3))
def test_an_epoch_holds_every_window_once_with_its_bar_and_its_drums(lengths, length, epoch):
    many = [window_of(i, n) for i, n in enumerate(lengths)]
    found = []
    for pack in epoch_of_packs(stream_of(many, length), epoch):
        assert pack.n_rows == len(pack.rows) <= length
        for number, start, stop in zip(pack.first_bar, pack.starts, pack.starts[1:], strict=False):
            found.append(int(number))
            rows, augmented = many[number].rows, pack.rows[start:stop]
            kept = [f for f in range(len(FIELDS)) if f not in (PITCH, TEMPO)]
            assert np.array_equal(augmented[:, kept], rows[:, kept])
            drums = rows[:, INSTRUMENT] == V.drums
            assert np.array_equal(augmented[drums], rows[drums])
    assert sorted(found) == list(range(len(many)))


def test_epochs_differ_in_order_and_key_and_hang_on_the_seed():
    first, second = (content(epoch_of_packs(stream_of(), e)) for e in (0, 1))
    assert first == content(epoch_of_packs(stream_of(), 0))
    assert first != second
    assert first != content(epoch_of_packs(stream_of(seed=2), 0))
    assert stream_of().arrangement(0).window.tolist() != stream_of(seed=2).arrangement(0).window.tolist()
    alone = stream_of([window_of(0, 9)])  # one pack an epoch: only the key and the tempo can differ
    assert len({(int(p.rows[0, TEMPO]), int(p.rows[-2, PITCH])) for p in map(alone.pack_at, range(40))}) > 20


@given(st.lists(st.integers(0, 60), min_size=1, max_size=5))
def test_a_pack_is_the_same_in_whatever_order_packs_are_made(numbers):
    stream, entering = stream_of(), stream_of()
    every = content(stream.pack_at(n) for n in range(max(numbers) + 1))
    assert content(map(entering.pack_at, numbers)) == [every[n] for n in numbers]


def test_packs_of_an_epoch_may_be_more_or_fewer():
    stream = stream_of()
    counts = [len(stream.arrangement(e)) for e in range(30)]
    assert len(set(counts)) > 1  # or the next lines would show nothing
    assert [stream.first_of(e) for e in range(31)] == [0, *np.cumsum(counts)]
    assert [stream.epoch_of(n) for n in range(sum(counts))] == np.repeat(range(30), counts).tolist()
    assert stream_of().epoch_of(sum(counts)) == 30  # in a new stream


def test_entering_builds_no_pack_before(monkeypatch):
    built = []
    monkeypatch.setattr(
        "meloctl.dataset.stream.pack_of", lambda chosen, _: built.append(len(chosen)) or pack_of(chosen)
    )
    stream_of().pack_at(100)
    assert len(built) == 1


def test_the_padding_of_the_first_epoch_is_reported():
    packs = epoch_of_packs(stream_of(), 0)
    assert stream_of().padding_share == pytest.approx(1 - sum(p.n_rows for p in packs) / (60 * len(packs)))
    assert stream_of().padding_share == padding_share(sum(len(w.rows) for w in MANY), len(packs), 60)


def test_nothing_to_train_on_is_refused():
    with pytest.raises(MeloError, match="no window to train on"):
        stream_of([])
    with pytest.raises(MeloError, match="cannot hold a window of 9"):
        stream_of([window_of(0, 9)], length=8)


def test_a_stream_of_real_pieces(real, tmp_path):
    shard = make_shard(real("band")[:12], V, tmp_path / "rows-1")
    chosen = windows([shard.piece(i) for i in range(len(shard))], 1024, V)
    stream = stream_of(chosen, 2048)
    packs = epoch_of_packs(stream, 0)
    assert sum(p.n_rows for p in packs) == sum(len(w.rows) for w in chosen)
    assert sum(p.n_notes for p in packs) == sum(int((w.rows[:, PITCH] != ABSENT).sum()) for w in chosen)
    assert max(p.n_rows for p in packs) <= 2048
    assert stream.padding_share < 0.1


# the loader


@pytest.fixture
def no_thread_left():
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(10)
    assert not any(thread.is_alive() for thread in left)


def test_a_loader_gives_everything_in_order(no_thread_left):
    with Loader(range(50), lambda n: n * n) as loader:
        assert list(loader) == [n * n for n in range(50)]
        assert list(loader) == []


def test_a_loader_works_ahead_and_no_further(no_thread_left):
    made, third = [], threading.Event()

    def prepare(n):
        made.append(n)
        if n == 2:
            third.set()
        return n

    with Loader(count(), prepare, ahead=2) as loader:
        assert third.wait(10)  # nothing was taken: two are in the queue, and the thread holds the third
        assert made == [0, 1, 2]
        assert next(loader) == 0


def test_a_loader_raises_what_its_thread_met_where_it_met_it(no_thread_left):
    def prepare(n):
        if n == 2:
            raise MeloError("the third is damaged")
        return n

    loader = Loader(range(9), prepare)
    assert [next(loader), next(loader)] == [0, 1]
    with pytest.raises(MeloError, match="the third is damaged"):
        next(loader)
    assert list(loader) == []


def test_a_loader_raises_what_its_items_raise(no_thread_left):
    def items():
        yield 1
        raise OSError("gone")

    with Loader(items(), lambda n: n) as loader:
        assert next(loader) == 1
        with pytest.raises(OSError, match="gone"):
            next(loader)


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_a_loader_stops_when_its_block_is_left(no_thread_left, taken):
    with Loader(count(), lambda n: n) as loader:
        assert list(islice(loader, taken)) == list(range(taken))
        thread = loader._thread
    assert not thread.is_alive()
    assert list(loader) == []
    loader.close()  # twice is once


def test_a_loader_stops_when_its_block_fails(no_thread_left):
    with pytest.raises(KeyError), Loader(count(), lambda n: n) as loader:
        raise KeyError(next(loader))


def test_a_loader_that_is_dropped_stops(no_thread_left):
    for n in Loader(count(), lambda n: n):
        if n == 3:
            break
    gc.collect()


def test_a_loader_counts_the_seconds_that_it_was_waited_for(no_thread_left):
    ready = threading.Event()
    with Loader(range(2), lambda n: ready.wait(10) and n) as loader:
        timer = threading.Timer(0.05, ready.set)
        timer.start()
        began = time.monotonic()
        assert next(loader) == 0
        took = time.monotonic() - began
        assert 0 < loader.waited_seconds <= took
        assert loader.waited_seconds > took / 2  # all of it was waiting
        timer.join()


def test_a_loader_computes_with_one_thread_and_leaves_the_others_theirs(no_thread_left):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with Loader(range(3), lambda _: torch.get_num_threads()) as loader:
            assert list(loader) == [1, 1, 1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_loader_of_a_stream_gives_its_packs(no_thread_left):
    with Loader(map(stream_of().pack_at, count(3, 2)), lambda pack: pack, ahead=3) as loader:
        assert content(islice(loader, 9)) == content(map(stream_of().pack_at, range(3, 21, 2)))
