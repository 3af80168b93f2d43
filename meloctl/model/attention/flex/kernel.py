"""Attention on CUDA by FlexAttention: at most two calls, merged by log-sum-exp, in one graph that is compiled once.

The kernel is differentiable in its outputs and in its log-sum-exps, so the merge is plain autograd. Compiled for one length of
pack, it serves every pack: what differs is in tensors. There is no other way on CUDA: uncompiled, FlexAttention would hold all
L × M scores, so that is refused. Uncompiled on a CPU it defines, in tests, what the compiled kernel computes.

Shape letters: L queries, M keys, N rows, H query heads, G key and value heads, D width of a head, E gates.
"""

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import AuxRequest, BlockMask, flex_attention

from analysis.errors import MeloError
from meloctl.model.attention.flex.mods import ScoreMod, gate_mod
from meloctl.model.attention.flex.plan import FlexPlan

_BLIND = -1e30
"""Stands for the log-sum-exp of a query that sees no key: −inf less −inf is no number."""

_TILES: Any = {"fwd_BLOCK_N": 64, "fwd_num_warps": 8}
"""Of the forward kernel in half precision. torch's own choice for Hopper, 128 keys and 4 warps, just fits into the registers
under a plain causal mask; under one that looks up bounds it spills a kilobyte a thread (compiled for sm_90a by torch 2.11)."""

_GATED_TILES: Any = {**_TILES, "bwd_BLOCK_M1": 64, "bwd_BLOCK_N1": 64, "bwd_BLOCK_M2": 64, "bwd_BLOCK_N2": 64}
"""The same under gates, whose backward kernel would spill as well."""


def attend_flex(q_LHD: Tensor, k_MGD: Tensor, v_MGD: Tensor, plan: FlexPlan, biases: Tensor | None = None) -> Tensor:
    """`meloctl.model.attention.attend.attend` under a FlexPlan.

    Raises:
        MeloError: torch.compile is switched off, on CUDA.
    """
    call: Callable[..., Tensor] = _one_call
    rest: tuple[Any, ...] = ()
    if plan.own is not None:
        call, rest = _two_calls, (plan.own.call.mask, plan.own.order, plan.own.place)
    elif plan.gates is not None and biases is not None:
        gates = plan.gates
        call, rest = _gated_call, (gates.bar_L, gates.bar_M, gates.part_L, gates.part_M, biases)
    if _needs_compiling(q_LHD):
        call = _compiled(call, plan.call.among, plan.call.block, q_LHD.shape, k_MGD.shape, q_LHD.dtype)
    return call(q_LHD, k_MGD, v_MGD, plan.call.mask, *rest)


def graphs_compiled() -> int:
    """Graphs that torch.compile has made in this process so far; each recompilation is one more."""
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


def _needs_compiling(x: Tensor) -> bool:
    return x.is_cuda and not torch.compiler.is_compiling()


@cache
def _compiled(call: Any, *_sizes: Any) -> Callable[..., Tensor]:
    """A call compiled for these sizes. Each has a code object of its own: torch counts recompilations by code object, and refuses
    the ninth."""
    own = FunctionType(call.__code__.replace(), call.__globals__, call.__name__)
    compiled: Callable[..., Tensor] = torch.compile(own, fullgraph=True, dynamic=False)
    return compiled


def _one_call(q_LHD: Tensor, k_MGD: Tensor, v_MGD: Tensor, mask: BlockMask) -> Tensor:
    return _flex(q_LHD, k_MGD, v_MGD, mask)[0]


def _gated_call(
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
    bias_LE = biases_E.expand(len(q_LHD), -1).contiguous()
    return _flex(q_LHD, k_MGD, v_MGD, mask, gate_mod(bar_L, bar_M, part_L, part_M, bias_LE))[0]


def _two_calls(
    q_NHD: Tensor,
    k_MGD: Tensor,
    v_MGD: Tensor,
    mask: BlockMask,
    own_mask: BlockMask,
    order_N: Tensor,
    place_N: Tensor,
) -> Tensor:
    """One's own part, in another order of rows, and everything else."""
    n = len(q_NHD)
    q, k, v = (_reordered(x, order_N, place_N) for x in (q_NHD, k_MGD[-n:], v_MGD[-n:]))
    own_NHD, own_lse_NH = (_reordered(x, place_N, order_N) for x in _flex(q, k, v, own_mask))
    other_NHD, other_lse_NH = _flex(q_NHD, k_MGD, v_MGD, mask)
    own_lse_NH, other_lse_NH = (x.masked_fill(x == -torch.inf, _BLIND) for x in (own_lse_NH, other_lse_NH))
    share_NH1 = torch.sigmoid(own_lse_NH - other_lse_NH)[..., None].to(own_NHD.dtype)
    return own_NHD * share_NH1 + other_NHD * (1 - share_NH1)


def _flex(
    q_LHD: Tensor, k_MGD: Tensor, v_MGD: Tensor, mask: BlockMask, score_mod: ScoreMod | None = None
) -> tuple[Tensor, Tensor]:
    """(L, H, D) outputs, 0 where a query sees no key, and (L, H) log-sum-exps, −inf there."""
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
    """Rows of x (N, …) in another order."""
    out: Tensor = _Reorder.apply(x, order_N, place_N)
    return out


class _Reorder(torch.autograd.Function):
    """Rows in another order; the gradient comes back in theirs by reading, where torch would add."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order_N: Tensor, place_N: Tensor) -> Tensor:
        ctx.save_for_backward(place_N)
        return x.index_select(0, order_N)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (place_N,) = ctx.saved_tensors
        return grad.index_select(0, place_N), None, None
