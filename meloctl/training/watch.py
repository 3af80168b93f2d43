"""What the training loop tells whoever watches: the plan, every step, every evaluation; and the figures for it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from meloctl.dataset.loader import Loader
from meloctl.training.distributed_packs import StepBatch
from meloctl.training.schedule import Speed, TrainProgress
from meloctl.training.step_timing import RunEstimate
from meloctl.training.train_step import LaidOutStep, StepLoss


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """How things go, after a step."""

    step: int
    epoch: int
    """Epochs before the one that the step is in."""

    bits_per_note: float
    """Of this step."""

    speed: Speed
    """Since the last evaluation."""

    seconds_left: float


class Watcher(Protocol):
    """Whoever watches."""

    def estimated(self, estimate: RunEstimate) -> None:
        """Called once, before the first step; `estimate` covers what is left."""

    def stepped(self, progress: StepReport) -> None:
        """Called after each step."""

    def evaluated(self, standing: TrainProgress) -> None:
        """Called after each evaluation."""


class SpeedMeter:
    """Speed since it was made, and how long a loader was waited for."""

    def __init__(self, loader: Loader[LaidOutStep]) -> None:
        self._began, self._loader, self._waited = time.monotonic(), loader, loader.waited_seconds
        self._rows = self._notes = 0

    def add(self, deal: StepBatch, heard: StepLoss) -> None:
        """One more step is done."""
        self._rows += deal.n_rows
        self._notes += heard.n_notes

    def speed(self) -> Speed:
        """Of the steps so far."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        return Speed(
            rows_per_second=self._rows / seconds,
            notes_per_second=self._notes / seconds,
            waiting=min(1.0, (self._loader.waited_seconds - self._waited) / seconds),
        )


@contextmanager
def tensorboard(folder: Path, step: int, *, writes: bool) -> Iterator[Any]:
    """TensorBoard's writer; None for a process that does not write. What a run wrote after its last saved step is dropped."""
    if not writes:
        yield None
        return
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
    try:
        yield writer
    finally:
        writer.close()


def tell_tensorboard(writer: Any, standing: TrainProgress) -> None:
    """Everything that metrics.csv has of the last evaluation."""
    if writer is None:
        return
    for name, value in standing.history[-1].items():
        if name != "step":
            writer.add_scalar(name, value, standing.step)
    writer.flush()
