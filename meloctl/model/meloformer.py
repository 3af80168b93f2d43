"""MeloFormer, a decoder over rows R and bar summaries S. Read from top to bottom.

Each layer has four blocks (the founding documents' SS, SR, RS and RR):

    SS+SR   S' = attend(query S_b; keys: S_c of bars c ≤ b, and the rows of bar b)
    K2,V2   a second projection of S'
    RS+RR   R' = attend(query a row of bar b; keys: K2,V2 of S'_c of bars c < b, and the rows that the mask shows)

Nothing later is ever seen: a row's state predicts the next row. Shape letters: B batch, L rows, T bars, C width,
H query heads, G key and value heads, D width of a head, F fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from masks.spec import MaskSpec
from meloctl.model.attention import attend, rotate, rotation, row_mask, summary_masks
from meloctl.model.config import ModelConfig
from meloctl.model.row_heads import RowEmbedding, RowHeads
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTRUMENT, NUMBER, POSITION, Vocabulary


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the rows of a batch stand in musical time, and who sees whom; the same for all layers."""

    n_bars: int
    row_turn: Tensor
    """(B, 1, L, D) cosines and sines of the rotary angles of rows."""

    bar_turn: Tensor
    """(B, 1, T, D) cosines and sines of the rotary angles of summaries: their bar, position 0."""

    row_sees: Tensor
    """(B, L, T + L) a row sees summaries and rows; T is 0 where the spec has no summaries."""

    bar_sees: Tensor
    """(B, T, T + L) a summary sees summaries and rows."""


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


