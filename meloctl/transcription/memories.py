"""Memories of timbre: what lets the cells of a mix recall the timbres of all of its notes.

Each maps cells (batch, D, N) with a note mask (batch, N) from 0 to 1 to cells of the same shape: cells in, plus what they recall.
Queries, keys and values are linear maps of the cells' directions, with maps of their own; keys weigh mask / sum of mask, so that
a cell of mask 0 is neither recalled nor counted, and a mask of zeros and ones gives what the cells of mask 1 alone would give.
There is no feed-forward part. A new memory recalls nothing: its values begin at zero.

Sources: Hebbian read-out: Hopfield (1982), here of continuous states in one step. Linear attention: Katharopoulos et al. (2020),
"Transformers are RNNs". Flow attention: Wu et al. (2022), "Flowformer", the form without causality.

Shape letters: B batch, D width, N cells.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

_LEAST = 1e-6


Readout = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Queries, keys and values (B, N, D) and a mask (B, N) → what each query recalls (B, N, D)."""


class TimbreMemory(nn.Module):
    """Adds to each cell what it recalls.

    Args:
        width: D, of the cells.
        readout: `hebbian_readout`, `linear_attention` or `flow_attention`.
    """

    def __init__(self, width: int, readout: Readout):
        super().__init__()
        self.maps, self.readout = _Maps(width), readout

    def forward(self, cells: Tensor, mask: Tensor) -> Tensor:
        """Cells with what they recall.

        Args:
            cells: (B, D, N).
            mask: (B, N) from 0 to 1.
        """
        queries, keys, values = self.maps(cells)
        return cells + self.readout(queries, keys, values, mask).transpose(1, 2)


def timbre_memory(name: str, width: int) -> TimbreMemory | None:
    """The memory "hebbian", "linear" or "flow" for cells of a width; None for "none".

    Raises:
        ValueError: another name.
    """
    readouts = {"hebbian": hebbian_readout, "linear": linear_attention, "flow": flow_attention}
    if name == "none":
        return None
    if name not in readouts:
        raise ValueError(f"no memory {name!r}")
    return TimbreMemory(width, readouts[name])


class _Projected(NamedTuple):
    """(B, N, D) each."""

    queries: Tensor
    keys: Tensor
    values: Tensor


class _Maps(nn.Module):
    """Cells (B, D, N) → queries, keys and values (B, N, D) of their directions."""

    def __init__(self, width: int):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        nn.init.zeros_(self.value.weight)

    def forward(self, cells: Tensor) -> _Projected:
        directions = functional.normalize(cells, dim=1).transpose(1, 2)
        return _Projected(self.query(directions), self.key(directions), self.value(directions))


def hebbian_readout(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Q Kᵀ V / sum of mask (B, N, D), keys and values scaled by the mask; with queries, keys and values all V: V Uᵀ U / Σ M.

    Args:
        queries: (B, N, D).
        keys: (B, N, D).
        values: (B, N, D).
        mask: (B, N) from 0 to 1.
    """
    learned = torch.einsum("bnd,bne,bn->bde", keys, values, mask.square())
    return queries @ (learned / _total(mask)[..., None])


def linear_attention(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values (B, N, D) under the weights φ(q) · φ(k) × mask, φ = elu + 1; in time linear in N.

    Args:
        queries: (B, N, D).
        keys: (B, N, D).
        values: (B, N, D).
        mask: (B, N) from 0 to 1.
    """
    queries = functional.elu(queries) + 1
    keys = (functional.elu(keys) + 1) * (mask / _total(mask))[..., None]
    weights = queries @ keys.sum(1)[..., None]
    return queries @ (keys.transpose(1, 2) @ values) / weights.clamp(min=_LEAST)


def flow_attention(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Flow attention (B, N, D) with the kernel sigmoid, cells weighted by mask / sum of mask; in time linear in N.

    Args:
        queries: (B, N, D).
        keys: (B, N, D).
        values: (B, N, D).
        mask: (B, N) from 0 to 1.
    """
    share = (mask / _total(mask))[..., None]  # (B, N, 1)
    queries, keys = torch.sigmoid(queries), torch.sigmoid(keys)
    incoming = queries @ (keys * share).sum(1)[..., None] + _LEAST
    outgoing = keys @ (queries * share).sum(1)[..., None] + _LEAST
    kept_incoming = queries @ (keys * share / outgoing).sum(1)[..., None]
    kept_outgoing = keys @ (queries * share / incoming).sum(1)[..., None]
    competing = kept_outgoing.exp()
    competing = competing / (competing * share).sum(1, keepdim=True).clamp(min=_LEAST)
    recalled = (queries / incoming) @ ((keys * share).transpose(1, 2) @ (values * competing))
    return torch.sigmoid(kept_incoming) * recalled


def _total(mask: Tensor) -> Tensor:
    """(B, 1)."""
    return mask.sum(1, keepdim=True).clamp(min=_LEAST)
