"""A layer of MeloFormer in bf16 on CPUs: what `model.layer_forward` computes, with a backward pass written by hand.

Summaries and rows go through as one matrix, summaries first, so that they share every product; what stands between products is
one compiled loop each. Shape letters: S summaries and rows, T summaries, N rows, C width, H query heads, G key and value heads,
D width of a head, E = (H + 2 G) D, K inner width of the SwiGLU.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from meloctl.model.attention.tiled.bf16_kernel import (
    WIDTH_MULTIPLE,
    FlatTiles,
    attention,
    attention_backward,
    floats_of,
    words_of,
)
from meloctl.model.meloformer import layer_loops as loops
from meloctl.model.meloformer.layout import MeloFormerLayout
from meloctl.model.row_threads import by_rows, row_parts

_EPS = float(torch.finfo(torch.float32).eps)
"""Of `torch.nn.RMSNorm` in float32."""


def bf16_layer(layer: Any, r_NC: Tensor, s_TC: Tensor, layout: MeloFormerLayout) -> tuple[Tensor, Tensor]:
    """Rows and summaries after a layer; see `Layer.forward`.

    Args:
        layer: a `model.Layer`, whose module imports this one.
        r_NC, s_TC: rows and summaries of a pack before it.
        layout: of the pack; its plans are `RowTilePlan`.
    """
    pack = PackTiles(
        rows=layout.row_plan.flat,  # type: ignore[attr-defined]
        summaries=layout.bar_plan.flat,  # type: ignore[attr-defined]
        n_summaries=len(s_TC),
        rotation_SD=torch.cat([layout.bar_rotation, layout.row_rotation])[:, 0],
    )
    sizes = LayerSizes(
        heads=layer.q.out_features // layer.d,
        kv_heads=layer.kv.out_features // (2 * layer.d),
        d=layer.d,
        last=layer.last,
        dropout=layer.drop.p if layer.training else 0.0,
    )
    weights = LayerTensors(
        norm=layer.norm.weight,
        q=layer.q.weight,
        kv=layer.kv.weight,
        out=layer.out.weight,
        norm2=layer.norm2.weight if layer.summaries else None,
        kv2=layer.kv2.weight if layer.summaries else None,
        mlp_norm=layer.mlp_norm.weight,
        gate=layer.mlp.gate.weight,
        inner=layer.mlp.inner.weight,
        outer=layer.mlp.outer.weight,
    )
    out: tuple[Tensor, Tensor] = Bf16Layer.apply(r_NC, s_TC, pack, sizes, *weights)
    return out


class LayerSizes(NamedTuple):
    """What a layer is, beside its weights."""

    heads: int
    kv_heads: int
    d: int
    """Width of a head."""

    last: bool
    """The last layer, whose summaries need no feed-forward layer."""

    dropout: float


class PackTiles(NamedTuple):
    """What a layer reads of a pack."""

    rows: FlatTiles
    summaries: FlatTiles
    n_summaries: int
    """T."""

    rotation_SD: Tensor
    """Cosines and sines of summaries and rows."""


class LayerTensors(NamedTuple):
    """Weights of a layer, and in the same places their gradients; None for those of summaries where it has none."""

    norm: Tensor
    q: Tensor
    kv: Tensor
    out: Tensor
    norm2: Tensor | None
    kv2: Tensor | None
    mlp_norm: Tensor
    gate: Tensor
    inner: Tensor
    outer: Tensor


class Bf16Layer(torch.autograd.Function):
    """Rows (N, C) and summaries (T, C) in float32 → the same after a layer."""

    @staticmethod
    def forward(
        ctx: Any, r_NC: Tensor, s_TC: Tensor, pack: PackTiles, sizes: LayerSizes, *weights: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Rows and summaries after the layer; summaries of the last layer are without meaning.

        Args:
            r_NC, s_TC: rows and summaries.
            pack: tiles and rotations.
            sizes: of the layer.
            weights: `LayerTensors`.
        """
        x_SC = torch.cat([s_TC, r_NC])
        w = LayerTensors(*weights)  # type: ignore[arg-type]
        t, d, heads, g = pack.n_summaries, sizes.d, sizes.heads, sizes.kv_heads
        qkv_w, out_w = torch.cat([w.q, w.kv]).bfloat16(), w.out.bfloat16()
        both_w, outer_w = _swiglu_weights(w)
        qkv = F.linear(_normed(x_SC, w.norm), qkv_w)
        _rotate(qkv, heads + g, d, pack.rotation_SD)
        q, k, v = _split(qkv, sizes)
        o = torch.empty(len(x_SC), heads * d, dtype=torch.bfloat16)
        o_h = o.view(-1, heads, d)
        x1, normed1 = torch.empty_like(x_SC), torch.empty(x_SC.shape, dtype=torch.bfloat16)
        drop = _Dropout(sizes.dropout)
        first_kv = lse_s = None
        if w.kv2 is not None and w.norm2 is not None:
            lse_s = attention(q[:t], k, v, pack.summaries, o_h[:t])
            normed2 = _add_and_norm(x_SC[:t], drop(F.linear(o[:t], out_w)), w.norm2, x1[:t])
            kv2 = F.linear(normed2, w.kv2.bfloat16())
            _rotate(kv2, g, d, pack.rotation_SD[:t])
            first_kv = qkv[:t, heads * d :].clone()
            qkv[:t, heads * d :] = kv2
        lse = attention(q[t:], k, v, pack.rows, o_h[t:])
        normed1[t:] = _add_and_norm(x_SC[t:], drop(F.linear(o[t:], out_w)), w.mlp_norm, x1[t:])
        fed = t if sizes.last else 0
        if not fed and t:
            normed1[:t] = _normed(x1[:t], w.mlp_norm)
        both = F.linear(normed1[fed:], both_w)
        added = drop(F.linear(_swiglu(both), outer_w))
        x2 = torch.empty_like(x1)
        x2[:fed] = x1[:fed]
        _add(x1[fed:], added, x2[fed:])
        ctx.save_for_backward(
            x_SC, qkv, first_kv, o, lse, lse_s, x1, both, qkv_w, out_w, both_w, outer_w, *drop.kept, *weights
        )
        ctx.about = pack, sizes, len(drop.kept)
        return x2[t:], x2[:t]

    @staticmethod
    def backward(ctx: Any, grad_NC: Tensor, grad_TC: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the outputs → gradients of rows, summaries and weights.

        Args:
            grad_NC, grad_TC: of rows and summaries.
        """
        grad_SC = torch.cat([grad_TC, grad_NC])
        pack, sizes, n_kept = ctx.about
        x, qkv, first_kv, o, lse, lse_s, x1, both, qkv_w, out_w, both_w, outer_w, *rest = ctx.saved_tensors
        kept, w = rest[:n_kept], LayerTensors(*rest[n_kept:])
        t, d, heads, g = pack.n_summaries, sizes.d, sizes.heads, sizes.kv_heads
        fed = t if sizes.last else 0
        # feed-forward
        half = _half(grad_SC[fed:])
        slope = half * kept.pop() if kept else half
        dinner = slope @ outer_w
        dboth, inner = _swiglu_backward(both, dinner)
        douter = slope.t() @ inner
        dw_both = dboth.t() @ _normed(x1[fed:], w.mlp_norm)
        dx1, dhalf = torch.empty_like(x), torch.empty(x.shape, dtype=torch.bfloat16)
        dx1[:fed] = 0
        dmlp_norm = _norm_backward(x1[fed:], w.mlp_norm, dboth @ both_w, grad_SC[fed:], dx1[fed:], dhalf[fed:])
        del dinner, dboth, inner, half, slope
        # rows
        dqkv = torch.zeros(qkv.shape)
        dq, dk, dv = _split(dqkv, sizes)
        q, k, v = _split(qkv, sizes)
        o_h, dout = o.view(-1, heads, d), torch.empty_like(dhalf)
        dout[t:] = dhalf[t:] * kept.pop() if kept else dhalf[t:]
        do = (dout[t:] @ out_w).view(-1, heads, d)
        attention_backward(do, q[t:], k, v, o_h[t:], lse, pack.rows, dq[t:], dk, dv)
        # summaries
        dnorm2 = dw_kv2 = None
        if w.kv2 is not None and w.norm2 is not None:
            dkv2 = _rotate_back(dqkv[:t, heads * d :].contiguous(), g, d, pack.rotation_SD[:t])
            dqkv[:t, heads * d :] = 0
            dw_kv2 = dkv2.t() @ _normed(x1[:t], w.norm2)
            dnorm2 = _norm_backward(x1[:t], w.norm2, dkv2 @ w.kv2.bfloat16(), dx1[:t], dx1[:t], dhalf[:t])
            dout[:t] = dhalf[:t] * kept.pop() if kept else dhalf[:t]
            do = (dout[:t] @ out_w).view(-1, heads, d)
            before = torch.cat([first_kv, qkv[t:, heads * d :]])
            k, v = (y.unflatten(1, (g, d)) for y in before.chunk(2, dim=1))
            attention_backward(do, q[:t], k, v, o_h[:t], lse_s, pack.summaries, dq[:t], dk, dv)
        dw_out = dout.t() @ o
        slope = _rotate_back(dqkv, heads + g, d, pack.rotation_SD)
        dw_qkv = slope.t() @ _normed(x, w.norm)
        dnorm = _norm_backward(x, w.norm, slope @ qkv_w, dx1, dx1, dhalf)
        dw_q, dw_kv = dw_qkv.float().split([heads * d, 2 * g * d])
        hidden = len(w.gate)
        dgate, dinner_w = (x[:hidden].float() for x in dw_both.chunk(2))
        gradients = LayerTensors(
            norm=dnorm,
            q=dw_q,
            kv=dw_kv,
            out=dw_out.float(),
            norm2=dnorm2,
            kv2=None if dw_kv2 is None else dw_kv2.float(),
            mlp_norm=dmlp_norm,
            gate=dgate,
            inner=dinner_w,
            outer=douter[:, :hidden].float(),
        )
        return dx1[t:], dx1[:t], None, None, *gradients


class _Dropout:
    """Drops a share of the numbers it is given, and keeps what it multiplied them with; nothing at share 0."""

    def __init__(self, share: float) -> None:
        self._share = share
        self.kept: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        if not self._share:
            return x
        kept = torch.empty_like(x).bernoulli_(1 - self._share).div_(1 - self._share)
        self.kept.append(kept)
        return x.mul_(kept)


def _split(qkv_SE: Tensor, sizes: LayerSizes) -> tuple[Tensor, Tensor, Tensor]:
    """Queries (S, H, D), keys and values (S, G, D) of one matrix, as views."""
    heads = qkv_SE.unflatten(1, (-1, sizes.d))
    q, k, v = heads.split([sizes.heads, sizes.kv_heads, sizes.kv_heads], dim=1)
    return q, k, v


def _swiglu_weights(w: LayerTensors) -> tuple[Tensor, Tensor]:
    """Weights (2 K, C) of gates and what they multiply, and (C, K) behind them, in bf16; K is padded with zeros."""
    hidden, width = w.gate.shape
    padded = -(-hidden // WIDTH_MULTIPLE) * WIDTH_MULTIPLE
    both, outer = torch.zeros(2, padded, width, dtype=torch.bfloat16), torch.zeros(width, padded, dtype=torch.bfloat16)
    both[0, :hidden], both[1, :hidden], outer[:, :hidden] = w.gate, w.inner, w.outer
    return both.flatten(0, 1), outer


def _normed(x: Tensor, weight: Tensor) -> Tensor:
    """RMSNorm (N, C) in bf16."""
    out = torch.empty(x.shape, dtype=torch.bfloat16)
    args = floats_of(x)[0], floats_of(weight[None])[0], x.shape[1], _EPS, words_of(out)[0]
    by_rows(lambda first, end, _: loops.normed(*args, first, end), len(x))
    return out


def _add_and_norm(x: Tensor, added: Tensor, weight: Tensor, summed: Tensor) -> Tensor:
    """summed = x + added, and its RMSNorm in bf16, (N, C)."""
    out = torch.empty(x.shape, dtype=torch.bfloat16)
    args = floats_of(x)[0], words_of(added)[0], floats_of(weight[None])[0], x.shape[1], _EPS, floats_of(summed)[0]
    by_rows(lambda first, end, _: loops.normed_sum(*args, words_of(out)[0], first, end), len(x))
    return out


def _add(x: Tensor, added: Tensor, out: Tensor) -> None:
    args = floats_of(x)[0], words_of(added)[0], x.shape[1], floats_of(out)[0]
    by_rows(lambda first, end, _: loops.sums(*args, first, end), len(x))


def _half(x: Tensor) -> Tensor:
    """(N, C) in bf16."""
    out = torch.empty(x.shape, dtype=torch.bfloat16)
    args = floats_of(x)[0], x.shape[1], words_of(out)[0]
    by_rows(lambda first, end, _: loops.halves(*args, first, end), len(x))
    return out


def _norm_backward(x: Tensor, weight: Tensor, slope: Tensor, through: Tensor, dx: Tensor, half: Tensor) -> Tensor:
    """The weight's gradient (C,); dx, and half in bf16, get `through` and the gradient of x: see `loops.norm_backward`."""
    dweight = np.zeros((row_parts(len(x)), x.shape[1]), np.float32)
    args = (
        *(floats_of(x)[0], floats_of(weight[None])[0], words_of(slope)[0], floats_of(through)[0], x.shape[1], _EPS),
        *(floats_of(dx)[0], words_of(half)[0]),
    )
    by_rows(lambda first, end, part: loops.norm_backward(*args, dweight[part], first, end), len(x))
    return torch.from_numpy(dweight.sum(axis=0))


def _swiglu(both: Tensor) -> Tensor:
    """(N, 2 K) → (N, K)."""
    out = both.new_empty(len(both), both.shape[1] // 2)
    args = words_of(both)[0], out.shape[1], words_of(out)[0]
    by_rows(lambda first, end, _: loops.swiglu(*args, first, end), len(both))
    return out


def _swiglu_backward(both: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient (N, 2 K) and the SwiGLU again (N, K)."""
    dboth, out = torch.empty_like(both), torch.empty_like(slope)
    args = words_of(both)[0], words_of(slope)[0], slope.shape[1], words_of(dboth)[0], words_of(out)[0]
    by_rows(lambda first, end, _: loops.swiglu_backward(*args, first, end), len(both))
    return dboth, out


def _rotate(x: Tensor, heads: int, d: int, rotation: Tensor) -> None:
    """Rotate the first heads of rows x (N, …) in place."""
    args = words_of(x)[0], x.shape[1], heads, d, floats_of(rotation)[0]
    by_rows(lambda first, end, _: loops.rotate(*args, first, end), len(x))


def _rotate_back(x: Tensor, heads: int, d: int, rotation: Tensor) -> Tensor:
    """Gradients (N, …) of what `_rotate` returned, in bf16 → those of what it was given."""
    out = torch.empty(x.shape, dtype=torch.bfloat16)
    args = floats_of(x)[0], x.shape[1], heads, d, floats_of(rotation)[0], words_of(out)[0]
    by_rows(lambda first, end, _: loops.rotate_back(*args, first, end), len(x))
    return out
