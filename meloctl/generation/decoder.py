"""Row by row with cached keys and values: the same states as the full forward, one row at a time.

Rows' keys and values are kept for each layer; when a bar closes, its summary passes through all layers and leaves the
keys that later summaries see (first projection) and those that rows see (second projection). Shape letters as in
`meloformer`.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from masks.spec import MOST_OFFSET, RELATIONS
from masks.tiles import CROSS, DRUMS, SAME
from meloctl.model.attention import attend_dense
from meloctl.model.gates import LAST, N_OFFSETS
from meloctl.model.layout import part_of
from meloctl.model.meloformer import MeloFormer
from meloctl.model.planner import everything
from meloctl.model.rotary import rotation
from meloctl.rows.vocabulary import INSTRUMENT, POSITION


class Cache:
    """Keys and values (N, G, D) that grow at the end, doubling their room."""

    def __init__(self) -> None:
        self.n = 0
        self.k: Tensor | None = None
        self.v: Tensor | None = None

    def add(self, k: Tensor, v: Tensor) -> None:
        """Append (n, G, D)."""
        n = len(k)
        if self.k is None or self.v is None or self.n + n > len(self.k):
            room = max(64, 2 * (self.n + n))
            self.k, self.v = (self._grown(old, new, room) for old, new in ((self.k, k), (self.v, v)))
        self.k[self.n : self.n + n] = k
        self.v[self.n : self.n + n] = v
        self.n += n

    def at(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        """K, V of chosen entries, or of a slice."""
        assert self.k is not None
        assert self.v is not None
        return self.k[: self.n][index], self.v[: self.n][index]

    def _grown(self, old: Tensor | None, new: Tensor, room: int) -> Tensor:
        out = new.new_zeros(room, *new.shape[1:])
        if old is not None:
            out[: self.n] = old[: self.n]
        return out


@dataclass(kw_only=True)
class LayerCache:
    """What one layer keeps."""

    rows: Cache = field(default_factory=Cache)
    bars: Cache = field(default_factory=Cache)
    """Summaries as later summaries see them."""

    second: Cache = field(default_factory=Cache)
    """Summaries as rows see them."""


class Decoder:
    """Feeds rows to a model one at a time."""

    def __init__(self, model: MeloFormer) -> None:
        self.model = model
        self.caches = [LayerCache() for _ in model.layers]
        self.n, self.opened = 0, 0
        """Rows so far, and the row that opened the current bar."""

        self.bar = np.zeros(64, dtype=np.int64)
        self.part = np.zeros(64, dtype=np.int64)
        self.drum = np.zeros(64, dtype=np.bool_)
        spec = model.spec if model.gates is None else everything(model.spec)
        known = range(MOST_OFFSET + 1)
        self.sees = np.array([[spec.sees(relation, k) for k in known] for relation in RELATIONS])
        """(R, offsets) what the mask shows; at the last offset and at all beyond."""

    def start(self) -> Tensor:
        """(C,) the state that predicts the first row."""
        return self.model.start

    @torch.no_grad()
    def step(self, row_F: Tensor) -> Tensor:
        """(C,) the state that predicts the row after this one; row (8,). A header row closes the bar before it."""
        model = self.model
        opens = int(row_F[INSTRUMENT]) == model.vocabulary.bar
        if opens and self.n and model.spec.summaries:
            self._close_bar()
        drum = int(row_F[INSTRUMENT]) == model.vocabulary.drums
        bar = self._enter(int(part_of(row_F.numpy(), model.vocabulary)), drum, opens)
        turn = rotation(torch.tensor(bar), row_F[POSITION].clamp(min=0), model.config.head_width)[None, None]
        seen, gate = self._seen()
        bias = None if model.gates is None else model.gates.biases()[gate]
        r_1C = model.embed(row_F[None])
        for layer, cache in zip(model.layers, self.caches, strict=True):
            rows = layer.norm(r_1C)
            cache.rows.add(*layer.keys(rows, turn))
            k, v = cache.rows.at(seen)
            n_bars = cache.second.n
            if n_bars:
                k2, v2 = cache.second.at(slice(None))
                k, v = torch.cat([k2, k]), torch.cat([v2, v])
            through = None if bias is None else torch.cat([bias.new_zeros(n_bars), bias])
            r_1C = layer.feed(layer.add_attention(r_1C, _attend_all(layer.query(rows, turn), k, v, through)))
        return model.norm(r_1C)[0]

    def _enter(self, part: int, drum: bool, opens: bool) -> int:
        """Note where a new row stands; its bar."""
        if self.n == len(self.bar):
            self.bar, self.part = (np.concatenate([a, np.zeros_like(a)]) for a in (self.bar, self.part))
            self.drum = np.concatenate([self.drum, np.zeros_like(self.drum)])
        bar = int(self.bar[self.n - 1]) + opens if self.n else 0
        self.bar[self.n], self.part[self.n], self.drum[self.n] = bar, part, drum
        self.opened = self.n if opens else self.opened
        self.n += 1
        return bar

    def _seen(self) -> tuple[Tensor, Tensor]:
        """Indices of the rows that the newest one may attend to, itself among them, and the gates in between."""
        bar, part, drum = self.bar[: self.n], self.part[: self.n], self.drum[: self.n]
        offset = bar[-1] - bar
        relation = np.where(part == part[-1], SAME, np.where(drum | drum[-1], DRUMS, CROSS))
        seen = np.flatnonzero(self.sees[relation, np.minimum(offset, MOST_OFFSET)])
        gate = relation * N_OFFSETS + np.minimum(offset, LAST + 1)
        return torch.from_numpy(seen), torch.from_numpy(gate[seen])

    def _close_bar(self) -> None:
        """Compute the summary of the bar that ends with the newest row, in every layer."""
        model = self.model
        bar, mine = int(self.bar[self.n - 1]), slice(self.opened, self.n)
        turn = rotation(torch.tensor(bar), torch.tensor(0), model.config.head_width)[None, None]
        s_1C = model.summary[None]
        for layer, cache in zip(model.layers, self.caches, strict=True):
            bars = layer.norm(s_1C)
            cache.bars.add(*layer.keys(bars, turn))
            k_s, v_s = cache.bars.at(slice(None))
            k_r, v_r = cache.rows.at(mine)
            k, v = torch.cat([k_s, k_r]), torch.cat([v_s, v_r])
            s_1C = layer.add_attention(s_1C, _attend_all(layer.query(bars, turn), k, v, None))
            cache.second.add(*layer.second_keys(s_1C, turn))
            if not layer.last:
                s_1C = layer.feed(s_1C)


def _attend_all(q_1HD: Tensor, k_MGD: Tensor, v_MGD: Tensor, bias_M: Tensor | None) -> Tensor:
    """One query with every key."""
    return attend_dense(q_1HD, k_MGD, v_MGD, torch.ones(1, len(k_MGD), dtype=torch.bool), bias_M)
