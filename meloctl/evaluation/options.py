"""Options of `meloctl evaluate`."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Which music and which model are evaluated."""

    folder: Path | None
    """Music to evaluate; None: the model alone."""

    reference: Path | None = None
    """Real music; None: the corpus of the latest `meloctl stats`, if there is one."""

    model: Path | None = None
    """A run of `meloctl train`; None: the latest one if there is no folder, else none."""

    meter: str | None = None
    """Time signature that overrides the files' own, as 4/4."""

    seed: int = 0
    """Of the resamples for intervals, and of the random reference pieces."""