class Layer(nn.Module):
    """The four blocks and a feed-forward layer. Rows and summaries share all but the second projection."""

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

    def query(self, x_BNC: Tensor, turn: Tensor) -> Tensor:
        """(B, H, N, D) of normed rows or summaries."""
        return rotate(self._split(self.q(x_BNC)), turn)

    def keys(self, x_BNC: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
        """K, V (B, G, N, D) of normed rows or summaries: the first projection."""
        k, v = self.kv(x_BNC).chunk(2, dim=-1)
        return rotate(self._split(k), turn), self._split(v)

    def second_keys(self, s_BTC: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
        """K2, V2 (B, G, T, D) of updated summaries: what rows see of them."""
        k, v = self.kv2(self.norm2(s_BTC)).chunk(2, dim=-1)
        return rotate(self._split(k), turn), self._split(v)

    def add_attention(self, x_BNC: Tensor, heads_BHND: Tensor) -> Tensor:
        """x plus what attention brought."""
        return x_BNC + self.drop(self.out(heads_BHND.transpose(1, 2).flatten(2)))

    def feed(self, x_BNC: Tensor) -> Tensor:
        """x plus the feed-forward layer."""
        return x_BNC + self.drop(self.mlp(self.mlp_norm(x_BNC)))

    def forward(self, r_BLC: Tensor, s_BTC: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
        """One layer over all rows and summaries at once."""
        rows = self.norm(r_BLC)
        q_r = self.query(rows, layout.row_turn)
        k_r, v_r = self.keys(rows, layout.row_turn)
        k, v = k_r, v_r
        if self.summaries:
            bars = self.norm(s_BTC)
            k_s, v_s = self.keys(bars, layout.bar_turn)
            q_s = self.query(bars, layout.bar_turn)
            heard = attend(q_s, torch.cat([k_s, k_r], 2), torch.cat([v_s, v_r], 2), layout.bar_sees)
            s_BTC = self.add_attention(s_BTC, heard)
            k2, v2 = self.second_keys(s_BTC, layout.bar_turn)
            k, v = torch.cat([k2, k_r], 2), torch.cat([v2, v_r], 2)
            if not self.last:
                s_BTC = self.feed(s_BTC)
        r_BLC = self.add_attention(r_BLC, attend(q_r, k, v, layout.row_sees))
        return self.feed(r_BLC), s_BTC

    def _split(self, x_BNE: Tensor) -> Tensor:
        """(B, N, heads·D) → (B, heads, N, D)."""
        return x_BNE.unflatten(-1, (-1, self.d)).transpose(1, 2)


class MeloFormer(nn.Module):
    """Rows in, a state for each next row out; `heads` turns states into fields.

    Source: Museformer (Yu et al., 2022) for rows with bar summaries; rows of nested fields and the mask by relation are ours.
    """

    def __init__(self, config: ModelConfig, vocabulary: Vocabulary, spec: MaskSpec) -> None:
        super().__init__()
        self.config, self.vocabulary, self.spec = config, vocabulary, spec
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
        self.apply(self._init)

    def _init(self, module: nn.Module) -> None:
        """Small normal weights; what is added to the residual stream is smaller the deeper the model (GPT-2)."""
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, Layer):
            scale = (2 * self.config.layers) ** -0.5
            module.out.weight.data *= scale
            module.mlp.outer.weight.data *= scale

    def layout(self, rows_BLF: Tensor, first_bar_B: Tensor) -> Layout:
        """Musical time and masks of a batch of rows, padding ABSENT."""
        bar_BL, part_BL = self.bars_and_parts(rows_BLF)
        n_bars = int(bar_BL.max()) + 1 if self.spec.summaries else 0
        bars_BT = torch.arange(n_bars, device=rows_BLF.device) + first_bar_B[:, None]
        width = self.config.head_width
        position_BL = rows_BLF[:, :, POSITION].clamp(min=0)
        drum_BL = rows_BLF[:, :, INSTRUMENT] == self.vocabulary.drums
        ss, sr, rs = summary_masks(bar_BL, n_bars)
        return Layout(
            n_bars=n_bars,
            row_turn=rotation(bar_BL + first_bar_B[:, None], position_BL, width)[:, None],
            bar_turn=rotation(bars_BT, torch.zeros_like(bars_BT), width)[:, None],
            row_sees=torch.cat([rs, row_mask(self.spec, bar_BL, part_BL, drum_BL)], dim=2),
            bar_sees=torch.cat([ss, sr], dim=2),
        )

    def bars_and_parts(self, rows_BLF: Tensor) -> tuple[Tensor, Tensor]:
        """(B, L) bar of each row, from 0 in each sequence and -1 for padding; (B, L) part of each row."""
        instrument_BL = rows_BLF[:, :, INSTRUMENT]
        bar_BL = (instrument_BL == self.vocabulary.bar).cumsum(1) - 1
        bar_BL = bar_BL.masked_fill(instrument_BL == ABSENT, -1)
        return bar_BL, part_of(rows_BLF, self.vocabulary)

    def states(self, rows_BLF: Tensor, first_bar_B: Tensor) -> Tensor:
        """States that predict each row from the rows before it.

        Args:
            rows_BLF: (B, L, 8) windows of whole bars, each opening with a header row; padding is ABSENT.
            first_bar_B: (B,) number of each window's first bar in its piece.

        Returns:
            (B, L, C): state i predicts row i and has seen rows before i alone; the first is the same for every piece.
        """
        layout = self.layout(rows_BLF, first_bar_B)
        r_BLC = self.embed(rows_BLF)
        s_BTC = r_BLC.new_zeros(len(rows_BLF), layout.n_bars, self.config.width)
        if self.spec.summaries:
            s_BTC = s_BTC + self.summary
        for layer in self.layers:
            r_BLC, s_BTC = layer(r_BLC, s_BTC, layout)
        start = self.start.expand(len(r_BLC), 1, -1)
        return torch.cat([start, self.norm(r_BLC)[:, :-1]], dim=1)

    def forward(self, rows_BLF: Tensor, first_bar_B: Tensor) -> Tensor:
        """−ln p of every field of every row, given the rows before it and the fields before it.

        Padding counts 0, and so does the first row of a window that does not open its piece: what came before is missing.

        Returns:
            (B, L, F) float32
        """
        state_BLC = self.states(rows_BLF, first_bar_B)
        counted_BL = rows_BLF[:, :, INSTRUMENT] != ABSENT
        counted_BL[:, 0] &= first_bar_B == 0
        nats_NF = self.heads.nats(state_BLC[counted_BL], rows_BLF[counted_BL])
        nats_BLF = nats_NF.new_zeros(*rows_BLF.shape[:2], len(FIELDS))
        return nats_BLF.masked_scatter(counted_BL[:, :, None], nats_NF)


def part_of(rows: Tensor, vocabulary: Vocabulary) -> Tensor:
    """(…) the part of each row (…, 8): instrument and number as one integer; header rows are a part of their own."""
    return rows[..., INSTRUMENT] * vocabulary.numbers + rows[..., NUMBER].clamp(min=0)


def n_parameters(model: nn.Module) -> int:
    """Parameters, each counted once."""
    return sum(p.numel() for p in model.parameters())
