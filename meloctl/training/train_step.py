"""Training state (model and optimizer) and one optimizer step; gradients accumulate over packs and ranks.

The loss of a step is the negative log-likelihood of all its packs, divided by the number of their notes: exact for packs of any
size. Dropout is seeded for each pack by (seed, step, pack), so a step is the same whichever rank has which pack, and after a
resumption.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from meloctl.model.meloformer.model import MeloFormer
from meloctl.model.registry import Layout, Model, layers_of
from meloctl.training.distributed_packs import StepBatch
from meloctl.training.optimizer import RunOptimizer
from meloctl.training.options import TrainConfig
from meloctl.training.processes import full_tensor, gradient_sync, sum_over_ranks, wrap_model


@dataclass(kw_only=True, eq=False)
class TrainState:
    """A model and its optimizer, on one rank."""

    model: Model
    """Its weights are those of `wrapped`."""

    wrapped: nn.Module
    """The model in DDP or FSDP; all ranks call it together."""

    optimizer: RunOptimizer
    accelerator: Accelerator

    penalty: Callable[[], Tensor] | None = None
    """Term that is added to the loss, in nats per note (the price of gates); None without one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LaidOutStep:
    """A rank's batch of a step with its layouts: what a loader prepares ahead of time."""

    batch: StepBatch
    layouts: tuple[Layout, ...]
    """One per micro-batch."""


@dataclass(frozen=True, kw_only=True)
class StepLoss:
    """Loss of a step, the same on all ranks."""

    pack_nll: tuple[float, ...]
    """Negative log-likelihood of each pack of the step, in nats."""

    n_notes: int
    """Notes in the loss, over all packs."""

    norm: float
    """Norm of the gradient before clipping; nan where the loss was not finite and no weight was changed."""

    @property
    def nll(self) -> float:
        """Of all packs, in nats."""
        return sum(self.pack_nll)

    @property
    def bits_per_note(self) -> float:
        """Loss in bits per note."""
        return self.nll / math.log(2) / max(1, self.n_notes)

    @property
    def is_finite(self) -> bool:
        """Whether loss and gradient are finite; otherwise no weight was changed."""
        return math.isfinite(self.nll) and math.isfinite(self.norm)


def make_train_state(
    model: Model,
    config: TrainConfig,
    accelerator: Accelerator,
    *,
    shard: bool = False,
    penalty: Callable[[], Tensor] | None = None,
) -> TrainState:
    """Wrap a model for training on its device, with a new optimizer."""
    if config.checkpointing:
        enable_checkpointing(model)
    wrapped = wrap_model(model, layers_of(model), accelerator, shard=shard)
    half = accelerator.mixed_precision == "bf16"
    optimizer = RunOptimizer(model, config, width=model.config.width, half=half)
    return TrainState(model=model, wrapped=wrapped, optimizer=optimizer, accelerator=accelerator, penalty=penalty)


def step_layout(model: Model) -> Callable[[StepBatch], LaidOutStep]:
    """A function for a loader: a rank's batch → the batch with its layouts."""
    return lambda batch: LaidOutStep(
        batch=batch, layouts=tuple(model.layout(micro.pack) for micro in batch.micro_batches)
    )


def optimizer_step(state: TrainState, step: LaidOutStep, config: TrainConfig, *, rate: float) -> StepLoss:
    """One optimizer step at learning rate `rate`, on all ranks. A loss or gradient that is not finite changes no weight."""
    loss = accumulate_gradients(state, step, config)
    if not math.isfinite(loss.nll):
        return loss
    norm = state.accelerator.clip_grad_norm_(state.wrapped.parameters(), config.clip)
    loss = StepLoss(pack_nll=loss.pack_nll, n_notes=loss.n_notes, norm=float(full_tensor(norm)))
    if loss.is_finite:
        state.optimizer.step(rate)
    state.optimizer.zero_grad()
    return loss


def accumulate_gradients(state: TrainState, step: LaidOutStep, config: TrainConfig) -> StepLoss:
    """Forward and backward passes of a step: gradients of all packs of all ranks are summed in the weights' `grad`."""
    accelerator, batch = state.accelerator, step.batch
    micro_batches = list(zip(batch.micro_batches, step.layouts, strict=True))
    own_notes = sum(layout.n_notes for micro, layout in micro_batches if not micro.is_copy)
    n_notes = round(sum_over_ranks(accelerator, [own_notes])[0])
    nll = np.zeros(len(batch.windows))
    # ranks average their gradients, and the sum is wanted
    scale = accelerator.num_processes / max(1, n_notes)
    for n, (micro, layout) in enumerate(micro_batches):
        torch.manual_seed(_dropout_seed(config.seed, batch.step, micro.index))
        last = n == len(micro_batches) - 1
        with gradient_sync(state.wrapped, accelerator, last=last):
            with accelerator.autocast():
                pack_nll = state.wrapped(layout.to(accelerator.device)).sum()
            loss = pack_nll * (0.0 if micro.is_copy else scale)
            accelerator.backward(loss + state.penalty() if state.penalty and last else loss)
        nll[micro.index] += 0.0 if micro.is_copy else float(pack_nll.detach())
    return StepLoss(pack_nll=tuple(sum_over_ranks(accelerator, nll.tolist())), n_notes=n_notes, norm=math.nan)


def enable_checkpointing(model: Model) -> None:
    """Recompute each layer's activations, with the same dropout, in the backward pass instead of keeping them."""
    if isinstance(model, MeloFormer):
        model.checkpointing = True
        return
    for layer in layers_of(model):
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)


def _dropout_seed(seed: int, step: int, pack: int) -> int:
    return int(np.random.SeedSequence((seed, step, pack)).generate_state(1, np.uint64)[0] >> 1)
