"""Which decoder writes with which model."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from meloctl.model.encoder_decoder.decoder import EncoderDecoderDecoder
from meloctl.model.encoder_decoder.model import EncoderDecoder
from meloctl.model.fused_linear import FusedFieldHead
from meloctl.model.meloformer.decoder import MeloFormerDecoder
from meloctl.model.meloformer.model import MeloFormer
from meloctl.model.music_transformer.decoder import MusicTransformerDecoder
from meloctl.model.registry import Model


class Decoder(Protocol):
    """A model that is fed rows, one of each piece at a time, and remembers what it was fed. B pieces, C width."""

    @property
    def model(self) -> Model:
        """What it feeds."""

    @property
    def heads(self) -> Sequence[FusedFieldHead]:
        """Of each field: state (B, C) → logits (B, V)."""

    @property
    def nbytes(self) -> int:
        """Memory taken by keys and values of all pieces."""

    @property
    def most_bytes(self) -> int:
        """The most of it, as far as is known when pieces end."""

    def start(self) -> Tensor:
        """(B, C) the states that predict the first rows; called once, before any step."""

    def step(self, rows_BF: Tensor) -> Tensor:
        """(B, C) the states that predict the rows after these; rows (B, 8)."""

    def keep(self, chosen: Sequence[int]) -> None:
        """Go on with these pieces alone, in this order."""


def begun(
    model: Model, given: Sequence[Tensor], *, half: bool = False, reopened: int | None = None
) -> tuple[Decoder, Tensor]:
    """A model's decoder after what pieces begin with, and the states (B, C) that predict the rows after that.

    Args:
        given: B times (L, 8), whole bars without an end row; L may be 0, and only for MeloFormer may it differ. An encoder reads
            them; other models hear them row by row.
        half: compute large products in bf16.
        reopened: for MeloFormer, the bar that the first reopening row will open once more.
    """
    if isinstance(model, MeloFormer):
        former = MeloFormerDecoder(model, len(given), half=half, reopened=reopened)
        return former, former.hear(given)
    given_BLF = torch.stack(list(given))
    if isinstance(model, EncoderDecoder):
        reader = EncoderDecoderDecoder(model, given_BLF, half=half)
        return reader, reader.start()
    decoder = MusicTransformerDecoder(model, len(given_BLF), half=half)
    states = decoder.start()
    for rows_BF in given_BLF.unbind(1):
        states = decoder.step(rows_BF)
    return decoder, states
