"""MeloFormer's weights as its decoder multiplies them.

Queries, keys and values come from one product; the two numbers of a rotary plane stand side by side, so that turning is a product
of complex numbers. The rest is as in `products`. Shape letters: B rows at once, C width, H query heads, G key and value heads,
D width of a head, N heads.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from meloctl.model.fused_linear import (
    FusedFeedForward,
    FusedLinear,
    FusedRowEmbedding,
    feed_forward,
    field_heads,
    fused_linear,
)
from meloctl.model.meloformer.model import Layer, MeloFormer
from meloctl.model.rotary import rotation


@dataclass(frozen=True, kw_only=True)
class LayerWeights:
    """Of one layer. Queries and keys come with the numbers of each rotary plane side by side."""

    qkv: FusedLinear
    """C → (H + 2 G) D."""

    second: FusedLinear | None
    """C → 2 G D: K2, V2."""

    out: FusedLinear
    feed: FusedFeedForward
    last: bool


class FusedWeights:
    """Of a MeloFormer, not to be trained."""

    def __init__(self, model: MeloFormer, *, half: bool = False) -> None:
        """Rewritten from a model.

        Args:
            half: large products in bf16, for CPUs that have instructions for it.
        """
        kind = torch.bfloat16 if half else model.start.dtype
        d = model.config.head_width
        self.embed = FusedRowEmbedding(model.embed)
        self.layers = [_layer(layer, d, kind) for layer in model.layers]
        self.heads = field_heads(model.heads, kind)
        self.scale = model.norm.weight.detach()
        places = torch.arange(model.vocabulary.positions)
        self.position_turn = _complex(rotation(places * 0, places, d))[:, d // 4 :]
        """(positions, D / 4) of the planes that turn with the position in the bar."""

        self.d = d

    def turn(self, bar: int, position: int) -> Tensor:
        """(D / 2,) complex, how a row at a place in musical time is turned."""
        return torch.cat([self.bar_turn(bar), self.position_turn[position]])

    def bar_turn(self, bar: int) -> Tensor:
        """(D / 4,) complex, of the planes that turn with the bar."""
        return _complex(rotation(torch.tensor(bar), torch.tensor(0), self.d))[: self.d // 4]


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
        second = fused_linear(torch.cat([_planes(k2, d), v2]), kind, scale=layer.norm2)
    return LayerWeights(
        qkv=fused_linear(qkv, kind, scale=layer.norm),
        second=second,
        out=fused_linear(layer.out.weight, kind),
        feed=feed_forward(layer.mlp_norm, layer.mlp, kind),
        last=layer.last,
    )


def _planes(weight: Tensor, d: int) -> Tensor:
    """Rows of a projection to heads, so that the numbers i and i + D/2 of each head come side by side."""
    return weight.unflatten(0, (-1, 2, d // 2)).transpose(1, 2).flatten(0, 2)


def _complex(turn: Tensor) -> Tensor:
    cos, sin = turn.chunk(2, dim=-1)
    return torch.complex(cos, sin)
