"""MeloFormer's decoder for use: prompts in one forward pass of torch, then one compiled call a row of all pieces.

`meloformer.decoder` says the same in torch, and is what this one is tested against. Shape letters: B pieces, U distinct prompts,
L rows of a prompt, F fields, C width.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from analysis.arrays import Floats32, Ints
from analysis.vector_product import VECTOR
from meloctl.model.bar_plans import PlanConditions
from meloctl.model.meloformer.fused import FusedWeights, complex_rotation
from meloctl.model.meloformer.layout import places_of
from meloctl.model.meloformer.model import KV, MeloFormer, layer_forward
from meloctl.model.meloformer.packed_weights import LANES, PackedWeights, packed_weights, padded_to
from meloctl.model.meloformer.page_loops import PAGE, ROW, SUMMARY, SUMMARY2
from meloctl.model.meloformer.paged_cache import PagedKVCache
from meloctl.model.meloformer.prefill import PromptPlans, pack_of_prompts
from meloctl.model.meloformer.step_loops import Buffers, PieceConditions, step_pieces
from meloctl.model.prompts import distinct_plans, distinct_prompts
from meloctl.rows.vocabulary import INSTRUMENT

_SPREAD = 16
"""Numbers behind each row of a buffer: rows that lie a multiple of 4 KiB apart would stand in each other's way."""


class CompiledDecoder:
    """A MeloFormer that reads the prompts of B pieces, and then one row of each at a time."""

    def __init__(
        self,
        model: MeloFormer,
        pieces: int = 1,
        *,
        half: bool = False,
        first_masked_bar: int | None = None,
        plans: Sequence[PlanConditions | None] | None = None,
    ) -> None:
        """A decoder of pieces without rows.

        Args:
            half: weights, keys and values rounded to bf16; sums stay float32. For prompts, large products in bf16.
            first_masked_bar: the bar, counted in the rows, that the first infill header opens again; None where none will come.
            plans: what the bar plans of each piece add, if it has any; None where none has.
        """
        self.model, self.half, self.first_masked_bar = model, half, first_masked_bar
        self.plans = [None] * pieces if plans is None else list(plans)
        self.conditions = _piece_conditions(self.plans, (model.config.layers + 1, model.config.width))
        self.cache = PagedKVCache(model, pieces, half=half, first_masked_bar=first_masked_bar)
        self.weights: PackedWeights | None = None
        self.buffers: Buffers | None = None
        self.states_BC = np.zeros((pieces, model.config.width), dtype=np.float32)

    @property
    def nbytes(self) -> int:
        """Bytes allocated for keys and values of all pieces."""
        return self.cache.nbytes

    @property
    def most_bytes(self) -> int:
        """The most bytes that keys and values have taken."""
        return self.cache.most_bytes

    def keep(self, chosen: Sequence[int]) -> None:
        """Keep these pieces alone, in this order."""
        kept = list(chosen)
        self.cache.keep(kept)
        self.states_BC = self.states_BC[kept]
        first_B, bars_B = self.conditions.first_B[kept], self.conditions.bars_B[kept]
        self.conditions = self.conditions._replace(first_B=first_B, bars_B=bars_B)

    @torch.no_grad()
    def prefill(self, prompts: Sequence[Ints]) -> Floats32:
        """Read the prompts (L, F) of all pieces in one forward pass, before any step; equal prompts are read once.

        Returns:
            (B, C) the states that predict the rows after them, valid until the next call.
        """
        self.states_BC[:] = self.model.start.detach().numpy()
        for state, plan in zip(self.states_BC, self.plans, strict=True):
            if plan is not None:
                state += plan.start
        whole = [np.ascontiguousarray(rows, dtype=np.int64) for rows in prompts]
        distinct, prompt_of = distinct_prompts(whole, distinct_plans(self.plans)[1])
        read = [u for u, rows_LF in enumerate(distinct) if len(rows_LF)]
        if read:
            owner = [prompt_of.index(u) for u in read]
            self.states_BC[owner] = self._read([distinct[u] for u in read], owner)
            for b, u in enumerate(prompt_of):
                if u in read and b != prompt_of.index(u):
                    self.cache.copy(prompt_of.index(u), b)
                    self.states_BC[b] = self.states_BC[prompt_of.index(u)]
        return self.states_BC

    def _read(self, prompts: Sequence[Ints], pieces: Sequence[int]) -> Floats32:
        """(U, C) the states after distinct prompts, whose keys and values go to the cache."""
        model = self.model
        pack = pack_of_prompts(prompts, model.vocabulary, self.first_masked_bar)
        layout = model.layout(pack)
        layout = replace(
            layout,
            row_rotation=complex_rotation(layout.row_rotation[:, 0]),
            bar_rotation=complex_rotation(layout.bar_rotation[:, 0]),
        )
        slots = np.concatenate([self.cache.place_prompt(b, rows) for b, rows in zip(pieces, prompts, strict=True)])
        weights = FusedWeights(model, half=self.half)
        r_NC = weights.embed(layout.rows_NF)
        plans = PromptPlans(pack, places_of(pack, model.vocabulary).bar, [self.plans[b] for b in pieces])
        s_TC = r_NC.new_zeros(layout.bar_plan.n_queries, model.config.width)
        if model.spec.summaries:
            s_TC = s_TC + model.summary
        biases = None if model.gates is None else model.gates.biases()
        closing = slots[:, SUMMARY] >= 0
        vocabulary = model.vocabulary
        opens = np.isin(pack.rows[:, INSTRUMENT], (vocabulary.bar, vocabulary.masked_bar, vocabulary.infill_bar))
        closed = np.cumsum(opens)[closing] - 2  # the summary of the bar before the one that opens here
        for y, layer in enumerate(weights.layers):
            r_NC = plans.to_rows(y, r_NC)
            r_NC, s_TC, kv = layer_forward(layer, r_NC, s_TC, layout, biases)
            self._write(y, slots[:, ROW], (kv.rows[0][: len(slots)], kv.rows[1][: len(slots)]))
            if kv.summaries and kv.summaries2:
                for kind, (k, v) in ((SUMMARY, kv.summaries), (SUMMARY2, kv.summaries2)):
                    self._write(y, slots[closing, kind], (k[closed], v[closed]))
        states_NC = plans.to_rows(len(weights.layers), F.rms_norm(r_NC, r_NC.shape[-1:], weights.scale))
        return np.asarray(states_NC[pack.starts[1:] - 1].float().numpy())

    def _write(self, layer: int, slots: Ints, kv: KV) -> None:
        """Write keys and values (n, G, D) of one layer, whose keys have the numbers of each rotary plane side by side."""
        k, v = kv
        k = torch.cat([k[..., 0::2], k[..., 1::2]], dim=-1)
        self.cache.write(layer, slots, k, v)

    def step(self, rows_BF: Ints) -> Floats32:
        """Read one row of each piece (B, F); a row that opens a bar closes the one before it.

        Returns:
            (B, C) the states that predict the rows after them, valid until the next call.
        """
        if self.weights is None:
            self.weights = packed_weights(self.model, half=self.half)
        rows_BF = np.ascontiguousarray(rows_BF, dtype=np.int64)  # what is compiled is compiled for that
        self.cache.place_rows(rows_BF)
        pages = self.cache.pages
        room = pages.visible.shape[1] * PAGE
        if self.buffers is None or self.buffers.scores.shape[1] < room:
            self.buffers = _buffers(self.weights, 2 * len(rows_BF), room)
        step_pieces(0, rows_BF, self.weights, self.conditions, pages, self.buffers, self.states_BC)
        return self.states_BC


