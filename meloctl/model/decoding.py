"""What a decoder is, and which one decodes with which model."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from analysis.arrays import Floats32, Ints
from analysis.errors import MeloError
from meloctl.model.bar_plans import BarPlans, PlanChannel, PlanConditions
from meloctl.model.encoder_decoder.decoder import EncoderDecoderDecoder
from meloctl.model.encoder_decoder.model import EncoderDecoder
from meloctl.model.meloformer.compiled_decoder import CompiledDecoder
from meloctl.model.meloformer.model import MeloFormer
from meloctl.model.music_transformer.decoder import MusicTransformerDecoder
from meloctl.model.registry import Model


class Decoder(Protocol):
    """A model with cached keys and values: it reads prompts, and then one row of each piece at a time.

    What bar plans add to rows it is given when it is made: each piece has its own, or none, and keeps them (`keep`). Bars count
    from the prompt's first row; a bar that an infill header opens again has the plan of the bar that it fills, and bars behind
    the last plan have none. Plans add nothing to summaries, which see them through the rows of their bar.

    Letters: B pieces, L rows of a prompt, F fields, C width, V values of a field.
    """

    @property
    def model(self) -> Model:
        """The model that is decoded."""

    @property
    def nbytes(self) -> int:
        """Bytes allocated for keys and values of all pieces."""

    @property
    def most_bytes(self) -> int:
        """The most bytes that keys and values have taken, as far as is known when pieces end."""

    def prefill(self, prompts: Sequence[Ints]) -> Floats32:
        """Read the prompts (L, F) of all pieces in one forward pass, before any step; equal prompts are read once.

        Returns:
            (B, C) the states that predict the rows after them, valid until the next call.
        """

    def step(self, rows_BF: Ints) -> Floats32:
        """Read one row of each piece (B, F) → (B, C) the states that predict the rows after them, valid until the next call."""

    def keep(self, chosen: Sequence[int]) -> None:
        """Keep these pieces alone, in this order."""


class TensorDecoder(Protocol):
    """A decoder whose rows and states are tensors, in the dtype of its model; otherwise a `Decoder`."""

    @property
    def model(self) -> Model:
        """The model that is decoded."""

    @property
    def nbytes(self) -> int:
        """Bytes allocated for keys and values of all pieces."""

    @property
    def most_bytes(self) -> int:
        """The most bytes that keys and values have taken, as far as is known when pieces end."""

    def prefill(self, prompts: Sequence[Tensor]) -> Tensor:
        """Read the prompts (L, F) of all pieces → (B, C) states."""

    def step(self, rows_BF: Tensor) -> Tensor:
        """Read one row of each piece (B, F) → (B, C) states."""

    def keep(self, chosen: Sequence[int]) -> None:
        """Keep these pieces alone, in this order."""


class ArrayDecoder:
    """A `Decoder` made of one that takes and gives tensors."""

    def __init__(self, decoder: TensorDecoder) -> None:
        self.decoder = decoder
        self.model = decoder.model

    @property
    def nbytes(self) -> int:
        """Bytes allocated for keys and values of all pieces."""
        return self.decoder.nbytes

    @property
    def most_bytes(self) -> int:
        """The most bytes that keys and values have taken, as far as is known when pieces end."""
        return self.decoder.most_bytes

    def prefill(self, prompts: Sequence[Ints]) -> Floats32:
        """Read the prompts (L, F) of all pieces → (B, C) states."""
        return _array(self.decoder.prefill([torch.from_numpy(rows_LF) for rows_LF in prompts]))

    def step(self, rows_BF: Ints) -> Floats32:
        """Read one row of each piece (B, F) → (B, C) states."""
        return _array(self.decoder.step(torch.from_numpy(rows_BF)))

    def keep(self, chosen: Sequence[int]) -> None:
        """Keep these pieces alone, in this order."""
        self.decoder.keep(chosen)


def plan_conditions(model: Model, plans: Sequence[BarPlans | None]) -> list[PlanConditions | None]:
    """What the plans of each piece add in a model, if it has any.

    Raises:
        MeloError: there are plans, and the model knows none, or they are of another model.
    """
    channel = _plan_channel(model, plans)
    found: dict[int, PlanConditions] = {}
    for plan in plans:
        if channel is not None and plan is not None and id(plan) not in found:
            found[id(plan)] = channel.conditions(plan)
    return [None if plan is None else found[id(plan)] for plan in plans]


def start_decoding(
    model: Model,
    prompts: Sequence[Ints],
    *,
    half: bool = False,
    first_masked_bar: int | None = None,
    plans: Sequence[PlanConditions | None] | None = None,
) -> tuple[Decoder, Floats32]:
    """Make a model's decoder and prefill it.

    Args:
        prompts: (L, F) of each of B pieces, whole bars without an end row; L may be 0, and may differ for MeloFormer alone.
        half: compute large products in bf16.
        first_masked_bar: for MeloFormer, the bar that the first infill header will open again; None where none will come.
        plans: for a MeloFormer that knows plans, what those of each piece add, see `plan_conditions`; None where none has any.

    Returns:
        The decoder, and the states (B, C) that predict the rows after the prompts.

    Raises:
        MeloError: there are plans, and the model knows none.
    """
    if plans is not None:
        _plan_channel(model, plans)
    decoder: Decoder
    if isinstance(model, MeloFormer):
        decoder = CompiledDecoder(model, len(prompts), half=half, first_masked_bar=first_masked_bar, plans=plans)
    elif isinstance(model, EncoderDecoder):
        decoder = ArrayDecoder(EncoderDecoderDecoder(model, half=half))
    else:
        decoder = ArrayDecoder(MusicTransformerDecoder(model, len(prompts), half=half))
    return decoder, decoder.prefill(prompts)


def _plan_channel(model: Model, plans: Sequence[BarPlans | PlanConditions | None]) -> PlanChannel | None:
    """What the model makes of plans; None where it knows none and there are none."""
    channel = model.plans if isinstance(model, MeloFormer) else None
    if channel is None and any(plan is not None for plan in plans):
        raise MeloError(
            "the model was trained without bar plans, so nothing can steer its bars; take the default weights, or train "
            "a model with plans",
            field="plans",
        )
    return channel


def _array(states_BC: Tensor) -> Floats32:
    return np.ascontiguousarray(states_BC.numpy(), dtype=np.float32)
