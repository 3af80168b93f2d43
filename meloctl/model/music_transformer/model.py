"""The Music Transformer on rows, a sibling that MeloFormer is compared with: a decoder that sees every earlier row of a window.

What differs from MeloFormer is the attention, and what it knows of time: relative, by how many rows back (the position is the
index of a row, as in the paper), with no mask, no summaries and no musical time. Rows, heads, RMSNorm and SwiGLU are the same;
the paper has LayerNorm and ReLU.

Shape letters: N rows of a pack, L rows of a window, F fields, C width, H heads, R distances with an embedding, D width of a head.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from analysis.arrays import Bools
from meloctl.dataset.packs import Pack
from meloctl.model.config import ModelConfig
from meloctl.model.init import init_weights
from meloctl.model.meloformer.model import SwiGLU
from meloctl.model.music_transformer.relative import relative_attention
from meloctl.model.row_heads import RowEmbedding, RowHeads
from meloctl.model.sibling_sizes import feed_forward_width
from meloctl.rows.vocabulary import ABSENT, FIELDS, PITCH, Vocabulary


@dataclass(frozen=True, kw_only=True, eq=False)
class MusicTransformerLayout:
    """What a pack looks like to the Music Transformer."""

    rows_NF: Tensor
    """(N, F) int64, the pack's rows, padding at the end."""

    loss_mask_N: Tensor
    """(N,) bool, rows whose loss counts."""

    opens_N: Tensor
    """(N,) bool, the first row of each window."""

    starts: tuple[int, ...]
    """(W + 1,) where each window starts, and where the last one ends."""

    n_notes: int
    """Note rows in the loss mask."""

    @property
    def n_rows(self) -> int:
        """Rows without the padding."""
        return self.starts[-1]

    def to(self, device: torch.device | str) -> "MusicTransformerLayout":
        """The same on a device."""
        moved: dict[str, Any] = {name: x.to(device) for name, x in vars(self).items() if isinstance(x, Tensor)}
        return replace(self, **moved)


class MusicTransformerLayer(Protocol):
    """The weights of one layer, as `layer_forward` uses them: a `Layer`, or those of the decoder."""

    @property
    def distance(self) -> Tensor:
        """(H, R, D) embeddings of distances, 0 first."""

    def project(self, x_NC: Tensor) -> Tensor:
        """Rows (N, C) → (N, 3 H, D) queries, then keys, then values."""

    def add_attention(self, x_NC: Tensor, heads_NHD: Tensor) -> Tensor:
        """Residual (N, C): x plus the output projection of attention.

        Args:
            x_NC: rows before attention.
            heads_NHD: outputs of the attention heads.
        """

    def feed(self, x_NC: Tensor) -> Tensor:
        """(N, C) x plus the feed-forward layer of it."""


