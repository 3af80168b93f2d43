"""The training loop: an estimate first, then steps with evaluations between, resumable at each of them.

A run's folder holds the recipe and the result (see `checkpoint`), metrics.csv, and TensorBoard's events.
"""

import json
import math
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import torch
from accelerate import Accelerator
from torch import Tensor

from analysis.atomic import whole_file, write_text
from analysis.errors import MeloError
from analysis.json_file import read_json
from meloctl.dataset.batches import Batch, Window, batches, training_batches
from meloctl.model.meloformer import MeloFormer
from meloctl.training.checkpoint import (
    load_metadata,
    load_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_model,
    save_tensors,
)
from meloctl.training.evaluate import Quality, evaluate_windows, tensors_of

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
    """Evaluations without a better result after which training stops."""


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
    if (ended := _ended(folder)) is not None:
        return ended
    torch.manual_seed(config.seed)
    accelerator = Accelerator(mixed_precision="bf16" if torch.cuda.is_available() else "no")
    optimizer = torch.optim.AdamW(_groups(model, config), lr=config.learning_rate, betas=(0.9, 0.95))
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    standing = _resume(model, optimizer, folder)
    estimate = _estimate(wrapped, training, config, accelerator, standing)
    if standing is None:
        standing = Standing(steps=estimate.steps, most=estimate.most, next=max(1, estimate.steps // config.evaluations))
    watch.estimated(estimate)
    wrapped.train()
    began = time.monotonic() - standing.seconds
    meter = _Meter()
    with _board(folder, standing.step) as board:
        for batch in _from_step(training, model, config, standing):
            rate = config.learning_rate * _schedule(standing.step, standing.steps, config.warmup)
            bits = _step(wrapped, optimizer, batch, rate, config, accelerator)
            if not math.isfinite(bits):
                raise MeloError(
                    f"the loss is {bits} at step {standing.step} (batch of {batch.n_rows} rows, "
                    f"first bars {batch.first_bar.tolist()[:4]}); the best model so far (step {standing.best_step}) "
                    f"is kept in {folder}; lower --learning-rate"
                )
            standing.step += 1
            standing.seconds = time.monotonic() - began
            meter.add(batch, bits)
            watch.stepped(standing.step, bits, *meter.speed())
            out_of_time = standing.seconds > 60 * config.minutes
            if standing.step >= standing.next or standing.step >= standing.steps or out_of_time:
                speed, _ = meter.speed()
                quality = evaluate_windows(model, validation, config.rows_in_batch, accelerator.device)
                standing.seconds = time.monotonic() - began
                _note(standing, quality, train_bits=meter.bits(), rate=rate, speed=speed)
                _tell_board(board, standing)
                if standing.stale == 0:
                    save_model(
                        model, folder, {"bits_per_note": standing.best, "step": standing.step, "fields": quality.fields}
                    )
                _plan_on(standing, config)
                standing.why = _why(standing, config, out_of_time)
                _save(model, optimizer, standing, folder)
                watch.evaluated(standing)
                meter = _Meter()
                if standing.why:
                    break
    return standing


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


def _schedule(step: int, steps: int, warmup: float) -> float:
    """Share of the learning rate at a step: a linear rise, then a cosine down to a tenth at the last planned step."""
    rise = max(1, round(steps * warmup))
    if step < rise:
        return (step + 1) / rise
    done = min(1.0, (step - rise) / max(1, steps - rise))
    return 0.1 + 0.45 * (1 + math.cos(math.pi * done))


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


def _estimate(
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


def _note(standing: Standing, quality: Quality, *, train_bits: float, rate: float, speed: float) -> None:
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


def _plan_on(standing: Standing, config: TrainConfig) -> None:
    """Fit the plan to the time that is left, and set the next evaluation. A plan of all epochs that fits stays as it is."""
    if standing.step < standing.steps:
        left = 60 * config.minutes - standing.seconds
        affordable = standing.step + int(left * standing.step / max(standing.seconds, 1e-9))
        standing.steps = max(standing.step + 1, min(standing.most, affordable))
    standing.next = standing.step + max(1, standing.steps // config.evaluations)


def _why(standing: Standing, config: TrainConfig, out_of_time: bool) -> str:
    if standing.step >= standing.steps:
        return "all steps done"
    if out_of_time:
        return f"{config.minutes:g} minutes are over"
    if standing.stale >= config.patience:
        return f"no better for {standing.stale} evaluations"
    return ""


def _save(model: MeloFormer, optimizer: torch.optim.Optimizer, standing: Standing, folder: Path) -> None:
    """Write metrics.csv and the training state, which is one file and so always of one moment; a finished run has none."""
    with whole_file(folder / "metrics.csv") as temporary:
        pd.DataFrame(standing.history).to_csv(temporary, index=False)
    state = folder / "last.safetensors"
    if standing.why:
        write_text(folder / "training.json", json.dumps(asdict(standing), indent=1) + "\n")
        state.unlink(missing_ok=True)
        return
    tensors = {f"model.{k}": v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    tensors |= optimizer_tensors(optimizer, model)
    save_tensors({**tensors, "random": torch.get_rng_state()}, state, {"standing": json.dumps(asdict(standing))})


def _resume(model: MeloFormer, optimizer: torch.optim.Optimizer, folder: Path) -> Standing | None:
    """Put an unfinished run's state back; None when there is none."""
    path = folder / "last.safetensors"
    if not path.exists():
        return None
    tensors, metadata = load_tensors(path), load_metadata(path)
    try:
        standing = _standing(json.loads(metadata["standing"]))
        torch.set_rng_state(tensors["random"])
        model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
        restore_optimizer(optimizer, model, tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise MeloError(
            f"{path}: a damaged training state, or another model's; delete {folder} and train again"
        ) from error
    return standing


def _ended(folder: Path) -> Standing | None:
    """How a run ended that was stopped after its last step, before its manifest was written; None for any other."""
    path = folder / "training.json"
    if not path.is_file():
        return None
    try:
        return _standing(read_json(path, what="training record"))
    except (TypeError, ValueError) as error:
        raise MeloError(f"{path}: a damaged training record; delete {folder} and train again") from error


def _standing(data: object) -> Standing:
    """A standing from parsed JSON. Raises TypeError or ValueError for anything else."""
    if not isinstance(data, dict):
        raise TypeError("not an object")
    standing = Standing(**data)
    fresh = asdict(Standing(steps=0, most=0))
    if not all(
        isinstance(getattr(standing, k), (int, float) if type(v) is float else type(v)) for k, v in fresh.items()
    ):
        raise TypeError("a value of the wrong kind")
    return standing


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
