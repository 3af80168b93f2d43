"""The training loop: an estimate first, then steps with evaluations between, resumable at any moment.

A run's folder holds the recipe and the result (see `checkpoint`), metrics.csv, and TensorBoard's events. Several processes run
the same loop side by side: what they decide hangs on numbers that are the same in all of them, and the first one writes.
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

from accelerate import Accelerator
from torch import Tensor

from analysis.errors import MeloError
from meloctl.dataset.loader import Loader
from meloctl.dataset.stream import PackStream
from meloctl.dataset.windows import Window
from meloctl.model.checkpoint import save_model
from meloctl.model.registry import Model
from meloctl.progress import ProgressReporter
from meloctl.training.distributed_packs import DistributedPacks, StepBatch
from meloctl.training.processes import first_says, pack_length
from meloctl.training.reports import SpeedMeter, StepReport, evaluation_line
from meloctl.training.schedule import Speed, TrainProgress, first_standing, learning_rate, note, plan_on, why_ended
from meloctl.training.state import ended_run, resume_run, save_state, whole_weights
from meloctl.training.step_timing import estimate_rest, time_steps
from meloctl.training.tensorboard import tensorboard_writer, write_scalars
from meloctl.training.train_config import TrainConfig
from meloctl.training.train_step import StepLoss, TrainState, learner_of, sharing, take_step
from meloctl.training.validation import evaluate
from meloctl.training.weight_average import averaged

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What asks a run to stop."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainJob:
    """What is to be trained, on what, how, and where it is written."""

    model: Model
    """Fresh, and equal in all processes; its weights are replaced when the folder holds an unfinished run."""

    architecture: str
    """The model's, for the checkpoint."""

    training: Sequence[Window]
    validation: Sequence[Window]
    config: TrainConfig
    folder: Path

    shard: bool = False
    """Lay the model in pieces on all processes."""

    penalty: Callable[[], Tensor] | None = None
    """What the weights themselves cost, in nats a note; added to the loss, and told nowhere."""

    name_of: Callable[[int], str] = "window {}".format
    """What to call a training window, by its index, when something is wrong with it."""


def train(task: TrainJob, reporter: ProgressReporter, accelerator: Accelerator) -> TrainProgress:
    """Train until the steps, the budget or the patience run out; the best model lies in the task's folder.

    A run that was stopped goes on from its last saved state with the same packs, and the same numbers on a CPU. One that has
    ended (training.json) is not trained again.

    Args:
        accelerator: of `processes.start`.

    Raises:
        KeyboardInterrupt: stopped by SIGINT or SIGTERM; the step in hand was ended, and the state saved.
        MeloError: nothing to train or validate on, fewer packs than processes, or a loss or a validation that is not finite.
    """
    _check(task, accelerator)
    if (ended := ended_run(task.folder)) is not None:
        return ended
    config = task.config
    learner = learner_of(task.model, config, accelerator, shard=task.shard, penalty=task.penalty)
    stream = PackStream(task.training, config.pack_rows, task.model.vocabulary, seed=config.seed, infill=config.infill)
    length = pack_length(accelerator, config.pack_rows)
    dealer = DistributedPacks(stream, task.training, packs=config.packs, accelerator=accelerator, length=length)
    standing = resume_run(learner, task.folder)
    if standing is None:
        seconds_a_step = time_steps(learner, dealer, config)
        standing = first_standing(config, packs_in_epoch=len(stream.arrangement(0)), seconds_a_step=seconds_a_step)
    else:
        seconds_a_step = standing.seconds_a_step
    standing.padding = dealer.padding
    reporter.message(estimate_rest(learner, dealer, standing, seconds_a_step))
    reporter.stage("training", standing.steps, done=standing.step)
    learner.wrapped.train()
    _go_on(task, learner, dealer, standing, reporter)
    return standing


def _go_on(
    task: TrainJob, learner: TrainState, dealer: DistributedPacks, standing: TrainProgress, reporter: ProgressReporter
) -> None:
    """Step after step, with evaluations between, until training has ended or is asked to stop."""
    config, accelerator = task.config, learner.accelerator
    clock, saved = _clock(accelerator, standing.seconds), standing.seconds
    with (
        tensorboard_writer(task.folder, standing.step, is_writer=accelerator.is_main_process) as board,
        Loader(dealer.deals(standing.step), sharing(task.model), ahead=1) as loader,
        _asked_to_stop(alone=accelerator.num_processes == 1) as stop,
    ):
        meter = SpeedMeter(loader)
        while not standing.why:
            share, rate = next(loader), learning_rate(standing, config)
            heard = take_step(learner, share, config, rate=rate)
            if not heard.finite:
                raise _not_finite(task, standing, share.deal, heard)
            meter.add(share.deal, heard)
            standing.heard(heard.nats, heard.n_notes, seconds=clock())
            reporter.advance(status=_step_report(standing, share.deal, heard, meter.speed()))
            out_of_time = standing.seconds > 60 * config.minutes
            if standing.step >= min(standing.next, standing.steps) or out_of_time:
                _evaluate(task, learner, standing, clock, rate=rate, speed=meter.speed())
                standing.why = why_ended(standing, config, out_of_time)
                save_state(learner, standing, task.folder)
                write_scalars(board, standing)
                reporter.resize(standing.steps)
                reporter.message(evaluation_line(standing))
                meter, saved = SpeedMeter(loader), standing.seconds
            elif stop.is_set() or standing.seconds - saved >= config.save_seconds:
                save_state(learner, standing, task.folder)
                saved = standing.seconds
            else:
                continue
            if stop.is_set():
                raise KeyboardInterrupt


