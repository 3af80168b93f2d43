"""What learns, and one step of it: packs in, gradients added up over packs and processes, weights moved once.

The loss of a step is the sum of nats over all its packs, divided by the sum of their notes: exact for packs of any size. Dropout
is drawn anew for each pack from (seed, step, pack), so a step is the same whoever takes which pack, and after a resumption.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from meloctl.model.meloformer.model import MeloFormer
from meloctl.model.registry import Layout, Model, layers_of
from meloctl.training.distributed_packs import StepBatch
from meloctl.training.processes import full_tensor, gradient_sync, sum_over_ranks, wrap_model
from meloctl.training.train_config import TrainConfig
from meloctl.training.weight_average import WeightAverage

_GATES_PACE = 7.0
"""How much faster than the other weights gates learn: they have far to go, and each step tells little of them."""


@dataclass(kw_only=True, eq=False)
class TrainState:
    """A model in training, in one process of those that train it together."""

    model: Model
    """Its weights are those of `wrapped`."""

    wrapped: nn.Module
    """What is called: all processes together."""

    optimizer: torch.optim.Optimizer
    average: WeightAverage | None
    accelerator: Accelerator

    penalty: Callable[[], Tensor] | None = None
    """What the weights themselves cost, in nats a note, beside what is heard; None without such a price."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LaidOutStep:
    """A process's part of a step, laid out: what a loader prepares ahead of time."""

    deal: StepBatch
    layouts: tuple[Layout, ...]
    """One a turn."""


@dataclass(frozen=True, kw_only=True)
class StepLoss:
    """What a step cost, the same in all processes."""

    pack_nats: tuple[float, ...]
    """Of each pack of the step."""

    n_notes: int
    """That count, over all packs."""

    norm: float
    """Of the gradient, before it was clipped; nan where the loss was not finite and nothing was learned."""

    @property
    def nats(self) -> float:
        """Of all packs."""
        return sum(self.pack_nats)

    @property
    def bits_per_note(self) -> float:
        return self.nats / math.log(2) / max(1, self.n_notes)

    @property
    def finite(self) -> bool:
        """Loss and gradient are; otherwise the weights were left as they were."""
        return math.isfinite(self.nats) and math.isfinite(self.norm)


def make_train_state(
    model: Model,
    config: TrainConfig,
    accelerator: Accelerator,
    *,
    shard: bool = False,
    penalty: Callable[[], Tensor] | None = None,
) -> TrainState:
    """A model made ready to learn, on its device."""
    if config.checkpointing:
        enable_checkpointing(model)
    wrapped = wrap_model(model, layers_of(model), accelerator, shard=shard)
    if config.compile:
        for layer in layers_of(model):
            layer.compile()
    optimizer = torch.optim.AdamW(_groups(model, config), lr=config.learning_rate, betas=(0.9, 0.95), fused=True)
    average = None if config.ema is None else WeightAverage(model, config.ema)
    return TrainState(
        model=model,
        wrapped=wrapped,
        optimizer=optimizer,
        average=average,
        accelerator=accelerator,
        penalty=penalty,
    )


def step_layout(model: Model) -> Callable[[StepBatch], LaidOutStep]:
    """How a loader lays out a deal."""
    return lambda deal: LaidOutStep(deal=deal, layouts=tuple(model.layout(turn.pack) for turn in deal.turns))


def optimizer_step(learner: TrainState, share: LaidOutStep, config: TrainConfig, *, rate: float) -> StepLoss:
    """One optimizer step, by all processes together. A loss or gradient that is not finite changes no weight."""
    heard = accumulate_gradients(learner, share, config)
    if not math.isfinite(heard.nats):
        return heard
    norm = learner.accelerator.clip_grad_norm_(learner.wrapped.parameters(), config.clip)
    heard = StepLoss(pack_nats=heard.pack_nats, n_notes=heard.n_notes, norm=float(full_tensor(norm)))
    if heard.finite:
        for group in learner.optimizer.param_groups:
            group["lr"] = rate * group["pace"]
        learner.optimizer.step()
        if learner.average:
            learner.average.follow(learner.model, share.deal.step)
    learner.optimizer.zero_grad()
    return heard


def accumulate_gradients(learner: TrainState, share: LaidOutStep, config: TrainConfig) -> StepLoss:
    """Add up the gradients of a step, over its packs and over the processes."""
    accelerator, deal = learner.accelerator, share.deal
    turns = list(zip(deal.turns, share.layouts, strict=True))
    n_notes = round(sum_over_ranks(accelerator, [sum(layout.n_notes for turn, layout in turns if turn.heard)])[0])
    nats = np.zeros(len(deal.windows))
    # what processes share is the mean of their gradients, and the sum is wanted
    scale = accelerator.num_processes / max(1, n_notes)
    for n, (turn, layout) in enumerate(turns):
        torch.manual_seed(_draw(config.seed, deal.step, turn.index))
        last = n == len(turns) - 1
        with gradient_sync(learner.wrapped, accelerator, last=last):
            with accelerator.autocast():
                cost = learner.wrapped(layout.to(accelerator.device)).sum()
            loss = cost * (scale if turn.heard else 0.0)
            accelerator.backward(loss + learner.penalty() if learner.penalty and last else loss)
        nats[turn.index] += float(cost.detach()) if turn.heard else 0.0
    return StepLoss(pack_nats=tuple(sum_over_ranks(accelerator, nats.tolist())), n_notes=n_notes, norm=math.nan)


def enable_checkpointing(model: Model) -> None:
    """Let each layer forget what it computed, and compute it again, with the same dropout, when the backward pass needs it."""
    if isinstance(model, MeloFormer):
        model.checkpointing = True  # around its layers, which may be compiled
        return
    for layer in layers_of(model):
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)


def _groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Weight decay for matrices, none for norms, biases, single vectors and gates, which learn faster than the rest."""
    gates = [p for name, p in model.named_parameters() if name.startswith("gates.")]
    others = [p for name, p in model.named_parameters() if not name.startswith("gates.")]
    return [
        {"params": [p for p in others if p.ndim >= 2], "weight_decay": config.weight_decay, "pace": 1.0},
        {"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0, "pace": 1.0},
        {"params": gates, "weight_decay": 0.0, "pace": _GATES_PACE},
    ]


def _draw(seed: int, step: int, pack: int) -> int:
    """Where the random numbers of a pack's dropout start."""
    return int(np.random.SeedSequence((seed, step, pack)).generate_state(1, np.uint64)[0] >> 1)
