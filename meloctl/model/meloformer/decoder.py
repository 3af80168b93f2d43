"""Rows of several pieces, one each at a time, with cached keys and values: the same states as the full forward.

When a bar closes, its summary passes through all layers and leaves the keys that later summaries see (first projection) and those
that rows see (second projection). Shape letters as in `meloformer`, and: B pieces, R = H / G, n keys.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from meloctl.model.attention.gates import all_earlier_rows
from meloctl.model.fused_linear import normed
from meloctl.model.meloformer.fused import FusedWeights, LayerWeights, turned
from meloctl.model.meloformer.kv_cache import KVSegment, OffsetReach, PieceKVCache
from meloctl.model.meloformer.model import MeloFormer
from meloctl.rows.parts import row_parts
from meloctl.rows.vocabulary import INSTRUMENT, POSITION


class MeloFormerDecoder:
    """Feeds rows to a model, one of each piece at a time."""

    def __init__(self, model: MeloFormer, pieces: int = 1, *, half: bool = False, reopened: int | None = None) -> None:
        """No row yet.

        Args:
            half: compute large products in bf16, see `products`.
            reopened: the bar, counted in the rows, that the first reopening row opens once more; None where none will come.
        """
        self.model, self.weights = model, FusedWeights(model, half=half)
        self.heads = self.weights.heads
        self.biases = None if model.gates is None else model.gates.biases().detach()
        config, spec = model.config, model.spec if model.gates is None else all_earlier_rows(model.spec)
        self.sight = OffsetReach(spec)
        like = self.weights.scale.new_empty(config.layers, 2, config.kv_heads, 0, config.head_width)
        gated = model.gates is not None
        self.pieces = [PieceKVCache(sight=self.sight, like=like, gated=gated, reopened=reopened) for _ in range(pieces)]
        self.most_bytes = 0
        """The most memory that keys and values have taken, as far as is known where bars and pieces end."""

    @property
    def nbytes(self) -> int:
        """Memory taken by keys and values of all pieces."""
        return sum(piece.nbytes for piece in self.pieces)

    def start(self) -> Tensor:
        """(B, C) the states that predict the first rows."""
        return self.model.start.detach().expand(len(self.pieces), -1)

    def hear(self, given: Sequence[Tensor]) -> Tensor:
        """(B, C) the states after what each piece begins with, (L, 8) each, of any lengths; before any step."""
        every, states = self.pieces, self.start().clone()
        for i in range(max(map(len, given))):
            on = [b for b, rows_LF in enumerate(given) if i < len(rows_LF)]
            self.pieces = [every[b] for b in on]
            states[on] = self.step(torch.stack([given[b][i] for b in on]))
        self.pieces = every
        return states

    def keep(self, chosen: Sequence[int]) -> None:
        """Go on with these pieces alone, in this order."""
        self.most_bytes = max(self.most_bytes, self.nbytes)
        self.pieces = [self.pieces[i] for i in chosen]

    @torch.no_grad()
    def step(self, rows_BF: Tensor) -> Tensor:
        """(B, C) the states that predict the rows after these; rows (B, 8). A row that opens a bar closes the one before it."""
        vocabulary, config = self.model.vocabulary, self.model.config
        openers = (vocabulary.bar, vocabulary.masked_bar, vocabulary.infill_bar)
        opens_B = [instrument in openers for instrument in rows_BF[:, INSTRUMENT].tolist()]
        if any(opens_B):
            self.most_bytes = max(self.most_bytes, self.nbytes)
        parts_B = row_parts(rows_BF.numpy(), vocabulary).tolist()
        places: list[tuple[KVSegment, int]] = []
        for piece, row, part, opens in zip(self.pieces, rows_BF.tolist(), parts_B, opens_B, strict=True):
            if opens:
                if piece.bar >= 0:
                    self._close_bar(piece)
                piece.open_bar(again=row[INSTRUMENT] == vocabulary.infill_bar)
            places.append(piece.enter(part, drum=row[INSTRUMENT] == vocabulary.drums))
        at = zip(self.pieces, rows_BF[:, POSITION].clamp(min=0).tolist(), strict=True)
        turn = torch.stack([self.weights.turn(piece.bar, position) for piece, position in at])
        biases = [self._biases(piece) for piece in self.pieces]
        x_BC = self.weights.embed(rows_BF)
        d, heads, shared = config.head_width, config.heads, config.kv_heads
        for y, layer in enumerate(self.weights.layers):
            q_BHD, kv_BGD = self._projected(layer, x_BC, turn)
            heard = []
            for b, (piece, (line, place)) in enumerate(zip(self.pieces, places, strict=True)):
                line.kv[y, :, :, place] = kv_BGD[b].view(2, shared, d)
                assert piece.cell
                seen = line.kv[y, :, :, piece.cell.first : line.end]
                heard.append(_attend(q_BHD[b], seen, biases[b]))
            x_BC = layer.feed(x_BC + layer.out(torch.stack(heard).view(len(heard), heads * d)))
        return F.rms_norm(x_BC, x_BC.shape[-1:], self.weights.scale)

    def _projected(self, layer: LayerWeights, x_BC: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, D) queries and (B, 2 G, D) keys and values of rows or summaries."""
        config = self.model.config
        n, d = config.heads + config.kv_heads, config.head_width
        qkv = layer.qkv(normed(x_BC)).to(x_BC.dtype).view(len(x_BC), -1, d)
        qk = turned(qkv[:, :n], turn)
        return qk[:, : config.heads], torch.cat([qk[:, config.heads :], qkv[:, n:]], dim=1)

    def _biases(self, piece: PieceKVCache) -> Tensor | None:
        """(n,) what the score of each key gains by its gate."""
        gates = piece.cell.gates if piece.cell else None
        return None if self.biases is None or gates is None else self.biases[gates]

    def _close_bar(self, piece: PieceKVCache) -> None:
        """Compute the summary of a piece's newest bar, in every layer."""
        piece.close_cell()
        if self.model.spec.summaries:
            self._summarise(piece)
        piece.forget()

    def _summarise(self, piece: PieceKVCache) -> None:
        shared, d = self.model.config.kv_heads, self.model.config.head_width
        turn = self.weights.turn(piece.bar, 0)[None]
        rows = piece.rows_of_bar()
        for line in (piece.bars, piece.second):
            line.make_room(0, 1)
            line.bar[line.end] = piece.bar
            line.end += 1
        s_1C = self.model.summary.detach()[None]
        for y, layer in enumerate(self.weights.layers):
            q_1HD, kv_1GD = self._projected(layer, s_1C, turn)
            bars = piece.bars.kv[y, :, :, : piece.bars.end]
            bars[:, :, -1] = kv_1GD.view(2, shared, d)
            heard = _attend(q_1HD[0], torch.cat([bars, rows[y]], dim=2), None)
            s_1C = s_1C + layer.out(heard.view(1, -1))
            assert layer.second
            k2, v2 = layer.second(normed(s_1C)).to(s_1C.dtype).view(2, 1, shared, d)
            piece.second.kv[y, 0, :, piece.second.end - 1] = turned(k2, turn)[0]
            piece.second.kv[y, 1, :, piece.second.end - 1] = v2[0]
            if not layer.last:
                s_1C = layer.feed(s_1C)


def _attend(q_HD: Tensor, kv_2GnD: Tensor, bias_n: Tensor | None) -> Tensor:
    """(H, D) one query with all of some keys; query heads that share a key head take their turns as rows of the query."""
    g, d = kv_2GnD.shape[1], kv_2GnD.shape[3]
    q_GRD = q_HD.view(1, g, -1, d)
    bias = None if bias_n is None else bias_n.to(q_HD.dtype).expand(1, 1, q_GRD.shape[2], -1)
    out = F.scaled_dot_product_attention(q_GRD, kv_2GnD[None, 0], kv_2GnD[None, 1], attn_mask=bias)
    return out.reshape(-1, d)