@contextmanager
def _asked_to_stop(*, alone: bool) -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM in the block sets, so that the step in hand can be ended and saved; the next one
    raises KeyboardInterrupt at once.

    What handled the signals before handles them again afterwards. Signals that were ignored stay ignored (nohup).

    Args:
        alone: this process trains by itself. Of several, each would stop after another step, and wait for the others for ever,
            so signals are left as they are; so they are outside the main thread, which alone may handle them.
    """
    asked = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signals call it
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if not alone or threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    ours = [number for number, handler in before.items() if handler not in (None, signal.SIG_IGN)]
    try:
        for number in ours:
            signal.signal(number, handle)
        yield asked
    finally:
        for number in ours:
            signal.signal(number, before[number])


def _check(task: TrainJob, accelerator: Accelerator) -> None:
    if not task.training or not task.validation:
        raise MeloError(
            f"{len(task.training)} windows to train on and {len(task.validation)} to validate on; both are needed: "
            "give a corpus of more pieces"
        )
    if task.config.packs < accelerator.num_processes:
        raise MeloError(
            f"{accelerator.num_processes} processes, and {task.config.packs} packs a step to share among them; "
            f"give --packs {accelerator.num_processes}, or a multiple"
        )


def _clock(accelerator: Accelerator, seconds: float) -> Callable[[], float]:
    """Seconds of training so far, by the first process's clock; `seconds` were done before."""
    began = time.monotonic() - seconds
    return lambda: first_says(accelerator, time.monotonic() - began)


def _evaluate(
    task: TrainJob,
    learner: TrainState,
    standing: TrainProgress,
    clock: Callable[[], float],
    *,
    rate: float,
    speed: Speed,
) -> None:
    """Measure the model on validation, mend the plan, note it all, and keep the model if it is the best so far."""
    with averaged(learner.model, learner.average):
        quality = evaluate(learner.model, task.validation, task.config.pack_rows, learner.accelerator)
        if not math.isfinite(quality.bits_per_note):
            bad = f"the validation costs {quality.bits_per_note} bits a note after step {standing.step}"
            raise MeloError(f"{bad}; {_left(task, standing)}")
        before, standing.seconds = standing.seconds, clock()
        plan_on(standing, task.config, evaluating=standing.seconds - before)
        note(standing, quality, rate=rate, speed=speed)
        if standing.stale == 0:
            weights = whole_weights(learner)
            told = {"bits_per_note": standing.best, "step": standing.step, "fields": quality.fields}
            if learner.accelerator.is_main_process:
                save_model(learner.model, task.architecture, weights, task.folder, told, infill=task.config.infill)


def _step_report(standing: TrainProgress, deal: StepBatch, heard: StepLoss, speed: Speed) -> StepReport:
    return StepReport(
        step=standing.step,
        epoch=deal.epoch,
        bits_per_note=heard.bits_per_note,
        best=standing.best,
        speed=speed,
        seconds_left=standing.seconds_left,
    )


def _not_finite(task: TrainJob, standing: TrainProgress, deal: StepBatch, heard: StepLoss) -> MeloError:
    """What to tell of a step whose loss or gradient is not finite: where it is, what was heard there, and what is left."""
    bad = [n for n, nats in enumerate(heard.pack_nats) if not math.isfinite(nats)]
    what = f"the loss is {heard.nats}" if bad else f"the loss is finite, but the norm of its gradient is {heard.norm}"
    windows = [int(i) for n in bad or range(len(deal.windows)) for i in deal.windows[n]]
    names = "; ".join(f"{task.name_of(i)} from bar {task.training[i].first_bar}" for i in windows[:4])
    more = f" and {len(windows) - 4} more" if len(windows) > 4 else ""
    return MeloError(f"{what} at step {standing.step}, epoch {deal.epoch}, in {names}{more}; {_left(task, standing)}")


def _left(task: TrainJob, standing: TrainProgress) -> str:
    """What is left of a run that cannot go on, and what to do."""
    best = f"the best model so far (step {standing.best_step}) is kept in {task.folder}"
    return f"{best if standing.best_step else 'no model is kept yet'}; lower --learning-rate"
