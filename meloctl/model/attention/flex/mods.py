"""The functions that FlexAttention calls for single pairs: may this pair attend, and what is added to its score?

Each takes scalar tensors (batch, head, query, key) and looks up captured tensors, never Python numbers that differ between packs,
so that one compiled kernel serves every pack. They run for each pair of a block that is not shown whole: the fewer operations
the better, and comparing the key with two bounds of the query is cheaper than looking up offsets.

Shape letters: L queries, M keys, E gates.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import and_masks, or_masks

from masks.tiling.cell_rows import CROSS, DRUMS, SAME
from meloctl.model.attention.flex.block_mask import ALL_RELATIONS
from meloctl.model.attention.gates import LAST_OFFSET, N_OFFSETS

MaskMod = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
ScoreMod = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def mask_mod(
    bounds: Sequence[tuple[Tensor, Tensor]],
    relations: Sequence[frozenset[int]],
    parts: tuple[Tensor, Tensor] | None,
) -> MaskMod:
    """True where a key lies in a range of the query and stands in one of the range's relations to it.

    Args:
        bounds: (L,) start and (L,) end of each range, int32.
        relations: of each range, see `KeyRange`.
        parts: (L,) and (M,) part codes of queries and keys, see `FlexCall`; None where every range shows all relations.
    """
    terms = []
    for shown in dict.fromkeys(relations):
        inside = or_masks(*(_inside(*b) for b, r in zip(bounds, relations, strict=True) if r == shown))
        if shown != ALL_RELATIONS:
            assert parts is not None
            inside = and_masks(inside, _related(shown, *parts))
        terms.append(inside)
    return or_masks(*terms)


def gate_mod(bar_L: Tensor, bar_M: Tensor, part_L: Tensor, part_M: Tensor, bias_LE: Tensor) -> ScoreMod:
    """Adds the bias of the gate that a pair passes, at the index of `gates.gate_index`.

    Args:
        bar_L, bar_M, part_L, part_M: int32, see `GateRows`.
        bias_LE: the same biases for each query. The gradient is summed by atomic additions, pair by pair: with one copy of the
            biases all pairs of all heads would queue for some hundred numbers.
    """

    def mod(score: Tensor, _batch: Tensor, _head: Tensor, q: Tensor, k: Tensor) -> Tensor:
        mine, its = part_L[q], part_M[k]
        offset = (bar_L[q] - bar_M[k]).abs().clamp(max=LAST_OFFSET + 1) * (its >= 0)  # a summary's counts as offset 0
        relation = (mine != its).to(torch.int32) * (CROSS + ((mine | its) & 1) * (DRUMS - CROSS))  # SAME is 0
        return score + bias_LE[q, relation * N_OFFSETS + offset]

    return mod


def _inside(start_L: Tensor, end_L: Tensor) -> MaskMod:
    def mod(_batch: Tensor, _head: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (start_L[q] <= k) & (k < end_L[q])

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
