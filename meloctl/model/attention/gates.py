"""Learnable offset gates: how open the way from a row to earlier rows is, by relation and offset.

A gate g adds log σ(g) to the score of every pair of rows that passes it: near 0 it is open, far below it is shut. One's own bar
is always seen, so offset 0 has no gate. Each gate starts at logit(similarity measured at its offset); the loss prices an open
gate by the share of attention's work that it costs, so what does not help is shut.
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from analysis.arrays import Floats, Ints
from masks.cost.row_pairs import RowPairs
from masks.rules.learned import Gate, GateCurve, LearnedGates
from masks.spec import MaskSpec
from masks.tiling.cell_rows import CellRows

LAST = 32
"""Offsets up to here have a gate each; those beyond share one."""

N_OFFSETS = LAST + 2
"""Offsets 0..LAST, and all beyond."""

OPEN = 0
"""The gate of one's own bar, as `gate_of` numbers it: always open."""

_SURE = 0.02
"""Gates start at most this open or shut: beyond it a sigmoid hardly learns."""


class Gates(nn.Module):
    """One gate a relation and offset, shared by all layers and heads. Drums pass as what the spec says they are."""

    def __init__(self, spec: MaskSpec) -> None:
        super().__init__()
        self.spec = spec
        began = _beginning(spec)
        self.value = nn.Parameter(torch.from_numpy(np.log(began / (1 - began))).float())
        """(2, 33) gates of own part and other parts at offsets 1..32 and beyond."""

    def biases(self) -> Tensor:
        """(3 · 34,) what a pair's score gains, by relation and offset as `gate_of` numbers them."""
        closed = F.logsigmoid(self.value)
        same, cross = F.pad(closed, (1, 0))
        drums = torch.zeros_like(cross) if self.spec.drums == "exempt" else cross
        return torch.cat([same, cross, drums])

    def read_out(self, work: Floats) -> LearnedGates:
        """What the gates are now, beside what they began as; `work` as for `price`."""
        now = torch.sigmoid(self.value.detach().double()).cpu().numpy()
        curves = []
        for began, ended, spent in zip(_beginning(self.spec), now, work, strict=True):
            *offsets, beyond = (
                Gate(prior=float(b), learned=float(e), density=float(w))
                for b, e, w in zip(began, ended, spent, strict=True)
            )
            curves.append(GateCurve(offsets=dict(enumerate(offsets, 1)), beyond=beyond))
        same, cross = curves
        return LearnedGates(same=same, cross=cross, drums=self.spec.drums, summaries=self.spec.summaries)

    def price(self, work: Tensor) -> Tensor:
        """The share of attention's work that the gates leave open, 0..1.

        Args:
            work: (2, 33) share of dense causal attention's pairs that pass each gate.
        """
        return (torch.sigmoid(self.value) * work.to(self.value)).sum()


def gate_of(cells: CellRows, queries: Ints, keys: Ints) -> npt.NDArray[np.uint8]:
    """(N, K) the gate that each pair of rows of some cells passes.

    Args:
        cells: of one window.
        queries, keys: cells, ascending.
    """
    gate = numbered(cells.relation(queries, keys), cells.bar[queries][:, None] - cells.bar[keys])
    return np.repeat(np.repeat(gate, cells.rows[keys], axis=1), cells.rows[queries], axis=0)


def numbered(relation: npt.NDArray[np.int8], offset: Ints) -> npt.NDArray[np.uint8]:
    """The gate of each relation (row of MASK_RELATIONS) and offset; offsets below 0, which nobody sees, are given one too."""
    return (relation * N_OFFSETS + np.clip(offset, 0, LAST + 1)).astype(np.uint8)


def work_by_gate(pairs: RowPairs, *, exempt: bool) -> Floats:
    """(2, 33) share of dense causal attention's pairs that pass each gate.

    Args:
        pairs: of the windows that are trained on.
        exempt: pairs of drums with another part pass no gate.
    """
    same, cross, drums = pairs.counts
    by_offset = np.stack([same, cross if exempt else cross + drums])
    by_offset = np.pad(by_offset, ((0, 0), (0, max(0, N_OFFSETS - by_offset.shape[1]))))
    beyond = by_offset[:, LAST + 1 :].sum(axis=1, keepdims=True)
    return np.asarray(np.concatenate([by_offset[:, 1 : LAST + 1], beyond], axis=1) / max(pairs.total, 1.0))


def _beginning(spec: MaskSpec) -> Floats:
    """(2, 33) how open gates begin: as much as bars are alike at that offset, or at the nearest ones known; else a half."""
    offsets = np.arange(1, LAST + 2)
    curves = []
    for prior in (spec.same_prior, spec.cross_prior):
        known = sorted(k for k in prior if k >= 1)
        curves.append(np.interp(offsets, known, [prior[k] for k in known]) if known else np.full(len(offsets), 0.5))
    return np.clip(np.stack(curves), _SURE, 1 - _SURE)
