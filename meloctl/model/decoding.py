"""What a decoder is, and which one decodes with which model."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from meloctl.model.encoder_decoder.decoder import EncoderDecoderDecoder
from meloctl.model.encoder_decoder.model import EncoderDecoder
from meloctl.model.fused_linear import FusedFieldHead
from meloctl.model.meloformer.decoder import MeloFormerDecoder
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
    def heads(self) -> Sequence[FusedFieldHead]:
        """Of each field: state (B, C) → logits (B, V)."""

    @property
    def nbytes(self) -> int:
        """Bytes allocated for keys and values of all pieces."""

    @property
    def most_bytes(self) -> int:
        """The most bytes that keys and values have taken, as far as is known when pieces end."""

    def prefill(self, prompts: Sequence[Tensor]) -> Tensor:
        """Read the prompts (L, F) of all pieces in one forward pass, before any step; equal prompts are read once.

        Returns:
            (B, C) the states that predict the rows after them.
        """

    def step(self, rows_BF: Tensor) -> Tensor:
        """Read one row of each piece (B, F) → (B, C) the states that predict the rows after them."""

    def keep(self, chosen: Sequence[int]) -> None:
        """Keep these pieces alone, in this order."""


def start_decoding(
    model: Model, prompts: Sequence[Tensor], *, half: bool = False, first_masked_bar: int | None = None
) -> tuple[Decoder, Tensor]:
    """Make a model's decoder and prefill it.

    Args:
        prompts: (L, F) int64 of each of B pieces, whole bars without an end row; L may be 0, and may differ for MeloFormer alone.
        half: compute large products in bf16.
        first_masked_bar: for MeloFormer, the bar that the first infill header will open again; None where none will come.

    Returns:
        The decoder, and the states (B, C) that predict the rows after the prompts.
    """
    decoder: Decoder
    if isinstance(model, MeloFormer):
        decoder = MeloFormerDecoder(model, len(prompts), half=half, first_masked_bar=first_masked_bar)
    elif isinstance(model, EncoderDecoder):
        decoder = EncoderDecoderDecoder(model, half=half)
    else:
        decoder = MusicTransformerDecoder(model, len(prompts), half=half)
    return decoder, decoder.prefill(prompts)
