"""Progress of a run, its learning-rate schedule, and how many steps fit its time budget at the measured speed."""

import math
from dataclasses import dataclass

import msgspec

from meloctl.training.options import TrainConfig
from meloctl.training.validation import ValidationLoss

MARGIN = 0.88
"""Share of a time budget that is planned as steps; the rest is for evaluations and noise."""

_PATIENCE_STEPS = 40
"""Least steps without a better result before a run stops early: evaluations a few steps apart are noise."""


class TrainProgress(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Everything that a resumed run needs beside tensors; the same on all ranks. Its JSON is in the training state."""

    steps: int
    """Planned steps; where time is the limit the plan is corrected at each evaluation, as the true speed shows."""

    max_steps: int
    """Steps of all epochs: no plan has more."""

    step: int = 0
    """Steps done."""

    next_evaluation: int = 0
    """Step of the next evaluation."""

    seconds: float = 0.0
    """Time of training so far, with evaluations."""

    evaluation_seconds: float = 0.0
    """Time of evaluations so far."""

    nll: float = 0.0
    """Training loss in nats, summed since the last evaluation."""

    notes: int = 0
    """Notes trained on since the last evaluation."""

    padding: float = 0.0
    """Share of padding among the rows of the first epoch's packs, 0..1; 0 where packs are not padded."""

    best: float = math.inf
    """Best validation loss so far, in bits per note."""

    best_step: int = 0
    """Step of the best validation loss."""

    evaluations_since_best: int = 0

    why: str = ""
    """Why training ended; empty while it runs."""

    history: list[dict[str, int | float]] = []
    """One entry per evaluation: the columns of metrics.csv."""

    def add_step(self, nll: float, notes: int, *, seconds: float) -> None:
        """Add a step's loss (in nats) and notes to the running totals; `seconds` is the time of training so far."""
        self.step, self.seconds = self.step + 1, seconds
        self.nll, self.notes = self.nll + nll, self.notes + notes

    @property
    def seconds_per_step(self) -> float:
        """Mean so far, without evaluations."""
        return max((self.seconds - self.evaluation_seconds) / max(1, self.step), 1e-9)

    @property
    def seconds_left(self) -> float:
        """Until the last planned step, at the speed so far, with some time for evaluations."""
        return (self.steps - self.step) * self.seconds_per_step / MARGIN


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Training speed over some steps, of all ranks together."""

    rows_per_second: float
    notes_per_second: float

    waiting: float
    """Share of the time in which a step waited for its data, 0..1."""


def initial_progress(config: TrainConfig, *, packs_per_epoch: int, seconds_per_step: float) -> TrainProgress:
    """The plan before the first step: as many steps as the time budget holds, at most those of all epochs."""
    max_steps = max(1, math.ceil(config.epochs * packs_per_epoch / config.packs))
    steps = max(1, min(max_steps, int(60 * config.minutes * MARGIN / max(seconds_per_step, 1e-9))))
    return TrainProgress(steps=steps, max_steps=max_steps, next_evaluation=max(1, steps // config.evaluations))


def learning_rate(progress: TrainProgress, config: TrainConfig) -> float:
    """Learning rate of the next step: linear warmup, then a cosine down to a tenth at the last planned step."""
    warmup = max(1, round(progress.steps * config.warmup))
    if progress.step < warmup:
        return config.learning_rate * (progress.step + 1) / warmup
    done = min(1.0, (progress.step - warmup) / max(1, progress.steps - warmup))
    return config.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))


def replan(progress: TrainProgress, config: TrainConfig, *, evaluating: float) -> None:
    """Fit the planned steps to the time that is left, and set the next evaluation.

    A plan of all epochs that fits stays as it is, evaluations and all. Where time is short, the plan loses steps, and
    evaluations become rarer if they would take more than their share of it. Time is kept for the last one.

    Args:
        evaluating: seconds of the evaluation that was just made.
    """
    progress.evaluation_seconds += evaluating
    per_step = progress.seconds_per_step
    if progress.step < progress.steps:
        left = 60 * config.minutes - progress.seconds - evaluating
        share = MARGIN if progress.steps < progress.max_steps else 1.0
        fitting = progress.step + int(share * left / per_step)
        progress.steps = max(progress.step + 1, min(progress.max_steps, fitting))
    every = progress.steps // config.evaluations
    if progress.steps < progress.max_steps:
        every = max(every, math.ceil(evaluating / (1 - MARGIN) / per_step))
    progress.next_evaluation = progress.step + max(1, every)


def record_evaluation(progress: TrainProgress, loss: ValidationLoss, *, rate: float, speed: Speed) -> None:
    """Append an evaluation to the history, and reset the totals since the last one.

    Args:
        rate: learning rate of the last step.
        speed: since the last evaluation.
    """
    if loss.bits_per_note < progress.best:
        progress.best, progress.best_step, progress.evaluations_since_best = loss.bits_per_note, progress.step, 0
    else:
        progress.evaluations_since_best += 1
    progress.history.append(
        {
            "step": progress.step,
            "seconds": round(progress.seconds, 1),
            "seconds_left": round(progress.seconds_left, 1),
            "learning_rate": rate,
            "rows_per_second": round(speed.rows_per_second),
            "notes_per_second": round(speed.notes_per_second),
            "waiting": round(speed.waiting, 4),
            "train_bits_per_note": progress.nll / math.log(2) / max(1, progress.notes),
            "validation_bits_per_note": loss.bits_per_note,
            "best_bits_per_note": progress.best,
            **{f"validation_{name}": bits for name, bits in loss.fields.items()},
        }
    )
    progress.nll, progress.notes = 0.0, 0


def stop_reason(progress: TrainProgress, config: TrainConfig, out_of_time: bool) -> str:
    """Why training ends here, in words; "" while it goes on."""
    if progress.step >= progress.steps:
        return "all steps done"
    if out_of_time:
        return f"{config.minutes:g} minutes are over"
    earliest = max(progress.best_step + _PATIENCE_STEPS, progress.steps // 3)
    if progress.evaluations_since_best >= config.patience and progress.step >= earliest:
        return f"no better for {progress.evaluations_since_best} evaluations"
    return ""
