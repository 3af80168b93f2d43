"""Attention as a union of tiles, merged exactly by log-sum-exp, forward and backward, on PyTorch's flash kernel for CPUs.

Tile i gives outputs o_i and log-sum-exps lse_i over its own keys; merged,

    lse = log Σ exp(lse_i)        o = Σ exp(lse_i − lse) o_i

The backward pass calls the flash kernel's own backward for each tile with the merged o and lse, so no scores are stored. Source:
ring attention (Liu et al., 2023) for the merge; the tiles are ours.

A gate's bias is added to the scores of the pairs that pass it. Its gradient is the sum over those pairs of the gradient of their
scores, p (do · v − do · o) with p = exp(score − lse): two matrix products more in the backward pass.

Shape letters: L query rows, M key rows, H query heads, G key and value heads, R = H / G, D width of a head, E gates, N query
rows and K key rows of a tile.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from meloctl.model.attention.tiled.row_tile import RowIndex, RowTile

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


class TiledAttention(torch.autograd.Function):
    """Attention (L, H, D) of q (L, H, D) to k and v (M, G, D) under tiles whose gates add biases (E,) to the scores."""

    @staticmethod
    def forward(
        ctx: Any, q_LHD: Tensor, k_MGD: Tensor, v_MGD: Tensor, biases_E: Tensor | None, tiles: Sequence[RowTile]
    ) -> Tensor:
        """Outputs (L, H, D); 0 for a query that no tile holds.

        Args:
            q_LHD, k_MGD, v_MGD: queries, keys and values; H is a multiple of G.
            biases_E: score bias of each gate; None ignores gates.
            tiles: which pairs may attend, each pair in one tile at most.
        """
        q, k, v = (_dense_heads(x) for x in (q_LHD, k_MGD, v_MGD))
        out, lse = _forward(q, k, v, biases_E, tiles)
        ctx.save_for_backward(q, k, v, out, lse, biases_E)
        ctx.tiles = tiles
        return out

    @staticmethod
    def backward(ctx: Any, grad_LHD: Tensor) -> tuple[Tensor | None, ...]:
        """Gradient of the outputs (L, H, D) → gradients of q, k, v and the biases; None for what needs none."""
        q, k, v, out, lse, biases = ctx.saved_tensors
        dq, dk, dv = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        grad_LHD = _dense_heads(grad_LHD)
        db = biases.new_zeros(biases.shape, dtype=torch.float64) if ctx.needs_input_grad[3] else None
        for tile in ctx.tiles:
            grad, query, o, total = (_take(x, tile.queries) for x in (grad_LHD, q, out, lse))
            keys, values = _take(k, tile.keys), _take(v, tile.keys)
            bias = _bias(tile, biases, q.dtype)
            a, b, c = _tile_backward(grad, query, keys, values, o, total, tile.causal, bias)
            for x, rows, part in ((dq, tile.queries, a), (dk, tile.keys, b), (dv, tile.keys, c)):
                _add(x, rows, part)
            if db is not None and tile.gate is not None:
                scores = _score_gradient(grad, query, keys, values, o, total, bias)
                db += torch.bincount(tile.gate.flatten(), scores.flatten(), minlength=len(db))
        return dq, dk, dv, None if db is None else db.to(biases.dtype), None


def _forward(q: Tensor, k: Tensor, v: Tensor, biases: Tensor | None, tiles: Sequence[RowTile]) -> tuple[Tensor, Tensor]:
    """(L, H, D) outputs and (L, H) log-sum-exps; both 0 where a query has no key."""
    out = torch.zeros_like(q)
    lse = q.new_full(q.shape[:2], -torch.inf, dtype=torch.promote_types(q.dtype, torch.float32))
    repeats = q.shape[1] // k.shape[1]
    for tile in tiles:
        o_RGND, own_RGN = _flash(
            _by_head(_take(q, tile.queries), repeats),
            _shared(_take(k, tile.keys), repeats),
            _shared(_take(v, tile.keys), repeats),
            0.0,
            tile.causal,
            attn_mask=_bias(tile, biases, q.dtype),
        )
        o, own, before = _by_row(o_RGND), _by_row(own_RGN[..., None])[..., 0], _take(lse, tile.queries)
        if tile.without_keys is not None:  # the kernel reports 0 for a query without keys
            own = own.masked_fill(tile.without_keys[:, None], -torch.inf)
        total = torch.logaddexp(before, own)
        known = total.nan_to_num(neginf=0.0)  # a query without keys so far: both weights are exp(−inf) = 0
        old = _take(out, tile.queries) * _weight(before - known, q)
        _put(out, tile.queries, old.addcmul_(o, _weight(own - known, q)))
        _put(lse, tile.queries, total)
    return out, lse.nan_to_num_(neginf=0.0)


def _tile_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, causal: bool, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """One tile's terms of the gradients of q, k and v: (N, H, D), (K, G, D), (K, G, D)."""
    repeats = q.shape[1] // k.shape[1]
    # the kernel reads the log-sum-exps as (batch, row, head) in memory
    lse_RGN = lse.unflatten(1, (-1, repeats)).permute(2, 0, 1).contiguous().transpose(1, 2)
    heads = (_by_head(x, repeats) for x in (grad, q))
    shared = (_shared(x, repeats) for x in (k, v))
    a, b, c = _flash_backward(*heads, *shared, _by_head(out, repeats), lse_RGN, 0.0, causal, attn_mask=bias)
    dk_GKD, dv_GKD = (x[0] if repeats == 1 else x.sum(0) for x in (b, c))
    return _by_row(a), dk_GKD.transpose(0, 1), dv_GKD.transpose(0, 1)


