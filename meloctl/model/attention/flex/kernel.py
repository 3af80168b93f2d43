"""FlexAttention on CUDA: one call, one call with gates, or two calls merged by log-sum-exp, each one graph compiled once.

The kernel is differentiable in its outputs and in its log-sum-exps, so the merge is plain autograd. Compiled for one length of
pack, a graph serves every pack: what differs between packs is in tensors. Uncompiled FlexAttention would hold all L × M scores,
so that is refused on CUDA; on a CPU, in tests, it defines what the compiled kernel computes.

Shape letters: L queries, M keys, N rows, H query heads, G key and value heads, D width of a head, E gates.
"""

from collections.abc import Callable, Hashable
from functools import cache
from types import FunctionType
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import AuxRequest, BlockMask, flex_attention

from analysis.errors import MeloError
from meloctl.model.attention.flex.mods import ScoreMod, gate_mod

_NO_KEYS_LSE = -1e30
"""In place of −inf as the log-sum-exp of a query without keys: −inf less −inf is no number."""

_TILES: Any = {"fwd_BLOCK_N": 64, "fwd_num_warps": 8}
"""Of the forward kernel in half precision. torch's own choice for Hopper, 128 keys and 4 warps, just fits into the registers
under a plain causal mask; under one that looks up bounds it spills a kilobyte a thread (compiled for sm_90a by torch 2.11)."""

_GATED_TILES: Any = {**_TILES, "bwd_BLOCK_M1": 64, "bwd_BLOCK_N1": 64, "bwd_BLOCK_M2": 64, "bwd_BLOCK_N2": 64}
"""The same under gates, whose backward kernel would spill as well."""


def masked_attention(q_LHD: Tensor, k_MGD: Tensor, v_MGD: Tensor, mask: BlockMask) -> Tensor:
    """(L, H, D) attention under a mask.

    Args:
        q_LHD, k_MGD, v_MGD: queries, keys and values; H is a multiple of G.
        mask: L × M, the pairs that may attend.
    """
    return _flex(q_LHD, k_MGD, v_MGD, mask)[0]


def gated_attention(
    q_LHD: Tensor,
    k_MGD: Tensor,
    v_MGD: Tensor,
    mask: BlockMask,
    bar_L: Tensor,
    bar_M: Tensor,
    part_L: Tensor,
    part_M: Tensor,
    biases_E: Tensor,
) -> Tensor:
    """(L, H, D) attention under a mask and gates.

    Args:
        bar_L, bar_M, part_L, part_M: see `GateRows`.
        biases_E: added to the score of a pair that passes the gate.
    """
    bias_LE = biases_E.expand(len(q_LHD), -1).contiguous()
    return _flex(q_LHD, k_MGD, v_MGD, mask, gate_mod(bar_L, bar_M, part_L, part_M, bias_LE))[0]


def split_attention(
    q_NHD: Tensor,
    k_MGD: Tensor,
    v_MGD: Tensor,
    mask: BlockMask,
    own_mask: BlockMask,
    order_N: Tensor,
    place_N: Tensor,
) -> Tensor:
    """(N, H, D) attention of rows as two calls, merged: to the rows of their own part, and to all other keys.

    Args:
        k_MGD, v_MGD: the last N keys are the rows themselves.
        mask: N × M, of the other keys.
        own_mask: N × N, of the own part's rows, sorted by part.
        order_N, place_N: see `OwnPart`.
    """
    n = len(q_NHD)
    q, k, v = (_reordered(x, order_N, place_N) for x in (q_NHD, k_MGD[-n:], v_MGD[-n:]))
    own_NHD, own_lse_NH = (_reordered(x, place_N, order_N) for x in _flex(q, k, v, own_mask))
    other_NHD, other_lse_NH = _flex(q_NHD, k_MGD, v_MGD, mask)
    own_lse_NH, other_lse_NH = (x.masked_fill(x == -torch.inf, _NO_KEYS_LSE) for x in (own_lse_NH, other_lse_NH))
    share_NH1 = torch.sigmoid(own_lse_NH - other_lse_NH)[..., None].to(own_NHD.dtype)
    return own_NHD * share_NH1 + other_NHD * (1 - share_NH1)


def compiled_on_cuda(
    attention: Callable[..., Tensor], q_LHD: Tensor, k_MGD: Tensor, *static: Hashable
) -> Callable[..., Tensor]:
    """One of the functions above; on CUDA compiled, once for each combination of sizes, type and `static`.

    Args:
        static: what else the graph depends on besides tensors.
    """
    if _needs_compiling(q_LHD):
        return _compiled(attention, *static, q_LHD.shape, k_MGD.shape, q_LHD.dtype)
    return attention


def graphs_compiled() -> int:
    """Graphs that torch.compile has made in this process so far; each recompilation is one more."""
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


def _needs_compiling(x: Tensor) -> bool:
    return x.is_cuda and not torch.compiler.is_compiling()


@cache
def _compiled(attention: Any, *_static: Hashable) -> Callable[..., Tensor]:
    """A function compiled for one set of sizes. Each gets a code object of its own, since torch counts recompilations by code
    object and refuses the ninth."""
    own = FunctionType(attention.__code__.replace(), attention.__globals__, attention.__name__)
    compiled: Callable[..., Tensor] = torch.compile(own, fullgraph=True, dynamic=False)
    return compiled


def _flex(
    q_LHD: Tensor, k_MGD: Tensor, v_MGD: Tensor, mask: BlockMask, score_mod: ScoreMod | None = None
) -> tuple[Tensor, Tensor]:
    """(L, H, D) outputs and (L, H) log-sum-exps; 0 and −inf for a query without keys.

    Raises:
        MeloError: torch.compile is switched off, on CUDA.
    """
    if _needs_compiling(q_LHD):
        raise MeloError(
            "torch.compile is switched off, and without it attention on CUDA would hold all scores; switch it on "
            "(unset TORCHDYNAMO_DISABLE and TORCH_COMPILE_DISABLE)"
        )
    q, k, v = (x.transpose(0, 1)[None] for x in (q_LHD, k_MGD, v_MGD))
    out, aux = flex_attention(
        q,
        k,
        v,
        score_mod=score_mod,
        block_mask=mask,
        enable_gqa=True,
        return_aux=AuxRequest(lse=True),
        kernel_options=None if q.element_size() > 2 else _TILES if score_mod is None else _GATED_TILES,
    )
    assert aux.lse is not None
    return out[0].transpose(0, 1), aux.lse[0].transpose(0, 1)


def _reordered(x: Tensor, order_N: Tensor, place_N: Tensor) -> Tensor:
    """(N, …) rows order_N of x, a permutation whose inverse is place_N."""
    out: Tensor = _Reorder.apply(x, order_N, place_N)
    return out


class _Reorder(torch.autograd.Function):
    """Permuted rows; the backward pass gathers by the inverse permutation, where torch's own would scatter and add."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order_N: Tensor, place_N: Tensor) -> Tensor:
        ctx.save_for_backward(place_N)
        return x.index_select(0, order_N)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (place_N,) = ctx.saved_tensors
        return grad.index_select(0, place_N), None, None
