"""Seconds of a step, measured on a few steps at rate 0, which change no weight, and the estimate of a run."""

import resource
import sys
import time

import torch

from meloctl.training.distributed_packs import DistributedPacks
from meloctl.training.options import TrainConfig
from meloctl.training.processes import broadcast_first
from meloctl.training.reports import RunEstimate
from meloctl.training.schedule import MARGIN, TrainProgress
from meloctl.training.train_step import TrainState, optimizer_step, step_layout

_STEPS = 5
_SHARE = 0.05
"""No further step is timed once this share of the time budget is used."""


def time_steps(state: TrainState, packs: DistributedPacks, config: TrainConfig) -> float:
    """Mean seconds of a step, the same on all ranks."""
    state.wrapped.train()
    seconds: list[float] = []
    for step in range(_STEPS):
        batch = step_layout(state.model)(packs.step_batch(step))
        began = time.monotonic()
        optimizer_step(state, batch, config, rate=0.0)
        seconds.append(broadcast_first(state.accelerator, time.monotonic() - began))
        if sum(seconds) > _SHARE * 60 * config.minutes:
            break
    state.optimizer.forget()
    timed = seconds[1:] or seconds  # the first warms up
    return sum(timed) / len(timed)


def estimate_run(packs: DistributedPacks, progress: TrainProgress, seconds_per_step: float) -> RunEstimate:
    """Time and memory that the steps that are left will need."""
    return RunEstimate(
        steps=progress.steps,
        done=progress.step,
        seconds=(progress.steps - progress.step) * seconds_per_step / MARGIN,
        rows_per_second=packs.step_batch(0).n_rows / seconds_per_step,
        memory_bytes=peak_memory_bytes(),
        padding=packs.padding,
    )


def peak_memory_bytes() -> int:
    """Peak memory so far: of the GPU where there is one, of this process otherwise."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
