"""The encoder–decoder with cached keys and values: the encoder reads the prompt (the primer), the decoder one row at a time.

The states are those of the full forward. A piece without a prompt is all continuation, as a window of a single bar is in
training: the encoder reads its blank alone.

Shape letters: B pieces, U distinct primers, C width, F fields, H heads, D width of a head, Y layers of the decoder, L rows of a
primer, P steps of the encoder, n keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from meloctl.model.encoder_decoder.model import EncoderDecoder
from meloctl.model.fused_linear import FusedLinear, FusedRowEmbedding, fused_linear
from meloctl.model.prompts import distinct_prompts
from meloctl.model.row_kv_cache import RowKVCache
from meloctl.rows.vocabulary import INSTRUMENT, POSITION


@dataclass(frozen=True, kw_only=True)
class LayerWeights:
    """One layer's weights of the decoder."""

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
    """An encoder–decoder that reads the prompts of B pieces, and then one row of each at a time."""

    def __init__(self, model: EncoderDecoder, *, half: bool = False) -> None:
        """A decoder that has read nothing.

        Args:
            half: compute large products in bf16.
        """
        dtype = torch.bfloat16 if half else model.start.dtype
        layers: Sequence[nn.TransformerDecoderLayer] = list(model.decoder.layers)
        self.model = model
        self.embed = FusedRowEmbedding(model.embed)
        self.layers = [_fused_layer(layer, dtype) for layer in layers]
        self.to_primer = [layer.multihead_attn for layer in layers]
        """Each layer's attention to the primer."""

        self.bars_B = torch.zeros(0, dtype=torch.int64)
        """Opened so far, those of the primer among them."""

        self.primer = model.start.detach().new_empty(len(layers), 2, 0, model.config.heads, 0, model.config.head_width)
        """(Y, 2, B, H, P, D) keys and values of the primers."""

        self.cache = RowKVCache(self.primer)
        self.most_bytes = 0
        """The most bytes that keys and values have taken, as far as is known when pieces end."""

    @property
    def nbytes(self) -> int:
        """Bytes allocated for keys and values of all pieces."""
        return self.primer.nbytes + self.cache.nbytes

    @torch.no_grad()
    def prefill(self, prompts: Sequence[Tensor]) -> Tensor:
        """Let the encoder read the prompts of all pieces, before any step; equal prompts are read once.

        Args:
            prompts: (L, F) int64 of each piece, whole bars; of one length, which may be 0.

        Returns:
            (B, C) the states that predict the first rows after them.
        """
        distinct, prompt_of = distinct_prompts(prompts)
        primer_ULF = torch.stack(distinct)
        self.bars_B = (primer_ULF[:, :, INSTRUMENT] == self.model.vocabulary.bar).sum(1)[prompt_of]
        self.primer = _read(self.model, primer_ULF, self.to_primer)[:, :, prompt_of]
        self.cache = RowKVCache(self.primer[:, :, :, :, :0])
        start_BC = self.model.start.expand(len(prompts), -1)
        return self._written(start_BC, torch.stack([self.bars_B, torch.zeros_like(self.bars_B)], dim=1))

    def keep(self, chosen: Sequence[int]) -> None:
        """Keep these pieces alone, in this order."""
        self.most_bytes = max(self.most_bytes, self.nbytes)
        self.cache.keep(chosen)
        self.primer, self.bars_B = self.primer[:, :, list(chosen)], self.bars_B[list(chosen)]

    @torch.no_grad()
    def step(self, rows_BF: Tensor) -> Tensor:
        """Read one row of each piece (B, F) int64 → (B, C) the states that predict the rows after them; a header opens a bar."""
        self.bars_B = self.bars_B + (rows_BF[:, INSTRUMENT] == self.model.vocabulary.bar)
        time_B2 = torch.stack([self.bars_B - 1, rows_BF[:, POSITION].clamp(min=0)], dim=1)
        return self._written(self.embed(rows_BF), time_B2)

    def _written(self, x_BC: Tensor, time_B2: Tensor) -> Tensor:
        """(B, C) states after one more step of the decoder: embeddings (B, C) at bars and positions (B, 2)."""
        x_BC, heads = self.model.placed(x_BC, time_B2), self.model.config.heads
        self.cache.append_rows()
        for y, layer in enumerate(self.layers):
            qkv_B3HD = layer.qkv(layer.norms[0](x_BC)).to(x_BC.dtype).view(len(x_BC), 3, heads, -1)
            x_BC = x_BC + layer.out(_attend(qkv_B3HD[:, 0], self.cache.write(y, qkv_B3HD[:, 1:])))
            q_BHD = layer.query(layer.norms[1](x_BC)).to(x_BC.dtype).view(len(x_BC), heads, -1)
            x_BC = x_BC + layer.query_out(_attend(q_BHD, self.primer[y]))
            x_BC = x_BC + layer.outer(layer.inner(layer.norms[2](x_BC)).relu())
        assert self.model.decoder.norm
        return self.model.decoder.norm(x_BC)


def _attend(q_BHD: Tensor, kv_2BHnD: Tensor) -> Tensor:
    """(B, C) attention of one query of each piece to all of its keys."""
    return F.scaled_dot_product_attention(q_BHD[:, :, None], *kv_2BHnD).flatten(1)


@torch.no_grad()
def _read(model: EncoderDecoder, primer_ULF: Tensor, to_primer: Sequence[nn.MultiheadAttention]) -> Tensor:
    """Primers (U, L, F) → (Y, 2, U, H, P, D) keys and values of the encoder's output, for each layer's attention to it."""
    bar_UL = (primer_ULF[:, :, INSTRUMENT] == model.vocabulary.bar).cumsum(1) - 1
    time_UL2 = torch.stack([bar_UL, primer_ULF[:, :, POSITION].clamp(min=0)], dim=2)
    placed_NC = model.placed(model.embed(primer_ULF.flatten(0, 1)), time_UL2.flatten(0, 1))
    blank_U1C = model.blank.expand(len(primer_ULF), 1, -1)
    read_UPC = model.encoder(torch.cat([blank_U1C, placed_NC.unflatten(0, primer_ULF.shape[:2])], dim=1))
    width, heads = model.config.width, model.config.heads
    each = [F.linear(read_UPC, a.in_proj_weight[width:], a.in_proj_bias[width:]) for a in to_primer]
    return torch.stack(each).unflatten(-1, (2, heads, -1)).permute(0, 3, 1, 4, 2, 5).contiguous()


def _fused_layer(layer: nn.TransformerDecoderLayer, dtype: torch.dtype) -> LayerWeights:
    own, primer = layer.self_attn, layer.multihead_attn
    width = own.embed_dim
    return LayerWeights(
        norms=(layer.norm1, layer.norm2, layer.norm3),
        qkv=fused_linear(own.in_proj_weight, dtype, bias=own.in_proj_bias),
        out=fused_linear(own.out_proj.weight, dtype, bias=own.out_proj.bias),
        query=fused_linear(primer.in_proj_weight[:width], dtype, bias=primer.in_proj_bias[:width]),
        query_out=fused_linear(primer.out_proj.weight, dtype, bias=primer.out_proj.bias),
        inner=fused_linear(layer.linear1.weight, dtype, bias=layer.linear1.bias),
        outer=fused_linear(layer.linear2.weight, dtype, bias=layer.linear2.bias),
    )
