"""An encoder–decoder on rows, a sibling that MeloFormer is compared with: a primer is read, its continuation written.

The form is that of the founding documents' third text: PyTorch's own Transformer layers, an encoder (which sees all of the primer
in both directions) and a decoder (which sees the continuation before it and the encoder's output), positions added to what goes
in. Norms stand before each branch, not after it: that trains without a warm-up of its own.

Each window is split at a bar line near its half. Only rows of the continuation are predicted, so only they count: bits a note
under this model are of second halves, and are compared with others on the same rows alone.

Shape letters: N rows of a pack, W windows, P steps of the encoder, M steps of the decoder, K rows of the loss mask, F fields,
C width.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from analysis.arrays import Bools, Ints
from meloctl.dataset.packs import Pack
from meloctl.model.config import ModelConfig
from meloctl.model.init import STD, init_weights
from meloctl.model.row_heads import RowEmbedding, RowHeads
from meloctl.model.sibling_sizes import feed_forward_width
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTRUMENT, PITCH, POSITION, Vocabulary


@dataclass(frozen=True, kw_only=True, eq=False)
class EncoderDecoderLayout:
    """What a pack looks like to the encoder–decoder: its windows side by side, each padded to the longest."""

    rows_NF: Tensor
    """(N, F) int64, the pack's rows, padding at the end."""

    loss_mask_N: Tensor
    """(N,) bool, rows whose loss counts: those of continuations."""

    time_N2: Tensor
    """(N, 2) int64, bar and position of each row."""

    start_W2: Tensor
    """(W, 2) int64, bar and position at which each continuation starts."""

    primer_WP: Tensor
    """(W, P) int64, the rows that the encoder reads, a blank first; 0 for the blank and for padding."""

    padding_WP: Tensor
    """(W, P) bool, True where the encoder has neither a row nor the blank."""

    continuation_WM: Tensor
    """(W, M) int64, the rows that the decoder predicts; 0 for padding."""

    state_K: Tensor
    """(K,) int64, which of the W · M steps predicts each row of the loss mask."""

    n_rows: int
    """Rows without the padding."""

    n_notes: int
    """Note rows in the loss mask."""

    def to(self, device: torch.device | str) -> "EncoderDecoderLayout":
        """The same on a device."""
        moved: dict[str, Any] = {name: x.to(device) for name, x in vars(self).items() if isinstance(x, Tensor)}
        return replace(self, **moved)


