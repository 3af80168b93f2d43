"""The rehearsal of a run: seconds of a step and of an evaluation, measured on a few that change no weight; and its estimate."""

import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from meloctl.dataset.windows import Window
from meloctl.training.distributed_packs import DistributedPacks
from meloctl.training.options import TrainConfig
from meloctl.training.reports import RunEstimate
from meloctl.training.schedule import TrainProgress
from meloctl.training.train_step import TrainState, optimizer_step, step_layout
from meloctl.training.validation import first_rows, rows_of, validation_loss

_STEPS = 5
_SHARE = 0.05
"""No further step is timed once this share of the time budget is used."""


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What was measured before a run, the same on all ranks."""

    step_seconds: float
    """Mean time of a step."""

    row_seconds: float
    """Time to evaluate a row."""


def rehearse(
    state: TrainState,
    packs: DistributedPacks,
    validation: Sequence[Window],
    config: TrainConfig,
    clock: Callable[[], float],
) -> Rehearsal:
    """Time some steps at rate 0, which change no weight, and an evaluation of a pack's rows.

    Args:
        clock: seconds so far, the same on all ranks.
    """
    state.wrapped.train()
    seconds: list[float] = []
    for step in range(_STEPS):
        batch = step_layout(state.model)(packs.step_batch(step))
        began = clock()
        optimizer_step(state, batch, config, rate=0.0)
        seconds.append(clock() - began)
        if sum(seconds) > _SHARE * 60 * config.minutes:
            break
    state.optimizer.forget()
    timed = seconds[1:] or seconds  # the first warms up
    began, some = clock(), first_rows(validation, config.pack_rows)
    validation_loss(state.model, some, config.pack_rows, state.accelerator)
    return Rehearsal(step_seconds=sum(timed) / len(timed), row_seconds=(clock() - began) / rows_of(some))


def estimate_run(packs: DistributedPacks, progress: TrainProgress) -> RunEstimate:
    """Time and memory that the steps that are left will need."""
    return RunEstimate(
        steps=progress.steps,
        done=progress.step,
        seconds=progress.seconds_left,
        rows_per_second=packs.step_batch(0).n_rows / progress.step_seconds,
        memory_bytes=peak_memory_bytes(),
        padding=packs.padding,
    )


def peak_memory_bytes() -> int:
    """Peak memory so far: of the GPU where there is one, of this process otherwise."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
