"""Learnable attention biases by relation and offset of two rows ("gates"), and the loss term that closes those of no use.

A gate with logit g adds log σ(g) to the score of every pair of rows that passes it: about 0 when it is open, far below 0 when it
is shut. Offset 0 has no gate, since a row always attends to its own bar. Each gate starts at the similarity measured at its
offset, g = logit(similarity); the loss adds σ(g) times the share of attention's work that the gate opens.
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from analysis.arrays import Floats, Ints
from masks.cost.row_pairs import RowPairs
from masks.rules.learned import Gate, GateCurve, LearnedGates
from masks.spec import MOST_OFFSET, MaskSpec
from masks.tiling.cell_rows import CellRows

LAST_OFFSET = 32
"""Offsets 1..32 bars have a gate each; larger ones share one."""

N_OFFSETS = LAST_OFFSET + 2
"""Gate indices of one relation: offsets 0..32, then all larger ones."""

OPEN_GATE = 0
"""Index of a gate whose bias is always 0: that of offset 0."""

_MARGIN = 0.02
"""Gates start between this and 1 less this, since the gradient of a sigmoid vanishes beyond."""


class Gates(nn.Module):
    """One learnable gate for each relation and offset, shared by all layers and heads."""

    def __init__(self, spec: MaskSpec) -> None:
        """Gates at their initial values.

        Args:
            spec: gives the similarities, and whether pairs of drums with another part pass gates at all.
        """
        super().__init__()
        self.spec = spec
        initial = _initial_openness(spec)
        self.value = nn.Parameter(torch.from_numpy(np.log(initial / (1 - initial))).float())
        """(2, 33) logits of the gates of one's own part and of other parts, at offsets 1..32 and beyond."""

    def biases(self) -> Tensor:
        """(3 · 34,) added to a pair's attention score, at the index that `gate_index` gives."""
        closed = F.logsigmoid(self.value)
        same, cross = F.pad(closed, (1, 0))
        drums = torch.zeros_like(cross) if self.spec.drums == "exempt" else cross
        return torch.cat([same, cross, drums])

    def read_out(self, work: Floats) -> LearnedGates:
        """Openness of each gate, 0..1, at the start and now.

        Args:
            work: (2, 33) as `work_by_gate` gives it.
        """
        now = torch.sigmoid(self.value.detach().double()).cpu().numpy()
        curves = []
        for of_relation in zip(_initial_openness(self.spec), now, work, strict=True):
            *offsets, beyond = (
                Gate(prior=float(initial), learned=float(learned), density=float(share))
                for initial, learned, share in zip(*of_relation, strict=True)
            )
            curves.append(GateCurve(offsets=dict(enumerate(offsets, 1)), beyond=beyond))
        same, cross = curves
        return LearnedGates(same=same, cross=cross, drums=self.spec.drums, summaries=self.spec.summaries)

    def price(self, work: Tensor) -> Tensor:
        """Share of dense causal attention's work that the gates leave open, 0..1: a scalar with a gradient.

        Args:
            work: (2, 33) share of dense causal attention's pairs that pass each gate.
        """
        return (torch.sigmoid(self.value) * work.to(self.value)).sum()


def all_earlier_rows(spec: MaskSpec) -> MaskSpec:
    """The mask under gates: every earlier row is shown, since the gates do the hiding; summaries as in `spec`."""
    return MaskSpec(same="full", near=MOST_OFFSET, far=(), drums="masked", summaries=spec.summaries)


def gate_index_of_cells(cells: CellRows, queries: Ints, keys: Ints) -> npt.NDArray[np.uint8]:
    """Index of the gate that each pair of rows of some cells passes.

    Args:
        cells: of one window.
        queries, keys: (Q,) and (J,) indices of cells, ascending.

    Returns:
        (N, K) for the N rows of the query cells and the K rows of the key cells.
    """
    gate = gate_index(cells.relation(queries, keys), cells.bar[queries][:, None] - cells.bar[keys])
    return np.repeat(np.repeat(gate, cells.rows[keys], axis=1), cells.rows[queries], axis=0)


def gate_index(relation: npt.NDArray[np.int8], offset: Ints) -> npt.NDArray[np.uint8]:
    """Index into `Gates.biases` for each pair of rows.

    Args:
        relation: (N, K) relation of the two parts, as an index of MASK_RELATIONS.
        offset: (N, K) bars; those below 0, which are hidden, get the index of offset 0.
    """
    return (relation * N_OFFSETS + np.clip(offset, 0, LAST_OFFSET + 1)).astype(np.uint8)


def work_by_gate(pairs: RowPairs, *, exempt: bool) -> Floats:
    """Share of dense causal attention's pairs of rows that pass each gate.

    Args:
        pairs: of the training windows.
        exempt: pairs of drums with another part pass no gate.

    Returns:
        (2, 33) of one's own part and of other parts, at offsets 1..32 and beyond.
    """
    same, cross, drums = pairs.counts
    by_offset = np.stack([same, cross if exempt else cross + drums])
    by_offset = np.pad(by_offset, ((0, 0), (0, max(0, N_OFFSETS - by_offset.shape[1]))))
    beyond = by_offset[:, LAST_OFFSET + 1 :].sum(axis=1, keepdims=True)
    return np.asarray(np.concatenate([by_offset[:, 1 : LAST_OFFSET + 1], beyond], axis=1) / max(pairs.total, 1.0))


def _initial_openness(spec: MaskSpec) -> Floats:
    """(2, 33) σ of the initial logits: the similarity measured at each offset, interpolated; 0.5 where none was measured."""
    offsets = np.arange(1, LAST_OFFSET + 2)
    curves = []
    for prior in (spec.same_prior, spec.cross_prior):
        known = sorted(k for k in prior if k >= 1)
        curves.append(np.interp(offsets, known, [prior[k] for k in known]) if known else np.full(len(offsets), 0.5))
    return np.clip(np.stack(curves), _MARGIN, 1 - _MARGIN)
