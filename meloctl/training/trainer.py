"""The training loop: an estimate first, then steps with evaluations between, resumable at each of them.

A run's folder holds the recipe and the result (see `checkpoint`), metrics.csv, and TensorBoard's events.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor

from analysis.errors import MeloError
from meloctl.dataset.batches import Batch, Window, training_batches
from meloctl.model.meloformer import MeloFormer
from meloctl.training.checkpoint import save_model
from meloctl.training.evaluate import evaluate_windows, tensors_of
from meloctl.training.plan import Estimate, Standing, TrainConfig, estimate_run, learning_rate, note, plan_on, why_ended
from meloctl.training.state import ended_run, resume_run, save_state


class Watcher(Protocol):
    """What the loop tells whoever watches."""

    def estimated(self, estimate: Estimate) -> None:
        """Called once, before the first step; `estimate` covers what is left."""

    def stepped(self, step: int, bits_per_note: float, rows_per_second: float, notes_per_second: float) -> None:
        """Called after each step."""

    def evaluated(self, standing: Standing) -> None:
        """Called after each evaluation."""


def train(
    model: MeloFormer,
    training: list[Window],
    validation: list[Window],
    config: TrainConfig,
    folder: Path,
    watch: Watcher,
) -> Standing:
    """Train until the steps, the budget or the patience run out; the best model lies in `folder`.

    A run that was stopped goes on from its last evaluation with the same batches, and the same numbers on a CPU. One that
    has ended (training.json) is not trained again.

    Args:
        model: fresh; its weights are replaced when the folder holds an unfinished run.
        training, validation: windows; both must hold notes.

    Raises:
        MeloError: nothing to train or validate on, or a loss that is not finite.
    """
    if not training or not validation:
        raise MeloError(
            f"{len(training)} windows to train on and {len(validation)} to validate on; both are needed: "
            "give a corpus of more pieces"
        )
    if (ended := ended_run(folder)) is not None:
        return ended
    torch.manual_seed(config.seed)
    accelerator = Accelerator(mixed_precision="bf16" if torch.cuda.is_available() else "no")
    optimizer = torch.optim.AdamW(_groups(model, config), lr=config.learning_rate, betas=(0.9, 0.95))
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    standing = resume_run(model, optimizer, folder)
    estimate = estimate_run(wrapped, training, config, accelerator, standing)
    if standing is None:
        standing = Standing(steps=estimate.steps, most=estimate.most, next=max(1, estimate.steps // config.evaluations))
    watch.estimated(estimate)
    wrapped.train()
    began = time.monotonic() - standing.seconds
    meter = _Meter()
    with _board(folder, standing.step) as board:
        for batch in _from_step(training, model, config, standing):
            rate = learning_rate(standing, config)
            bits = _step(wrapped, optimizer, batch, rate, config, accelerator)
            _check_finite(bits, batch, standing, folder)
            standing.step += 1
            standing.seconds = time.monotonic() - began
            meter.add(batch, bits)
            watch.stepped(standing.step, bits, *meter.speed())
            out_of_time = standing.seconds > 60 * config.minutes
            if standing.step >= standing.next or standing.step >= standing.steps or out_of_time:
                speed, _ = meter.speed()
                quality = evaluate_windows(model, validation, config.rows_in_batch, accelerator.device)
                standing.seconds = time.monotonic() - began
                note(standing, quality, train_bits=meter.bits(), rate=rate, speed=speed)
                _tell_board(board, standing)
                if standing.stale == 0:
                    save_model(
                        model, folder, {"bits_per_note": standing.best, "step": standing.step, "fields": quality.fields}
                    )
                plan_on(standing, config)
                standing.why = why_ended(standing, config, out_of_time)
                save_state(model, optimizer, standing, folder)
                watch.evaluated(standing)
                meter = _Meter()
                if standing.why:
                    break
    return standing


def _check_finite(bits: float, batch: Batch, standing: Standing, folder: Path) -> None:
    if not math.isfinite(bits):
        raise MeloError(
            f"the loss is {bits} at step {standing.step} (batch of {batch.n_rows} rows, first bars "
            f"{batch.first_bar.tolist()[:4]}); the best model so far (step {standing.best_step}) is kept in {folder}; "
            "lower --learning-rate"
        )


class _Meter:
    """Speed and mean loss since it was made."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.rows = self.notes = 0
        self.heard: list[float] = []

    def add(self, batch: Batch, bits: float) -> None:
        self.rows += batch.n_rows
        self.notes += batch.n_notes
        self.heard.append(bits)

    def speed(self) -> tuple[float, float]:
        """(rows, notes) a second."""
        seconds = max(time.monotonic() - self.began, 1e-9)
        return self.rows / seconds, self.notes / seconds

    def bits(self) -> float:
        return sum(self.heard) / len(self.heard)


def _groups(model: MeloFormer, config: TrainConfig) -> list[dict[str, Any]]:
    """Weight decay for matrices, none for norms, biases and single vectors."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def _from_step(training: list[Window], model: MeloFormer, config: TrainConfig, standing: Standing) -> Iterator[Batch]:
    """Batches from the standing's step on, epoch after epoch, until the planned steps are done."""
    epoch, left = 0, standing.step
    while standing.step < standing.steps and not standing.why:
        chosen = training_batches(training, config.rows_in_batch, model.vocabulary, seed=config.seed, epoch=epoch)
        for batch in chosen:
            if left:
                left -= 1
                continue
            yield batch
            if standing.step >= standing.steps:
                return
        epoch += 1


def _step(
    wrapped: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    rate: float,
    config: TrainConfig,
    accelerator: Accelerator,
) -> float:
    """One optimizer step; bits a note of the batch. A loss that is not finite changes nothing."""
    nats: Tensor = wrapped(*tensors_of(batch, accelerator.device))
    loss = nats.sum() / batch.n_notes
    bits = float(loss.detach()) / math.log(2)
    if math.isfinite(bits):
        for group in optimizer.param_groups:
            group["lr"] = rate
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(wrapped.parameters(), config.clip)
        optimizer.step()
        optimizer.zero_grad()
    return bits


@contextmanager
def _board(folder: Path, step: int) -> Iterator[Any]:
    """TensorBoard's writer; what a stopped run wrote after its last saved step is dropped."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step)
    try:
        yield writer
    finally:
        writer.close()


def _tell_board(board: Any, standing: Standing) -> None:
    for name, value in standing.history[-1].items():
        if name != "step":
            board.add_scalar(name, value, standing.step)
    board.flush()
