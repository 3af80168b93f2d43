"""MeloFormer's weights as its decoder multiplies them.

Queries, keys and values come from one product; the two numbers of a rotary plane stand side by side, so that rotating is a
product of complex numbers. The rest is as in `fused_linear`. Shape letters: N rows at once, C width, H query heads, G key and
value heads, D width of a head, K = D / 2 rotary planes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from meloctl.model.fused_linear import (
    FusedFeedForward,
    FusedLinear,
    FusedRowEmbedding,
    feed_forward,
    fused_linear,
    normed,
)
from meloctl.model.meloformer.model import KV, Layer, MeloFormer
from meloctl.model.rotary import rotation


@dataclass(frozen=True, kw_only=True)
class LayerWeights:
    """One layer's weights, as `layer_forward` uses them. Rotations are complex, (N, K); see `complex_rotation`."""

    qkv: FusedLinear
    """C → (H + 2 G) D. Queries and keys come with the numbers of each rotary plane side by side."""

    kv2: FusedLinear | None
    """C → 2 G D: K2, V2; None without summaries."""

    out: FusedLinear
    mlp: FusedFeedForward
    kv_heads: int
    d: int
    """Width of a head."""

    last: bool

    @property
    def summaries(self) -> bool:
        """Has the layer summaries?"""
        return self.kv2 is not None

    def project_joint(self, x_NC: Tensor, rotation_NK: Tensor) -> tuple[Tensor, Tensor]:
        """Project rows or summaries to queries (N, H, D), and to keys and values (N, 2, G, D) in one tensor.

        Args:
            x_NC: rows or summaries.
            rotation_NK: complex, see `complex_rotation`.
        """
        qkv = self.qkv(normed(x_NC)).to(x_NC.dtype).view(len(x_NC), -1, self.d)
        n = qkv.shape[1] - self.kv_heads
        qk = rotate_planes(qkv[:, :n], rotation_NK)
        heads = n - self.kv_heads
        kv = torch.cat([qk[:, heads:], qkv[:, n:]], dim=1)
        return qk[:, :heads], kv.view(len(x_NC), 2, self.kv_heads, self.d)

    def project(self, x_NC: Tensor, rotation_NK: Tensor) -> tuple[Tensor, KV]:
        """Project rows or summaries to queries (N, H, D), and to keys and values (N, G, D).

        Args:
            x_NC: rows or summaries.
            rotation_NK: complex, see `complex_rotation`.
        """
        q_NHD, kv_N2GD = self.project_joint(x_NC, rotation_NK)
        return q_NHD, (kv_N2GD[:, 0], kv_N2GD[:, 1])

    def project2(self, s_TC: Tensor, rotation_TK: Tensor) -> KV:
        """Second projection of updated summaries to keys and values (T, G, D).

        Args:
            s_TC: summaries after attention.
            rotation_TK: complex, see `complex_rotation`.
        """
        assert self.kv2
        k2, v2 = self.kv2(normed(s_TC)).to(s_TC.dtype).view(len(s_TC), 2, -1, self.d).unbind(1)
        return rotate_planes(k2, rotation_TK), v2

    def add_attention(self, x_NC: Tensor, heads_NHD: Tensor) -> Tensor:
        """Residual (N, C): x plus the output projection of attention.

        Args:
            x_NC: rows or summaries before attention.
            heads_NHD: outputs of the attention heads.
        """
        return x_NC + self.out(heads_NHD.flatten(1))

    def feed(self, x_NC: Tensor) -> Tensor:
        """(N, C) x plus the feed-forward layer of it."""
        return self.mlp(x_NC)


class FusedWeights:
    """A MeloFormer's weights for decoding, not to be trained."""

    def __init__(self, model: MeloFormer, *, half: bool = False) -> None:
        """Weights rewritten from a model.

        Args:
            half: large products in bf16, for CPUs that have instructions for it.
        """
        dtype = torch.bfloat16 if half else model.start.dtype
        self.d = model.config.head_width
        self.embed = FusedRowEmbedding(model.embed)
        self.layers = [_fused_layer(layer, model.config.kv_heads, dtype) for layer in model.layers]
        self.scale = model.norm.weight.detach()
        positions = torch.arange(model.vocabulary.positions)
        self.position_rotation = complex_rotation(rotation(positions * 0, positions, self.d))[:, self.d // 4 :]
        """(positions, D / 4) of the planes that rotate with the position in the bar."""

    def rotation(self, bar: int, position: int) -> Tensor:
        """(K,) complex rotation of a row at a bar and a position in it."""
        return torch.cat([self.bar_rotation(bar), self.position_rotation[position]])

    def bar_rotation(self, bar: int) -> Tensor:
        """(D / 4,) complex, of the planes that rotate with the bar."""
        return complex_rotation(rotation(torch.tensor(bar), torch.tensor(0), self.d))[: self.d // 4]


def rotate_planes(x_NHD: Tensor, rotation_NK: Tensor) -> Tensor:
    """Heads (N, H, D) with each rotary plane rotated.

    Args:
        x_NHD: queries or keys; the two numbers of a plane stand side by side.
        rotation_NK: complex numbers of modulus 1, one per row and plane.
    """
    planes = torch.view_as_complex(x_NHD.unflatten(-1, (-1, 2)))
    return torch.view_as_real(planes * rotation_NK[:, None]).flatten(-2)


def complex_rotation(rotation: Tensor) -> Tensor:
    """Cosines and sines of `rotation` (…, D) → complex numbers (…, K)."""
    cos, sin = rotation.chunk(2, dim=-1)
    return torch.complex(cos, sin)


def _fused_layer(layer: Layer, kv_heads: int, dtype: torch.dtype) -> LayerWeights:
    d = layer.d
    k, v = layer.kv.weight.detach().chunk(2)
    qkv = torch.cat([_planes(layer.q.weight.detach(), d), _planes(k, d), v])
    kv2 = None
    if layer.summaries:
        k2, v2 = layer.kv2.weight.detach().chunk(2)
        kv2 = fused_linear(torch.cat([_planes(k2, d), v2]), dtype, scale=layer.norm2)
    return LayerWeights(
        qkv=fused_linear(qkv, dtype, scale=layer.norm),
        kv2=kv2,
        out=fused_linear(layer.out.weight, dtype),
        mlp=feed_forward(layer.mlp_norm, layer.mlp, dtype),
        kv_heads=kv_heads,
        d=d,
        last=layer.last,
    )


def _planes(weight: Tensor, d: int) -> Tensor:
    """Rows of a projection to heads, so that the numbers i and i + D/2 of each head come side by side."""
    return weight.unflatten(0, (-1, 2, d // 2)).transpose(1, 2).flatten(0, 2)
