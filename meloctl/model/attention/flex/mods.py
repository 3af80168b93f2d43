"""What FlexAttention asks about single pairs: is this pair seen, and what does its score gain?

Each takes scalar tensors (batch, head, query, key) and looks up captured tensors, never numbers that differ between packs, so
that one compiled kernel serves every pack. They run for each pair of a block that is seen in part: the fewer operations the
better, and a comparison of the key with two bounds of the query is cheaper than offsets looked up in a table.

Shape letters: L queries, M keys, E gates.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import and_masks, or_masks

from masks.tiling.cell_rows import CROSS, DRUMS, SAME
from meloctl.model.attention.flex.block_mask import EVERY
from meloctl.model.attention.gates import LAST, N_OFFSETS

MaskMod = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
ScoreMod = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def mask_mod(
    bounds: Sequence[tuple[Tensor, Tensor]], among: Sequence[frozenset[int]], parts: tuple[Tensor, Tensor] | None
) -> MaskMod:
    """True where a key lies in a stretch of the query, and is to it what the stretch shows; see `FlexCall`."""
    terms = []
    for relations in dict.fromkeys(among):
        within = or_masks(*(_within(*b) for b, r in zip(bounds, among, strict=True) if r == relations))
        if relations != EVERY:
            assert parts is not None
            within = and_masks(within, _related(relations, *parts))
        terms.append(within)
    return or_masks(*terms)


def gate_mod(bar_L: Tensor, bar_M: Tensor, part_L: Tensor, part_M: Tensor, bias_LE: Tensor) -> ScoreMod:
    """Adds the bias of the gate that a pair passes, as `meloctl.model.attention.gates` numbers gates.

    Args:
        bar_L, bar_M, part_L, part_M: int32, see `GateRows`.
        bias_LE: the same biases for each query. The gradient is summed by atomic additions, pair by pair: with one copy of the
            biases all pairs of all heads would queue for some hundred numbers.
    """

    def mod(score: Tensor, _batch: Tensor, _head: Tensor, q: Tensor, k: Tensor) -> Tensor:
        mine, its = part_L[q], part_M[k]
        offset = (bar_L[q] - bar_M[k]).abs().clamp(max=LAST + 1) * (its >= 0)  # summaries pass as one's own bar does
        relation = (mine != its).to(torch.int32) * (CROSS + ((mine | its) & 1) * (DRUMS - CROSS))  # SAME is 0
        return score + bias_LE[q, relation * N_OFFSETS + offset]

    return mod


def _within(low: Tensor, high: Tensor) -> MaskMod:
    def mod(_batch: Tensor, _head: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (low[q] <= k) & (k < high[q])

    return mod


def _related(relations: frozenset[int], part_L: Tensor, part_M: Tensor) -> MaskMod:
    same, cross, drums = (r in relations for r in (SAME, CROSS, DRUMS))

    def mod(_batch: Tensor, _head: Tensor, q: Tensor, k: Tensor) -> Tensor:
        mine, its = part_L[q], part_M[k]
        if cross == drums:
            return mine == its if same else mine != its
        drummed = ((mine | its) & 1) == int(drums)
        return (mine == its) | drummed if same else (mine != its) & drummed

    return mod
