"""MeloFormer with cached keys and values: a prompt in one forward pass, then one row of each piece at a time.

When a bar closes, its summary passes through all layers and leaves the keys that later summaries see (first projection) and those
that rows see (second projection). Shape letters as in `meloformer.model`, and: B pieces, U distinct prompts, L rows of a prompt,
K rotary planes, n keys. An axis of two: keys, then values.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from meloctl.dataset.packs import Pack
from meloctl.model.attention.gates import all_earlier_rows
from meloctl.model.bar_plans import PlanConditions
from meloctl.model.meloformer.fused import FusedWeights, complex_rotation
from meloctl.model.meloformer.kv_cache import KVSegment, OffsetReach, PieceKVCache
from meloctl.model.meloformer.layout import places_of
from meloctl.model.meloformer.model import MeloFormer, layer_forward
from meloctl.model.meloformer.prefill import PromptPlaces, PromptPlans, PromptSlots, pack_of_prompts
from meloctl.model.prompts import distinct_plans, distinct_prompts
from meloctl.rows.parts import row_parts
from meloctl.rows.vocabulary import INSTRUMENT, POSITION


class MeloFormerDecoder:
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
            half: compute large products in bf16, see `fused_linear`.
            first_masked_bar: the bar, counted in the rows, that the first infill header opens again; None where none will come.
            plans: what the bar plans of each piece add, if it has any; None where none has.
        """
        self.model, self.weights = model, FusedWeights(model, half=half)
        gated = model.gates is not None
        self.biases = None if model.gates is None else model.gates.biases().detach()
        self.first_masked_bar = first_masked_bar
        self.plans = [None] * pieces if plans is None else list(plans)
        config, reach = model.config, OffsetReach(all_earlier_rows(model.spec) if gated else model.spec)
        like = self.weights.scale.new_empty(config.layers, 2, config.kv_heads, 0, config.head_width)
        self.pieces = [
            PieceKVCache(reach=reach, like=like, gated=gated, first_masked_bar=first_masked_bar) for _ in range(pieces)
        ]
        self.most_bytes = 0
        """The most bytes that keys and values have taken, as far as is known where bars and pieces end."""

    @property
    def nbytes(self) -> int:
        """Bytes allocated for keys and values of all pieces."""
        return sum(piece.nbytes for piece in self.pieces)

    def keep(self, chosen: Sequence[int]) -> None:
        """Keep these pieces alone, in this order."""
        self.most_bytes = max(self.most_bytes, self.nbytes)
        self.pieces, self.plans = [self.pieces[i] for i in chosen], [self.plans[i] for i in chosen]

    @torch.no_grad()
    def prefill(self, prompts: Sequence[Tensor]) -> Tensor:
        """Read the prompts of all pieces in one forward pass, before any step; equal prompts are read once.

        Args:
            prompts: (L, F) int64 of each piece, of any lengths, 0 included; each opens with a header row.

        Returns:
            (B, C) the states that predict the rows after them.
        """
        states_BC = self.model.start.detach().repeat(len(self.pieces), 1)
        for state_C, plan in zip(states_BC, self.plans, strict=True):
            if plan is not None:
                state_C += torch.from_numpy(plan.start)
        distinct, prompt_of = distinct_prompts(prompts, distinct_plans(self.plans)[1])
        read = [u for u, rows_LF in enumerate(distinct) if len(rows_LF)]
        if read:
            owner = [self.pieces[prompt_of.index(u)] for u in read]
            plans = [self.plans[prompt_of.index(u)] for u in read]
            states_UC = self._read([distinct[u] for u in read], owner, plans)
            for b, u in enumerate(prompt_of):
                if u in read:
                    states_BC[b] = states_UC[read.index(u)]
                    if b != prompt_of.index(u):
                        self.pieces[b] = owner[read.index(u)].clone()
        return states_BC

    def _read(
        self, prompts: Sequence[Tensor], caches: Sequence[PieceKVCache], plans: Sequence[PlanConditions | None]
    ) -> Tensor:
        """(U, C) the states after distinct prompts (L, F) with their plans, whose keys and values go to the caches of as many
        pieces."""
        model = self.model
        pack = pack_of_prompts([rows_LF.numpy() for rows_LF in prompts], model.vocabulary, self.first_masked_bar)
        layout = model.layout(pack)
        layout = replace(
            layout,
            row_rotation=complex_rotation(layout.row_rotation[:, 0]),
            bar_rotation=complex_rotation(layout.bar_rotation[:, 0]),
        )
        slots = self._slots(pack, caches)
        r_NC = self.weights.embed(layout.rows_NF)
        planned = PromptPlans(pack, places_of(pack, model.vocabulary).bar, plans)
        s_TC = r_NC.new_zeros(layout.bar_plan.n_queries, model.config.width)
        if model.spec.summaries:
            s_TC = s_TC + model.summary
        for y, layer in enumerate(self.weights.layers):
            r_NC = planned.to_rows(y, r_NC)
            r_NC, s_TC, kv = layer_forward(layer, r_NC, s_TC, layout, self.biases)
            for some in slots:
                some.write(y, kv)
        for some in slots:
            some.finish()
        return planned.to_rows(len(self.weights.layers), self._normed(r_NC))[pack.starts[1:] - 1]

    def _slots(self, pack: Pack, caches: Sequence[PieceKVCache]) -> list[PromptSlots]:
        """Slots for each window of a pack in the cache of its piece."""
        vocabulary = self.model.vocabulary
        places = places_of(pack, vocabulary)
        slots, first_summary = [], 0
        for cache, first, stop in zip(caches, pack.starts[:-1].tolist(), pack.starts[1:].tolist(), strict=True):
            rows = slice(first, stop)
            its = PromptPlaces(
                bar=places.bar[rows],
                segment=places.segment[rows],
                part=places.part[rows],
                is_drums=places.is_drums[rows],
            )
            summary = first_summary if self.model.spec.summaries else None
            slots.append(PromptSlots(cache, its, first_row=first, first_summary=summary))
            first_summary += int(its.segment[-1]) + 1
        return slots

    @torch.no_grad()
    def step(self, rows_BF: Tensor) -> Tensor:
        """Read one row of each piece, (B, F) int64; a row that opens a bar closes the one before it.

        Returns:
            (B, C) the states that predict the rows after them.
        """
        vocabulary = self.model.vocabulary
        openers = (vocabulary.bar, vocabulary.masked_bar, vocabulary.infill_bar)
        opens_B = [instrument in openers for instrument in rows_BF[:, INSTRUMENT].tolist()]
        if any(opens_B):
            self.most_bytes = max(self.most_bytes, self.nbytes)
        parts_B = row_parts(rows_BF.numpy(), vocabulary).tolist()
        slots: list[tuple[KVSegment, int]] = []
        for piece, row, part, opens in zip(self.pieces, rows_BF.tolist(), parts_B, opens_B, strict=True):
            if opens:
                if piece.bar >= 0:
                    self._close_bar(piece)
                piece.open_bar(infill=row[INSTRUMENT] == vocabulary.infill_bar)
            slots.append(piece.append_rows(part, drum=row[INSTRUMENT] == vocabulary.drums))
        at = zip(self.pieces, rows_BF[:, POSITION].clamp(min=0).tolist(), strict=True)
        rotation_BK = torch.stack([self.weights.rotation(piece.bar, position) for piece, position in at])
        biases = [self._biases(piece) for piece in self.pieces]
        x_BC = self.weights.embed(rows_BF)
        for y, layer in enumerate(self.weights.layers):
            x_BC = self._with_plans(y, x_BC)
            q_BHD, kv_B2GD = layer.project_joint(x_BC, rotation_BK)
            heads = []
            for b, (piece, (segment, slot)) in enumerate(zip(self.pieces, slots, strict=True)):
                segment.kv[y, :, :, slot] = kv_B2GD[b]
                assert piece.cell
                seen = segment.kv[y, :, :, piece.cell.first : segment.end]
                heads.append(_attend(q_BHD[b], seen, biases[b]))
            x_BC = layer.feed(layer.add_attention(x_BC, torch.stack(heads)))
        return self._with_plans(len(self.weights.layers), self._normed(x_BC))

    def _with_plans(self, place: int, x_BC: Tensor) -> Tensor:
        """(B, C) rows, or states, with what the plans of their bars add at a place, see `PlanConditions`."""
        x_BC = x_BC.clone()
        for x_C, piece, plan in zip(x_BC, self.pieces, self.plans, strict=True):
            if plan is not None and piece.bar < len(plan.rows):
                x_C += torch.from_numpy(plan.rows[piece.bar, place])
        return x_BC

    def _normed(self, x_BC: Tensor) -> Tensor:
        """(B, C) rows after the last layer → states."""
        return F.rms_norm(x_BC, x_BC.shape[-1:], self.weights.scale)

    def _biases(self, piece: PieceKVCache) -> Tensor | None:
        """(n,) the score bias of each key that the open cell sees, by its gate; None without gates."""
        gates = piece.cell.gates if piece.cell else None
        return None if self.biases is None or gates is None else self.biases[gates]

    def _close_bar(self, piece: PieceKVCache) -> None:
        """Close a piece's open bar: compute its summary in every layer, and drop what no later row can see."""
        piece.close_cell()
        if self.model.spec.summaries:
            self._summarise(piece)
        piece.drop_unseen()

    def _summarise(self, piece: PieceKVCache) -> None:
        """Compute the summary of a piece's newest bar, and cache its keys and values in every layer."""
        rotation_1K = self.weights.rotation(piece.bar, 0)[None]
        rows = piece.rows_of_bar()
        for segment in (piece.summaries, piece.summaries2):
            segment.append(piece.bar, 1)
        s_1C = self.model.summary.detach()[None]
        for y, layer in enumerate(self.weights.layers):
            q_1HD, kv_12GD = layer.project_joint(s_1C, rotation_1K)
            earlier = piece.summaries.kv[y, :, :, : piece.summaries.end]
            earlier[:, :, -1] = kv_12GD[0]
            s_1C = layer.add_attention(s_1C, _attend(q_1HD[0], torch.cat([earlier, rows[y]], dim=2), None)[None])
            for axis, x_1GD in enumerate(layer.project2(s_1C, rotation_1K)):
                piece.summaries2.kv[y, axis, :, piece.summaries2.end - 1] = x_1GD[0]
            if not layer.last:
                s_1C = layer.feed(s_1C)


def _attend(q_HD: Tensor, kv_2GnD: Tensor, bias_n: Tensor | None) -> Tensor:
    """(H, D) attention of one query to all of some keys; query heads that share a key head stand as rows of the query."""
    g, d = kv_2GnD.shape[1], kv_2GnD.shape[3]
    q_GRD = q_HD.view(1, g, -1, d)
    bias = None if bias_n is None else bias_n.to(q_HD.dtype).expand(1, 1, q_GRD.shape[2], -1)
    out = F.scaled_dot_product_attention(q_GRD, kv_2GnD[None, 0], kv_2GnD[None, 1], attn_mask=bias)
    return out.reshape(-1, d)
