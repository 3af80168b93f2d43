"""The Music Transformer row by row, with cached keys and values: the same states as the full forward.

A row sees all rows before it by how far back they lie. Those further back than any distance that was learned share the last
embedding, so a piece may have any length.

Shape letters: B pieces, C width, F fields, H heads, D width of a head, R distances with an embedding, n rows so far.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from meloctl.model.fused_linear import (
    FusedFeedForward,
    FusedLinear,
    FusedRowEmbedding,
    feed_forward,
    field_heads,
    fused_linear,
    normed,
)
from meloctl.model.music_transformer.model import Layer, MusicTransformer
from meloctl.model.row_kv_cache import RowKVCache


@dataclass(frozen=True, kw_only=True)
class LayerWeights:
    """Of one layer."""

    qkv: FusedLinear
    """C → 3 H D."""

    distance_HDR: Tensor
    """Embeddings of distances, the farthest first, divided by √D as scores are."""

    out: FusedLinear
    feed: FusedFeedForward

    def biases(self, q_BHD: Tensor, n: int) -> Tensor:
        """(B, H, 1, n) what the score of each row gains by its distance."""
        known = min(n, self.distance_HDR.shape[2])
        by_distance_HBR = q_BHD.transpose(0, 1) @ self.distance_HDR[:, :, -known:]
        return F.pad(by_distance_HBR, (n - known, 0), mode="replicate").transpose(0, 1)[:, :, None]


class MusicTransformerDecoder:
    """Feeds rows to a Music Transformer, one of each piece at a time."""

    def __init__(self, model: MusicTransformer, pieces: int = 1, *, half: bool = False) -> None:
        """No row yet.

        Args:
            half: compute large products in bf16.
        """
        kind = torch.bfloat16 if half else model.start.dtype
        config = model.config
        self.model = model
        self.embed, self.heads = FusedRowEmbedding(model.embed), field_heads(model.heads, kind)
        self.layers = [_layer(layer, kind) for layer in model.layers]
        like = model.start.detach().new_empty(config.layers, 2, pieces, config.heads, 0, config.head_width)
        self.cache = RowKVCache(like)
        self.most_bytes = 0
        """The most memory that keys and values have taken, as far as is known when pieces end."""

    @property
    def nbytes(self) -> int:
        """Memory taken by keys and values of all pieces."""
        return self.cache.nbytes

    def start(self) -> Tensor:
        """(B, C) the states that predict the first rows."""
        return self.model.start.detach().expand(self.cache.kv.shape[2], -1)

    def keep(self, chosen: Sequence[int]) -> None:
        """Go on with these pieces alone, in this order."""
        self.most_bytes = max(self.most_bytes, self.nbytes)
        self.cache.keep(chosen)

    @torch.no_grad()
    def step(self, rows_BF: Tensor) -> Tensor:
        """(B, C) the states that predict the rows after these; rows (B, 8)."""
        x_BC = self.embed(rows_BF)
        self.cache.open()
        for y, layer in enumerate(self.layers):
            qkv_B3HD = layer.qkv(normed(x_BC)).to(x_BC.dtype).view(len(x_BC), 3, self.model.config.heads, -1)
            q_BHD = qkv_B3HD[:, 0]
            k_BHnD, v_BHnD = self.cache.add(y, qkv_B3HD[:, 1:])
            biases = layer.biases(q_BHD, self.cache.rows)
            heard = F.scaled_dot_product_attention(q_BHD[:, :, None], k_BHnD, v_BHnD, attn_mask=biases)
            x_BC = layer.feed(x_BC + layer.out(heard.flatten(1)))
        return self.model.norm(x_BC)


def _layer(layer: Layer, kind: torch.dtype) -> LayerWeights:
    e_HRD = layer.distance.detach()
    return LayerWeights(
        qkv=fused_linear(layer.qkv.weight, kind, scale=layer.norm),
        distance_HDR=e_HRD.flip(1).transpose(1, 2).contiguous() * e_HRD.shape[2] ** -0.5,
        out=fused_linear(layer.out.weight, kind),
        feed=feed_forward(layer.mlp_norm, layer.mlp, kind),
    )
