"""A model's weights as a decoder multiplies them: few large products a row, whatever was several in training.

Exact rewritings, no approximation: what norms scale by is folded into the products behind them; queries, keys and values come
from one product, both halves of the SwiGLU from another; a row's embedding is one look-up; the two numbers of a rotary plane
stand side by side, so that turning is a product of complex numbers.

Shape letters: B rows at once, C width, H query heads, G key and value heads, D width of a head, F fields, V values of a field.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from meloctl.model.meloformer import Layer, MeloFormer
from meloctl.model.rotary import rotation
from meloctl.model.row_heads import FieldHead
from meloctl.rows.vocabulary import ABSENT

_LARGE = 1 << 18
"""Weights of a product that is computed in bf16: a smaller one of a single row takes longer there than in float32."""


@dataclass(frozen=True, kw_only=True)
class Product:
    """x (B, in) → (B, out), both in the weights' own type; what is added to it is widened by the sum."""

    weight: Tensor
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias)


@dataclass(frozen=True, kw_only=True)
class LayerWeights:
    """Of one layer. Queries and keys come with the numbers of each rotary plane side by side."""

    qkv: Product
    """C → (H + 2 G) D."""

    second: Product | None
    """C → 2 G D: K2, V2."""

    out: Product
    inner: Product
    """C → the gate and what it lets through."""

    outer: Product
    last: bool

    def feed(self, x_BC: Tensor) -> Tensor:
        """x plus the feed-forward layer."""
        gate, inner = self.inner(normed(x_BC)).chunk(2, dim=-1)
        return x_BC + self.outer(F.silu(gate) * inner)


@dataclass(frozen=True, kw_only=True)
class HeadWeights:
    """Of a field's head."""

    inner: Product
    outer: Product

    def __call__(self, state_BC: Tensor) -> Tensor:
        """(B, V) logits."""
        return self.outer(F.silu(self.inner(normed(state_BC))))


class Weights:
    """Of a MeloFormer, not to be trained."""

    def __init__(self, model: MeloFormer, *, half: bool = False) -> None:
        """Rewritten from a model.

        Args:
            half: large products in bf16, for CPUs that have instructions for it.
        """
        kind = torch.bfloat16 if half else model.start.dtype
        d = model.config.head_width
        tables: list[Tensor] = [p.detach() for p in model.embed.parameters()]
        self.table = torch.cat(tables)
        sizes = torch.tensor([0, *(len(table) for table in tables[:-1])])
        self.offset_F = sizes.cumsum(0) - ABSENT
        self.layers = [_layer(layer, d, kind) for layer in model.layers]
        self.heads = [_head(head, kind) for head in model.heads.heads]
        self.scale = model.norm.weight.detach()
        places = torch.arange(model.vocabulary.positions)
        self.position_turn = _complex(rotation(places * 0, places, d))[:, d // 4 :]
        """(positions, D / 4) of the planes that turn with the position in the bar."""

        self.d = d

    def embed(self, rows_BF: Tensor) -> Tensor:
        """(B, F) fields → (B, C)."""
        return F.embedding_bag(rows_BF + self.offset_F, self.table, mode="sum")

    def turn(self, bar: int, position: int) -> Tensor:
        """(D / 2,) complex, how a row at a place in musical time is turned."""
        return torch.cat([self.bar_turn(bar), self.position_turn[position]])

    def bar_turn(self, bar: int) -> Tensor:
        """(D / 4,) complex, of the planes that turn with the bar."""
        return _complex(rotation(torch.tensor(bar), torch.tensor(0), self.d))[: self.d // 4]


def normed(x: Tensor) -> Tensor:
    """RMSNorm without a scale."""
    return F.rms_norm(x, x.shape[-1:])


def turned(x_BND: Tensor, turn_BK: Tensor) -> Tensor:
    """Heads whose planes stand side by side, turned: (B, N, D) by complex (B, D / 2)."""
    planes = torch.view_as_complex(x_BND.unflatten(-1, (-1, 2)))
    return torch.view_as_real(planes * turn_BK[:, None]).flatten(-2)


def _layer(layer: Layer, d: int, kind: torch.dtype) -> LayerWeights:
    k, v = layer.kv.weight.detach().chunk(2)
    qkv = torch.cat([_planes(layer.q.weight.detach(), d), _planes(k, d), v])
    second = None
    if layer.summaries:
        k2, v2 = layer.kv2.weight.detach().chunk(2)
        second = _product(torch.cat([_planes(k2, d), v2]), kind, scale=layer.norm2)
    mlp = layer.mlp
    return LayerWeights(
        qkv=_product(qkv, kind, scale=layer.norm),
        second=second,
        out=_product(layer.out.weight.detach(), kind),
        inner=_product(torch.cat([mlp.gate.weight, mlp.inner.weight]).detach(), kind, scale=layer.mlp_norm),
        outer=_product(mlp.outer.weight.detach(), kind),
        last=layer.last,
    )


def _head(head: FieldHead, kind: torch.dtype) -> HeadWeights:
    return HeadWeights(
        inner=_product(head.inner.weight.detach(), kind, scale=head.norm, bias=head.inner.bias),
        outer=_product(head.outer.weight.detach(), kind, bias=head.outer.bias),
    )


def _product(
    weight: Tensor, kind: torch.dtype, *, scale: nn.RMSNorm | None = None, bias: Tensor | None = None
) -> Product:
    """Of normed numbers, where a norm is given, whose scale goes into the weight."""
    scaled = weight if scale is None else weight * scale.weight.detach()
    kind = kind if weight.numel() >= _LARGE else weight.dtype
    return Product(weight=scaled.to(kind), bias=None if bias is None else bias.detach().to(kind))


def _planes(weight: Tensor, d: int) -> Tensor:
    """Rows of a projection to heads, so that the numbers i and i + D/2 of each head come side by side."""
    return weight.unflatten(0, (-1, 2, d // 2)).transpose(1, 2).flatten(0, 2)


def _complex(turn: Tensor) -> Tensor:
    cos, sin = turn.chunk(2, dim=-1)
    return torch.complex(cos, sin)
