"""MeloFormer, a decoder over rows R and bar summaries S. Read from top to bottom.

Each layer has four blocks (the founding documents' SS, SR, RS and RR):

    SS+SR   S' = attend(query S_b; keys: S_c of bars c ≤ b, and the rows of bar b)
    K2,V2   a second projection of S'
    RS+RR   R' = attend(query a row of bar b; keys: K2,V2 of S'_c of bars c < b, and the rows that the mask shows)

Nothing later is ever seen, but for bar plans where they are given (`bar_plans`): a row's state predicts the next row. A batch is
a pack: windows of pieces one after the other, which never see each other, so there is no batch dimension. Shape letters: N rows,
T bars, C width, H query heads, G key and value heads, D width of a head, F fields, E gates, M rows that count, W windows.
"""

from collections.abc import Sequence
from functools import cache, partial
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from analysis.arrays import Bools
from masks.spec import MaskSpec
from meloctl.dataset.packs import Pack
from meloctl.model.attention.backends import planner_for
from meloctl.model.attention.gates import Gates, all_earlier_rows
from meloctl.model.attention.tiled.bf16_kernel import WIDTH_MULTIPLE, has_kernel
from meloctl.model.attention.tiled.plan import RowTilePlan
from meloctl.model.bar_plans import PlanAdditions, PlanChannel, WithLoss
from meloctl.model.config import ModelConfig
from meloctl.model.init import init_weights
from meloctl.model.meloformer.layout import MeloFormerLayout, layout_of
from meloctl.model.rotary import rotate
from meloctl.model.row_heads import RowEmbedding, RowHeads
from meloctl.rows.vocabulary import FIELDS, Vocabulary


class SwiGLU(nn.Module):
    """A gated feed-forward layer (Shazeer, 2020)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False)
        self.inner = nn.Linear(width, hidden, bias=False)
        self.outer = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(…, C) → (…, C)."""
        return self.outer(F.silu(self.gate(x)) * self.inner(x))


KV = tuple[Tensor, Tensor]
"""Keys and values, (N, G, D) each."""


class LayerKV(NamedTuple):
    """Keys and values of one layer over a pack: what decoding caches."""

    rows: KV
    """(N, G, D) each, as rows and summaries see them."""

    summaries: KV | None
    """(T, G, D) each, as later summaries see them; None without summaries."""

    summaries2: KV | None
    """(T, G, D) each, as rows see them: the second projection."""


class MeloFormerLayer(Protocol):
    """The weights of one layer, as `layer_forward` uses them: a `Layer`, or `fused.LayerWeights`."""

    @property
    def summaries(self) -> bool:
        """Has the layer summaries?"""

    @property
    def last(self) -> bool:
        """Is it the last layer, whose summaries need no feed-forward layer?"""

    def project(self, x_NC: Tensor, rotation: Tensor) -> tuple[Tensor, KV]:
        """Project rows or summaries to queries (N, H, D), and to keys and values (N, G, D).

        Args:
            x_NC: rows or summaries.
            rotation: (N, 1, D) cosines and sines, see `rotate`; complex (N, K) for fused weights.
        """

    def project2(self, s_TC: Tensor, rotation: Tensor) -> KV:
        """Second projection of updated summaries to keys and values (T, G, D).

        Args:
            s_TC: summaries after attention.
            rotation: as in `project`, (T, …).
        """

    def add_attention(self, x_NC: Tensor, heads_NHD: Tensor) -> Tensor:
        """Residual (N, C): x plus the output projection of attention.

        Args:
            x_NC: rows or summaries before attention.
            heads_NHD: outputs of the attention heads.
        """

    def feed(self, x_NC: Tensor) -> Tensor:
        """(N, C) x plus the feed-forward layer of it."""


