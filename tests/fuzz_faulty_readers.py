"""Readers with a fault at the second file that a process reads: the fuzzer must find each."""

import os
import signal
import time
from collections.abc import Callable

calls = 0


def _at_the_second_file(fault: Callable[[], str | None]) -> str:
    """Let the first file of a process pass."""
    global calls
    calls += 1
    if calls == 2:
        return fault() or "read"
    return "read"


def throws(data: bytes) -> str:
    return _at_the_second_file(lambda: {}["no such key"])


def dies(data: bytes) -> str:
    return _at_the_second_file(lambda: os.kill(os.getpid(), signal.SIGSEGV))


def hangs(data: bytes) -> str:
    return _at_the_second_file(lambda: time.sleep(600))


def spins(data: bytes) -> str:
    """Slow at its second file, and when that is read again to see whether something was compiled meanwhile."""
    global calls
    calls += 1
    end = time.process_time() + 1.2
    while calls in (2, 3) and time.process_time() < end:
        pass
    return "read"


def eats(data: bytes) -> str:
    return _at_the_second_file(lambda: str(len(b"x" * (400 << 20))))


def mumbles(data: bytes) -> str:
    return _at_the_second_file(lambda: "refused: one line\nand another")
