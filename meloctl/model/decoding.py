"""What a decoder is, and which one decodes with which model."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from analysis.arrays import Floats32, Ints
from meloctl.model.encoder_decoder.decoder import EncoderDecoderDecoder
from meloctl.model.encoder_decoder.model import EncoderDecoder
from meloctl.model.meloformer.compiled_decoder import CompiledDecoder
from meloctl.model.meloformer.model import MeloFormer
from meloctl.model.music_transformer.decoder import MusicTransformerDecoder
from meloctl.model.registry import Model


class Decoder(Protocol):
    """A model with cached keys and values: it reads prompts, and then one row of each piece at a time.

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


def start_decoding(
    model: Model, prompts: Sequence[Ints], *, half: bool = False, first_masked_bar: int | None = None
) -> tuple[Decoder, Floats32]:
    """Make a model's decoder and prefill it.

    Args:
        prompts: (L, F) of each of B pieces, whole bars without an end row; L may be 0, and may differ for MeloFormer alone.
        half: compute large products in bf16.
        first_masked_bar: for MeloFormer, the bar that the first infill header will open again; None where none will come.

    Returns:
        The decoder, and the states (B, C) that predict the rows after the prompts.
    """
    decoder: Decoder
    if isinstance(model, MeloFormer):
        decoder = CompiledDecoder(model, len(prompts), half=half, first_masked_bar=first_masked_bar)
    elif isinstance(model, EncoderDecoder):
        decoder = ArrayDecoder(EncoderDecoderDecoder(model, half=half))
    else:
        decoder = ArrayDecoder(MusicTransformerDecoder(model, len(prompts), half=half))
    return decoder, decoder.prefill(prompts)


def _array(states_BC: Tensor) -> Floats32:
    return np.ascontiguousarray(states_BC.numpy(), dtype=np.float32)
