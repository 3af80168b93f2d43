"""Options of `meloctl evaluate`."""

from dataclasses import dataclass
from pathlib import Path

from analysis.reading import AS_IT_STANDS, Reading


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Which music and which model are evaluated."""

    folder: Path | None
    """Music to evaluate; None: the model alone."""

    reference: Path | None = None
    """Real music; None: the corpus of the latest `meloctl stats`, if there is one."""

    model: Path | None = None
    """A run of `meloctl train`; None: the latest one if there is no folder, else none."""

    reading: Reading = AS_IT_STANDS
    """How the music is read."""

    seed: int = 0
    """Of the resamples for intervals, and of the random reference pieces."""

    threads: int | None = None
    """That compute a model's loss; None: the fastest number, as measured."""
