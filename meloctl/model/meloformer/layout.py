"""What a pack looks like to MeloFormer: where its rows stand in musical time, and who sees whom. The same for all layers.

Shape letters: N rows of a pack (padding last), F fields, W windows, T bars of all windows, D width of a head.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from analysis.arrays import Bools, Ints
from meloctl.dataset.packs import Pack, padded
from meloctl.model.attention.flex.plan import FlexPlan
from meloctl.model.attention.tiled.plan import AttentionPlan
from meloctl.model.attention.tiled.planner import TilePlanner, WindowPlan, pack_plans
from meloctl.model.rotary import rotation
from meloctl.rows.parts import is_drum_part, row_parts
from meloctl.rows.vocabulary import INSTRUMENT, PITCH, POSITION, Vocabulary

ROWS = 64
"""On a CPU rows are padded to a multiple of so many: kernels for bf16 are made, and kept, for each new shape."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MeloFormerLayout:
    """A pack, ready for MeloFormer."""

    rows_NF: Tensor
    """The pack's rows; this and `row_rotation` are longer on a CPU, by padding of their own."""

    loss_mask_N: Tensor
    """(N,) rows whose cost counts: see `Pack.loss_mask`."""

    before_N: Tensor
    """(N,) whose state predicts a row: 0 the start, i + 1 row i."""

    row_rotation: Tensor
    """(N, 1, D) cosines and sines of the rotary angles of rows."""

    bar_rotation: Tensor
    """(T, 1, D) cosines and sines of the rotary angles of summaries: their bar, position 0. T counts padding too."""

    row_plan: AttentionPlan | FlexPlan
    """Rows → summaries and rows."""

    bar_plan: AttentionPlan | FlexPlan
    """Summaries → summaries and rows."""

    n_rows: int
    """Without padding."""

    n_notes: int
    """Note rows that count."""

    def to(self, device: torch.device) -> "MeloFormerLayout":
        """The same on a device. Tiles stay where they are: they are for CPUs."""
        held: dict[str, Any] = {f.name: _moved(getattr(self, f.name), device) for f in fields(self)}
        return MeloFormerLayout(**held)


def layout_of(
    pack: Pack, planner: TilePlanner, vocabulary: Vocabulary, head_width: int, *, flex: bool = False
) -> MeloFormerLayout:
    """The layout of a pack whose windows each open with a header row.

    Args:
        flex: plan for FlexAttention, which is for CUDA, instead of tiles.
    """
    n, length = int(pack.starts[-1]), len(pack.rows)
    if not flex:
        pack = padded(pack, -(-length // ROWS) * ROWS)
    places = places_of(pack, vocabulary)
    row_plan, bar_plan = (flex_plans if flex else tiled_plans)(pack, places, planner, vocabulary)
    piece_bar_N = places.bar.copy()
    piece_bar_N[:n] += np.repeat(pack.first_bar, np.diff(pack.starts))
    bars_T = np.zeros(bar_plan.n_queries, dtype=np.int64)
    if planner.spec.summaries:
        opening_T = np.flatnonzero(places.opens[:n])
        bars_T[: len(opening_T)] = piece_bar_N[opening_T]
    loss_mask_N, before_N = pack.loss_mask[:length], np.arange(length)
    before_N[pack.starts[:-1]] = 0
    position_N = np.maximum(pack.rows[:, POSITION], 0)
    return MeloFormerLayout(
        rows_NF=torch.from_numpy(pack.rows),
        loss_mask_N=torch.from_numpy(loss_mask_N),
        before_N=torch.from_numpy(before_N),
        row_rotation=_rotation(piece_bar_N, position_N, head_width),
        bar_rotation=_rotation(bars_T, np.zeros_like(bars_T), head_width),
        row_plan=row_plan,
        bar_plan=bar_plan,
        n_rows=n,
        n_notes=int((pack.rows[:length][loss_mask_N, PITCH] >= 0).sum()),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class RowPlaces:
    """Where each row of a pack stands. Padding stands nowhere, but has numbers all the same."""

    opens: Bools
    """(N,) rows that open a bar, or open it once more."""

    segment: Ints
    """(N,) bars opened before, reopened ones too, from 0 in each window."""

    bar: Ints
    """(N,) from 0 in each window."""

    part: Ints
    """(N,)"""


def places_of(pack: Pack, vocabulary: Vocabulary) -> RowPlaces:
    """Where the rows of a pack stand, whose windows each open with a header row."""
    opens_N = np.isin(pack.rows[:, INSTRUMENT], (vocabulary.bar, vocabulary.masked_bar, vocabulary.infill_bar))
    segment_N = np.cumsum(opens_N) - 1
    segment_N[: pack.starts[-1]] -= np.repeat(segment_N[pack.starts[:-1]], np.diff(pack.starts))
    bar_N = segment_N.copy()
    for start, end, reopened in zip(pack.starts[:-1].tolist(), pack.starts[1:].tolist(), pack.reopened, strict=False):
        if reopened:
            behind = slice(start + reopened.row, end)
            bar_N[behind] += reopened.bar - bar_N[start + reopened.row]
    return RowPlaces(opens=opens_N, segment=segment_N, bar=bar_N, part=row_parts(pack.rows, vocabulary))


def tiled_plans(
    pack: Pack, places: RowPlaces, planner: TilePlanner, vocabulary: Vocabulary
) -> tuple[AttentionPlan, AttentionPlan]:
    """The plans of rows and of summaries, as tiles."""
    windows = [
        window_plan(planner, places, slice(a, b), vocabulary)
        for a, b in zip(pack.starts[:-1].tolist(), pack.starts[1:].tolist(), strict=True)
    ]
    return pack_plans(windows, pack.starts, len(pack.rows))


def flex_plans(
    pack: Pack, places: RowPlaces, planner: TilePlanner, vocabulary: Vocabulary
) -> tuple[FlexPlan, FlexPlan]:
    """The plans of rows and of summaries, for FlexAttention."""
    is_drum_N = is_drum_part(places.part, vocabulary)
    return planner.flex.plans(places.bar, places.part, is_drum_N, pack.starts, places.segment)


def window_plan(planner: TilePlanner, places: RowPlaces, rows: slice, vocabulary: Vocabulary) -> WindowPlan:
    """The plan of one window, some rows of a pack."""
    part = places.part[rows]
    drums = np.unique(part[is_drum_part(part, vocabulary)])
    return planner.window(places.bar[rows], part, frozenset(drums.tolist()), places.segment[rows])


def _rotation(bar: Ints, position: Ints, width: int) -> Tensor:
    return rotation(torch.from_numpy(bar), torch.from_numpy(position), width)[:, None]


def _moved(x: Any, device: torch.device) -> Any:
    return x.to(device) if isinstance(x, Tensor | FlexPlan) else x
