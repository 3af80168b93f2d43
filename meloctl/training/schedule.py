"""Where a run stands, and how its steps are planned from a time budget and the measured speed."""

import math
from dataclasses import dataclass, field

from meloctl.training.train_config import TrainConfig
from meloctl.training.validation import ValidationLoss

MARGIN = 0.88
"""Share of a time budget that is planned as steps; the rest is for evaluations and noise."""

_LEAST_WORSE = 40
"""Steps without a better result before a run is given up: evaluations a few steps apart are noise."""


@dataclass(kw_only=True)
class TrainProgress:
    """Where training stands; everything that a resumed run needs beside tensors. The same in all processes."""

    steps: int
    """Planned steps; a plan that time limits is mended at each evaluation, as the true speed shows."""

    most: int
    """Steps of all epochs: no plan has more."""

    step: int = 0
    next: int = 0
    """The step of the next evaluation."""

    seconds: float = 0.0
    measuring: float = 0.0
    """Of those seconds, in evaluations."""

    nats: float = 0.0
    """Heard in training since the last evaluation."""

    notes: int = 0
    """Heard in training since the last evaluation."""

    padding: float = 0.0
    """Share of the rows of the first epoch's packs that is padding, 0..1; 0 where packs are not padded."""

    best: float = math.inf
    best_step: int = 0
    stale: int = 0
    """Evaluations since the best one."""

    why: str = ""
    """Why training ended; empty while it goes on."""

    history: list[dict[str, float]] = field(default_factory=list)
    """One entry an evaluation: the columns of metrics.csv."""

    def heard(self, nats: float, notes: int, *, seconds: float) -> None:
        """One more step is done."""
        self.step, self.seconds = self.step + 1, seconds
        self.nats, self.notes = self.nats + nats, self.notes + notes

    @property
    def seconds_a_step(self) -> float:
        """Mean so far, without evaluations."""
        return max((self.seconds - self.measuring) / max(1, self.step), 1e-9)

    @property
    def seconds_left(self) -> float:
        """Until the last planned step, at the speed so far, with some time for evaluations."""
        return (self.steps - self.step) * self.seconds_a_step / MARGIN


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast training went for a while, all processes together."""

    rows_per_second: float
    notes_per_second: float

    waiting: float
    """Share of the time in which a step waited for its data, 0..1."""


def initial_progress(config: TrainConfig, *, packs_in_epoch: int, seconds_a_step: float) -> TrainProgress:
    """The plan before the first step: as many steps as the budget holds, and not more than the epochs have."""
    most = max(1, math.ceil(config.epochs * packs_in_epoch / config.packs))
    steps = max(1, min(most, int(60 * config.minutes * MARGIN / max(seconds_a_step, 1e-9))))
    return TrainProgress(steps=steps, most=most, next=max(1, steps // config.evaluations))


def learning_rate(standing: TrainProgress, config: TrainConfig) -> float:
    """The rate of the next step: a linear rise, then a cosine down to a tenth at the last planned step."""
    rise = max(1, round(standing.steps * config.warmup))
    if standing.step < rise:
        return config.learning_rate * (standing.step + 1) / rise
    done = min(1.0, (standing.step - rise) / max(1, standing.steps - rise))
    return config.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))


def replan(standing: TrainProgress, config: TrainConfig, *, evaluating: float) -> None:
    """Fit the plan to the time that is left, and set the next evaluation.

    A plan of all epochs that fits stays as it is, evaluations and all. Where time is short, steps are given up, and
    evaluations come more seldom if they would take more than their share of it. Room is kept for the last one.

    Args:
        evaluating: seconds that the evaluation took that was just made.
    """
    standing.measuring += evaluating
    a_step = standing.seconds_a_step
    if standing.step < standing.steps:
        left = 60 * config.minutes - standing.seconds - evaluating
        share = MARGIN if standing.steps < standing.most else 1.0
        standing.steps = max(standing.step + 1, min(standing.most, standing.step + int(share * left / a_step)))
    every = standing.steps // config.evaluations
    if standing.steps < standing.most:
        every = max(every, math.ceil(evaluating / (1 - MARGIN) / a_step))
    standing.next = standing.step + max(1, every)


def record_evaluation(standing: TrainProgress, quality: ValidationLoss, *, rate: float, speed: Speed) -> None:
    """Enter an evaluation into the standing."""
    if quality.bits_per_note < standing.best:
        standing.best, standing.best_step, standing.stale = quality.bits_per_note, standing.step, 0
    else:
        standing.stale += 1
    standing.history.append(
        {
            "step": standing.step,
            "seconds": round(standing.seconds, 1),
            "seconds_left": round(standing.seconds_left, 1),
            "learning_rate": rate,
            "rows_per_second": round(speed.rows_per_second),
            "notes_per_second": round(speed.notes_per_second),
            "waiting": round(speed.waiting, 4),
            "train_bits_per_note": standing.nats / math.log(2) / max(1, standing.notes),
            "validation_bits_per_note": quality.bits_per_note,
            "best_bits_per_note": standing.best,
            **{f"validation_{name}": bits for name, bits in quality.fields.items()},
        }
    )
    standing.nats, standing.notes = 0.0, 0


def stop_reason(standing: TrainProgress, config: TrainConfig, out_of_time: bool) -> str:
    """Why training ends here, in words; "" while it goes on."""
    if standing.step >= standing.steps:
        return "all steps done"
    if out_of_time:
        return f"{config.minutes:g} minutes are over"
    early = max(standing.best_step + _LEAST_WORSE, standing.steps // 3)
    if standing.stale >= config.patience and standing.step >= early:
        return f"no better for {standing.stale} evaluations"
    return ""
