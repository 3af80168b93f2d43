"""What attention computes on CUDA, ready for FlexAttention: one call or two; all that differs between packs is tensors.

Shape letters: L queries, M keys, N rows of a pack, I blocks of queries, J blocks of keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from analysis.arrays import Ints
from meloctl.model.attention.flex.block_mask import EVERY, Stretch, listed, visited
from meloctl.model.attention.flex.mods import mask_mod


@dataclass(frozen=True, kw_only=True, eq=False)
class FlexCall:
    """One call of the kernel."""

    n_queries: int
    n_keys: int
    block: int
    bounds: tuple[tuple[Tensor, Tensor], ...]
    """(L,) int32 first key and (L,) int32 end of each stretch."""

    among: tuple[frozenset[int], ...]
    """The relations seen of each stretch: the same for every pack."""

    parts: tuple[Tensor, Tensor] | None
    """(L,) and (M,) int32, twice the part and 1 more for drums; None where no stretch asks for parts."""

    lists: tuple[Tensor, ...]
    """int32: (1, 1, I) number and (1, 1, I, J) indices of the blocks of keys of each block of queries that are seen in part, then
    of those seen whole; the same two by blocks of keys, (1, 1, J) and (1, 1, J, I), for the backward pass."""

    mask: BlockMask = field(init=False)
    """All this, as the kernel takes it. Made here and now: what is compiled reads it as a plain attribute."""

    def __post_init__(self) -> None:
        kv_num, kv, full_kv_num, full_kv, q_num, q, full_q_num, full_q = self.lists
        mask = BlockMask(
            seq_lengths=(self.n_queries, self.n_keys),
            kv_num_blocks=kv_num,
            kv_indices=kv,
            full_kv_num_blocks=full_kv_num,
            full_kv_indices=full_kv,
            q_num_blocks=q_num,
            q_indices=q,
            full_q_num_blocks=full_q_num,
            full_q_indices=full_q,
            BLOCK_SIZE=(self.block, self.block),
            mask_mod=mask_mod(self.bounds, self.among, self.parts),
        )
        object.__setattr__(self, "mask", mask)

    def to(self, device: torch.device) -> "FlexCall":
        """The same on a device."""
        return replace(
            self,
            bounds=tuple((low.to(device), high.to(device)) for low, high in self.bounds),
            parts=None if self.parts is None else (self.parts[0].to(device), self.parts[1].to(device)),
            lists=tuple(x.to(device) for x in self.lists),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnPart:
    """The call that holds one's own part."""

    call: FlexCall
    order: Tensor
    """(N,) int64, the row at each place when rows are sorted by window and part, padding last."""

    place: Tensor
    """(N,) int64, the place of each row."""

    def to(self, device: torch.device) -> "OwnPart":
        """The same on a device."""
        return OwnPart(call=self.call.to(device), order=self.order.to(device), place=self.place.to(device))


@dataclass(frozen=True, kw_only=True, eq=False)
class GateRows:
    """What decides the gate of a pair."""

    bar_L: Tensor
    """(L,) int32"""

    bar_M: Tensor
    """(M,) int32; of summaries, any: their part says that they pass no gate."""

    part_L: Tensor
    """(L,) int32, as in FlexCall."""

    part_M: Tensor
    """(M,) int32"""

    def to(self, device: torch.device) -> "GateRows":
        """The same on a device."""
        return GateRows(**{name: x.to(device) for name, x in vars(self).items()})


@dataclass(frozen=True, kw_only=True, eq=False)
class FlexPlan:
    """Every pair (query, key) that is seen lies in one of at most two calls. A query that sees no key gives 0."""

    call: FlexCall
    own: OwnPart | None = None
    gates: GateRows | None = None

    @property
    def n_queries(self) -> int:
        """L."""
        return self.call.n_queries

    def to(self, device: torch.device) -> "FlexPlan":
        """The same on a device."""
        own, gates = (None if x is None else x.to(device) for x in (self.own, self.gates))
        return FlexPlan(call=self.call.to(device), own=own, gates=gates)  # type: ignore[arg-type]


def call_of(stretches: Sequence[Stretch], n_keys: int, block: int, parts: tuple[Ints, Ints] | None = None) -> FlexCall:
    """The call that shows what stretches show.

    Args:
        stretches: of L queries, one or more.
        n_keys: M.
        block: rows of a block.
        parts: (L,) and (M,), as in FlexCall, for stretches that show some relations alone.
    """
    seen, whole = visited(stretches, n_keys, block)
    chosen = seen & ~whole, whole, (seen & ~whole).T, whole.T
    asked = parts is not None and any(s.among != EVERY for s in stretches)
    return FlexCall(
        n_queries=len(stretches[0].low),
        n_keys=n_keys,
        block=block,
        bounds=tuple((int32(s.low), int32(s.high)) for s in stretches),
        among=tuple(s.among for s in stretches),
        parts=(int32(parts[0]), int32(parts[1])) if parts is not None and asked else None,
        lists=tuple(x for blocks in chosen for x in listed(blocks)),
    )


def int32(x: Ints) -> Tensor:
    """As kernels read whole numbers."""
    return torch.from_numpy(x.astype(np.int32))