def _score_gradient(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, bias: Tensor | None
) -> Tensor:
    """(N, K) gradient of a tile's scores, summed over heads, for a tile that is not causal."""
    repeats = q.shape[1] // k.shape[1]
    g_RGND, q_RGND, o_RGND = (_by_head(x, repeats) for x in (grad, q, out))
    k_RGKD, v_RGKD = _shared(k, repeats), _shared(v, repeats)
    p = torch.matmul(q_RGND, k_RGKD.transpose(2, 3)).mul_(q.shape[-1] ** -0.5)
    p = p.sub_(_by_head(lse[..., None], repeats).to(p.dtype))
    p = (p if bias is None else p.add_(bias)).exp_()
    through = torch.matmul(g_RGND, v_RGKD.transpose(2, 3)).sub_((g_RGND * o_RGND).sum(-1, keepdim=True))
    return p.mul_(through).sum(dim=(0, 1))


def _bias(tile: RowTile, biases: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """(1, 1, N, K) added to a tile's scores: its mask as 0 and −inf, and its gates' biases. None for nothing."""
    bias = None if tile.float_mask is None else tile.float_mask.to(dtype)
    if biases is not None and tile.gate is not None:
        gates = biases.detach().to(dtype)[tile.gate.int()]
        bias = gates if bias is None else gates.add_(bias)
    return None if bias is None else bias[None, None]


def _dense_heads(x: Tensor) -> Tensor:
    """x (…, D) with the D numbers of a head side by side in memory, as the kernel reads them (expanded tensors have stride 0)."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _weight(exponent_NH: Tensor, like: Tensor) -> Tensor:
    return exponent_NH.exp_()[..., None].to(like.dtype)


def _by_head(x_NHD: Tensor, repeats: int) -> Tensor:
    """(N, H, D) → (R, G, N, D), a view: of the R query heads that share a key head, each goes to another entry of the batch."""
    return x_NHD.unflatten(1, (-1, repeats)).permute(2, 1, 0, 3)


def _by_row(x_RGND: Tensor) -> Tensor:
    """(R, G, N, D) → (N, H, D): `_by_head` undone."""
    return x_RGND.permute(2, 1, 0, 3).flatten(1, 2)


def _shared(x_KGD: Tensor, repeats: int) -> Tensor:
    """(K, G, D) → (R, G, K, D), a view: the same key heads in each entry of the batch, not copied."""
    return x_KGD.transpose(0, 1).expand(repeats, -1, -1, -1)


def _take(x: Tensor, rows: RowIndex) -> Tensor:
    """Rows of x; a view where they are consecutive."""
    return x[rows] if isinstance(rows, slice) else x.index_select(0, rows)


def _put(x: Tensor, rows: RowIndex, values: Tensor) -> None:
    if isinstance(rows, slice):
        x[rows] = values
    else:
        x.index_copy_(0, rows, values)


def _add(x: Tensor, rows: RowIndex, values: Tensor) -> None:
    if isinstance(rows, slice):
        x[rows] += values
    else:
        x.index_add_(0, rows, values.contiguous())  # 8 times as slow from strided memory
