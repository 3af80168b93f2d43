"""The rehearsal of a run: seconds of a step and of an evaluation, measured on a few that change no weight; and its estimate."""

import itertools
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from analysis.cores import usable_cores
from meloctl.dataset.windows import Window
from meloctl.formatting import count
from meloctl.machine import OtherLoad
from meloctl.threads import ThreadTuner, using_threads
from meloctl.training.distributed_packs import DistributedPacks
from meloctl.training.options import TrainConfig
from meloctl.training.reports import RunEstimate
from meloctl.training.schedule import TrainProgress
from meloctl.training.train_step import TrainState, optimizer_step, step_layout
from meloctl.training.validation import first_rows, rows_of, validation_loss

_SHARE = 0.05
"""No further step is timed once this share of the time budget is used."""

_BUSY_CORES = 0.3
"""Other programs that use more cores than this are reported."""

_STEPS = 4
"""Steps that are timed where the number of threads is given."""


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What was measured before a run, the same on all ranks."""

    step_seconds: float
    """Time of a step, with the number of threads that is best."""

    row_seconds: float
    """Time to evaluate a row."""

    busy: str
    """That other programs use the machine, and what that costs, in words; empty where they do not."""


def rehearse(
    state: TrainState,
    packs: DistributedPacks,
    validation: Sequence[Window],
    config: TrainConfig,
    tuner: ThreadTuner,
    clock: Callable[[], float],
) -> Rehearsal:
    """Time some steps at rate 0, which change no weight, with each number of threads, and an evaluation of a pack's rows.

    Args:
        tuner: takes in the times; a trial that takes too long goes on in the steps of training.
        clock: seconds so far, the same on all ranks.
    """
    state.wrapped.train()
    load, began = OtherLoad(), clock()
    timed: list[_TimedStep] = []
    for n in itertools.count():
        threads = tuner.count
        batch = step_layout(state.model)(packs.step_batch(n))
        with using_threads(threads):
            at, computed = clock(), time.thread_time()
            optimizer_step(state, batch, config, rate=0.0)
            step = _TimedStep(threads=threads, seconds=clock() - at, computed=time.thread_time() - computed)
        if n == 0:
            continue  # it warms up
        timed.append(step)
        tuner.add_step(step.seconds, batch.batch.n_rows)
        if clock() - began > _SHARE * 60 * config.minutes or (not tuner.is_trying and len(timed) >= _STEPS):
            break
    state.optimizer.forget()
    cores = load.cores(processes=state.accelerator.num_processes)
    seconds = min(step.seconds for step in [s for s in timed if s.threads == tuner.best] or timed)
    some, at = first_rows(validation, config.pack_rows), clock()
    with using_threads(tuner.best):
        validation_loss(state.model, some, config.pack_rows, state.accelerator)
    return Rehearsal(
        step_seconds=seconds,
        row_seconds=(clock() - at) / rows_of(some),
        busy=_busy_line(cores, seconds, tuner.best, [step.computed for step in timed if step.threads == 1]),
    )


@dataclass(frozen=True, kw_only=True)
class _TimedStep:
    """Time of a step."""

    threads: int
    seconds: float
    computed: float
    """Seconds for which the thread that makes the step had a core."""


def _busy_line(cores: float, seconds: float, threads: int, alone: Sequence[float]) -> str:
    """That other programs use `cores` cores, and that a step takes `seconds` beside them; empty where they use next to none.

    Args:
        alone: times of steps on one core alone.
    """
    if cores < _BUSY_CORES:
        return ""
    beside = f"; on one core alone it would take {min(alone):.2f} s" if alone else ""
    return (
        f"The machine is busy, other programs use {cores:.1f} of {usable_cores()} cores: a step takes {seconds:.2f} s "
        f"on {count(threads, 'thread')}{beside}"
    )


def estimate_run(packs: DistributedPacks, progress: TrainProgress) -> RunEstimate:
    """Time and memory that the steps that are left will need."""
    return RunEstimate(
        steps=progress.steps,
        done=progress.step,
        seconds=progress.seconds_left,
        rows_per_second=packs.step_batch(0).n_rows / progress.step_seconds,
        memory_bytes=peak_memory_bytes(),
        threads=progress.threads,
        padding=packs.padding,
    )


def peak_memory_bytes() -> int:
    """Peak memory so far: of the GPU where there is one, of this process otherwise."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
