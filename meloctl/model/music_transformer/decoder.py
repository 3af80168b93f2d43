"""The Music Transformer with cached keys and values: prompts in one forward pass, then one row of each piece at a time.

A row sees all rows before it by how far back they lie. Those further back than any distance that was learned share the last
embedding, so a piece may have any length.

Shape letters: B pieces, U distinct prompts, L rows of a prompt, N rows at once, C width, F fields, H heads, D width of a head,
R distances with an embedding, n rows so far.
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
    fused_linear,
    normed,
)
from meloctl.model.music_transformer.model import Layer, MusicTransformer, layer_forward
from meloctl.model.prompts import distinct_prompts
from meloctl.model.row_kv_cache import RowKVCache


@dataclass(frozen=True, kw_only=True)
class LayerWeights:
    """One layer's weights, as `layer_forward` uses them."""

    qkv: FusedLinear
    """C → 3 H D."""

    distance: Tensor
    """(H, R, D) embeddings of distances, 0 first."""

    scaled_distance_HDR: Tensor
    """The same, the farthest first, divided by √D as scores are."""

    out: FusedLinear
    mlp: FusedFeedForward
    heads: int

    def project(self, x_NC: Tensor) -> Tensor:
        """Rows (N, C) → (N, 3 H, D) queries, then keys, then values."""
        return self.qkv(normed(x_NC)).to(x_NC.dtype).view(len(x_NC), 3 * self.heads, -1)

    def add_attention(self, x_NC: Tensor, heads_NHD: Tensor) -> Tensor:
        """Residual (N, C): x plus the output projection of attention.

        Args:
            x_NC: rows before attention.
            heads_NHD: outputs of the attention heads.
        """
        return x_NC + self.out(heads_NHD.flatten(1))

    def feed(self, x_NC: Tensor) -> Tensor:
        """(N, C) x plus the feed-forward layer of it."""
        return self.mlp(x_NC)

    def biases(self, q_BHD: Tensor, n: int) -> Tensor:
        """(B, H, 1, n) what the score of each row gains by its distance."""
        known = min(n, self.scaled_distance_HDR.shape[2])
        by_distance_HBR = q_BHD.transpose(0, 1) @ self.scaled_distance_HDR[:, :, -known:]
        return F.pad(by_distance_HBR, (n - known, 0), mode="replicate").transpose(0, 1)[:, :, None]


class MusicTransformerDecoder:
    """A Music Transformer that reads the prompts of B pieces, and then one row of each at a time."""

    def __init__(self, model: MusicTransformer, pieces: int = 1, *, half: bool = False) -> None:
        """A decoder of pieces without rows.

        Args:
            half: compute large products in bf16.
        """
        dtype = torch.bfloat16 if half else model.start.dtype
        config = model.config
        self.model = model
        self.embed = FusedRowEmbedding(model.embed)
        self.layers = [_fused_layer(layer, dtype) for layer in model.layers]
        like = model.start.detach().new_empty(config.layers, 2, pieces, config.heads, 0, config.head_width)
        self.cache = RowKVCache(like)
        self.most_bytes = 0
        """The most bytes that keys and values have taken, as far as is known when pieces end."""

    @property
    def nbytes(self) -> int:
        """Bytes allocated for keys and values of all pieces."""
        return self.cache.nbytes

    def keep(self, chosen: Sequence[int]) -> None:
        """Keep these pieces alone, in this order."""
        self.most_bytes = max(self.most_bytes, self.nbytes)
        self.cache.keep(chosen)

    @torch.no_grad()
    def prefill(self, prompts: Sequence[Tensor]) -> Tensor:
        """Read the prompts of all pieces in one forward pass, before any step; equal prompts are read once.

        Args:
            prompts: (L, F) int64 of each piece, of one length, which may be 0.

        Returns:
            (B, C) the states that predict the rows after them.
        """
        distinct, prompt_of = distinct_prompts(prompts)
        length = len(distinct[0])
        if not length:
            return self.model.start.detach().expand(len(prompts), -1)
        self.cache.append_rows(length)
        starts = range(0, len(distinct) * length + 1, length)
        x_NC = self.embed(torch.cat(distinct))
        for y, layer in enumerate(self.layers):
            x_NC, kv_NED = layer_forward(layer, x_NC, starts)
            kv_UL2HD = kv_NED.unflatten(1, (2, -1)).unflatten(0, (-1, length))
            self.cache.write_prompts(y, kv_UL2HD.permute(2, 0, 1, 3, 4), prompt_of)
        return self.model.norm(x_NC.unflatten(0, (-1, length))[prompt_of, -1])

    @torch.no_grad()
    def step(self, rows_BF: Tensor) -> Tensor:
        """Read one row of each piece (B, F) int64 → (B, C) the states that predict the rows after them."""
        x_BC = self.embed(rows_BF)
        self.cache.append_rows()
        for y, layer in enumerate(self.layers):
            qkv_B3HD = layer.project(x_BC).view(len(x_BC), 3, layer.heads, -1)
            q_BHD = qkv_B3HD[:, 0]
            k_BHnD, v_BHnD = self.cache.write(y, qkv_B3HD[:, 1:])
            biases = layer.biases(q_BHD, self.cache.rows)
            heads_BH1D = F.scaled_dot_product_attention(q_BHD[:, :, None], k_BHnD, v_BHnD, attn_mask=biases)
            x_BC = layer.feed(layer.add_attention(x_BC, heads_BH1D[:, :, 0]))
        return self.model.norm(x_BC)


def _fused_layer(layer: Layer, dtype: torch.dtype) -> LayerWeights:
    e_HRD = layer.distance.detach()
    return LayerWeights(
        qkv=fused_linear(layer.qkv.weight, dtype, scale=layer.norm),
        distance=e_HRD,
        scaled_distance_HDR=e_HRD.flip(1).transpose(1, 2).contiguous() * e_HRD.shape[2] ** -0.5,
        out=fused_linear(layer.out.weight, dtype),
        mlp=feed_forward(layer.mlp_norm, layer.mlp, dtype),
        heads=layer.n_heads,
    )
