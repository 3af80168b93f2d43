"""Packs of (bar, part) for FlexAttention: their plans, and their masks and gates by definition."""

import numpy as np
import torch

from masks.dense import dense_mask, dense_summary_mask
from masks.spec import MASK_RELATIONS, MaskSpec
from masks.tiling.cell_rows import CROSS, DRUMS, SAME
from meloctl.model.attention.attend import RowPlaces
from meloctl.model.attention.flex.planner import FlexPlanner
from meloctl.model.attention.gates import LAST_OFFSET, N_OFFSETS, all_earlier_rows

EXEMPT = MaskSpec(same="full", near=1, far=(3,), drums="exempt", summaries=True)


OFFSETS = MaskSpec(same=(1, 3), near=1, far=(4,), summaries=True)


DENSE = all_earlier_rows(MaskSpec(same="full", near=0, far=(), summaries=False))


class FlexPack:
    """Windows of (bar, part) or (bar, part, segment) as one pack with padding, its plans, and its masks by definition."""

    def __init__(self, spec, windows, drums=frozenset(), *, padding=0, gated=False, block=16):
        lengths = [len(bar) for bar, *_ in windows]
        self.starts = np.cumsum([0, *lengths])
        nothing = np.zeros(padding, dtype=np.int64)
        windows = [(bar, part, more[0] if more and more[0] else bar) for bar, part, *more in windows]
        self.bar, self.part, self.segment = (
            np.concatenate([*(np.array(w[i], dtype=np.int64) for w in windows), nothing]) for i in range(3)
        )
        self.spec, self.windows, self.drums, self.gated = spec, windows, drums, gated
        planner = FlexPlanner(all_earlier_rows(spec) if gated else spec, gated=gated, block=block)
        self.places = RowPlaces(
            starts=self.starts,
            bar=self.bar,
            segment=self.segment,
            part=self.part,
            is_drums=np.isin(self.part, list(drums)),
        )
        self.rows, self.summaries = planner.plans(self.places)
        self.room = self.summaries.n_queries

    def masks(self):
        """(N, T + N) mask of rows, and (T, T + N) mask of summaries; padding has no keys."""
        n, room = len(self.bar), self.room
        rows, bars = np.zeros((n, room + n), np.bool_), np.zeros((room, room + n), np.bool_)
        spec, base = all_earlier_rows(self.spec) if self.gated else self.spec, 0
        for a, b in zip(self.starts[:-1], self.starts[1:], strict=True):
            bar, segment = self.bar[a:b], self.segment[a:b]
            n_bars = int(segment[-1]) + 1 if self.spec.summaries else 0
            mine, keys = slice(base, base + n_bars), slice(room + a, room + b)
            rows[a:b, keys] = dense_mask(spec, bar, self.part[a:b], self.drums)
            rows[a:b, mine] = dense_summary_mask(spec, segment, n_bars)
            bars[mine, mine] = np.tri(n_bars, dtype=np.bool_)
            bars[mine, keys] = np.arange(n_bars)[:, None] == segment
            base += n_bars
        return torch.from_numpy(rows), torch.from_numpy(bars)

    def gates(self):
        """(N, T + N) gate of each pair of rows; of others, one of offset 0, which is open."""
        drums = np.isin(self.part, list(self.drums))
        other = np.where(drums[:, None] | drums, DRUMS, CROSS)
        relation = np.where(self.part[:, None] == self.part, SAME, other)
        gate = relation * N_OFFSETS + np.clip(np.abs(self.bar[:, None] - self.bar), 0, LAST_OFFSET + 1)
        return torch.from_numpy(np.pad(gate, ((0, 0), (self.room, 0))))


def heads(n_queries, n_keys, *, dtype=torch.float64, query_heads=4, key_heads=2, width=8, seed=0, device="cpu"):
    """q, k, v and the gradient of the output."""
    random = torch.Generator().manual_seed(seed)
    shapes = [(n_queries, query_heads), (n_keys, key_heads), (n_keys, key_heads), (n_queries, query_heads)]
    *qkv, grad = (torch.randn(*shape, width, generator=random, dtype=torch.float64) for shape in shapes)
    return [x.to(device, dtype).requires_grad_() for x in qkv], grad.to(device, dtype)


def gate_biases(device, dtype):
    random = torch.randn(
        len(MASK_RELATIONS), N_OFFSETS, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    random[:, 0] = 0.0
    return random.flatten().to(device, dtype).requires_grad_()