class Layer(nn.Module):
    """The weights of relative attention and a feed-forward layer, each after a norm."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c, longest = config.width, longest_distance(config)
        self.n_heads = config.heads
        self.norm = nn.RMSNorm(c)
        self.qkv = nn.Linear(c, 3 * c, bias=False)
        self.distance = nn.Parameter(torch.empty(config.heads, longest, config.head_width))
        self.out = nn.Linear(c, c, bias=False)
        self.mlp_norm = nn.RMSNorm(c)
        self.mlp = SwiGLU(c, hidden_width(config))
        self.drop = nn.Dropout(config.dropout)

    def project(self, x_NC: Tensor) -> Tensor:
        """Rows (N, C) → (N, 3 H, D) queries, then keys, then values."""
        return self.qkv(self.norm(x_NC)).unflatten(-1, (3 * self.n_heads, -1))

    def add_attention(self, x_NC: Tensor, heads_NHD: Tensor) -> Tensor:
        """Residual (N, C): x plus the output projection of attention.

        Args:
            x_NC: rows before attention.
            heads_NHD: outputs of the attention heads.
        """
        return x_NC + self.drop(self.out(heads_NHD.flatten(1)))

    def feed(self, x_NC: Tensor) -> Tensor:
        """(N, C) x plus the feed-forward layer of it."""
        return x_NC + self.drop(self.mlp(self.mlp_norm(x_NC)))

    def forward(self, x_NC: Tensor, layout: MusicTransformerLayout) -> Tensor:
        """One layer over the rows (N, C) of windows end to end."""
        return layer_forward(self, x_NC, layout.starts)[0]


def layer_forward(layer: MusicTransformerLayer, x_NC: Tensor, starts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """One layer, with the weights of `layer`: of training, or fused for decoding.

    Args:
        x_NC: rows of W windows end to end.
        starts: (W + 1,) where each window starts, and where the last one ends.

    Returns:
        (N, C) the rows after the layer, and (N, 2 H, D) the keys and then values that later rows see.
    """
    qkv_NED = layer.project(x_NC)
    heads_HND = attend_windows(qkv_NED.transpose(0, 1), layer.distance, starts)
    x_NC = layer.add_attention(x_NC, heads_HND.transpose(0, 1))
    return layer.feed(x_NC), qkv_NED[:, qkv_NED.shape[1] // 3 :]


def attend_windows(qkv_END: Tensor, e_HRD: Tensor, starts: Sequence[int]) -> Tensor:
    """Relative attention of each window to itself.

    Args:
        qkv_END: (3 H, N, D) the heads' queries, then keys, then values.
        e_HRD: embeddings of distances, 0 first.
        starts: (W + 1,) where each window starts, and where the last one ends.

    Returns:
        (H, N, D)
    """
    heads = []
    for first, last in zip(starts[:-1], starts[1:], strict=True):
        q_HLD, k_HLD, v_HLD = qkv_END[:, first:last].chunk(3)
        heads.append(relative_attention(q_HLD, k_HLD, v_HLD, e_HRD))
    return torch.cat(heads, dim=1)


class MusicTransformer(nn.Module):
    """Rows in, the negative log-likelihood of each field of each row out.

    Every head has keys and values of its own, as in the paper (`kv_heads` only says how large the MeloFormer of this size is),
    and embeddings of distances up to a quarter of the context, the last one for all that lies further back. The feed-forward
    layer is as much narrower as makes the parameters equal to those of a MeloFormer with summaries.

    Source: Huang et al. (2018), "Music Transformer: generating music with long-term structure".
    """

    header_changes: tuple[float, float] | None = None
    """Shares of bars that change a piece's time signature, and its tempo, for the first time, in the training music; None
    where that is not known."""

    def __init__(self, config: ModelConfig, vocabulary: Vocabulary) -> None:
        """A fresh model. Raises MeloError where it cannot be as large as MeloFormer."""
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        self.embed = RowEmbedding(vocabulary, config.width)
        self.start = nn.Parameter(torch.zeros(config.width))
        """The state that predicts a piece's first row."""

        self.layers: Sequence[Layer] = nn.ModuleList(  # type: ignore[assignment]
            Layer(config) for _ in range(config.layers)
        )
        self.norm = nn.RMSNorm(config.width)
        self.heads = RowHeads(vocabulary, config.width, config.field_hidden)
        init_weights(self, layers=config.layers)

    def loss_mask(self, pack: Pack) -> Bools:
        """(N,) bool, rows whose loss counts: see `Pack.loss_mask`."""
        return pack.loss_mask

    def layout(self, pack: Pack) -> MusicTransformerLayout:
        """The pack as this model sees it: every real row counts but the first of a window that does not open its piece."""
        loss_mask_N = self.loss_mask(pack)
        opens_N = np.zeros(len(pack.rows), dtype=bool)
        opens_N[pack.starts[:-1]] = True
        return MusicTransformerLayout(
            rows_NF=torch.from_numpy(pack.rows),
            loss_mask_N=torch.from_numpy(loss_mask_N),
            opens_N=torch.from_numpy(opens_N),
            starts=tuple(pack.starts.tolist()),
            n_notes=int((pack.rows[loss_mask_N, PITCH] != ABSENT).sum()),
        )

    def states(self, layout: MusicTransformerLayout) -> Tensor:
        """(N, C) states without the padding: state i predicts row i and has seen the rows before i of its window alone."""
        x_NC = self.embed(layout.rows_NF[: layout.n_rows])
        for layer in self.layers:
            x_NC = layer(x_NC, layout)
        before_NC = self.norm(x_NC).roll(1, dims=0)
        return torch.where(layout.opens_N[: layout.n_rows, None], self.start, before_NC)

    def forward(self, layout: MusicTransformerLayout) -> Tensor:
        """−ln p of every field of every row, given the rows of its window before it and the fields before it.

        Returns:
            (N, F) float32; 0 where a row lacks the field or does not count.
        """
        loss_mask_N = layout.loss_mask_N
        nll_NF = self.heads.nll(self.states(layout)[loss_mask_N[: layout.n_rows]], layout.rows_NF[loss_mask_N])
        return nll_NF.new_zeros(len(loss_mask_N), len(FIELDS)).masked_scatter(loss_mask_N[:, None], nll_NF)


def longest_distance(config: ModelConfig) -> int:
    """Distances, in rows, that have an embedding of their own: a quarter of the context, one at least."""
    return max(1, config.context // 4)


def hidden_width(config: ModelConfig) -> int:
    """Width inside the SwiGLU with which a layer holds as much as one of MeloFormer.

    Raises:
        MeloError: the embeddings of distances take too much for that.
    """
    c, n = config.width, config.layers
    attention = 4 * c * c + c * longest_distance(config) + 2 * c  # and norms
    give = f"a larger size, or a context of fewer rows than {config.context:,}"
    return feed_forward_width(config, besides=n * attention, each=n * 3 * c, name="music-transformer", give=give)