def _piece_conditions(plans: Sequence[PlanConditions | None], shape: tuple[int, int]) -> PieceConditions:
    """What plans add to the rows of pieces, equal plans once."""
    distinct, plan_of = distinct_plans(plans)
    bars = np.array([*(len(plan.rows) for plan in distinct), 0], dtype=np.int64)  # the last stands for none
    first = np.cumsum(bars) - bars
    rows = np.concatenate([np.zeros((0, *shape), dtype=np.float32), *(plan.rows for plan in distinct)])
    return PieceConditions(rows=rows, first_B=first[plan_of], bars_B=bars[plan_of])


def _buffers(weights: PackedWeights, entries: int, room: int) -> Buffers:
    """Buffers for so many rows and summaries, which see up to `room` slots."""
    width = len(weights.scale)
    padded_head = padded_to(weights.head_width, VECTOR)

    def rows(n: int) -> Floats32:
        return np.zeros((entries, padded_to(n, LANES) + _SPREAD), dtype=np.float32)

    return Buffers(
        x=rows(width),
        normed=rows(width),
        qkv=rows((weights.heads + 2 * weights.kv_heads) * weights.head_width),
        q=rows(weights.heads * padded_head),
        attended=rows(weights.heads * padded_head),
        kv2=rows(2 * weights.kv_heads * weights.head_width),
        inner=rows(weights.inner.shape[1] * LANES),
        rotation=np.zeros((entries, 2, weights.head_width // 2), dtype=np.float32),
        scores=np.zeros((weights.heads // weights.kv_heads, room), dtype=np.float32),
        piece_E=np.zeros(entries, dtype=np.int64),
    )
