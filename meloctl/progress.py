"""How long work reports its progress: stages of a known number of steps, and messages for people."""

from typing import Protocol


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