class Layer(nn.Module):
    """The weights of the four blocks and a feed-forward layer. Rows and summaries share all but the second projection."""

    def __init__(self, config: ModelConfig, *, summaries: bool, last: bool) -> None:
        super().__init__()
        c, d = config.width, config.head_width
        self.d, self.summaries, self.last = d, summaries, last
        self.norm = nn.RMSNorm(c)
        self.q = nn.Linear(c, config.heads * d, bias=False)
        self.kv = nn.Linear(c, 2 * config.kv_heads * d, bias=False)
        self.out = nn.Linear(config.heads * d, c, bias=False)
        if summaries:
            self.norm2 = nn.RMSNorm(c)
            self.kv2 = nn.Linear(c, 2 * config.kv_heads * d, bias=False)
        self.mlp_norm = nn.RMSNorm(c)
        self.mlp = SwiGLU(c, config.hidden)
        self.drop = nn.Dropout(config.dropout)

    def project(self, x_NC: Tensor, rotation: Tensor) -> tuple[Tensor, KV]:
        """Project rows or summaries to queries (N, H, D), and to keys and values (N, G, D).

        Args:
            x_NC: rows or summaries.
            rotation: (N, 1, D) cosines and sines, see `rotate`.
        """
        x_NC = self.norm(x_NC)
        k, v = self.kv(x_NC).chunk(2, dim=-1)
        return rotate(self._split(self.q(x_NC)), rotation), (rotate(self._split(k), rotation), self._split(v))

    def project2(self, s_TC: Tensor, rotation: Tensor) -> KV:
        """Second projection of updated summaries to keys and values (T, G, D): what rows see of them.

        Args:
            s_TC: summaries after attention.
            rotation: (T, 1, D) cosines and sines, see `rotate`.
        """
        k, v = self.kv2(self.norm2(s_TC)).chunk(2, dim=-1)
        return rotate(self._split(k), rotation), self._split(v)

    def add_attention(self, x_NC: Tensor, heads_NHD: Tensor) -> Tensor:
        """Residual (N, C): x plus the output projection of attention.

        Args:
            x_NC: rows or summaries before attention.
            heads_NHD: outputs of the attention heads.
        """
        return x_NC + self.drop(self.out(heads_NHD.flatten(1)))

    def feed(self, x_NC: Tensor) -> Tensor:
        """(N, C) x plus the feed-forward layer of it."""
        return x_NC + self.drop(self.mlp(self.mlp_norm(x_NC)))

    def forward(
        self, r_NC: Tensor, s_TC: Tensor, layout: MeloFormerLayout, biases: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Rows (N, C) and summaries (T, C) after this layer; see `layer_forward`.

        Args:
            r_NC, s_TC: rows and summaries of a pack before it.
            layout: rotations and attention plans of the pack.
            biases: (E,) score bias of each gate; None without gates.
        """
        if self._in_bf16(r_NC, layout, biases):
            from meloctl.model.meloformer.bf16_layer import bf16_layer

            return bf16_layer(self, r_NC, s_TC, layout)
        r_NC, s_TC, _ = layer_forward(self, r_NC, s_TC, layout, biases)
        return r_NC, s_TC

    def _in_bf16(self, r_NC: Tensor, layout: MeloFormerLayout, biases: Tensor | None) -> bool:
        """Are products computed in bf16 on a CPU whose loops this layer fits?"""
        if r_NC.device.type != "cpu" or r_NC.dtype is not torch.float32 or not torch.is_autocast_enabled("cpu"):
            return False
        width, dtype = self.norm.weight.numel(), self.norm.weight.dtype
        fits = self.d % WIDTH_MULTIPLE == 0 and width % WIDTH_MULTIPLE == 0 and dtype is torch.float32
        return fits and biases is None and isinstance(layout.row_plan, RowTilePlan) and has_kernel()

    def _split(self, x_NE: Tensor) -> Tensor:
        """(N, heads·D) → (N, heads, D)."""
        return x_NE.unflatten(-1, (-1, self.d))


def layer_forward(
    layer: MeloFormerLayer, r_NC: Tensor, s_TC: Tensor, layout: MeloFormerLayout, biases: Tensor | None
) -> tuple[Tensor, Tensor, LayerKV]:
    """The four blocks and the feed-forward layer, with the weights of `layer`: of training, or fused for decoding.

    Args:
        r_NC: rows.
        s_TC: summaries; without summaries they go through unchanged.
        layout: rotations and attention plans of the pack.
        biases: score bias of each gate, see `Gates.biases`; None without gates.

    Returns:
        rows (N, C) and summaries (T, C) after the layer, and the keys and values that later rows and summaries see.
    """
    q_r, (k_r, v_r) = layer.project(r_NC, layout.row_rotation)
    k, v = k_r, v_r
    kv_s = kv2_s = None
    if layer.summaries:
        q_s, kv_s = layer.project(s_TC, layout.bar_rotation)
        heads = layout.bar_plan.attend(q_s, torch.cat([kv_s[0], k_r]), torch.cat([kv_s[1], v_r]))
        s_TC = layer.add_attention(s_TC, heads)
        kv2_s = layer.project2(s_TC, layout.bar_rotation)
        k, v = torch.cat([kv2_s[0], k_r]), torch.cat([kv2_s[1], v_r])
        if not layer.last:
            s_TC = layer.feed(s_TC)
    r_NC = layer.add_attention(r_NC, layout.row_plan.attend(q_r, k, v, biases))
    return layer.feed(r_NC), s_TC, LayerKV(rows=(k_r, v_r), summaries=kv_s, summaries2=kv2_s)


class MeloFormer(nn.Module):
    """Rows in, states that predict the next rows out; `heads` turns states into fields.

    Source: Museformer (Yu et al., 2022) for rows with bar summaries; rows of nested fields and the mask by relation are ours.
    """

    header_changes: tuple[float, float] | None = None
    """Shares of bars that change a piece's time signature, and its tempo, for the first time, in the training music; None
    where that is not known."""

    def __init__(self, config: ModelConfig, vocabulary: Vocabulary, spec: MaskSpec, *, gated: bool = False) -> None:
        """A fresh model.

        Args:
            spec: the mask. Under gates it gives their first values, and whether there are summaries.
            gated: rows see all earlier rows, through learnable gates.
        """
        super().__init__()
        self.config, self.vocabulary, self.spec = config, vocabulary, spec
        shown = all_earlier_rows(spec) if gated else spec
        self.planner_on = cache(
            partial(planner_for, shown=shown, gated=gated, heads=config.heads, head_width=config.head_width)
        )
        """(device type) → the planner of its attention backend, made at the first use."""

        self.gates = Gates(spec) if gated else None
        self.checkpointing = False
        """Keep each layer's input alone for the backward pass, and compute the layer again there."""

        self.embed = RowEmbedding(vocabulary, config.width)
        self.start = nn.Parameter(torch.zeros(config.width))
        """The state that predicts a piece's first row."""

        if spec.summaries:
            self.summary = nn.Parameter(torch.zeros(config.width))
            """Every summary before the first layer."""

        self.layers: Sequence[Layer] = nn.ModuleList(  # type: ignore[assignment]
            Layer(config, summaries=spec.summaries, last=i == config.layers - 1) for i in range(config.layers)
        )
        self.norm = nn.RMSNorm(config.width)
        self.heads = RowHeads(vocabulary, config.width, config.field_hidden)
        self.plans = None
        """Makes bar plans, and says what they add; None in a model that knows none."""

        if config.plan_width:
            self.plans = PlanChannel(config.plan_width, config.plan_noise, config.width, config.layers)
        init_weights(self, layers=config.layers)
        if self.plans is not None:
            self.plans.init_weights()

    def loss_mask(self, pack: Pack) -> Bools:
        """(N,) bool, rows whose loss counts, without a plan of anything: see `Pack.loss_mask`."""
        return pack.loss_mask

    def layout(self, pack: Pack) -> MeloFormerLayout:
        """Musical time and plans of a pack, for the device that the model is on; no parameters take part, so it can be made ahead
        of time, on a CPU. Packs of one length keep the kernels on CUDA from being compiled again: see `packs.padded`."""
        planner = self.planner_on(self.start.device.type)
        plans = self.plans is not None
        return layout_of(pack, planner, self.vocabulary, self.config.head_width, plans=plans)

    def states(self, layout: MeloFormerLayout) -> Tensor:
        """(N, C) states: each predicts its row, and has seen earlier rows of the same window, and plans, alone."""
        return self._states(layout)[0]

    def _states(self, layout: MeloFormerLayout) -> tuple[Tensor, PlanAdditions | None]:
        """(N, C) states, and what plans added; None where there are no plans."""
        plans = None if self.plans is None or layout.features is None else self.plans.added(layout.features)
        r_NC = self.embed(layout.rows_NF)
        s_TC = r_NC.new_zeros(layout.bar_plan.n_queries, self.config.width)
        if self.spec.summaries:
            s_TC = s_TC + self.summary
        biases = None if self.gates is None else self.gates.biases()
        for y, layer in enumerate(self.layers):
            r_NC = plans.to_rows(y, r_NC) if plans else r_NC
            if self.checkpointing and self.training:
                r_NC, s_TC = checkpoint(layer, r_NC, s_TC, layout, biases, use_reentrant=False)
            else:
                r_NC, s_TC = layer(r_NC, s_TC, layout, biases)
        r_NC = self.norm(r_NC)
        r_NC = plans.to_rows(len(self.layers), r_NC) if plans else r_NC
        state_NC = torch.cat([self.start[None], r_NC])[layout.before_N]
        return plans.to_starts(state_NC) if plans else state_NC, plans

    def forward(self, layout: MeloFormerLayout) -> Tensor:
        """(N, F) −ln p of each field of each row that counts, given the rows and the fields before it; 0 elsewhere.

        In the gradient of their sum stands the loss of the plans too, which is not among the numbers returned.
        """
        (state_NC, plans), loss_mask_N = self._states(layout), layout.loss_mask_N
        nll_MF = self.heads.nll(state_NC[loss_mask_N], layout.rows_NF[: len(loss_mask_N)][loss_mask_N])
        nll_NF = nll_MF.new_zeros(len(loss_mask_N), len(FIELDS))
        nll_NF = nll_NF.masked_scatter(loss_mask_N[:, None], nll_MF)
        return nll_NF if plans is None else WithLoss.apply(nll_NF, plans.loss)


def n_parameters(model: nn.Module) -> int:
    """Parameters, each counted once."""
    return sum(p.numel() for p in model.parameters())
