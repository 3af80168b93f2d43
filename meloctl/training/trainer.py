"""The training loop: an estimate first, then steps with evaluations between, resumable at any moment.

A run's folder holds the model (see `meloctl.model.checkpoint`), metrics.csv, and TensorBoard's events. All ranks run the same
loop side by side: their decisions depend on numbers that are the same on all of them, and the first one writes.
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch
from accelerate import Accelerator
from torch import Tensor

from analysis.errors import MeloError
from meloctl.dataset.loader import Loader
from meloctl.dataset.stream import PackStream
from meloctl.dataset.windows import Window
from meloctl.model.checkpoint import save_model
from meloctl.model.registry import Model
from meloctl.progress import ProgressReporter, word_on_compiling
from meloctl.threads import ThreadTuner, using_threads
from meloctl.training.distributed_packs import DistributedPacks, StepBatch
from meloctl.training.options import TrainConfig
from meloctl.training.processes import broadcast_first, padded_length
from meloctl.training.reports import SpeedMeter, StepReport, evaluation_line
from meloctl.training.schedule import (
    Speed,
    TrainProgress,
    learning_rate,
    note_best,
    record_evaluation,
    stop_reason,
)
from meloctl.training.state import ended_run, full_weights, resume_run, save_state
from meloctl.training.step_threads import run_tuner, tune
from meloctl.training.step_timing import estimate_run, rehearse
from meloctl.training.tensorboard import tensorboard_writer, write_scalars
from meloctl.training.time_plan import plan_run, replan
from meloctl.training.train_step import StepLoss, TrainState, make_train_state, optimizer_step, step_layout
from meloctl.training.validation import rows_of, validation_loss

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Signals that stop a run after its current step."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainJob:
    """A model, its data and settings, and the folder of the run."""

    model: Model
    """With initial weights, equal on all ranks; replaced when the folder holds an unfinished run."""

    architecture: str
    """The model's, for the checkpoint."""

    training: Sequence[Window]
    validation: Sequence[Window]
    """All of them; evaluations on the way may take only every n-th."""

    config: TrainConfig
    folder: Path

    clock: Callable[[], float] = time.monotonic
    """Time in seconds, from any moment on."""

    began: float | None = None
    """When this session's share of the time budget began, by the clock; None: when training begins."""

    shard: bool = False
    """Shard the model over the ranks."""

    penalty: Callable[[], Tensor] | None = None
    """Term that is added to the loss, in nats per note, and not reported with it."""

    name_of: Callable[[int], str] = "window {}".format
    """Name of a training window, by its index, for errors."""


def train(job: TrainJob, reporter: ProgressReporter, accelerator: Accelerator) -> TrainProgress:
    """Train until the steps, the time budget or the patience run out; the best model is in the job's folder.

    A run that was stopped resumes from its last saved state with the same packs, and the same numbers on a CPU. One that has
    ended (training.json) is not trained again.

    Args:
        accelerator: of `start_accelerator`.

    Raises:
        KeyboardInterrupt: stopped by SIGINT or SIGTERM; the current step was finished, and the state saved.
        MeloError: no windows, fewer packs than ranks, or a loss that is not finite in training or validation.
    """
    _check(job, accelerator)
    if (ended := ended_run(job.folder)) is not None:
        return ended
    config = job.config
    state = make_train_state(job.model, config, accelerator, shard=job.shard, penalty=job.penalty)
    stream = PackStream(
        job.training,
        config.pack_rows,
        job.model.vocabulary,
        seed=config.seed,
        infill=config.infill,
        plans=config.plans,
    )
    length = padded_length(accelerator, config.pack_rows)
    packs = DistributedPacks(stream, job.training, packs=config.packs, accelerator=accelerator, length=length)
    progress = resume_run(state, job.folder)
    tuner = run_tuner(config, accelerator, progress)
    clock = _clock(job, accelerator, progress.seconds if progress else 0.0)
    busy = ""
    if progress is None:
        with word_on_compiling(reporter, "what computes a step"):
            measured = rehearse(state, packs, job.validation, config, tuner, clock)
        progress = plan_run(
            config,
            packs_per_epoch=len(stream.arrangement(0)),
            validation_rows=rows_of(job.validation),
            seconds=clock(),
            step_seconds=measured.step_seconds,
            row_seconds=measured.row_seconds,
        )
        busy = measured.busy
    progress.padding, progress.threads = packs.padding, tuner.best
    reporter.message(estimate_run(packs, progress))
    if busy:
        reporter.message(busy)
    reporter.stage("training", progress.steps, done=progress.step)
    state.wrapped.train()
    with using_threads(tuner.best):
        _run_steps(job, state, packs, progress, reporter, tuner, clock)
    return progress


