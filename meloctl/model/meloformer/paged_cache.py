"""The paged KV cache of several pieces: a pool of pages that grows in place, and the rules by which `page_loops` fills it.

Shape letters as in `page_loops`, and: L rows of a prompt, n keys.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from analysis.arrays import Ints
from analysis.vector_product import VECTOR
from masks.spec import MASK_RELATIONS, MOST_OFFSET
from meloctl.model.attention.gates import all_earlier_rows
from meloctl.model.meloformer.kv_cache import OffsetReach
from meloctl.model.meloformer.model import MeloFormer
from meloctl.model.meloformer.packed_weights import bfloat16_bits
from meloctl.model.meloformer.page_loops import (
    BAR,
    FIRST_OF_ROWS,
    MASKED,
    N_PAGES,
    N_SEGMENTS,
    NEW_PAGES,
    PAGE,
    PART,
    STATE,
    Pages,
    Rules,
    place_prompt,
    place_rows,
    release,
)


class PagedKVCache:
    """Keys and values of B pieces, as long as later rows can see them."""

    def __init__(
        self, model: MeloFormer, pieces: int, *, half: bool = False, first_masked_bar: int | None = None
    ) -> None:
        """A cache of pieces without rows.

        Args:
            half: keys and values rounded to bf16.
            first_masked_bar: the bar, counted in the rows, that the first infill header opens again; None where none will come.
        """
        self.rules = _rules(model, first_masked_bar)
        self.half, self.pages = half, _no_pages(model, pieces, half=half)
        self._has_room = False
        self.most_bytes = 0
        """The most bytes that keys and values have taken."""

    @property
    def nbytes(self) -> int:
        """Bytes allocated for keys and values of all pieces."""
        return self.pages.keys.nbytes + self.pages.values.nbytes

    def place_rows(self, rows_BF: Ints) -> None:
        """Take in one row of each piece: give it a slot, list what it sees, and close the bar before a row that opens one."""
        if not self._has_room:
            self._make_room(0)
        self._has_room = place_rows(rows_BF, self.pages, self.rules)

    def place_prompt(self, piece: int, rows_LF: Ints) -> Ints:
        """Take in the rows of a piece's prompt.

        Returns:
            (L, 3) slots of the pool for keys and values of each row, of the summary of the bar that it closes, and of its second
            projection; −1 where it closes none. Where two have the same slot, the first is never seen again.
        """
        slots_L3 = np.full((len(rows_LF), 3), -1, dtype=np.int64)
        done = 0
        while done < len(rows_LF):
            self._make_room(0)
            done = place_prompt(piece, rows_LF, done, self.pages, self.rules, slots_L3)
        self._has_room = False
        return slots_L3

    def write(self, layer: int, slots: Ints, k_nGD: Tensor, v_nGD: Tensor) -> None:
        """Write keys and values of one layer.

        Args:
            slots: of the pool.
            k_nGD, v_nGD: keys and values for them.
        """
        page, slot, groups = slots // PAGE, slots % PAGE, k_nGD.shape[1]
        heads = slice(layer * groups, (layer + 1) * groups)
        keys, values = self.pages.keys, self.pages.values
        missing = keys.shape[2] * VECTOR - k_nGD.shape[2]
        k, v = (F.pad(x.float(), (0, missing)).unflatten(2, (-1, VECTOR)) for x in (k_nGD, v_nGD))
        if self.half:
            pairs = (*keys.shape[:-1], VECTOR, 2)
            keys.view(np.uint16).reshape(pairs)[page, heads, :, :, slot] = bfloat16_bits(k.unflatten(3, (-1, 2)))
            values.view(np.uint16).reshape(pairs)[page, heads, :, slot // 2, :, slot % 2] = bfloat16_bits(v)
        else:
            keys.view(np.float32)[page, heads, :, :, slot] = k.numpy()
            values.view(np.float32)[page, heads, :, slot] = v.numpy()

    def copy(self, source: int, to: int) -> None:
        """Copy all that a piece has to a piece without rows."""
        n = int(self.pages.state[source, N_PAGES])
        self._make_room(n)
        pages = self.pages
        old = pages.owned[source, :n]
        left = int(pages.n_free[0]) - n
        new = pages.free[left : left + n].copy()
        pages.n_free[0] = left
        of_pages: Sequence[np.ndarray[Any, Any]] = (pages.keys, pages.values, pages.segment, pages.taken, pages.bar)
        for x in of_pages:
            x[new] = x[old]
        of_pieces: Sequence[np.ndarray[Any, Any]] = (pages.state, pages.key, pages.bias, pages.summary_bias)
        for x in of_pieces:
            x[to] = x[source]
        new_of_old = np.full(len(pages.segment) + 1, -1, dtype=np.int32)  # the last stands for none
        new_of_old[old] = new
        for table in (pages.owned, pages.open_page, pages.visible, pages.summary_visible):
            table[to] = new_of_old[table[source]]
        pages.slot[to] = pages.slot[source]
        pages.slot[to, :, 0] = new_of_old[pages.slot[source, :, 0]]

    def keep(self, chosen: Sequence[int]) -> None:
        """Keep these pieces alone, in this order."""
        kept = list(chosen)
        for b in set(range(len(self.pages.state))) - set(kept):
            release(b, self.pages)
        of_pieces = ("state", "key", "open_page", "owned", "visible", "bias", "summary_visible", "summary_bias", "slot")
        self.pages = self.pages._replace(**{name: getattr(self.pages, name)[kept] for name in of_pieces})
        if not kept:
            self._resize(0)
        self._has_room = False

    def _make_room(self, more: int) -> None:
        """Make room for a row of each piece, and for `more` pages beside."""
        pages = self.pages
        needed = NEW_PAGES * len(pages.state) + more
        if (missing := needed - int(pages.n_free[0])) > 0:
            n = len(pages.segment)
            self._resize(n + max(missing, n // 8))
        most = int(pages.state[:, N_PAGES].max()) + NEW_PAGES + more
        if most > pages.owned.shape[1]:
            wider = dict.fromkeys(("owned", "visible", "summary_visible"), 2 * most)
            wider |= dict.fromkeys(("bias", "summary_bias"), 2 * most * PAGE)
            self._widen(wider)
        if (segments := int(pages.state[:, N_SEGMENTS].max()) + 1) > pages.key.shape[1]:
            self._widen(dict.fromkeys(("key", "open_page"), 2 * segments))

    def _resize(self, n: int) -> None:
        """Grow the pool to n pages, or shrink it to none."""
        pages, before = self.pages, len(self.pages.segment)
        every: Sequence[np.ndarray[Any, Any]] = pages[:6]
        for x in every:
            x.resize((n, *x.shape[1:]), refcheck=False)  # no copy: the system moves its pages
        free = int(pages.n_free[0]) if n else 0
        pages.free[free : free + n - before] = np.arange(before, n)
        pages.n_free[0] = free + max(0, n - before)
        self.most_bytes = max(self.most_bytes, self.nbytes)

    def _widen(self, widths: dict[str, int]) -> None:
        """Widen tables of pieces to so many columns."""
        wider = {}
        for name, width in widths.items():
            x = getattr(self.pages, name)
            wider[name] = np.zeros((len(x), width), dtype=x.dtype)
            wider[name][:, : x.shape[1]] = x
        self.pages = self.pages._replace(**wider)


def _no_pages(model: MeloFormer, pieces: int, *, half: bool) -> Pages:
    """A pool without pages, and pieces without rows."""
    config = model.config
    blocks, rows = -(-config.head_width // VECTOR), VECTOR // 2 if half else VECTOR
    heads = (
        config.layers * config.kv_heads | 1
    )  # odd, or else the pages of a head would compete for the same lines of a cache
    state = np.zeros((pieces, STATE), dtype=np.int64)
    state[:, [BAR, PART]], state[:, N_SEGMENTS] = -1, FIRST_OF_ROWS
    return Pages(
        keys=np.zeros((0, heads, blocks, rows, VECTOR), dtype=np.uint32),
        values=np.zeros((0, heads, blocks, rows, VECTOR), dtype=np.uint32),
        segment=np.zeros(0, dtype=np.int32),
        taken=np.zeros(0, dtype=np.int32),
        bar=np.zeros((0, PAGE), dtype=np.int32),
        free=np.zeros(0, dtype=np.int32),
        n_free=np.zeros(1, dtype=np.int64),
        state=state,
        key=np.full((pieces, FIRST_OF_ROWS), -1, dtype=np.int64),
        open_page=np.full((pieces, FIRST_OF_ROWS), -1, dtype=np.int32),
        owned=np.zeros((pieces, 0), dtype=np.int32),
        visible=np.zeros((pieces, 0), dtype=np.int32),
        bias=np.zeros((pieces, 0), dtype=np.float32),
        summary_visible=np.zeros((pieces, 0), dtype=np.int32),
        summary_bias=np.zeros((pieces, 0), dtype=np.float32),
        slot=np.zeros((pieces, 3, 2), dtype=np.int64),
    )


def _rules(model: MeloFormer, first_masked_bar: int | None) -> Rules:
    vocabulary = model.vocabulary
    spec = model.spec if model.gates is None else all_earlier_rows(model.spec)
    listed = [0, spec.near, *spec.far, *(() if spec.same == "full" else spec.same)]
    last = min(max(listed) + 1, MOST_OFFSET)
    if model.gates is None:
        seen = np.array([[spec.sees(relation, k) for k in range(last + 1)] for relation in MASK_RELATIONS])
        bias = np.where(seen, np.float32(0), MASKED)
        changes = (bias[:, 1:] != bias[:, :-1]).any(axis=0).nonzero()[0]
        bias = bias[:, : 2 + int(changes.max(initial=-1))]
    else:
        with torch.no_grad():
            bias = model.gates.biases().double().numpy().reshape(len(MASK_RELATIONS), -1) * math.log2(math.e)
    return Rules(
        bias=np.ascontiguousarray(bias, dtype=np.float32),
        summaries=spec.summaries,
        reach=OffsetReach(spec).bars,
        first_masked_bar=-1 if first_masked_bar is None else first_masked_bar,
        bar=vocabulary.bar,
        masked_bar=vocabulary.masked_bar,
        infill_bar=vocabulary.infill_bar,
        drums=vocabulary.drums,
        instances=vocabulary.instances,
    )
