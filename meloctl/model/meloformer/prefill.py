"""Prefill: one forward pass over a prompt fills the KV cache as reading it row by row would.

Shape letters: L rows of a prompt, N rows of a pack, T summaries of a pack, G key and value heads, D width of a head.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.arrays import Bools, Ints
from meloctl.dataset.packs import Pack
from meloctl.dataset.windows import Middle
from meloctl.model.bar_plans import PlanConditions
from meloctl.model.meloformer.kv_cache import KVSegment, PieceKVCache
from meloctl.model.meloformer.model import KV, LayerKV
from meloctl.rows.vocabulary import INSTRUMENT, Vocabulary


def pack_of_prompts(prompts: Sequence[Ints], vocabulary: Vocabulary, first_masked_bar: int | None) -> Pack:
    """Prompts (L, F) as windows of one pack.

    Args:
        first_masked_bar: the bar that the first infill header opens again; None where none will come.
    """
    middles = []
    for rows_LF in prompts:
        infill = np.flatnonzero(rows_LF[:, INSTRUMENT] == vocabulary.infill_bar)
        opened = len(infill) and first_masked_bar is not None
        middles.append(Middle(row=int(infill[0]), bar=first_masked_bar or 0, masked_headers=()) if opened else None)
    return Pack(
        rows=np.concatenate(prompts),
        starts=np.cumsum([0, *map(len, prompts)]),
        first_bar=np.zeros(len(prompts), dtype=np.int64),
        middles=tuple(middles),
    )


class PromptPlans:
    """What bar plans add to the rows of prompts."""

    def __init__(self, pack: Pack, bar_N: Ints, plans: Sequence[PlanConditions | None]) -> None:
        """Of the prompts of a pack.

        Args:
            bar_N: the bar of each row, counted in its prompt.
            plans: of each prompt, if it has any.
        """
        at, added = [np.zeros(0, dtype=np.int64)], []
        for first, stop, plan in zip(pack.starts[:-1].tolist(), pack.starts[1:].tolist(), plans, strict=True):
            if plan is not None:
                at.append(first + np.flatnonzero(bar_N[first:stop] < len(plan.rows)))
                added.append(plan.rows[bar_N[at[-1]]])
        self._rows = torch.from_numpy(np.concatenate(at))
        self._added_nVC = torch.from_numpy(np.concatenate(added)) if added else None

    def to_rows(self, place: int, r_NC: Tensor) -> Tensor:
        """(N, C) rows of the pack, or the states after them, with what is added at a place, see `PlanConditions`."""
        if self._added_nVC is None:
            return r_NC
        return r_NC.index_add(0, self._rows, self._added_nVC[:, place].to(r_NC.dtype))


@dataclass(frozen=True, kw_only=True, eq=False)
class PromptPlaces:
    """Where the rows of one prompt stand, (L,) each."""

    bar: Ints
    """From 0."""

    segment: Ints
    """Bars opened before, by an infill header too; from 0."""

    part: Ints
    is_drums: Bools

    @property
    def in_middle(self) -> Bools:
        """(L,) rows of bars that an infill header opened."""
        return self.segment > self.bar

    @property
    def n_open(self) -> int:
        """Rows of the cell that is open at the end."""
        place_3L = np.stack([self.segment, self.bar, self.part])
        other_L = (place_3L != place_3L[:, -1:]).any(axis=0)
        return int(np.argmax(other_L[::-1])) if other_L.any() else len(self.bar)


class PromptSlots:
    """Slots in a piece's cache for a prompt's keys and values: allocated at once, written layer by layer, and then `finish`."""

    def __init__(self, cache: PieceKVCache, places: PromptPlaces, *, first_row: int, first_summary: int | None) -> None:
        """Allocate slots for what later rows can see.

        Args:
            cache: of a piece without rows.
            first_row, first_summary: of the prompt in the forward pass's pack; None without summaries.
        """
        self.cache, self.places = cache, places
        self._summaries: list[tuple[KVSegment, slice, slice]] = []
        self._rows: list[tuple[KVSegment, slice, Tensor]] = []
        opening = np.flatnonzero(np.diff(places.segment, prepend=-1))
        if first_summary is not None:
            n_closed = len(opening) - 1
            source = slice(first_summary, first_summary + n_closed)
            for segment in (cache.summaries, cache.summaries2):
                slots = segment.append(places.bar[opening[:-1]], n_closed)
                self._summaries.append((segment, slots, source))
        cache.bar, cache.in_middle = int(places.bar[-1]), bool(places.in_middle[-1])
        cache.drums = set(places.part[places.is_drums].tolist())
        self._allocate_closed_cells(first_row, int(opening[-1]))
        self._open = KVSegment(cache.like)
        closed, n = len(places.bar) - places.n_open, places.n_open
        self._rows.append((self._open, self._open.append(0, n), torch.arange(n) + (first_row + closed)))

    def write(self, layer: int, kv: LayerKV) -> None:
        """Write this prompt's share of one layer's keys and values, rows (N, G, D) and summaries (T, G, D) of the pack."""
        for segment, slots, rows in self._rows:
            _write(segment, layer, slots, (kv.rows[0][rows], kv.rows[1][rows]))
        for (segment, slots, source), kv_s in zip(self._summaries, (kv.summaries, kv.summaries2), strict=False):
            assert kv_s
            _write(segment, layer, slots, (kv_s[0][source], kv_s[1][source]))

    def finish(self) -> None:
        """Open the prompt's last cell with its rows, once all layers are written."""
        n = self.places.n_open
        part, drum = int(self.places.part[-1]), bool(self.places.is_drums[-1])
        segment, slot = self.cache.append_rows(part, drum=drum, n=n)
        segment.kv[:, :, :, slot : slot + n] = self._open.kv[:, :, :, :n]

    def _allocate_closed_cells(self, first_row: int, last_opening: int) -> None:
        """Segments of all rows before the open cell, in order of first appearance, without rows that no later row can see.

        Args:
            last_opening: row of the prompt that opened the last bar.
        """
        places, cache = self.places, self.cache
        in_middle_L, first_bar = places.in_middle, 0
        if cache.reach.limited and last_opening:
            closed = last_opening - 1
            first_bar = cache.first_bar_needed(int(places.bar[closed]), in_middle=bool(in_middle_L[closed]))
        key_L = (2 * places.part + in_middle_L)[: len(places.bar) - places.n_open]
        keys, first = np.unique(key_L, return_index=True)
        for key in keys[np.argsort(first)].tolist():
            rows = np.flatnonzero(key_L == key)
            rows = rows[places.bar[rows] >= first_bar]
            segment = cache.segments[bool(key % 2), key // 2] = KVSegment(cache.like)
            self._rows.append(
                (segment, segment.append(places.bar[rows], len(rows)), torch.from_numpy(rows + first_row))
            )


def _write(segment: KVSegment, layer: int, slots: slice, kv: KV) -> None:
    """Write keys and values (n, G, D) of one layer to slots of a segment."""
    for axis, x_nGD in enumerate(kv):
        segment.kv[layer, axis, :, slots] = x_nGD.transpose(0, 1)