def _run_steps(
    job: TrainJob,
    state: TrainState,
    packs: DistributedPacks,
    progress: TrainProgress,
    reporter: ProgressReporter,
    tuner: ThreadTuner,
    clock: Callable[[], float],
) -> None:
    """Step after step, with evaluations between, until training has ended or a signal stops it."""
    config, accelerator, saved = job.config, state.accelerator, progress.seconds
    with (
        tensorboard_writer(job.folder, progress.step, is_writer=accelerator.is_main_process) as writer,
        Loader(packs.step_batches(progress.step), step_layout(job.model), ahead=1) as loader,
        _stop_signal(alone=accelerator.num_processes == 1) as stop,
    ):
        meter = SpeedMeter(loader)
        while not progress.why:
            torch.set_num_threads(tuner.count)
            step, rate = next(loader), learning_rate(progress, config)
            loss = optimizer_step(state, step, config, rate=rate)
            if not loss.is_finite:
                raise _not_finite(job, progress, step.batch, loss)
            meter.add(step.batch, loss)
            before = progress.seconds
            progress.add_step(loss.nll, loss.n_notes, seconds=clock())
            tune(tuner, progress, reporter, seconds=progress.seconds - before, rows=step.batch.n_rows)
            replan(progress, config)
            reporter.advance(status=_step_report(progress, step.batch, loss, meter.speed()))
            if progress.step >= min(progress.next_evaluation, progress.steps):
                _evaluate(job, state, progress, clock, rate=rate, speed=meter.speed())
                progress.why = stop_reason(progress, config)
                save_state(state, progress, job.folder)
                write_scalars(writer, progress)
                reporter.resize(progress.steps)
                reporter.message(evaluation_line(progress))
                meter = SpeedMeter(loader)
            elif stop.is_set() or progress.seconds - saved >= config.save_seconds:
                save_state(state, progress, job.folder)
            else:
                continue
            if not progress.why:
                saved = progress.seconds = clock()
            if stop.is_set():
                raise KeyboardInterrupt


@contextmanager
def _stop_signal(*, alone: bool) -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM in the block sets, so that the current step can be finished and saved; the next
    one raises KeyboardInterrupt at once.

    The previous handlers are restored afterwards. Signals that were ignored stay ignored (nohup).

    Args:
        alone: this process trains by itself. Of several ranks each would stop after another step, and wait for the others for
            ever, so signals are left as they are; so they are outside the main thread, which alone may handle them.
    """
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signals call it
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if not alone or threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    ours = [number for number, handler in before.items() if handler not in (None, signal.SIG_IGN)]
    try:
        for number in ours:
            signal.signal(number, handle)
        yield stop
    finally:
        for number in ours:
            signal.signal(number, before[number])


def _check(job: TrainJob, accelerator: Accelerator) -> None:
    if not job.training or not job.validation:
        raise MeloError(
            f"{len(job.training)} windows to train on and {len(job.validation)} to validate on; both are needed: "
            "give a corpus of more pieces"
        )
    if job.config.packs < accelerator.num_processes:
        raise MeloError(
            f"{accelerator.num_processes} processes, and {job.config.packs} packs a step to share among them; "
            f"give `packs {accelerator.num_processes}`, or a multiple"
        )


def _clock(job: TrainJob, accelerator: Accelerator, seconds: float) -> Callable[[], float]:
    """A function that returns the seconds so far, by the first rank's clock; `seconds` were spent before this session."""
    began = (job.clock() if job.began is None else job.began) - seconds
    return lambda: broadcast_first(accelerator, job.clock() - began)


def _evaluate(
    job: TrainJob,
    state: TrainState,
    progress: TrainProgress,
    clock: Callable[[], float],
    *,
    rate: float,
    speed: Speed,
) -> None:
    """Measure the validation loss, save the model if it is the best so far, replan, and record all of it."""
    torch.set_num_threads(progress.threads)
    chosen = job.validation[:: progress.validation_every]
    loss = validation_loss(state.model, chosen, job.config.pack_rows, state.accelerator)
    if not math.isfinite(loss.bits_per_note):
        bad = f"the validation loss is {loss.bits_per_note} bits a note after step {progress.step}"
        raise MeloError(f"{bad}; {_left(job, progress)}")
    if note_best(progress, loss):
        weights = full_weights(state)
        quality = {"bits_per_note": progress.best, "step": progress.step, "fields": loss.fields}
        if state.accelerator.is_main_process:
            save_model(state.model, job.architecture, weights, job.folder, quality, infill=job.config.infill)
    progress.add_evaluation(rows_of(chosen), seconds=clock())
    replan(progress, job.config)
    record_evaluation(progress, loss, rate=rate, speed=speed)


def _step_report(progress: TrainProgress, batch: StepBatch, loss: StepLoss, speed: Speed) -> StepReport:
    return StepReport(
        step=progress.step,
        epoch=batch.epoch,
        bits_per_note=loss.bits_per_note,
        best=progress.best,
        speed=speed,
        seconds_left=progress.seconds_left,
    )


def _not_finite(job: TrainJob, progress: TrainProgress, batch: StepBatch, loss: StepLoss) -> MeloError:
    """The error of a step whose loss or gradient is not finite: which windows it was in, and what is left of the run."""
    bad = [n for n, nll in enumerate(loss.pack_nll) if not math.isfinite(nll)]
    what = f"the loss is {loss.nll}" if bad else f"the loss is finite, but the norm of its gradient is {loss.norm}"
    windows = [int(i) for n in bad or range(len(batch.windows)) for i in batch.windows[n]]
    names = "; ".join(f"{job.name_of(i)} from bar {job.training[i].first_bar}" for i in windows[:4])
    more = f" and {len(windows) - 4} more" if len(windows) > 4 else ""
    return MeloError(f"{what} at step {progress.step}, epoch {batch.epoch}, in {names}{more}; {_left(job, progress)}")


def _left(job: TrainJob, progress: TrainProgress) -> str:
    """What is left of a run that cannot go on, and what to do."""
    best = f"the best model so far (step {progress.best_step}) is kept in {job.folder}"
    return f"{best if progress.best_step else 'no model is kept yet'}; lower `learning_rate`"
