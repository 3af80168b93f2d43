"""Options of `meloctl compare`."""

from dataclasses import dataclass
from pathlib import Path

from analysis.errors import MeloError
from meloctl.generation.constraints import MOST_BARS
from meloctl.generation.options import MOST_PIECES
from meloctl.threads import check_threads


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Which runs are compared, and on which generated music."""

    runs: tuple[Path, ...] = ()
    """Runs of `meloctl train`, by folder or name; none: all of the workspace."""

    pieces: int = 20
    """That each model generates; 0 leaves music out."""

    bars: int = 32
    """Of each piece."""

    seed: int = 0
    """Of the first piece; those of the others follow. Also of the resamples for intervals."""

    threads: int | None = None
    """That compute losses and write music; None: for losses the fastest number, as measured, and one to write."""

    def check(self) -> None:
        """Raises MeloError where a number is out of range."""
        check_threads(self.threads)
        if not 0 <= self.pieces <= MOST_PIECES:
            raise MeloError(
                f"give how many pieces each model generates, 0 to {MOST_PIECES}", field="pieces", given=self.pieces
            )
        if not 1 <= self.bars <= MOST_BARS:
            raise MeloError(f"give how many bars each piece has, 1 to {MOST_BARS}", field="bars", given=self.bars)
