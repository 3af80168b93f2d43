"""The options of `meloctl train-transcriber`."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from analysis.errors import MeloError
from meloctl.transcription.loss_balance import BalanceName
from meloctl.transcription.network import MemoryName
from meloctl.transcription.training_batches import SoundName
from meloctl.transcription.transcriber_loss import TimbreLossName

_MOST_MINUTES = 7 * 24 * 60
_MOST_STEPS = 10_000_000
_MOST_HOURS = 200


@dataclass(frozen=True, kw_only=True)
class TranscriberOptions:
    """As the command line gives them.

    Raises:
        MeloError: a value out of its range.
    """

    sounds: tuple[Path, ...] = ()
    """Folders of soundfonts and packs of single notes, beside those where packages install soundfonts."""

    music: Path | None = None
    """A corpus whose pieces are played; None: lines drawn at random."""

    stems: Path | None = None
    """A folder of stems that were built before; None: they are built in the workspace's cache."""

    hours: float = 6.0
    """Of stems to build."""

    minutes: float = 45.0
    steps: int | None = None
    """Steps that end the training where they come before `minutes`."""

    memory: MemoryName = "none"
    loss: TimbreLossName = "info-nce"
    balance: BalanceName = "fixed"
    train_on: SoundName = "all"
    augment: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        _check_range("minutes", self.minutes, _MOST_MINUTES)
        _check_range("hours", self.hours, _MOST_HOURS)
        if self.steps is not None:
            _check_range("steps", self.steps, _MOST_STEPS)
        if not 0 <= self.seed < 1 << 32:
            raise MeloError("give 0 to 4,294,967,295", field="seed", given=self.seed)
        for field, names in (
            ("memory", MemoryName),
            ("loss", TimbreLossName),
            ("balance", BalanceName),
            ("train_on", SoundName),
        ):
            if getattr(self, field) not in get_args(names):
                raise MeloError(f"give {' or '.join(get_args(names))}", field=field, given=getattr(self, field))
        if self.stems is not None and (self.sounds or self.music is not None):
            raise MeloError(
                "stems are built already: leave out sounds and music, or stems", field="stems", given=self.stems
            )

    def of_training(self) -> dict[str, Any]:
        """{option: value} of those that change the training."""
        return {
            "minutes": self.minutes,
            "steps": self.steps,
            "memory": self.memory,
            "loss": self.loss,
            "balance": self.balance,
            "train_on": self.train_on,
            "augment": self.augment,
            "seed": self.seed,
        }


def _check_range(field: str, value: float, most: int) -> None:
    if not (math.isfinite(value) and 0 < value <= most):
        raise MeloError(f"give more than 0 and at most {most:,}", field=field, given=value)
