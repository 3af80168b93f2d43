"""Linear layers of decoding: few large products a row, whatever was several in training.

Exact rewritings, no approximation: the scale of a norm is folded into the product behind it; both halves of the SwiGLU come
from one product; a row's embedding is one look-up.

Shape letters: N rows at once, C width, F fields.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from meloctl.model.meloformer.model import SwiGLU
from meloctl.model.row_heads import RowEmbedding
from meloctl.rows.vocabulary import ABSENT

_LARGE = 1 << 18
"""Weights of a product that is computed in bf16: a smaller one of a single row takes longer there than in float32."""

_BLOCK = 256
"""Rows of a prompt that pass a feed-forward layer together: their inner values fit a cache."""


@dataclass(frozen=True, kw_only=True)
class FusedLinear:
    """x (N, in) → (N, out), computed and returned in the weights' own dtype; a float32 residual that it is added to stays so."""

    weight: Tensor
    """(out, in)"""

    bias: Tensor | None = None
    """(out,)"""

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias)


@dataclass(frozen=True, kw_only=True)
class FusedFeedForward:
    """A norm and a SwiGLU, added to their input."""

    inner: FusedLinear
    """C → the gate and what it multiplies, side by side."""

    outer: FusedLinear

    def __call__(self, x_NC: Tensor) -> Tensor:
        """(N, C) x + SwiGLU(norm(x)); many rows of a prompt in blocks, since what is inside is several times as wide."""
        if len(x_NC) > _BLOCK:
            return torch.cat([self(block) for block in x_NC.split(_BLOCK)])
        gate, inner = self.inner(normed(x_NC)).chunk(2, dim=-1)
        return x_NC + self.outer(F.silu(gate) * inner)


class FusedRowEmbedding:
    """The embedding tables of all fields, one below the other: rows (N, F) → (N, C)."""

    def __init__(self, embed: RowEmbedding) -> None:
        tables: list[Tensor] = [p.detach() for p in embed.parameters()]
        self.table = torch.cat(tables)
        sizes = torch.tensor([0, *(len(table) for table in tables[:-1])])
        self.offset_F = sizes.cumsum(0) - ABSENT
        """(F,) where each field's table begins; its first entry is ABSENT's."""

    def __call__(self, rows_NF: Tensor) -> Tensor:
        """(N, C) sums of the fields' embeddings."""
        return F.embedding_bag(rows_NF + self.offset_F, self.table, mode="sum")


def normed(x: Tensor) -> Tensor:
    """RMSNorm over the last axis, without a scale; shape unchanged."""
    return F.rms_norm(x, x.shape[-1:])


def fused_linear(
    weight: Tensor, dtype: torch.dtype, *, scale: nn.RMSNorm | None = None, bias: Tensor | None = None
) -> FusedLinear:
    """A product for decoding, in `dtype` where it is large, else in the weight's own.

    Args:
        weight: (out, in)
        scale: the norm before the product, whose scale (in,) is folded into the weight.
        bias: (out,)
    """
    weight = weight.detach()
    scaled = weight if scale is None else weight * scale.weight.detach()
    dtype = dtype if weight.numel() >= _LARGE else weight.dtype
    return FusedLinear(weight=scaled.to(dtype), bias=None if bias is None else bias.detach().to(dtype))


def feed_forward(norm: nn.RMSNorm, mlp: SwiGLU, dtype: torch.dtype) -> FusedFeedForward:
    """A layer's norm and SwiGLU, fused; large products in `dtype`."""
    return FusedFeedForward(
        inner=fused_linear(torch.cat([mlp.gate.weight, mlp.inner.weight]), dtype, scale=norm),
        outer=fused_linear(mlp.outer.weight, dtype),
    )
