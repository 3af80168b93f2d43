"""The options of `meloctl transcribe`, as they were given."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from analysis.errors import MeloError
from analysis.piece import meter as read_meter

MOST_PARTS = 16
SLOWEST, FASTEST = 20.0, 400.0
"""Tempo in quarter notes a minute."""


@dataclass(frozen=True, kw_only=True)
class TranscribeOptions:
    """How to transcribe; None where an option is not given.

    Raises:
        MeloError: a value is out of range.
    """

    parts: int | None = None
    """How many pitched parts the notes are divided among; None: as many as are found."""

    tempo: float | None = None
    """Quarter notes a minute near which the beat lies; None: found from the onsets."""

    meter: str | None = None
    """Time signature of all bars, as "3/4"; None: found from the accents."""

    model: Path | None = None
    """Folder of trained weights; None: those that come with meloctl."""

    def __post_init__(self) -> None:
        if self.parts is not None and not 1 <= self.parts <= MOST_PARTS:
            raise MeloError(f"give how many parts play, 1 to {MOST_PARTS}", field="parts", given=self.parts)
        if self.tempo is not None and not SLOWEST <= self.tempo <= FASTEST:
            raise MeloError(f"give quarter notes a minute, {SLOWEST:g} to {FASTEST:g}", field="tempo", given=self.tempo)
        _ = self.signature

    @cached_property
    def signature(self) -> tuple[int, int] | None:
        """(numerator, denominator) of `meter`."""
        return None if self.meter is None else read_meter(self.meter)
