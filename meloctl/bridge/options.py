"""The options of `meloctl train-bridge`."""

from dataclasses import dataclass
from pathlib import Path

from analysis.errors import MeloError
from meloctl.text.encoders import DEFAULT_ENCODER

_MOST_MINUTES = 7 * 24 * 60


@dataclass(frozen=True, kw_only=True)
class BridgeOptions:
    """As the command line gives them.

    Raises:
        MeloError: a value out of its range.
    """

    model: str | None = None
    """A run of meloctl train, or "default"; None for the latest run, else the default weights."""

    encoder: str = DEFAULT_ENCODER
    captions: Path | None = None
    """JSON lines of captions that were written for files of the corpus; None for none."""

    minutes: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.minutes <= _MOST_MINUTES:
            raise MeloError(f"give more than 0 and at most {_MOST_MINUTES:,}", field="minutes", given=self.minutes)
        if not 0 <= self.seed < 1 << 32:
            raise MeloError("give 0 to 4,294,967,295", field="seed", given=self.seed)
