"""MeloFormerLayout: a pack as MeloFormer reads it, with rotary positions and attention plans. The same for all layers.

Shape letters: N rows of a pack (padding last), F fields, W windows, T bar summaries of all windows, D width of a head.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from analysis.arrays import Ints
from meloctl.dataset.packs import Pack, padded
from meloctl.model.attention.attend import AttentionPlan, AttentionPlanner, RowPlaces
from meloctl.model.bar_plans import PackFeatures, pack_features
from meloctl.model.rotary import rotation
from meloctl.rows.parts import is_drum_part, row_parts
from meloctl.rows.vocabulary import INSTRUMENT, PITCH, POSITION, Vocabulary


@dataclass(frozen=True, kw_only=True, eq=False)
class MeloFormerLayout:
    """A pack, ready for MeloFormer."""

    rows_NF: Tensor
    """(N, F) int64, the pack's rows. N of this and of `row_rotation` may be larger than the pack's: attention backends pad."""

    loss_mask_N: Tensor
    """(N,) bool, rows whose loss counts: see `Pack.loss_mask`. N of the pack."""

    before_N: Tensor
    """(N,) int64, whose state predicts each row: 0 the learned start, i + 1 row i. N of the pack."""

    row_rotation: Tensor
    """(N, 1, D) cosines and sines of the rotary angles of rows, from their bar in the piece and their position in the bar."""

    bar_rotation: Tensor
    """(T, 1, D) cosines and sines of the rotary angles of summaries: their bar, position 0. T with padding."""

    row_plan: AttentionPlan
    """Queries: N rows. Keys: T summaries, then N rows."""

    bar_plan: AttentionPlan
    """Queries: T summaries. Keys: T summaries, then N rows."""

    n_rows: int
    """Rows without padding."""

    n_notes: int
    """Note rows whose loss counts."""

    features: PackFeatures | None = None
    """Of the pack's bars, for a model that knows plans; None where no plan is given."""

    def to(self, device: torch.device) -> "MeloFormerLayout":
        """The same on a device."""
        held: dict[str, Any] = {
            name: x if x is None or isinstance(x, int) else x.to(device) for name, x in vars(self).items()
        }
        return replace(self, **held)


def layout_of(
    pack: Pack, planner: AttentionPlanner, vocabulary: Vocabulary, head_width: int, *, plans: bool = False
) -> MeloFormerLayout:
    """The layout of a pack whose windows each open with a header row.

    Args:
        planner: of the attention backend that will compute it.
        head_width: D.
        plans: the model knows bar plans.
    """
    n, length = int(pack.starts[-1]), len(pack.rows)
    pack = padded(pack, -(-length // planner.row_multiple) * planner.row_multiple)
    places = places_of(pack, vocabulary)
    row_plan, bar_plan = planner.plans(places)
    piece_bar_N = places.bar.copy()
    piece_bar_N[:n] += np.repeat(pack.first_bar, np.diff(pack.starts))
    bar_T = np.zeros(bar_plan.n_queries, dtype=np.int64)
    if len(bar_T):
        bar_T[: len(places.first_of_segment)] = piece_bar_N[places.first_of_segment]
    loss_mask_N, before_N = pack.loss_mask[:length], np.arange(length)
    before_N[pack.starts[:-1]] = 0
    position_N = np.maximum(pack.rows[:, POSITION], 0)
    return MeloFormerLayout(
        rows_NF=torch.from_numpy(pack.rows),
        loss_mask_N=torch.from_numpy(loss_mask_N),
        before_N=torch.from_numpy(before_N),
        row_rotation=_rotation_of(piece_bar_N, position_N, head_width),
        bar_rotation=_rotation_of(bar_T, np.zeros_like(bar_T), head_width),
        row_plan=row_plan,
        bar_plan=bar_plan,
        n_rows=n,
        n_notes=int((pack.rows[:length][loss_mask_N, PITCH] >= 0).sum()),
        features=pack_features(pack, places.bar, vocabulary) if plans and pack.plan_bars is not None else None,
    )


def places_of(pack: Pack, vocabulary: Vocabulary) -> RowPlaces:
    """Bar, segment and part of each row of a pack whose windows each open with a header row."""
    opens_N = np.isin(pack.rows[:, INSTRUMENT], (vocabulary.bar, vocabulary.masked_bar, vocabulary.infill_bar))
    segment_N = np.cumsum(opens_N) - 1
    segment_N[: pack.starts[-1]] -= np.repeat(segment_N[pack.starts[:-1]], np.diff(pack.starts))
    bar_N = segment_N.copy()
    for start, end, middle in zip(pack.starts[:-1].tolist(), pack.starts[1:].tolist(), pack.middles, strict=False):
        if middle:
            rows = slice(start + middle.row, end)
            bar_N[rows] += middle.bar - bar_N[start + middle.row]
    part_N = row_parts(pack.rows, vocabulary)
    return RowPlaces(
        starts=pack.starts,
        bar=bar_N,
        segment=segment_N,
        part=part_N,
        is_drums=is_drum_part(part_N, vocabulary),
    )


def _rotation_of(bar: Ints, position: Ints, width: int) -> Tensor:
    return rotation(torch.from_numpy(bar), torch.from_numpy(position), width)[:, None]
