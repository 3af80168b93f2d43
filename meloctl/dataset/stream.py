"""The endless stream of training packs, and a loader that prepares them ahead of time.

The stream is a function of (windows, length, seed): pack n is the same whoever asks for it, and in whatever order.
"""

import threading
import time
import weakref
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Generic, TypeVar

import numpy as np
import torch

from analysis.errors import MeloError
from meloctl.dataset.augment import augmented
from meloctl.dataset.packs import Arrangement, Pack, arrange, lengths_of, pack_of, padding_share
from meloctl.dataset.rewrite import drawn
from meloctl.dataset.windows import Window
from meloctl.rows.vocabulary import Vocabulary

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")


class PackStream:
    """Epoch after epoch, every window once an epoch, in another key and tempo, in an order that (seed, epoch) decides.

    Packs are numbered from 0 through all epochs; of several processes each builds its own packs alone.

    Args:
        chosen: one window or more.
        length: most rows of a pack.
        seed: 0 to 2^32 - 1.
        infill: share of windows in which some bars or parts are moved to the end, see `meloctl.dataset.rewrite`.

    Raises:
        MeloError: no window, or one that is longer than a pack.
    """

    def __init__(
        self, chosen: Sequence[Window], length: int, vocabulary: Vocabulary, *, seed: int, infill: float = 0.0
    ) -> None:
        if not chosen:
            raise MeloError("no window to train on; give a corpus of more pieces")
        self._windows, self._length, self._vocabulary, self._seed = chosen, length, vocabulary, seed
        self._infill, self._lengths = infill, lengths_of(chosen)
        self._last = (0, self._arranged(0))
        self._first = [0, len(self._last[1])]  # of epochs as far as they are known, and of the next
        self._counting = threading.Lock()  # a loader's thread counts epochs, and so may whoever shows the progress

    def arrangement(self, epoch: int) -> Arrangement:
        """Which windows the packs of an epoch hold."""
        known, arrangement = self._last
        if known != epoch:
            arrangement = self._arranged(epoch)
            self._last = (epoch, arrangement)
        return arrangement

    def first_of(self, epoch: int) -> int:
        """Number of an epoch's first pack, so the number of packs in the epochs before; arranges those once."""
        with self._counting:
            for e in range(len(self._first) - 1, epoch):
                self._first.append(self._first[-1] + len(self.arrangement(e)))
        return self._first[epoch]

    def epoch_of(self, n: int) -> int:
        """Epoch in which pack n lies."""
        while self._first[-1] <= n:
            self.first_of(len(self._first))
        return bisect_right(self._first, n) - 1

    def pack_at(self, n: int) -> Pack:
        """Pack n, without the packs before it."""
        epoch = self.epoch_of(n)
        index = n - self._first[epoch]
        # a generator of its own: the keys of a pack do not hang on who builds the others
        random = np.random.default_rng(np.random.SeedSequence((self._seed, epoch), spawn_key=(index,)))
        some = [self._windows[i] for i in self.arrangement(epoch).of(index)]
        heard = [Window(rows=augmented(w.rows, self._vocabulary, random), first_bar=w.first_bar) for w in some]
        return pack_of(self._with_gaps(heard, random))

    @property
    def padding_share(self) -> float:
        """Share of padding in the first epoch when its packs are padded to the stream's length."""
        return padding_share(int(self._lengths.sum()), self._first[1], self._length)

    def _with_gaps(self, heard: list[Window], random: np.random.Generator) -> list[Window]:
        """Some of the windows as they are when a gap in them is filled; together they still fit into a pack."""
        if not self._infill:
            return heard
        room = self._length - int(lengths_of(heard).sum())
        for i, window in enumerate(heard):
            if random.random() < self._infill:
                heard[i] = drawn(window, room, self._vocabulary, random)
                room -= len(heard[i].rows) - len(window.rows)
        return heard

    def _arranged(self, epoch: int) -> Arrangement:
        return arrange(self._lengths, self._length, np.random.default_rng((self._seed, epoch)))


class Loader(Generic[Prepared]):
    """prepare(item) of each item, in order, made by a thread up to `ahead` items before they are asked for.

    Use it in a `with` block, which stops the thread; a loader that is dropped stops it too. What `items` or `prepare` raise
    is raised where that item would have come.

        with Loader((stream.pack_at(n) for n in mine), model.layout) as loader:
            for layout in loader:
                …
    """

    def __init__(self, items: Iterable[Item], prepare: Callable[[Item], Prepared], *, ahead: int = 2) -> None:
        self._shelf: _Shelf[Prepared] = _Shelf(ahead)
        self._waited = 0.0
        # the thread knows the shelf and not the loader, so that a loader that is dropped can be collected
        self._thread = threading.Thread(target=_fill, args=(self._shelf, iter(items), prepare), daemon=True)
        self._stop = weakref.finalize(self, self._shelf.close)
        self._thread.start()

    @property
    def waited_seconds(self) -> float:
        """Seconds that the consumer has waited so far, the first item included."""
        return self._waited

    def close(self) -> None:
        """Stop the thread and wait for its end: the item in its hands is finished and thrown away."""
        self._stop()
        self._thread.join()

    def __iter__(self) -> Iterator[Prepared]:
        return self

    def __next__(self) -> Prepared:
        began = time.monotonic()
        try:
            return self._shelf.take()
        finally:
            self._waited += time.monotonic() - began

    def __enter__(self) -> "Loader[Prepared]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Shelf(Generic[Prepared]):
    """What lies ready between the thread and the consumer."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._ready: deque[Prepared] = deque()
        self._end: BaseException | None = None
        self._closed = False
        self._changed = threading.Condition()  # of a lock that its holder may take again: a finalizer can run anywhere

    def put(self, item: Prepared) -> bool:
        """Lay an item down once there is room; False where nobody wants one any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._ready) < self._room)
            if self._closed:
                return False
            self._ready.append(item)
            self._changed.notify_all()
            return True

    def finish(self, end: BaseException) -> None:
        """Nothing more comes; `end` is raised after what lies ready."""
        with self._changed:
            self._end = end
            self._changed.notify_all()

    def take(self) -> Prepared:
        """The next item, once there is one."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._end is not None or self._ready)
            if self._ready:
                item = self._ready.popleft()
                self._changed.notify_all()
                return item
            end, self._end = self._end or StopIteration(), StopIteration()
        try:
            raise end
        finally:
            del end  # or it would hold this frame, and this frame it, and both what the thread had in its hands

    def close(self) -> None:
        """Nothing more is wanted."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()


def _fill(shelf: _Shelf[Prepared], items: Iterator[Item], prepare: Callable[[Item], Prepared]) -> None:
    """The thread's work, alone: a team of threads of its own would keep those that train from their cores."""
    torch.set_num_threads(1)  # of this thread; the others keep theirs
    try:
        for item in items:
            if not shelf.put(prepare(item)):
                return
        shelf.finish(StopIteration())
    except BaseException as error:  # it must not die here unseen, whatever it is
        shelf.finish(error)
