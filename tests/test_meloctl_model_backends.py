"""Attention backends: each device has its own, and a model is the same under any that follows the protocol."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from small_models import SEED, masked_window, music, pack_of_rows, small

from masks.dense import dense_mask, dense_summary_mask
from masks.spec import MaskSpec
from masks.tiling.cell_rows import relations
from meloctl.dataset.packs import pack_of as pack_of_windows
from meloctl.dataset.packs import padded
from meloctl.model.attention.attend import RowPlaces
from meloctl.model.attention.backends import planner_for
from meloctl.model.attention.flex.planner import FlexPlanner
from meloctl.model.attention.gates import all_earlier_rows, gate_index
from meloctl.model.attention.reference import attend_dense
from meloctl.model.attention.tiled.planner import TilePlanner
from meloctl.model.meloformer.layout import layout_of


@dataclass(frozen=True, kw_only=True, eq=False)
class DensePlan:
    """A third backend: the masks by definition, attention by the reference."""

    mask: torch.Tensor
    gate: torch.Tensor
    gated: bool

    @property
    def n_queries(self):
        return len(self.mask)

    def attend(self, q, k, v, biases=None):
        return attend_dense(q, k, v, self.mask, None if biases is None or not self.gated else biases[self.gate])

    def to(self, _device):
        return self


class DensePlanner:
    row_multiple = 5

    def __init__(self, shown, *, gated=False):
        self.shown, self.gated = shown, gated

    def plans(self, places):
        n, n_bars = places.n_rows, len(places.first_of_segment) if self.shown.summaries else 0
        rows, bars = np.zeros((n, n_bars + n), np.bool_), np.zeros((n_bars, n_bars + n), np.bool_)
        gates, first = np.zeros((n, n_bars + n), np.int64), 0
        for a, b in zip(places.starts[:-1], places.starts[1:], strict=True):
            bar, part, segment = places.bar[a:b], places.part[a:b], places.segment[a:b]
            drums = set(part[places.is_drums[a:b]].tolist())
            own = slice(first, first + (segment[-1] + 1 if n_bars else 0))
            keys = slice(n_bars + a, n_bars + b)
            rows[a:b, keys] = dense_mask(self.shown, bar, part, drums)
            rows[a:b, own] = dense_summary_mask(self.shown, segment, own.stop - own.start)
            gates[a:b, keys] = gate_index(relations(part, part, drums), np.abs(bar[:, None] - bar))
            bars[own, own] = np.tri(own.stop - own.start)
            bars[own, keys] = np.arange(own.stop - own.start)[:, None] == segment
            first = own.stop
        plan = DensePlan(mask=torch.from_numpy(rows), gate=torch.from_numpy(gates), gated=self.gated)
        return plan, DensePlan(mask=torch.from_numpy(bars), gate=torch.from_numpy(bars).long(), gated=False)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("spec", [SEED, MaskSpec(same=(1, 3), near=1, far=(4,), drums="exempt", summaries=False)])
@pytest.mark.parametrize(
    "pack",
    [
        padded(pack_of_rows(music(1)[0], music(2, bars=5)[0], first_bar=[3, 0]), 131),
        pack_of_windows([masked_window(1, first_bar=5), masked_window(3, some=True)]),
    ],
)
def test_a_model_is_the_same_under_a_dense_backend(pack, spec, gated):
    model = small(spec, gated=gated)
    dense = DensePlanner(all_earlier_rows(spec) if gated else spec, gated=gated)
    expected = model(layout_of(pack, dense, model.vocabulary, model.config.head_width))
    torch.testing.assert_close(model(model.layout(pack)), expected)


def test_each_device_has_its_backend():
    sizes = {"gated": False, "heads": 4, "head_width": 16}
    assert type(planner_for("cpu", SEED, **sizes)) is TilePlanner
    assert type(planner_for("cuda", SEED, **sizes)) is FlexPlanner
    model = small(SEED)
    assert model.planner_on("cpu") is model.planner_on("cpu")


def test_first_rows_of_segments_by_hand():
    # a window of one bar, one of a kept bar, a masked one's header and its middle, and padding
    segment, nothing = np.array([0, 0, 0, 0, 1, 2, 2, 3]), np.zeros(8, dtype=np.int64)
    places = RowPlaces(starts=np.array([0, 2, 7]), bar=nothing, segment=segment, part=nothing, is_drums=nothing > 0)
    assert places.first_of_segment.tolist() == [0, 2, 4, 5]
