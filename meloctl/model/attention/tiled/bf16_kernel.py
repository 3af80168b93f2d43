"""Attention under tiles in bf16, on processors with AVX-512 and bf16 instructions: all tiles of a pack in one compiled call.

What `kernel.TiledAttention` computes, with products of bf16 and sums of float32: three times as fast, and a tile costs next to
nothing beyond its scores.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from analysis.arrays import Ints
from meloctl.machine import computes_in_half
from meloctl.model.attention.tiled.row_tile import RowIndex, RowTile
from meloctl.model.row_threads import in_threads

WIDTH_MULTIPLE = 32
"""Of a head."""

_LOG2_E = 1.4426950408889634

Words = npt.NDArray[np.uint32]
Floats32 = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class FlatTiles:
    """Tiles as flat arrays."""

    tiles: Ints
    """(n, 7): first of `q_rows`, queries, first of `k_rows`, keys, first of `low_high`, first of `mask` or −1, causal."""

    q_rows: npt.NDArray[np.int32]
    k_rows: npt.NDArray[np.int32]
    low_high: npt.NDArray[np.int32]
    """(blocks, 2): of each block of queries of each tile, the keys that any of them attends to lie in low..high − 1."""

    mask: npt.NDArray[np.uint8]
    """(N, K) of each tile with a mask, row by row; 64 bytes behind the last."""

    groups: Ints
    """(groups + 1,) first tile of each group; no two groups share a query or a key."""

    work: Ints
    """(groups,) scores that are computed for each group."""

    def items(self, kv_heads: int, threads: int) -> list[Ints]:
        """For each of at most `threads` threads, (n, 3) first tile, last tile + 1 and key head of what it computes."""
        every = [
            (int(work), int(first), int(end), g)
            for work, first, end in zip(self.work, self.groups[:-1], self.groups[1:], strict=True)
            for g in range(kv_heads)
            if end > first
        ]
        parts: list[list[tuple[int, int, int]]] = [[] for _ in range(max(1, min(threads, len(every))))]
        load = [0] * len(parts)
        for work, *item in sorted(
            every, reverse=len(parts) > 1
        ):  # the largest first, each to the thread with the least
            least = load.index(min(load))
            parts[least].append((item[0], item[1], item[2]))
            load[least] += work
        return [np.array(part, dtype=np.int64).reshape(-1, 3) for part in parts]


def flat_tiles(tiles: Sequence[RowTile], groups: Sequence[int]) -> FlatTiles:
    """Tiles without gates as flat arrays.

    Args:
        tiles: a plan's.
        groups: first tile of each group, see `FlatTiles.groups`.
    """
    rows, columns = ([_numbers(x) for x in of] for of in ([t.queries for t in tiles], [t.keys for t in tiles]))
    masks = [None if t.mask is None else t.mask.numpy().view(np.uint8) for t in tiles]
    ranges = [t.key_ranges for t in tiles]
    about = np.zeros((len(tiles), 7), dtype=np.int64)
    about[:, 1], about[:, 3] = [len(x) for x in rows], [len(x) for x in columns]
    about[:, 0], about[:, 2] = np.cumsum(about[:, 1]) - about[:, 1], np.cumsum(about[:, 3]) - about[:, 3]
    blocks, sizes = (
        np.array([len(x) for x in ranges], np.int64),
        np.array([0 if x is None else x.size for x in masks], np.int64),
    )
    about[:, 4] = np.cumsum(blocks) - blocks
    about[:, 5] = np.where(sizes > 0, np.cumsum(sizes) - sizes, -1)
    about[:, 6] = [t.causal for t in tiles]
    low_high = np.concatenate([np.zeros((0, 2), np.int32), *ranges])
    bounds = np.array([*groups, len(tiles)], dtype=np.int64)
    spans = np.append(0, np.cumsum(low_high[:, 1] - low_high[:, 0], dtype=np.int64))
    at = np.append(about[:, 4], len(low_high))
    return FlatTiles(
        tiles=about,
        q_rows=np.concatenate([np.zeros(0, np.int32), *rows]),
        k_rows=np.concatenate([np.zeros(0, np.int32), *columns]),
        low_high=low_high,
        mask=np.concatenate([*(x.ravel() for x in masks if x is not None), np.zeros(64, np.uint8)]),
        groups=bounds,
        work=np.diff(spans[at[bounds]]),
    )


@cache
def has_kernel() -> bool:
    """Has this processor the instructions, and may numba use them?"""
    if not computes_in_half("cpu"):
        return False
    import numba
    from numba.core.registry import cpu_target

    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return False
    _, processor, features = cpu_target.target_context.codegen().magic_tuple()
    return "+avx512bf16" in features.split(",")


class Bf16Attention(torch.autograd.Function):
    """Attention (L, H, D) of q (L, H, D) to k and v (M, G, D), all bf16, under tiles without gates; D a multiple of 32."""

    @staticmethod
    def forward(ctx: Any, q_LHD: Tensor, k_MGD: Tensor, v_MGD: Tensor, flat: FlatTiles) -> Tensor:
        """Outputs (L, H, D) in bf16; 0 for a query that no tile holds.

        Args:
            q_LHD, k_MGD, v_MGD: queries, keys and values; H is a multiple of G.
            flat: which pairs may attend.
        """
        out = torch.empty(q_LHD.shape, dtype=torch.bfloat16)
        lse = attention(q_LHD, k_MGD, v_MGD, flat, out)
        ctx.save_for_backward(q_LHD, k_MGD, v_MGD, out, lse)
        ctx.flat = flat
        return out

    @staticmethod
    def backward(ctx: Any, grad_LHD: Tensor) -> tuple[Tensor | None, ...]:
        """Gradient of the outputs (L, H, D) → gradients of q, k and v."""
        q, k, v, out, lse = ctx.saved_tensors
        gradients = [torch.zeros(x.shape) for x in (q, k, v)]
        attention_backward(grad_LHD.contiguous(), q, k, v, out, lse, ctx.flat, *gradients)
        return *(x.bfloat16() for x in gradients), None


def attention(q_LHD: Tensor, k_MGD: Tensor, v_MGD: Tensor, flat: FlatTiles, out_LHD: Tensor) -> Tensor:
    """Attention into out_LHD, contiguous; the log-sum-exps (L · H,) in units of log 2.

    Args:
        q_LHD, k_MGD, v_MGD: bf16; H is a multiple of G.
        flat: which pairs may attend.
        out_LHD: bf16, written; 0 for a query that no tile holds.
    """
    from meloctl.model.attention.tiled.bf16_loops import finish, forward

    (length, heads, width), kv_heads = q_LHD.shape, k_MGD.shape[1]
    (q, q_row), (k, kv_row), (v, _) = words_of(q_LHD), *_keys_and_values(k_MGD, v_MGD)
    o = np.zeros(length * heads * width, np.float32)
    most, sums = np.full(length * heads, -np.inf, np.float32), np.zeros(length * heads, np.float32)
    sizes = (heads, kv_heads, width, width**-0.5 * _LOG2_E)
    tiles = (flat.tiles, flat.q_rows, flat.k_rows, flat.low_high, flat.mask)
    in_threads(
        lambda items: forward(q, q_row, k, v, kv_row, *sizes, *tiles, items, o, most, sums),
        flat.items(kv_heads, torch.get_num_threads()),
    )
    finish(o, most, sums, width, words_of(out_LHD)[0])
    return torch.from_numpy(most)


def attention_backward(
    grad_LHD: Tensor,
    q_LHD: Tensor,
    k_MGD: Tensor,
    v_MGD: Tensor,
    out_LHD: Tensor,
    lse: Tensor,
    flat: FlatTiles,
    dq_LHD: Tensor,
    dk_MGD: Tensor,
    dv_MGD: Tensor,
) -> None:
    """Add the gradients of q, k and v to dq, dk and dv.

    Args:
        grad_LHD, out_LHD: bf16, contiguous: the outputs and their gradient.
        q_LHD, k_MGD, v_MGD: as `attention` had them.
        lse: what `attention` returned.
        flat: as `attention` had it.
        dq_LHD, dk_MGD, dv_MGD: float32.
    """
    from meloctl.model.attention.tiled.bf16_loops import backward, row_products

    (length, heads, width), kv_heads = q_LHD.shape, k_MGD.shape[1]
    (q, q_row), (k, kv_row), (v, _) = words_of(q_LHD), *_keys_and_values(k_MGD, v_MGD)
    grad, delta = words_of(grad_LHD)[0], np.empty(length * heads, np.float32)
    row_products(grad, words_of(out_LHD)[0], width // 2, delta)
    sizes = (heads, kv_heads, width, width**-0.5 * _LOG2_E)
    tiles = (flat.tiles, flat.q_rows, flat.k_rows, flat.low_high, flat.mask)
    (dq, dq_row), (dk, dk_row), (dv, _) = (floats_of(x) for x in (dq_LHD, dk_MGD, dv_MGD))
    sums = (lse.numpy(), delta, dq, dq_row, dk, dv, dk_row)
    in_threads(
        lambda items: backward(q, q_row, k, v, kv_row, grad, *sizes, *tiles, items, *sums),
        flat.items(kv_heads, torch.get_num_threads()),
    )


def words_of(x: Tensor) -> tuple[Words, int]:
    """bf16 (N, …) with the numbers of a row side by side → flat words from its first number on, and words from row to row."""
    flat, row = _flat(x)
    return flat.view(torch.int32).numpy().view(np.uint32), row // 2


def floats_of(x: Tensor) -> tuple[Floats32, int]:
    """float32 (N, …) with the numbers of a row side by side → flat numbers from its first on, and how many from row to row."""
    flat, row = _flat(x)
    return flat.numpy(), row


def _flat(x: Tensor) -> tuple[Tensor, int]:
    size = math.prod(x.shape[1:])
    return x.detach().as_strided((max(0, (len(x) - 1) * x.stride(0) + size) if len(x) else 0,), (1,)), x.stride(0)


def _keys_and_values(k_MGD: Tensor, v_MGD: Tensor) -> tuple[tuple[Words, int], tuple[Words, int]]:
    """Both as words, with rows equally far apart."""
    if k_MGD.stride(0) != v_MGD.stride(0):
        k_MGD, v_MGD = k_MGD.contiguous(), v_MGD.contiguous()
    return words_of(k_MGD), words_of(v_MGD)


def _numbers(rows: RowIndex) -> npt.NDArray[np.int32]:
    return (
        np.arange(rows.start, rows.stop, dtype=np.int32) if isinstance(rows, slice) else rows.numpy().astype(np.int32)
    )