class EncoderDecoder(nn.Module):
    """Rows in, the negative log-likelihood of each field of each row of the continuations out.

    Half of the layers read, half write. The encoder's first step is a learned blank, so a window of a single bar, which is all
    continuation, has something to attend to. The decoder's first step is a learned start at the continuation's first bar: what
    comes first is predicted from it and the primer. Dropout is that of PyTorch's layers, but for the weights of attention, which
    MeloFormer keeps whole too and flash kernels on CPUs need whole.

    Sources: Vaswani et al. (2017), "Attention is all you need"; the third of the founding documents.
    """

    header_changes: tuple[float, float] | None = None
    """Shares of bars that change a piece's time signature, and its tempo, for the first time, in the training music; None
    where that is not known."""

    def __init__(self, config: ModelConfig, vocabulary: Vocabulary) -> None:
        """A fresh model. Raises MeloError where it cannot be as large as MeloFormer."""
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        n_readers, n_writers = layers_of(config)
        sizes = (config.width, config.heads, hidden_width(config), config.dropout)
        self.embed = RowEmbedding(vocabulary, config.width)
        self.blank = nn.Parameter(torch.zeros(config.width))
        """What the encoder reads before the primer."""

        self.start = nn.Parameter(torch.zeros(config.width))
        """What the decoder reads before the continuation."""

        reader = nn.TransformerEncoderLayer(*sizes, batch_first=True, norm_first=True)
        writer = nn.TransformerDecoderLayer(*sizes, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(reader, n_readers, nn.LayerNorm(config.width), enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(writer, n_writers, nn.LayerNorm(config.width))
        self.heads = RowHeads(vocabulary, config.width, config.field_hidden)
        init_weights(self, layers=config.layers)
        for start in (self.blank, self.start):
            nn.init.normal_(start, std=STD)
        for module in self.modules():
            if isinstance(module, nn.MultiheadAttention):
                module.dropout = 0.0

    def loss_mask(self, pack: Pack) -> Bools:
        """(N,) bool, rows whose loss counts: of those that count for other models (`Pack.loss_mask`), the continuations' rows."""
        continued_N = np.zeros(len(pack.rows), dtype=bool)
        for first, last in zip(self._splits(pack), pack.starts[1:], strict=True):
            continued_N[first:last] = True
        return continued_N & pack.loss_mask

    def _splits(self, pack: Pack) -> Ints:
        """(W,) the row at which each window's continuation starts."""
        ends = zip(pack.starts[:-1], pack.starts[1:], strict=True)
        return np.array([a + split(pack.rows[a:b], self.vocabulary) for a, b in ends])

    def layout(self, pack: Pack) -> EncoderDecoderLayout:
        """The pack as this model sees it."""
        starts_W, ends_W = pack.starts[:-1], pack.starts[1:]
        bar_N = bars_of(pack, self.vocabulary)
        split_W, loss_mask_N = self._splits(pack), self.loss_mask(pack)
        primer_WP, padding_WP = side_by_side(starts_W - 1, split_W)  # one step more: the blank
        primer_WP[:, 0] = 0
        continuation_WM, beyond_WM = side_by_side(split_W, ends_W)
        counts_WM = ~beyond_WM & loss_mask_N[continuation_WM]
        return EncoderDecoderLayout(
            rows_NF=torch.from_numpy(pack.rows),
            loss_mask_N=torch.from_numpy(loss_mask_N),
            time_N2=torch.from_numpy(np.stack([bar_N, pack.rows[: pack.n_rows, POSITION].clip(min=0)], axis=1)),
            start_W2=torch.from_numpy(np.stack([bar_N[split_W], np.zeros_like(split_W)], axis=1)),
            primer_WP=torch.from_numpy(primer_WP),
            padding_WP=torch.from_numpy(padding_WP),
            continuation_WM=torch.from_numpy(continuation_WM),
            state_K=torch.from_numpy(np.flatnonzero(counts_WM)),
            n_rows=pack.n_rows,
            n_notes=int((pack.rows[loss_mask_N, PITCH] != ABSENT).sum()),
        )

    def states(self, layout: EncoderDecoderLayout) -> Tensor:
        """(W, M, C) states: state i of a window predicts row i of its continuation, from its primer and the rows before i."""
        x_NC = self.placed(self.embed(layout.rows_NF[: layout.n_rows]), layout.time_N2)
        read_WPC, written_WMC = x_NC[layout.primer_WP], x_NC[layout.continuation_WM[:, :-1]]
        blank_WC = self.blank.to(x_NC.dtype).expand(len(read_WPC), -1)
        start_WC = self.placed(self.start.expand(len(read_WPC), -1), layout.start_W2).to(x_NC.dtype)
        read_WPC = torch.cat([blank_WC[:, None], read_WPC[:, 1:]], dim=1)
        written_WMC = torch.cat([start_WC[:, None], written_WMC], dim=1)
        encoded_WPC = self.encoder(read_WPC, src_key_padding_mask=layout.padding_WP)
        n_steps = written_WMC.shape[1]
        later_MM = torch.ones(n_steps, n_steps, dtype=torch.bool, device=x_NC.device).triu(1)
        return self.decoder(  # padding comes last, so no real step sees it: causality is mask enough
            written_WMC, encoded_WPC, tgt_mask=later_MM, tgt_is_causal=True, memory_key_padding_mask=layout.padding_WP
        )

    def placed(self, x_NC: Tensor, time_N2: Tensor) -> Tensor:
        """Embeddings times √C plus the positional encoding, (N, C) (Vaswani et al., section 3.4).

        Args:
            x_NC: embeddings of rows.
            time_N2: bar and position in it, in steps, of each row.
        """
        return x_NC * self.config.width**0.5 + musical_time(time_N2, self.config.width).to(x_NC.dtype)

    def forward(self, layout: EncoderDecoderLayout) -> Tensor:
        """−ln p of every field of every row of a continuation, given the primer, the rows and the fields before it.

        Returns:
            (N, F) float32; 0 where a row lacks the field or does not count.
        """
        loss_mask_N = layout.loss_mask_N
        state_KC = self.states(layout).flatten(0, 1)[layout.state_K]
        nll_KF = self.heads.nll(state_KC, layout.rows_NF[loss_mask_N])
        return nll_KF.new_zeros(len(loss_mask_N), len(FIELDS)).masked_scatter(loss_mask_N[:, None], nll_KF)


def split(rows_LF: Ints, vocabulary: Vocabulary) -> int:
    """Rows (L, F) of a window → how many are its primer: those before the bar line nearest to its half, the earlier of two.

    0 where the window is a single bar: it is all continuation.
    """
    lines = np.flatnonzero(rows_LF[:, INSTRUMENT] == vocabulary.bar)[1:]
    return int(lines[np.abs(2 * lines - len(rows_LF)).argmin()]) if len(lines) else 0


def bars_of(pack: Pack, vocabulary: Vocabulary) -> Ints:
    """(N,) the bar of each real row, from 0 in its piece."""
    opened_N = np.cumsum(pack.rows[: pack.n_rows, INSTRUMENT] == vocabulary.bar)
    return opened_N + np.repeat(pack.first_bar - opened_N[pack.starts[:-1]], np.diff(pack.starts))


def side_by_side(first_W: Ints, last_W: Ints) -> tuple[Ints, Bools]:
    """Indices of ranges, padded to the longest.

    Args:
        first_W, last_W: each range is [first, last).

    Returns:
        (W, M) indices, 0 for padding, and (W, M) True for padding.
    """
    steps_M = np.arange((last_W - first_W).max())
    padding_WM = steps_M[None] >= (last_W - first_W)[:, None]
    return np.where(padding_WM, 0, first_W[:, None] + steps_M), padding_WM


def musical_time(time_N2: Tensor, width: int) -> Tensor:
    """Positional encoding (N, C): sines and cosines of bar and position, a half of the width each (Vaswani et al., section 3.5).

    Args:
        time_N2: bar and position.
        width: a multiple of 4.
    """
    planes = width // 4
    speed = 10_000.0 ** (-torch.arange(planes, device=time_N2.device, dtype=torch.float32) / planes)
    angle_NA = (time_N2[:, :, None] * speed).flatten(1)
    return torch.cat([angle_NA.sin(), angle_NA.cos()], dim=1)


def layers_of(config: ModelConfig) -> tuple[int, int]:
    """Layers of the encoder and of the decoder, which has one more where they are odd; each has one at least."""
    n_readers = max(1, config.layers // 2)
    return n_readers, max(1, config.layers - n_readers)


def hidden_width(config: ModelConfig) -> int:
    """Width inside the feed-forward layers with which all layers hold as much as those of MeloFormer.

    Raises:
        MeloError: attention, of which the decoder's layers have two, takes too much for that.
    """
    c = config.width
    n_readers, n_writers = layers_of(config)
    reader, writer = 4 * c * c + 9 * c, 8 * c * c + 15 * c  # attention, norms, and biases
    besides, each = n_readers * reader + n_writers * writer, (n_readers + n_writers) * (2 * c + 1)
    return feed_forward_width(config, besides=besides, each=each, name="encoder-decoder", give="a larger size")
