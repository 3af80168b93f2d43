"""MeloFormer's weights as its compiled decoding step reads them.

Weights lie in tiles of LANES outputs, and in those in blocks of BLOCK inputs, so that a product of one row reads what lies side
by side and sums nothing across lanes. They are held as bits: float32, or two bfloat16 in a word, the earlier input in its lower
half. As in `fused_linear`, scales of norms are folded into the products behind them.

Shape letters: Y layers, C width, H query heads, G key and value heads, D width of a head.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from analysis.arrays import Floats32, Ints, Words
from analysis.errors import MeloError
from analysis.vector_product import VECTOR
from meloctl.model.meloformer.model import Layer, MeloFormer
from meloctl.rows.vocabulary import ABSENT

LANES = 64
"""Outputs of a tile."""

BLOCK = 16
"""Inputs of a block."""


class PackedWeights(NamedTuple):
    """A MeloFormer's weights. Words are (Y, tiles, blocks, BLOCK or BLOCK / 2, LANES); what is padded has weights of 0."""

    table: Floats32
    """(values of all fields, C) embeddings."""

    first_F: Ints
    """(F,) where value 0 of each field stands in the table."""

    summary: Floats32
    """(C,) every summary before the first layer; zeros without summaries."""

    qkv: Words
    """C → (H + 2 G) D. Scores come out as exponents of 2, scaled by 1 / √D."""

    out: Words
    """H D → C; each head's inputs are padded to a multiple of VECTOR."""

    kv2: Words
    """C → 2 G D, of summaries; no layers without summaries."""

    inner: Words
    """C → gate, padded to whole tiles, and what it multiplies."""

    outer: Words
    """Inner width → C"""

    scale: Floats32
    """(C,) of the norm behind the last layer."""

    speed: Floats32
    """(D / 4,) radians a bar, and radians a step, of the rotary planes."""

    heads: int
    kv_heads: int
    head_width: int
    """D"""


def packed_weights(model: MeloFormer, *, half: bool = False) -> PackedWeights:
    """The weights of a model.

    Args:
        half: rounded to bfloat16, so that half as many bytes are read; sums stay float32.

    Raises:
        MeloError: weights that are not finite.
    """
    if not all(bool(p.isfinite().all()) for p in model.parameters()):
        raise MeloError("the model gives no finite probabilities; its weights are damaged: train again")
    config = model.config
    d = config.head_width
    tables = [table.detach().float() for table in model.embed.parameters()]
    first = np.cumsum([0, *(len(table) for table in tables[:-1])]) - ABSENT
    summary = model.summary.detach() if model.spec.summaries else torch.zeros(config.width)

    def stack(tiles: Callable[[Layer], Tensor]) -> Words:
        return np.stack([_tiles(tiles(layer).detach().float(), half=half) for layer in model.layers])

    no_layers = np.zeros((0, 1, 1, BLOCK, LANES), dtype=np.uint32)
    return PackedWeights(
        table=torch.cat(tables).numpy(),
        first_F=first.astype(np.int64),
        summary=summary.float().numpy(),
        qkv=stack(lambda it: torch.cat([it.q.weight * math.log2(math.e) * d**-0.5, it.kv.weight]) * it.norm.weight),
        out=stack(lambda it: _padded(it.out.weight.unflatten(1, (-1, d)), 2, VECTOR).flatten(1)),
        kv2=stack(lambda it: it.kv2.weight * it.norm2.weight) if model.spec.summaries else no_layers,
        inner=stack(
            lambda it: (
                torch.cat([_padded(w.weight, 0, LANES) for w in (it.mlp.gate, it.mlp.inner)]) * it.mlp_norm.weight
            )
        ),
        outer=stack(lambda it: it.mlp.outer.weight),
        scale=model.norm.weight.detach().float().numpy(),
        speed=(10_000.0 ** (-torch.arange(d // 4, dtype=torch.float32) / (d // 4))).numpy(),
        heads=config.heads,
        kv_heads=config.kv_heads,
        head_width=d,
    )


def padded_to(n: int, multiple: int) -> int:
    """The next multiple of a number that is at least n."""
    return -(-n // multiple) * multiple


def bfloat16_bits(x: Tensor) -> npt.NDArray[np.uint16]:
    """Bits of the nearest bfloat16, in the shape of x."""
    return x.bfloat16().view(torch.int16).numpy().view(np.uint16)


def _padded(weight: Tensor, axis: int, multiple: int) -> Tensor:
    """The same with zeros behind the end of an axis, up to a multiple."""
    missing = [0, 0] * (weight.dim() - 1 - axis) + [0, padded_to(weight.shape[axis], multiple) - weight.shape[axis]]
    return torch.nn.functional.pad(weight, missing)


def _tiles(weight: Tensor, *, half: bool) -> Words:
    """A weight (out, in) as (tiles, blocks, BLOCK or BLOCK / 2, LANES)."""
    whole = _padded(_padded(weight, 0, LANES), 1, BLOCK)
    tiled = whole.unflatten(1, (-1, BLOCK)).unflatten(0, (-1, LANES)).permute(0, 2, 3, 1).contiguous()
    if not half:
        return tiled.numpy().view(np.uint32)
    bits = bfloat16_bits(tiled).astype(np.uint32)
    return np.ascontiguousarray(bits[:, :, 0::2] | bits[:, :, 1::2] << np.uint32(16))
