"""The training loop: an estimate first, then steps with evaluations between, resumable at any moment.

A run's folder holds the recipe and the result (see `checkpoint`), metrics.csv, and TensorBoard's events. Several processes run
the same loop side by side: what they decide hangs on numbers that are the same in all of them, and the first one writes.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from accelerate import Accelerator
from torch import Tensor

from analysis.errors import MeloError
from meloctl.dataset.stream import Loader, PackStream
from meloctl.dataset.windows import Window
from meloctl.training.average import averaged
from meloctl.training.checkpoint import save_model
from meloctl.training.config import TrainConfig
from meloctl.training.deal import Deal, Dealer
from meloctl.training.evaluate import evaluate
from meloctl.training.learner import Heard, Learner, Share, learner_of, sharing, take_step
from meloctl.training.models import Model
from meloctl.training.plan import Speed, Standing, first_standing, learning_rate, note, plan_on, why_ended
from meloctl.training.processes import first_says
from meloctl.training.rehearsal import Estimate, estimate_rest, rehearse
from meloctl.training.state import ended_run, resume_run, save_state, whole_weights


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How things go, after a step."""

    step: int
    epoch: int
    """Epochs before the one that the step is in."""

    bits_per_note: float
    """Of this step."""

    speed: Speed
    """Since the last evaluation."""

    seconds_left: float


class Watcher(Protocol):
    """What the loop tells whoever watches."""

    def estimated(self, estimate: Estimate) -> None:
        """Called once, before the first step; `estimate` covers what is left."""

    def stepped(self, progress: Progress) -> None:
        """Called after each step."""

    def evaluated(self, standing: Standing) -> None:
        """Called after each evaluation."""


def train(
    model: Model,
    architecture: str,
    training: list[Window],
    validation: list[Window],
    config: TrainConfig,
    folder: Path,
    watch: Watcher,
    *,
    accelerator: Accelerator,
    shard: bool = False,
    penalty: Callable[[], Tensor] | None = None,
    name_of: Callable[[int], str] = "window {}".format,
) -> Standing:
    """Train until the steps, the budget or the patience run out; the best model lies in `folder`.

    A run that was stopped goes on from its last saved state with the same packs, and the same numbers on a CPU. One that has
    ended (training.json) is not trained again.

    Args:
        model: fresh, and equal in all processes; its weights are replaced when the folder holds an unfinished run.
        architecture: the model's, for the checkpoint.
        training, validation: windows; both must hold notes.
        accelerator: of `processes.start`.
        shard: lay the model in pieces on all processes.
        penalty: what the weights themselves cost, in nats a note; added to the loss, and told nowhere.
        name_of: what to call a training window, by its index, when something is wrong with it.

    Raises:
        MeloError: nothing to train or validate on, fewer packs than processes, or a loss that is not finite.
    """
    _check(training, validation, config, accelerator)
    if (ended := ended_run(folder)) is not None:
        return ended
    learner = learner_of(model, config, accelerator, shard=shard, penalty=penalty)
    standing = resume_run(learner, folder)
    stream = PackStream(training, config.pack_rows, model.vocabulary, seed=config.seed)
    dealer = _dealer(stream, training, config, accelerator)
    if standing is None:
        seconds_a_step = rehearse(learner, dealer, config)
        standing = first_standing(config, packs_in_epoch=len(stream.arrangement(0)), seconds_a_step=seconds_a_step)
    else:
        seconds_a_step = standing.seconds / standing.step
    watch.estimated(estimate_rest(learner, dealer, standing, seconds_a_step))
    learner.wrapped.train()
    clock, saved = _clock(accelerator, standing.seconds), standing.seconds
    with (
        _board(folder, standing.step, accelerator) as board,
        Loader(dealer.deals(standing.step), sharing(model), ahead=1) as loader,
    ):
        meter = _Meter(loader)
        while not standing.why:
            share, rate = next(loader), learning_rate(standing, config)
            heard = take_step(learner, share, config, rate=rate)
            if not heard.finite:
                raise _not_finite(heard, share.deal, standing, training, name_of, folder)
            meter.add(share.deal, heard)
            standing.step, standing.seconds = standing.step + 1, clock()
            standing.nats, standing.notes = standing.nats + heard.nats, standing.notes + heard.n_notes
            watch.stepped(_progress(standing, share.deal, heard, meter))
            out_of_time = standing.seconds > 60 * config.minutes
            if standing.step >= standing.next or standing.step >= standing.steps or out_of_time:
                _evaluate(learner, architecture, validation, config, standing, folder, rate, meter, clock)
                standing.why = why_ended(standing, config, out_of_time)
                save_state(learner, standing, folder)
                _tell_board(board, standing)
                watch.evaluated(standing)
                meter, saved = _Meter(loader), standing.seconds
            elif standing.seconds - saved >= config.save_seconds:
                save_state(learner, standing, folder)
                saved = standing.seconds
    return standing


