"""The weights of the field heads as compiled loops multiply them: the scale of each norm is folded into the product behind it.

Shape letters: F fields, C width, H hidden width of a head, V values of a field, W values of all fields together.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from analysis.arrays import Float32s, Ints
from meloctl.model.row_heads import RowHeads
from meloctl.rows.vocabulary import FIELDS


class HeadWeights(NamedTuple):
    """Heads of all fields. A product's weights lie by input, so that a loop adds whole rows of them."""

    first: Ints
    """(F + 1,) where each field's values begin among those of all fields."""

    inner: Float32s
    """(F, C, H)"""

    inner_bias: Float32s
    """(F, H)"""

    outer: Float32s
    """(H · W,) field by field an array (H, V)."""

    outer_bias: Float32s
    """(W,)"""

    known: Float32s
    """(W, C) what is added to the state once a value is known; 0 for the last fields of a row."""


@torch.no_grad()
def head_weights(heads: RowHeads) -> HeadWeights:
    """A model's heads as arrays."""
    first = np.concatenate([[0], np.cumsum([len(head.outer.bias) for head in heads.heads])])
    known = heads.heads[0].inner.weight.new_zeros(int(first[-1]), heads.heads[0].inner.weight.shape[1])
    for name, table in heads.known.items():
        at = FIELDS.index(name)
        known[first[at] : first[at + 1]] = table.weight
    return HeadWeights(
        first=first,
        inner=_float32(torch.stack([(head.inner.weight * head.norm.weight).T for head in heads.heads])),
        inner_bias=_float32(torch.stack([head.inner.bias for head in heads.heads])),
        outer=_float32(torch.cat([head.outer.weight.T.flatten() for head in heads.heads])),
        outer_bias=_float32(torch.cat([head.outer.bias for head in heads.heads])),
        known=_float32(known),
    )


def _float32(weights: Tensor) -> Float32s:
    return np.ascontiguousarray(weights.float().cpu().numpy())
