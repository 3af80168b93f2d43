"""The encoder–decoder row by row: what a piece begins with is read once, what follows is written with cached keys and values.

The states are those of the full forward. A piece that begins with nothing is all continuation, as a window of a single bar is in
training: the encoder reads its blank alone.

Shape letters: B pieces, C width, F fields, H heads, D width of a head, Y layers of the decoder, L rows of a primer, P steps of
the encoder, n keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from meloctl.model.encoder_decoder.model import EncoderDecoder
from meloctl.model.fused_linear import FusedLinear, FusedRowEmbedding, field_heads, fused_linear
from meloctl.model.row_kv_cache import RowKVCache
from meloctl.rows.vocabulary import INSTRUMENT, POSITION


@dataclass(frozen=True, kw_only=True)
class LayerWeights:
    """Of one layer of the decoder."""

    norms: tuple[nn.LayerNorm, nn.LayerNorm, nn.LayerNorm]
    """Before each branch: attention to the continuation, attention to the primer, feed-forward."""

    qkv: FusedLinear
    """C → 3 H D, of the continuation."""

    out: FusedLinear
    query: FusedLinear
    """C → H D, to the primer."""

    query_out: FusedLinear
    inner: FusedLinear
    outer: FusedLinear


class EncoderDecoderDecoder:
    """Feeds rows to an encoder–decoder, one of each piece at a time."""

    def __init__(self, model: EncoderDecoder, primer_BLF: Tensor, *, half: bool = False) -> None:
        """The encoder has read the primers; the decoder has no row yet.

        Args:
            primer_BLF: what the pieces begin with, whole bars; L may be 0.
            half: compute large products in bf16.
        """
        kind = torch.bfloat16 if half else model.start.dtype
        writers: Sequence[nn.TransformerDecoderLayer] = list(model.decoder.layers)
        self.model = model
        self.embed, self.heads = FusedRowEmbedding(model.embed), field_heads(model.heads, kind)
        self.layers = [_layer(writer, kind) for writer in writers]
        self.bars_B = (primer_BLF[:, :, INSTRUMENT] == model.vocabulary.bar).sum(1)
        """Opened so far, those of the primer among them."""

        self.primer = _read(model, primer_BLF, [writer.multihead_attn for writer in writers])
        """(Y, 2, B, H, P, D) keys and values."""

        self.cache = RowKVCache(self.primer[:, :, :, :, :0])
        self.most_bytes = 0
        """The most memory that keys and values have taken, as far as is known when pieces end."""

    @property
    def nbytes(self) -> int:
        """Memory taken by keys and values of all pieces."""
        return self.primer.nbytes + self.cache.nbytes

    @torch.no_grad()
    def start(self) -> Tensor:
        """(B, C) the states that predict the first rows behind the primers; called once, before any step."""
        start_BC = self.model.start.expand(len(self.bars_B), -1)
        return self._written(start_BC, torch.stack([self.bars_B, torch.zeros_like(self.bars_B)], dim=1))

    def keep(self, chosen: Sequence[int]) -> None:
        """Go on with these pieces alone, in this order."""
        self.most_bytes = max(self.most_bytes, self.nbytes)
        self.cache.keep(chosen)
        self.primer, self.bars_B = self.primer[:, :, list(chosen)], self.bars_B[list(chosen)]

    @torch.no_grad()
    def step(self, rows_BF: Tensor) -> Tensor:
        """(B, C) the states that predict the rows after these; rows (B, 8). A header row opens a bar."""
        self.bars_B = self.bars_B + (rows_BF[:, INSTRUMENT] == self.model.vocabulary.bar)
        time_B2 = torch.stack([self.bars_B - 1, rows_BF[:, POSITION].clamp(min=0)], dim=1)
        return self._written(self.embed(rows_BF), time_B2)

    def _written(self, x_BC: Tensor, time_B2: Tensor) -> Tensor:
        """(B, C) states after one step more of the decoder, at these bars and positions."""
        x_BC, heads = self.model.placed(x_BC, time_B2), self.model.config.heads
        self.cache.open()
        for y, layer in enumerate(self.layers):
            qkv_B3HD = layer.qkv(layer.norms[0](x_BC)).to(x_BC.dtype).view(len(x_BC), 3, heads, -1)
            x_BC = x_BC + layer.out(_attend(qkv_B3HD[:, 0], self.cache.add(y, qkv_B3HD[:, 1:])))
            q_BHD = layer.query(layer.norms[1](x_BC)).to(x_BC.dtype).view(len(x_BC), heads, -1)
            x_BC = x_BC + layer.query_out(_attend(q_BHD, self.primer[y]))
            x_BC = x_BC + layer.outer(layer.inner(layer.norms[2](x_BC)).relu())
        assert self.model.decoder.norm
        return self.model.decoder.norm(x_BC)


def _attend(q_BHD: Tensor, kv_2BHnD: Tensor) -> Tensor:
    """(B, C) of one query a piece, which sees all keys."""
    return F.scaled_dot_product_attention(q_BHD[:, :, None], *kv_2BHnD).flatten(1)


@torch.no_grad()
def _read(model: EncoderDecoder, primer_BLF: Tensor, listeners: Sequence[nn.MultiheadAttention]) -> Tensor:
    """(Y, 2, B, H, P, D) keys and values of what the encoder makes of primers, for each layer that listens to it."""
    bar_BL = (primer_BLF[:, :, INSTRUMENT] == model.vocabulary.bar).cumsum(1) - 1
    time_BL2 = torch.stack([bar_BL, primer_BLF[:, :, POSITION].clamp(min=0)], dim=2)
    placed_NC = model.placed(model.embed(primer_BLF.flatten(0, 1)), time_BL2.flatten(0, 1))
    blank_B1C = model.blank.expand(len(primer_BLF), 1, -1)
    heard_BPC = model.encoder(torch.cat([blank_B1C, placed_NC.unflatten(0, primer_BLF.shape[:2])], dim=1))
    width, heads = model.config.width, model.config.heads
    each = [F.linear(heard_BPC, a.in_proj_weight[width:], a.in_proj_bias[width:]) for a in listeners]
    return torch.stack(each).unflatten(-1, (2, heads, -1)).permute(0, 3, 1, 4, 2, 5).contiguous()


def _layer(layer: nn.TransformerDecoderLayer, kind: torch.dtype) -> LayerWeights:
    own, primer = layer.self_attn, layer.multihead_attn
    width = own.embed_dim
    return LayerWeights(
        norms=(layer.norm1, layer.norm2, layer.norm3),
        qkv=fused_linear(own.in_proj_weight, kind, bias=own.in_proj_bias),
        out=fused_linear(own.out_proj.weight, kind, bias=own.out_proj.bias),
        query=fused_linear(primer.in_proj_weight[:width], kind, bias=primer.in_proj_bias[:width]),
        query_out=fused_linear(primer.out_proj.weight, kind, bias=primer.out_proj.bias),
        inner=fused_linear(layer.linear1.weight, kind, bias=layer.linear1.bias),
        outer=fused_linear(layer.linear2.weight, kind, bias=layer.linear2.bias),
    )