def _evaluate(
    learner: Learner,
    architecture: str,
    validation: list[Window],
    config: TrainConfig,
    standing: Standing,
    folder: Path,
    rate: float,
    meter: "_Meter",
    clock: Callable[[], float],
) -> None:
    """Measure the model on validation, note it, mend the plan, and keep the model if it is the best so far."""
    speed, length = meter.speed(), config.pack_rows if config.compile else None
    with averaged(learner.model, learner.average):
        quality = evaluate(learner.model, validation, config.pack_rows, learner.accelerator, length=length)
        before, standing.seconds = standing.seconds, clock()
        plan_on(standing, config, evaluating=standing.seconds - before)
        note(standing, quality, rate=rate, speed=speed)
        if standing.stale == 0:
            weights = whole_weights(learner)
            told = {"bits_per_note": standing.best, "step": standing.step, "fields": quality.fields}
            if learner.accelerator.is_main_process:
                save_model(learner.model, architecture, weights, folder, told)


def _check(training: list[Window], validation: list[Window], config: TrainConfig, accelerator: Accelerator) -> None:
    if not training or not validation:
        raise MeloError(
            f"{len(training)} windows to train on and {len(validation)} to validate on; both are needed: "
            "give a corpus of more pieces"
        )
    if config.packs < accelerator.num_processes:
        raise MeloError(
            f"{accelerator.num_processes} processes, and {config.packs} packs a step to share among them; "
            f"give --packs {accelerator.num_processes}, or a multiple"
        )


def _dealer(stream: PackStream, training: list[Window], config: TrainConfig, accelerator: Accelerator) -> Dealer:
    """Deals to this process; packs of one length where layers are compiled for it."""
    return Dealer(
        stream,
        training,
        packs=config.packs,
        rank=accelerator.process_index,
        world=accelerator.num_processes,
        length=config.pack_rows if config.compile else None,
    )


def _clock(accelerator: Accelerator, seconds: float) -> Callable[[], float]:
    """Seconds of training so far, by the first process's clock; `seconds` were done before."""
    began = time.monotonic() - seconds
    return lambda: first_says(accelerator, time.monotonic() - began)


def _not_finite(
    heard: Heard, deal: Deal, standing: Standing, training: list[Window], name_of: Callable[[int], str], folder: Path
) -> MeloError:
    """What to tell of a step whose loss or gradient is not finite: where it is, what was heard there, and what is left."""
    bad = [n for n, nats in enumerate(heard.pack_nats) if not math.isfinite(nats)]
    what = f"the loss is {heard.nats}" if bad else f"the loss is finite, but the norm of its gradient is {heard.norm}"
    windows = [int(i) for n in bad or range(len(deal.windows)) for i in deal.windows[n]]
    names = "; ".join(f"{name_of(i)} from bar {training[i].first_bar}" for i in windows[:4])
    more = f" and {len(windows) - 4} more" if len(windows) > 4 else ""
    kept = (
        f"the best model so far (step {standing.best_step}) is kept in {folder}"
        if standing.best_step
        else "none is kept"
    )
    return MeloError(
        f"{what} at step {standing.step}, epoch {deal.epoch}, in {names}{more}; {kept}; lower --learning-rate"
    )


class _Meter:
    """Speed since it was made."""

    def __init__(self, loader: Loader[Share]) -> None:
        self.began, self.loader, self.waited = time.monotonic(), loader, loader.waited_seconds
        self.rows = self.notes = 0

    def add(self, deal: Deal, heard: Heard) -> None:
        self.rows += deal.n_rows
        self.notes += heard.n_notes

    def speed(self) -> Speed:
        seconds = max(time.monotonic() - self.began, 1e-9)
        return Speed(
            rows_per_second=self.rows / seconds,
            notes_per_second=self.notes / seconds,
            waiting=min(1.0, (self.loader.waited_seconds - self.waited) / seconds),
        )


def _progress(standing: Standing, deal: Deal, heard: Heard, meter: _Meter) -> Progress:
    return Progress(
        step=standing.step,
        epoch=deal.epoch,
        bits_per_note=heard.bits_per_note,
        speed=meter.speed(),
        seconds_left=standing.seconds_left,
    )


@contextmanager
def _board(folder: Path, step: int, accelerator: Accelerator) -> Iterator[Any]:
    """TensorBoard's writer, of the first process; what a stopped run wrote after its last saved step is dropped."""
    if not accelerator.is_main_process:
        yield None
        return
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step)
    try:
        yield writer
    finally:
        writer.close()


def _tell_board(board: Any, standing: Standing) -> None:
    """Everything that metrics.csv has of the last evaluation."""
    if board is None:
        return
    for name, value in standing.history[-1].items():
        if name != "step":
            board.add_scalar(name, value, standing.step)
    board.flush()
