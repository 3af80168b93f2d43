"""The weights of the field heads as compiled loops multiply them: the scale of each norm is folded into the product behind it.

Shape letters: F fields, C width, H hidden width of a head, V values of a field, W values of all fields together.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from analysis.arrays import Floats32, Ints
from meloctl.model.row_heads import RowHeads
from meloctl.rows.vocabulary import FIELDS


class HeadWeights(NamedTuple):
    """Heads of all fields. A product's weights lie by input, so that a loop adds whole rows of them."""

    first: Ints
    """(F + 1,) where each field's values begin among those of all fields."""

    inner: Floats32
    """(F, C, H)"""

    inner_bias: Floats32
    """(F, H)"""

    outer: Floats32
    """(H · W,) field by field an array (H, V)."""

    outer_bias: Floats32
    """(W,)"""

    known: Floats32
    """(W, C) what is added to the state once a value is known; 0 for the last fields of a row."""


@torch.no_grad()
def head_weights(heads: RowHeads) -> HeadWeights:
    """A model's heads as arrays."""
    first = np.concatenate([[0], np.cumsum([len(head.outer.bias) for head in heads.heads])])
    known = np.zeros((first[-1], heads.heads[0].inner.weight.shape[1]), dtype=np.float32)
    for name, table in heads.known.items():
        assert isinstance(table, nn.Embedding)
        at = FIELDS.index(name)
        known[first[at] : first[at + 1]] = _float32(table.weight)
    return HeadWeights(
        first=first,
        inner=_float32(torch.stack([(head.inner.weight * head.norm.weight).T for head in heads.heads])),
        inner_bias=_float32(torch.stack([head.inner.bias for head in heads.heads])),
        outer=_float32(torch.cat([head.outer.weight.T.flatten() for head in heads.heads])),
        outer_bias=_float32(torch.cat([head.outer.bias for head in heads.heads])),
        known=known,
    )


def _float32(weights: Tensor) -> Floats32:
    return np.ascontiguousarray(weights.float().cpu().numpy())
