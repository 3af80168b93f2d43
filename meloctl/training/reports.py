"""What training reports while it runs: the estimate, every step, every evaluation."""

import math
import time
from dataclasses import dataclass

from meloctl.dataset.loader import Loader
from meloctl.formatting import count, duration
from meloctl.training.distributed_packs import StepBatch
from meloctl.training.schedule import Speed, TrainProgress
from meloctl.training.train_step import LaidOutStep, StepLoss

_WAITING = 0.01
"""Waiting for data is reported from this share of the time on."""


@dataclass(frozen=True, kw_only=True)
class RunEstimate:
    """What a run will need, measured before its first step."""

    steps: int
    """Planned, from the very first."""

    done: int
    """Steps done before the run was stopped; 0 for a new run."""

    seconds: float
    """For the steps that are left."""

    rows_per_second: float
    memory_bytes: int
    """Peak so far of this process, the timed steps included."""

    threads: int
    """Of each process."""

    padding: float
    """Share of the rows of packs that is padding, 0..1; 0 where packs are not padded."""

    def __str__(self) -> str:
        resumed = f"Going on after step {self.done:,}. " if self.done else ""
        padding = f"; {100 * self.padding:.1f} % of the rows are padding" if self.padding > 0 else ""
        threads = count(self.threads, "thread")
        return (
            f"{resumed}Estimate: {self.steps - self.done:,} steps in {duration(self.seconds)}, at "
            f"{self.rows_per_second:,.0f} rows/s on {threads}, with {self.memory_bytes / 1e9:.1f} GB of memory{padding}"
        )


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """Figures after a step."""

    step: int
    epoch: int
    """Epochs completed before the one that the step is in."""

    bits_per_note: float
    """Training loss of this step."""

    best: float
    """Best validation loss so far, in bits per note; infinite before the first evaluation."""

    speed: Speed
    """Since the last evaluation."""

    seconds_left: float

    def __str__(self) -> str:
        best = f", best {self.best:.2f}" if math.isfinite(self.best) else ""
        return f"epoch {self.epoch + 1}, {self.bits_per_note:.2f} bits{best}, {_speed_words(self.speed)}"


def evaluation_line(progress: TrainProgress) -> str:
    """The last evaluation in words."""
    entry = progress.history[-1]
    speed = Speed(
        rows_per_second=entry["rows_per_second"], notes_per_second=entry["notes_per_second"], waiting=entry["waiting"]
    )
    best = (
        "the best so far"
        if progress.evaluations_since_best == 0
        else f"best {progress.best:.2f} at step {progress.best_step:,}"
    )
    left = "" if progress.why else f"; {duration(progress.seconds_left)} left"
    return (
        f"step {progress.step:,} of {progress.steps:,}: {entry['validation_bits_per_note']:.2f} bits a note, {best} "
        f"(training {entry['train_bits_per_note']:.2f}); {_speed_words(speed)}{left}"
    )


def _speed_words(speed: Speed) -> str:
    """Rows and notes per second, and the share of waiting where it is large enough to matter."""
    waiting = f", {100 * speed.waiting:.0f} % waiting for data" if speed.waiting > _WAITING else ""
    return f"{speed.rows_per_second:,.0f} rows/s, {speed.notes_per_second:,.0f} notes/s{waiting}"


class SpeedMeter:
    """Measures rows and notes per second since it was made, and the share of time spent waiting for the loader."""

    def __init__(self, loader: Loader[LaidOutStep]) -> None:
        self._began, self._loader, self._waited = time.monotonic(), loader, loader.waited_seconds
        self._rows = self._notes = 0

    def add(self, batch: StepBatch, loss: StepLoss) -> None:
        """Add a step's rows and notes to the running totals."""
        self._rows += batch.n_rows
        self._notes += loss.n_notes

    def speed(self) -> Speed:
        """Speed over the steps so far."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        return Speed(
            rows_per_second=self._rows / seconds,
            notes_per_second=self._notes / seconds,
            waiting=min(1.0, (self._loader.waited_seconds - self._waited) / seconds),
        )
