"""Progress of a run, its learning-rate schedule, and why it ends; `time_plan` says how many steps it has."""

import math
from dataclasses import dataclass

import msgspec

from meloctl.rows.vocabulary import FIELDS
from meloctl.training.options import TrainConfig
from meloctl.training.validation import ValidationLoss

_PATIENCE_STEPS = 40
"""Least steps without a better result before a run stops early: evaluations a few steps apart are noise."""

_RECENT = 0.15
"""Weight of the last step in the mean of recent steps."""


class TrainProgress(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Everything that a resumed run needs beside tensors; the same on all ranks. Its JSON is in the training state."""

    steps: int
    """Planned steps; where time is the limit the plan is corrected after each step, as the true speed shows."""

    max_steps: int
    """Steps of all epochs: no plan has more."""

    step: int = 0
    """Steps done."""

    done: float = 0.0
    """Share of the learning-rate schedule that is done, 0..1. It never jumps: each step takes an equal part, by the plan of its
    time, of what is left."""

    next_evaluation: int = 0
    """Step of the next evaluation."""

    seconds: float = 0.0
    """Time so far, with the rehearsal and evaluations."""

    evaluation_seconds: float = 0.0
    """Time of evaluations so far."""

    evaluated_at: float = 0.0
    """Time so far when the last evaluation was done."""

    evaluated_step: int = 0
    """Step of the last evaluation."""

    step_seconds: float
    """Time of a step: mean of recent steps, the rehearsal's before the first."""

    row_steps: float
    """Time to evaluate a validation row, in steps of that time: load slows both alike."""

    validation_every: int = 1
    """Evaluations on the way take every n-th validation window; the one at the end takes all."""

    validation_rows: int = 0
    """Rows of the windows that evaluations on the way take."""

    final_rows: int = 0
    """Rows of the evaluation at the end; 0 where those on the way take all windows, and their best figure is the final one."""

    seconds_left: float = 0.0
    """Until the end, by the plan."""

    threads: int = 1
    """That compute steps and evaluations, in each process; while numbers are tried, the best one known."""

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
        """Add a step's loss (in nats), notes and time to the running totals; `seconds` is the time so far, this step included."""
        self.done += (1 - self.done) / max(1, self.steps - self.step)
        self.step_seconds += _RECENT * (seconds - self.seconds - self.step_seconds)
        self.step, self.seconds = self.step + 1, seconds
        self.nll, self.notes = self.nll + nll, self.notes + notes

    def add_evaluation(self, rows: int, *, seconds: float) -> None:
        """Add an evaluation's time to the running totals; `seconds` is the time so far, this evaluation's included."""
        taken = seconds - self.seconds
        self.row_steps += (taken / max(self.step_seconds, 1e-9) / max(1, rows) - self.row_steps) / 2
        self.evaluation_seconds += taken
        self.evaluated_at = self.seconds = seconds
        self.evaluated_step = self.step

    def evaluation_time(self, rows: int) -> float:
        """Seconds that an evaluation of so many rows will take, at the recent speed."""
        return rows * self.row_steps * self.step_seconds


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Training speed over some steps, of all ranks together."""

    rows_per_second: float
    notes_per_second: float

    waiting: float
    """Share of the time in which a step waited for its data, 0..1."""


def learning_rate(progress: TrainProgress, config: TrainConfig) -> float:
    """Learning rate of the next step: linear warmup, then a cosine down to a tenth at the end of the schedule."""
    this_step = (1 - progress.done) / max(1, progress.steps - progress.step)
    if progress.done + this_step < config.warmup:
        return config.learning_rate * (progress.done + this_step) / config.warmup
    done = max(0.0, progress.done - config.warmup) / (1 - config.warmup)
    return config.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, done))))


def note_best(progress: TrainProgress, loss: ValidationLoss) -> bool:
    """Whether an evaluation's loss is the best so far."""
    if loss.bits_per_note >= progress.best:
        progress.evaluations_since_best += 1
        return False
    progress.best, progress.best_step, progress.evaluations_since_best = loss.bits_per_note, progress.step, 0
    return True


def best_loss(progress: TrainProgress) -> ValidationLoss:
    """The loss of the best evaluation, as the history has it."""
    entry = next(entry for entry in progress.history if entry["step"] == progress.best_step)
    fields = {name: entry[f"validation_{name}"] for name in FIELDS}
    return ValidationLoss(bits_per_note=entry["validation_bits_per_note"], fields=fields)


def record_evaluation(progress: TrainProgress, loss: ValidationLoss, *, rate: float, speed: Speed) -> None:
    """Append an evaluation to the history, and reset the totals since the last one.

    Args:
        rate: learning rate of the last step.
        speed: since the last evaluation.
    """
    progress.history.append(
        {
            "step": progress.step,
            "seconds": round(progress.seconds, 1),
            "seconds_left": round(progress.seconds_left, 1),
            "learning_rate": rate,
            "rows_per_second": round(speed.rows_per_second),
            "notes_per_second": round(speed.notes_per_second),
            "waiting": round(speed.waiting, 4),
            "threads": progress.threads,
            "train_bits_per_note": progress.nll / math.log(2) / max(1, progress.notes),
            "validation_bits_per_note": loss.bits_per_note,
            "best_bits_per_note": progress.best,
            **{f"validation_{name}": bits for name, bits in loss.fields.items()},
        }
    )
    progress.nll, progress.notes = 0.0, 0


def stop_reason(progress: TrainProgress, config: TrainConfig) -> str:
    """Why training ends here, in words; "" while it goes on."""
    if progress.step >= progress.max_steps:
        return f"all {config.epochs} epochs are done" if config.epochs > 1 else "the epoch is done"
    if progress.step >= progress.steps:
        return f"{config.minutes:g} minutes are over"
    earliest = max(progress.best_step + _PATIENCE_STEPS, progress.steps // 3)
    if progress.evaluations_since_best >= config.patience and progress.step >= earliest:
        return f"no better for {progress.evaluations_since_best} evaluations"
    return ""
