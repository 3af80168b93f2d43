"""A loader that prepares items ahead of time in a thread of its own."""

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

import torch

Item = TypeVar("Item")


Prepared = TypeVar("Prepared")


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
