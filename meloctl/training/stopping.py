"""Ctrl-C and SIGTERM ask a run to stop: it ends its step and saves where it is, rather than lose what was not saved yet."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def asked_to_stop(*, alone: bool) -> Iterator[threading.Event]:
    """An event that is set by the first SIGINT or SIGTERM in the block; the next one raises KeyboardInterrupt at once.

    What handled the signals before handles them again afterwards. Signals that were ignored stay ignored (nohup).

    Args:
        alone: this process trains by itself. Of several, each would stop after another step, and wait for the others for ever,
            so signals are left as they are; so they are outside the main thread, which alone may handle them.
    """
    asked = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signals call it
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if not alone or threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    ours = [number for number, handler in before.items() if handler not in (None, signal.SIG_IGN)]
    try:
        for number in ours:
            signal.signal(number, handle)
        yield asked
    finally:
        for number in ours:
            signal.signal(number, before[number])
