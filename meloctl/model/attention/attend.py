"""The protocol of attention backends: a planner turns the places of a pack's rows into plans, a plan computes attention.

A backend is a folder beside this file: `tiled` for CPUs, `flex` for CUDA. `meloctl.model.attention.backends` chooses one by
device, and each is tested equal to `meloctl.model.attention.reference`. Polarity of every mask: True = may attend.

Shape letters: N rows of a pack, padding last, W windows, L query rows, M key rows, H query heads, G key and value heads, D width
of a head, E gates.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor

from analysis.arrays import Bools, Ints


@dataclass(frozen=True, kw_only=True, eq=False)
class RowPlaces:
    """Bar, segment and part of each row of a pack: all that a planner knows of the music. Windows never see each other.

    A segment is a bar as it was opened: a window with masked bars has its kept bars first, then each masked bar once more, as
    the middle. Elsewhere segments are bars. What the arrays hold for padding has no meaning.
    """

    starts: Ints
    """(W + 1,) first row of each window; the last entry is n, the number of real rows."""

    bar: Ints
    """(N,) bars from 0 in each window; never falls but at the first row of a window's middle."""

    segment: Ints
    """(N,) from 0 in each window, never falling; above the bar for the rows of a middle."""

    part: Ints
    """(N,) any whole number ≥ 0 that tells a window's parts apart; header rows are a part of their own."""

    is_drums: Bools
    """(N,) rows of a drums part."""

    @property
    def n_rows(self) -> int:
        """N."""
        return len(self.bar)

    @cached_property
    def first_of_segment(self) -> Ints:
        """The first row of each segment of all windows, ascending: one entry a bar summary."""
        n = int(self.starts[-1])
        first_n = np.diff(self.segment[:n], prepend=-1) != 0
        first_n[self.starts[:-1]] = True
        return np.flatnonzero(first_n)


class AttentionPlan(Protocol):
    """Which keys each of L queries attends to, and the gate of each pair, ready for one backend's kernel."""

    @property
    def n_queries(self) -> int:
        """L."""

    def attend(self, q_LHD: Tensor, k_MGD: Tensor, v_MGD: Tensor, biases_E: Tensor | None = None) -> Tensor:
        """Scaled dot-product attention of each query to the keys that the plan shows it. A query without keys gives 0.

        Args:
            q_LHD, k_MGD, v_MGD: H is a multiple of G; each key head serves H / G neighbouring query heads.
            biases_E: added to the score of each pair that passes a gate, one number a gate; None ignores gates.

        Returns:
            (L, H, D), of the type of q_LHD.
        """

    def to(self, device: torch.device, /) -> Self:
        """The plan with its tensors where the kernel reads them when q, k and v are on `device`."""


class AttentionPlanner(Protocol):
    """Plans of packs, under the mask and the gates that the planner was made for."""

    @property
    def row_multiple(self) -> int:
        """Packs are padded to a multiple of so many rows before they are planned."""

    def plans(self, places: RowPlaces) -> tuple[AttentionPlan, AttentionPlan]:
        """The plan whose queries are rows, and the plan whose queries are bar summaries (0 queries without summaries).

        Keys of both are all summaries, padding last, then the N rows.
        """
