"""What a run is told, where it stands, and how its steps are planned from a time budget and the measured speed."""

import math
import resource
import sys
import time
from dataclasses import dataclass, field
from itertools import islice

import torch
from accelerate import Accelerator

from meloctl.dataset.batches import Window, batches, training_batches
from meloctl.training.evaluate import Quality, tensors_of

_MARGIN = 0.88
"""Share of a time budget that is planned as steps; the rest is for evaluations and noise."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train."""

    seed: int
    rows_in_batch: int
    learning_rate: float
    warmup: float = 0.05
    """Share of the steps in which the learning rate rises; then it falls as a cosine to a tenth."""

    weight_decay: float = 0.1
    clip: float = 1.0
    """Largest norm of the gradient."""

    epochs: int = 100
    """Most passes over the training pieces."""

    minutes: float
    """Time budget; the number of steps is planned from it and the speed measured at the start."""

    evaluations: int = 30
    """Evaluations over the planned steps."""

    patience: int = 6
    """Evaluations without a better result after which training stops, once a third of the plan is done."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run will need, measured on a few batches before the first step."""

    steps: int
    """Planned, from the very first."""

    most: int
    """Steps of all epochs."""

    done: int
    """Of those, done before the run was stopped; 0 for a new run."""

    seconds: float
    """For the steps that are left."""

    rows_per_second: float
    memory_bytes: int
    """Peak so far, with room for the optimizer's moments."""


@dataclass(kw_only=True)
class Standing:
    """Where training stands; everything that a resumed run needs beside tensors."""

    steps: int
    """Planned steps; a plan that time limits is mended at each evaluation, as the true speed shows."""

    most: int
    """Steps of all epochs: no plan has more."""

    step: int = 0
    next: int = 0
    """The step of the next evaluation."""

    seconds: float = 0.0
    best: float = math.inf
    best_step: int = 0
    stale: int = 0
    """Evaluations since the best one."""

    why: str = ""
    """Why training ended; empty while it goes on."""

    history: list[dict[str, float]] = field(default_factory=list)
    """One entry an evaluation: the columns of metrics.csv."""


def learning_rate(standing: Standing, config: TrainConfig) -> float:
    """The rate of the next step: a linear rise, then a cosine down to a tenth at the last planned step."""
    rise = max(1, round(standing.steps * config.warmup))
    if standing.step < rise:
        return config.learning_rate * (standing.step + 1) / rise
    done = min(1.0, (standing.step - rise) / max(1, standing.steps - rise))
    return config.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))


def estimate_run(
    wrapped: torch.nn.Module,
    training: list[Window],
    config: TrainConfig,
    accelerator: Accelerator,
    standing: Standing | None,
) -> Estimate:
    """Time a few batches, forward and backward, without learning from them, and plan the steps."""
    vocabulary = accelerator.unwrap_model(wrapped).vocabulary
    state = torch.get_rng_state()
    wrapped.train()
    chosen = list(islice(training_batches(training, config.rows_in_batch, vocabulary, seed=config.seed, epoch=0), 6))
    seconds, rows = [], 0
    for batch in chosen:
        began = time.monotonic()
        accelerator.backward(wrapped(*tensors_of(batch, accelerator.device)).sum() / batch.n_notes)
        wrapped.zero_grad()
        seconds.append(time.monotonic() - began)
        rows += batch.n_rows
    torch.set_rng_state(state)
    timed = seconds[1:] or seconds  # the first warms up
    one = sum(timed) / len(timed) * 1.05  # the optimizer
    in_epoch = len(batches(training, config.rows_in_batch))
    most = config.epochs * in_epoch
    steps = standing.steps if standing else max(1, min(most, int(60 * config.minutes * _MARGIN / one)))
    done = standing.step if standing else 0
    moments = 8 * sum(p.numel() for p in wrapped.parameters())
    return Estimate(
        steps=steps,
        most=most,
        done=done,
        seconds=(steps - done) * one / _MARGIN,
        rows_per_second=rows / len(chosen) / one,
        memory_bytes=_peak_memory() + moments,
    )


def _peak_memory() -> int:
    """Most bytes in use so far: of the GPU where there is one, of this process otherwise."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def plan_on(standing: Standing, config: TrainConfig) -> None:
    """Fit the plan to the time that is left, and set the next evaluation. A plan of all epochs that fits stays as it is."""
    if standing.step < standing.steps:
        left = 60 * config.minutes - standing.seconds
        affordable = standing.step + int(left * standing.step / max(standing.seconds, 1e-9))
        standing.steps = max(standing.step + 1, min(standing.most, affordable))
    standing.next = standing.step + max(1, standing.steps // config.evaluations)


def note(standing: Standing, quality: Quality, *, train_bits: float, rate: float, speed: float) -> None:
    """Enter an evaluation into the standing."""
    if quality.bits_per_note < standing.best:
        standing.best, standing.best_step, standing.stale = quality.bits_per_note, standing.step, 0
    else:
        standing.stale += 1
    standing.history.append(
        {
            "step": standing.step,
            "seconds": round(standing.seconds, 1),
            "learning_rate": rate,
            "rows_per_second": round(speed),
            "train_bits_per_note": train_bits,
            "validation_bits_per_note": quality.bits_per_note,
            **{f"validation_{name}": bits for name, bits in quality.fields.items()},
        }
    )


def why_ended(standing: Standing, config: TrainConfig, out_of_time: bool) -> str:
    """Why training ends here, in words; "" while it goes on."""
    if standing.step >= standing.steps:
        return "all steps done"
    if out_of_time:
        return f"{config.minutes:g} minutes are over"
    if standing.stale >= config.patience and standing.step >= standing.steps // 3:  # early evaluations are noise
        return f"no better for {standing.stale} evaluations"
    return ""
