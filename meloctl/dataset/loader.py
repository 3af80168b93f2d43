"""A loader that prepares items ahead of time in a thread."""

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
    """Iterates over prepare(item) of each item, in order; a thread prepares up to `ahead` items in advance.

    Use it in a `with` block, which stops the thread; a loader that is garbage-collected stops it too. What `items` or `prepare`
    raise is raised in place of that item.

        with Loader((stream.pack_at(n) for n in mine), model.layout) as loader:
            for layout in loader:
                …
    """

    def __init__(self, items: Iterable[Item], prepare: Callable[[Item], Prepared], *, ahead: int = 2) -> None:
        self._queue: _Queue[Prepared] = _Queue(ahead)
        self._waited = 0.0
        # the thread refers to the queue and not to the loader, so that the loader can be garbage-collected
        self._thread = threading.Thread(target=_fill, args=(self._queue, iter(items), prepare), daemon=True)
        self._stop = weakref.finalize(self, self._queue.close)
        self._thread.start()

    @property
    def waited_seconds(self) -> float:
        """Seconds that the consumer has waited so far, the first item included."""
        return self._waited

    def close(self) -> None:
        """Stop the thread and wait for its end; the item that it prepares is finished and dropped."""
        self._stop()
        self._thread.join()

    def __iter__(self) -> Iterator[Prepared]:
        return self

    def __next__(self) -> Prepared:
        began = time.monotonic()
        try:
            return self._queue.take()
        finally:
            self._waited += time.monotonic() - began

    def __enter__(self) -> "Loader[Prepared]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Queue(Generic[Prepared]):
    """A bounded queue of prepared items between the thread and the consumer."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._ready: deque[Prepared] = deque()
        self._end: BaseException | None = None
        self._closed = False
        self._changed = threading.Condition()  # of a lock that its holder may take again: a finalizer can run anywhere

    def put(self, item: Prepared) -> bool:
        """Add an item once there is room; False where the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._ready) < self._room)
            if self._closed:
                return False
            self._ready.append(item)
            self._changed.notify_all()
            return True

    def finish(self, end: BaseException) -> None:
        """No more items; `end` is raised after those in the queue."""
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
            del end  # or the error and this frame would refer to each other, and keep the thread's last item alive

    def close(self) -> None:
        """Drop all items, and accept none."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()


def _fill(queue: _Queue[Prepared], items: Iterator[Item], prepare: Callable[[Item], Prepared]) -> None:
    """Prepare items in this thread alone: more threads would take the cores of those that train."""
    torch.set_num_threads(1)  # of this thread; the others keep theirs
    try:
        for item in items:
            if not queue.put(prepare(item)):
                return
        queue.finish(StopIteration())
    except BaseException as error:  # raised again in the consumer's thread
        queue.finish(error)
