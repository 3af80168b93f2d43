"""What rows are multiplied with as they are written: few large products a row, whatever was several in training.

Exact rewritings, no approximation: what norms scale by is folded into the products behind them; both halves of the SwiGLU come
from one product; a row's embedding is one look-up.

Shape letters: B rows at once, C width, F fields, V values of a field.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from meloctl.model.meloformer.model import SwiGLU
from meloctl.model.row_heads import RowEmbedding, RowHeads
from meloctl.rows.vocabulary import ABSENT

_LARGE = 1 << 18
"""Weights of a product that is computed in bf16: a smaller one of a single row takes longer there than in float32."""


@dataclass(frozen=True, kw_only=True)
class FusedLinear:
    """x (B, in) → (B, out), both in the weights' own type; what is added to it is widened by the sum."""

    weight: Tensor
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias)


@dataclass(frozen=True, kw_only=True)
class FusedFeedForward:
    """A norm and a SwiGLU."""

    inner: FusedLinear
    """C → the gate and what it lets through."""

    outer: FusedLinear

    def __call__(self, x_BC: Tensor) -> Tensor:
        """x plus what they add to it."""
        gate, inner = self.inner(normed(x_BC)).chunk(2, dim=-1)
        return x_BC + self.outer(F.silu(gate) * inner)


@dataclass(frozen=True, kw_only=True)
class FusedFieldHead:
    """Of a field's head."""

    inner: FusedLinear
    outer: FusedLinear

    def __call__(self, state_BC: Tensor) -> Tensor:
        """(B, V) logits."""
        return self.outer(F.silu(self.inner(normed(state_BC))))


class FusedRowEmbedding:
    """The embeddings of all fields, one below the other."""

    def __init__(self, embed: RowEmbedding) -> None:
        tables: list[Tensor] = [p.detach() for p in embed.parameters()]
        self.table = torch.cat(tables)
        sizes = torch.tensor([0, *(len(table) for table in tables[:-1])])
        self.offset_F = sizes.cumsum(0) - ABSENT

    def __call__(self, rows_BF: Tensor) -> Tensor:
        """(B, F) fields → (B, C)."""
        return F.embedding_bag(rows_BF + self.offset_F, self.table, mode="sum")


def normed(x: Tensor) -> Tensor:
    """RMSNorm without a scale."""
    return F.rms_norm(x, x.shape[-1:])


def fused_linear(
    weight: Tensor, kind: torch.dtype, *, scale: nn.RMSNorm | None = None, bias: Tensor | None = None
) -> FusedLinear:
    """Of normed numbers, where a norm is given, whose scale goes into the weight; in `kind` where it is large."""
    weight = weight.detach()
    scaled = weight if scale is None else weight * scale.weight.detach()
    kind = kind if weight.numel() >= _LARGE else weight.dtype
    return FusedLinear(weight=scaled.to(kind), bias=None if bias is None else bias.detach().to(kind))


def feed_forward(norm: nn.RMSNorm, mlp: SwiGLU, kind: torch.dtype) -> FusedFeedForward:
    """Of a layer's norm and SwiGLU."""
    return FusedFeedForward(
        inner=fused_linear(torch.cat([mlp.gate.weight, mlp.inner.weight]), kind, scale=norm),
        outer=fused_linear(mlp.outer.weight, kind),
    )


def field_heads(heads: RowHeads, kind: torch.dtype) -> list[FusedFieldHead]:
    """Of every field, in the order of the fields."""
    return [
        FusedFieldHead(
            inner=fused_linear(head.inner.weight, kind, scale=head.norm, bias=head.inner.bias),
            outer=fused_linear(head.outer.weight, kind, bias=head.outer.bias),
        )
        for head in heads.heads
    ]
