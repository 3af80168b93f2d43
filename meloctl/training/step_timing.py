"""What a run will need, measured: a few steps are gone through, forward and backward, and nothing is learned from them."""

import resource
import sys
import time

import torch

from meloctl.training.distributed_packs import DistributedPacks
from meloctl.training.processes import first_says
from meloctl.training.reports import RunEstimate
from meloctl.training.schedule import MARGIN, TrainProgress
from meloctl.training.train_config import TrainConfig
from meloctl.training.train_step import TrainState, gradients, sharing

_STEPS = 5
_SHARE = 0.05
"""Of the budget: no further step is rehearsed once so much of it is used."""

_OPTIMIZER = 1.05
"""A step with its optimizer, which is not rehearsed, takes about so many times its passes."""


def time_steps(learner: TrainState, dealer: DistributedPacks, config: TrainConfig) -> float:
    """Seconds that a step takes, the same in all processes."""
    learner.wrapped.train()
    seconds: list[float] = []
    for step in range(_STEPS):
        share = sharing(learner.model)(dealer.deal(step))
        began = time.monotonic()
        gradients(learner, share, config)
        learner.optimizer.zero_grad()
        seconds.append(first_says(learner.accelerator, time.monotonic() - began))
        if sum(seconds) > _SHARE * 60 * config.minutes:
            break
    timed = seconds[1:] or seconds  # the first warms up
    return _OPTIMIZER * sum(timed) / len(timed)


def estimate_rest(
    learner: TrainState, dealer: DistributedPacks, standing: TrainProgress, seconds_a_step: float
) -> RunEstimate:
    """What the steps that are left will need."""
    moments = 8 * sum(p.numel() for p in learner.model.parameters())
    return RunEstimate(
        steps=standing.steps,
        done=standing.step,
        seconds=(standing.steps - standing.step) * seconds_a_step / MARGIN,
        rows_per_second=dealer.deal(0).n_rows / seconds_a_step,
        memory_bytes=peak_memory() + (0 if learner.optimizer.state else moments),
        padding=dealer.padding,
    )


def peak_memory() -> int:
    """Most bytes in use so far: of the GPU where there is one, of this process otherwise."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
