"""What a MIDI file may hold. A hostile file is refused before it takes memory."""

from dataclasses import dataclass

from analysis.errors import MeloError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits on a file."""

    file_bytes: int = 16 << 20
    """Size of the file."""

    bars: int = 10_000
    """Bars up to the last onset."""

    bar_quarters: int = 128
    """Length of a bar in quarter notes."""

    notes: int = 500_000
    """Notes in all parts."""

    parts: int = 64
    """Parts with notes."""

    changes: int = 50_000
    """Time signatures, and tempos, each."""


FILE_LIMITS = Limits()
"""Those of every command."""


def check_limit(count: int, limit: int, what: str) -> None:
    """Raise MeloError where a count is over its limit."""
    if count > limit:
        raise MeloError(f"{count:,} {what}; at most {limit:,} are read")
