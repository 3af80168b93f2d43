"""How long work reports its progress: stages of a known number of steps, and messages for people."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Protocol

_PATIENCE_SECONDS = 2.0


class ProgressReporter(Protocol):
    """Receives the progress of long work, one stage after another.

    A status or message may be any object: people read its `str`, programs its fields.
    """

    def stage(self, name: str, steps: int, *, done: int = 0) -> None:
        """Begin a stage of `steps` steps, `done` of which were done before."""

    def advance(self, steps: int = 1, *, status: object = "") -> None:
        """Finish `steps` more steps of the stage; `status` describes how it goes until the next call."""

    def resize(self, steps: int) -> None:
        """Change the number of steps of the stage."""

    def message(self, text: object) -> None:
        """Add a line that stays."""


class SilentReporter:
    """Drops all progress, for the ranks whose output nobody sees."""

    def stage(self, name: str, steps: int, *, done: int = 0) -> None:
        """Do nothing."""

    def advance(self, steps: int = 1, *, status: object = "") -> None:
        """Do nothing."""

    def resize(self, steps: int) -> None:
        """Do nothing."""

    def message(self, text: object) -> None:
        """Do nothing."""


def compiling(what: str) -> str:
    """The message of a slow start."""
    return f"Starting; the first time on a machine, {what} is compiled, which takes 10 to 30 s"


@contextmanager
def word_on_compiling(reporter: ProgressReporter, what: str) -> Iterator[Callable[..., None]]:
    """How steps are finished, as `reporter.advance`; a message is sent where the first of them takes long.

    Args:
        what: may have to be compiled, in words.
    """
    waiting = Timer(_PATIENCE_SECONDS, reporter.message, [compiling(what)])
    waiting.daemon = True

    def advance(steps: int = 1) -> None:
        waiting.cancel()
        reporter.advance(steps)

    waiting.start()
    try:
        yield advance
    finally:
        waiting.cancel()
