"""FlexPlan: one attention call for FlexAttention, as one kernel call or two; all that differs between packs is tensors.

Shape letters: L queries, M keys, N rows of a pack, I blocks of queries, J blocks of keys, H and G heads, D their width, E gates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from analysis.arrays import Ints
from meloctl.model.attention.flex import kernel
from meloctl.model.attention.flex.block_mask import ALL_RELATIONS, KeyRange, block_list, visited_blocks
from meloctl.model.attention.flex.mods import mask_mod


@dataclass(frozen=True, kw_only=True, eq=False)
class FlexCall:
    """The mask of one kernel call."""

    n_queries: int
    n_keys: int
    block: int
    """Rows of a block."""

    bounds: tuple[tuple[Tensor, Tensor], ...]
    """(L,) int32 start and (L,) int32 end of each range of keys."""

    relations: tuple[frozenset[int], ...]
    """Relations shown in each range; the same for every pack under one mask."""

    parts: tuple[Tensor, Tensor] | None
    """(L,) and (M,) int32 part codes of queries and keys: twice the part, and 1 more for drums. None where no range asks."""

    lists: tuple[Tensor, ...]
    """int32: (1, 1, I) number and (1, 1, I, J) indices of the blocks of keys of each block of queries that are shown in part,
    then of those shown whole; the same two by blocks of keys, (1, 1, J) and (1, 1, J, I), for the backward pass."""

    mask: BlockMask = field(init=False)
    """All this in FlexAttention's own form; made at once, since compiled code reads it as a plain attribute."""

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
            mask_mod=mask_mod(self.bounds, self.relations, self.parts),
        )
        object.__setattr__(self, "mask", mask)

    def to(self, device: torch.device) -> "FlexCall":
        """The same on a device."""
        return replace(
            self,
            bounds=tuple((start.to(device), end.to(device)) for start, end in self.bounds),
            parts=None if self.parts is None else (self.parts[0].to(device), self.parts[1].to(device)),
            lists=tuple(x.to(device) for x in self.lists),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnPart:
    """The kernel call in which each row attends to its own part, with rows sorted by part."""

    call: FlexCall
    order: Tensor
    """(N,) int64, the row at each place when rows are sorted by window and part, padding last."""

    place: Tensor
    """(N,) int64, the place of each row: the inverse of `order`."""

    def to(self, device: torch.device) -> "OwnPart":
        """The same on a device."""
        return OwnPart(call=self.call.to(device), order=self.order.to(device), place=self.place.to(device))


@dataclass(frozen=True, kw_only=True, eq=False)
class GateRows:
    """What decides which gate a pair passes."""

    bar_L: Tensor
    """(L,) int32, bar of each query."""

    bar_M: Tensor
    """(M,) int32, bar of each key; any for summaries, whose part says that they pass no gate."""

    part_L: Tensor
    """(L,) int32 part codes, as in `FlexCall`."""

    part_M: Tensor
    """(M,) int32 part codes; below 0 for summaries."""

    def to(self, device: torch.device) -> "GateRows":
        """The same on a device."""
        return GateRows(**{name: x.to(device) for name, x in vars(self).items()})


@dataclass(frozen=True, kw_only=True, eq=False)
class FlexPlan:
    """Kernel calls, at most two, that hold each pair (query, key) that may attend exactly once; an `AttentionPlan`."""

    call: FlexCall
    own: OwnPart | None = None
    gates: GateRows | None = None

    @property
    def n_queries(self) -> int:
        """L."""
        return self.call.n_queries

    def attend(self, q_LHD: Tensor, k_MGD: Tensor, v_MGD: Tensor, biases_E: Tensor | None = None) -> Tensor:
        """(L, H, D) attention; see `AttentionPlan.attend`.

        Args:
            q_LHD, k_MGD, v_MGD: queries, keys and values; H is a multiple of G.
            biases_E: score bias of each gate; None ignores gates.

        Raises:
            MeloError: torch.compile is switched off, on CUDA.
        """
        attention: Callable[..., Tensor] = kernel.masked_attention
        rest: tuple[Tensor | BlockMask, ...] = ()
        if self.own is not None:
            attention, rest = kernel.split_attention, (self.own.call.mask, self.own.order, self.own.place)
        elif self.gates is not None and biases_E is not None:
            gates = self.gates
            attention, rest = kernel.gated_attention, (gates.bar_L, gates.bar_M, gates.part_L, gates.part_M, biases_E)
        attention = kernel.compiled_on_cuda(attention, q_LHD, k_MGD, self.call.relations, self.call.block)
        return attention(q_LHD, k_MGD, v_MGD, self.call.mask, *rest)

    def to(self, device: torch.device) -> "FlexPlan":
        """The same on a device."""
        own, gates = (None if x is None else x.to(device) for x in (self.own, self.gates))
        return FlexPlan(call=self.call.to(device), own=own, gates=gates)  # type: ignore[arg-type]


def call_of(ranges: Sequence[KeyRange], n_keys: int, block: int, parts: tuple[Ints, Ints] | None = None) -> FlexCall:
    """The kernel call that shows ranges of keys.

    Args:
        ranges: of L queries, one or more.
        n_keys: M.
        block: rows of a block.
        parts: (L,) and (M,) part codes, as in `FlexCall`, for ranges that show some relations alone.
    """
    touched, whole = visited_blocks(ranges, n_keys, block)
    in_part = touched & ~whole
    needed = parts is not None and any(keys.relations != ALL_RELATIONS for keys in ranges)
    return FlexCall(
        n_queries=len(ranges[0].start),
        n_keys=n_keys,
        block=block,
        bounds=tuple((int32(keys.start), int32(keys.end)) for keys in ranges),
        relations=tuple(keys.relations for keys in ranges),
        parts=(int32(parts[0]), int32(parts[1])) if parts is not None and needed else None,
        lists=tuple(x for blocks in (in_part, whole, in_part.T, whole.T) for x in block_list(blocks)),
    )


def int32(x: Ints) -> Tensor:
    """A tensor of whole numbers in the type that kernels read."""
    return torch.from_numpy(x.astype(np.int32))
