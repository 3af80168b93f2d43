"""Where keys and values of a piece lie, and what its next row sees: compiled bookkeeping of a paged KV cache.

Pages of PAGE slots hold the rows of one part, or summaries, in the order in which they come, and nothing moves. All pieces take
theirs from one pool. When a cell (the rows of one part in one bar) opens, the pages that it sees are listed, with a bias for each
slot: MASKED where it is hidden, its gate's where there are gates, else 0. Each row then opens its own slot.

Shape letters: B pieces, N pages of the pool, P pages of a piece, S segments, Y layers, G key and value heads, D width of a head
(padded to whole vectors).
"""

from typing import NamedTuple

import numpy as np

from analysis.arrays import Floats32, Ints, Ints32, Words
from analysis.compiled import compiled
from analysis.vector_product import VECTOR
from masks.tiling.cell_rows import CROSS, DRUMS, SAME
from meloctl.rows.vocabulary import INSTANCE, INSTRUMENT

PAGE = VECTOR
"""Slots of a page."""

MASKED = np.float32(-1e30)
"""Added to the score of what is hidden."""

NO_BAR = 1 << 40
"""More bars than any piece has."""

BAR, IN_MIDDLE, PART, SEGMENT, CELL_PAGE, N_PAGES, N_SEGMENTS, N_VISIBLE, N_SUMMARY_VISIBLE, CLOSED_BAR, DROP_BEFORE = (
    range(11)
)
"""Columns of `Pages.state`: the open bar (−1 before the first) and whether an infill header opened it; the open cell's part (−1
where none is open), segment and newest page among the visible ones (−1: not there); how many pages and segments the piece has,
and how many pages its cell sees; how many the summary sees of the bar that this row closes (0 where it closes none), and that
bar; the bar before which nothing will be seen again, when the next row comes."""

STATE = 11
SUMMARIES, SUMMARIES2, FIRST_OF_ROWS = range(3)
"""Segments of every piece: summaries as later summaries see them and as rows see them; then those of rows."""

ROW, SUMMARY, SUMMARY2 = range(3)
"""What a step writes, on axis 1 of `Pages.slot`."""

NEW_PAGES = 3
"""A row, the summary that it completes, and its second projection may each need a page."""


class Pages(NamedTuple):
    """Keys and values of all pieces, and what is known of each page, piece and slot."""

    keys: Words
    """(N, ≥ Y G, D / VECTOR, VECTOR, PAGE) bits of float32; or VECTOR / 2, of two bfloat16 each, see `vector_product`."""

    values: Words
    """(N, ≥ Y G, D / VECTOR, PAGE, VECTOR), or PAGE / 2."""

    segment: Ints32
    """(N,) index of each page's segment in its piece."""

    taken: Ints32
    """(N,) slots that are taken."""

    bar: Ints32
    """(N, PAGE) bar of each slot, ascending."""

    free: Ints32
    """(N,) pages that no piece has: the first `n_free`."""

    n_free: Ints
    """(1,)"""

    state: Ints
    """(B, STATE)"""

    key: Ints
    """(B, S) of each segment: 2 · part, + 1 for rows of bars that an infill header opened."""

    open_page: Ints32
    """(B, S) the newest page of each segment, −1 where it has none."""

    owned: Ints32
    """(B, P) pages of each piece, in the order in which it took them."""

    visible: Ints32
    """(B, P) pages that the open cell sees."""

    bias: Floats32
    """(B, P · PAGE) what is added to the score of each slot of these, in powers of 2."""

    summary_visible: Ints32
    """(B, P) as `visible`, for the summary of the bar that this row closes."""

    summary_bias: Floats32
    """(B, P · PAGE)"""

    slot: Ints
    """(B, 3, 2) page, and slot in it, of the newest ROW, SUMMARY and SUMMARY2."""


class Rules(NamedTuple):
    """What a model's mask and vocabulary say about rows."""

    bias: Floats32
    """(3, offsets) score bias of each relation and number of bars between, the last for all larger ones too; MASKED: hidden."""

    summaries: bool
    reach: int
    """A row so many bars back is never seen again."""

    first_masked_bar: int
    """The bar that the first infill header opens again; −1 where none comes."""

    bar: int
    masked_bar: int
    infill_bar: int
    drums: int
    instances: int


@compiled
def place_rows(rows_BF: Ints, pages: Pages, rules: Rules) -> bool:
    """Take in one row of each piece: its slot, what it sees, and the summary of the bar that it closes.

    Returns:
        False where the next rows might not find room.
    """
    for b in range(len(rows_BF)):
        _place_row(b, rows_BF[b], pages, rules)
    return _has_room(pages)


@compiled
def place_prompt(b: int, rows_LF: Ints, first: int, pages: Pages, rules: Rules, slots_L3: Ints) -> int:
    """Take in rows of a prompt from `first` on, as long as there is room; the first that found none.

    Args:
        b: the piece.
        slots_L3: gets slots of the pool for each row, and for the summary that it completes and its second projection (−1: none).
    """
    for i in range(first, len(rows_LF)):
        if not _has_room(pages):
            return i
        _place_row(b, rows_LF[i], pages, rules)
        for kind in range(3):
            placed = kind == ROW or pages.state[b, N_SUMMARY_VISIBLE] > 0
            slots_L3[i, kind] = pages.slot[b, kind, 0] * PAGE + pages.slot[b, kind, 1] if placed else -1
    return len(rows_LF)


@compiled
def release(b: int, pages: Pages) -> None:
    """Give back all pages of a piece."""
    _drop_before(b, NO_BAR, SUMMARIES, pages)


@compiled
def _has_room(pages: Pages) -> bool:
    """Whether one more row of each piece is sure to find room."""
    pieces = len(pages.state)
    if pages.n_free[0] < NEW_PAGES * pieces:
        return False
    for b in range(pieces):
        if pages.state[b, N_PAGES] + NEW_PAGES > pages.owned.shape[1]:
            return False
        if pages.state[b, N_SEGMENTS] + 1 > pages.key.shape[1]:
            return False
    return True


@compiled
def _place_row(b: int, row_F: Ints, pages: Pages, rules: Rules) -> None:
    state = pages.state
    if state[b, DROP_BEFORE] > 0:
        _drop_before(b, state[b, DROP_BEFORE], FIRST_OF_ROWS, pages)
        state[b, DROP_BEFORE] = 0
    state[b, N_SUMMARY_VISIBLE] = 0
    instrument = row_F[INSTRUMENT]
    infill = instrument == rules.infill_bar
    if infill or instrument == rules.bar or instrument == rules.masked_bar:
        if state[b, BAR] >= 0:
            _close_bar(b, pages, rules)
        if infill and state[b, IN_MIDDLE] == 0 and rules.first_masked_bar >= 0:
            state[b, BAR] = rules.first_masked_bar
        else:
            state[b, BAR] += 1
        state[b, IN_MIDDLE] = 1 if infill else 0
        state[b, PART] = -1
    if instrument == rules.masked_bar:
        instrument = rules.bar
    part = instrument * rules.instances + max(row_F[INSTANCE], 0)
    if part != state[b, PART]:
        _open_cell(b, part, pages, rules)
    _append(b, state[b, SEGMENT], state[b, BAR], ROW, pages)
    page = pages.slot[b, ROW, 0]
    at = state[b, CELL_PAGE]
    if at < 0 or pages.visible[b, at] != page:
        at = state[b, N_VISIBLE]
        pages.visible[b, at] = page
        pages.bias[b, at * PAGE : (at + 1) * PAGE] = MASKED
        state[b, CELL_PAGE] = at
        state[b, N_VISIBLE] += 1
    pages.bias[b, at * PAGE + pages.slot[b, ROW, 1]] = rules.bias[SAME, 0]


@compiled
def _append(b: int, segment: int, bar: int, kind: int, pages: Pages) -> None:
    """Take the next slot of a segment."""
    page = pages.open_page[b, segment]
    if page < 0 or pages.taken[page] == PAGE:
        pages.n_free[0] -= 1
        page = pages.free[pages.n_free[0]]
        pages.segment[page] = segment
        pages.taken[page] = 0
        pages.open_page[b, segment] = page
        pages.owned[b, pages.state[b, N_PAGES]] = page
        pages.state[b, N_PAGES] += 1
    slot = pages.taken[page]
    pages.bar[page, slot] = bar
    pages.taken[page] = slot + 1
    pages.slot[b, kind, 0] = page
    pages.slot[b, kind, 1] = slot


@compiled
def _open_cell(b: int, part: int, pages: Pages, rules: Rules) -> None:
    """List what a part's rows in the open bar see."""
    state, key = pages.state, pages.key
    bar, middle = state[b, BAR], state[b, IN_MIDDLE]
    segment = -1
    for s in range(FIRST_OF_ROWS, state[b, N_SEGMENTS]):
        if key[b, s] == 2 * part + middle:
            segment = s
    if segment < 0:
        segment = state[b, N_SEGMENTS]
        key[b, segment] = 2 * part + middle
        pages.open_page[b, segment] = -1
        state[b, N_SEGMENTS] += 1
    state[b, PART], state[b, SEGMENT], state[b, CELL_PAGE] = part, segment, -1
    farthest, n = rules.bias.shape[1] - 1, 0
    drums = part // rules.instances == rules.drums
    for i in range(state[b, N_PAGES]):
        page = pages.owned[b, i]
        s = pages.segment[page]
        if s == SUMMARIES:
            continue
        seen = False
        other = key[b, s] // 2
        relation = SAME if other == part else DRUMS if drums or other // rules.instances == rules.drums else CROSS
        for slot in range(PAGE):
            bias = MASKED
            if slot < pages.taken[page]:
                between = min(abs(bar - pages.bar[page, slot]), farthest)
                bias = np.float32(0) if s == SUMMARIES2 else rules.bias[relation, between]
            pages.bias[b, n * PAGE + slot] = bias
            seen = seen or bool(bias > MASKED)
        if seen:
            pages.visible[b, n] = page
            if page == pages.open_page[b, segment]:
                state[b, CELL_PAGE] = n
            n += 1
    state[b, N_VISIBLE] = n


@compiled
def _close_bar(b: int, pages: Pages, rules: Rules) -> None:
    """Close the open bar: list what its summary sees, and note what no later row can see."""
    state = pages.state
    bar, middle = state[b, BAR], state[b, IN_MIDDLE]
    state[b, CLOSED_BAR] = bar
    upcoming = bar + 1
    if rules.first_masked_bar >= 0 and not middle:
        upcoming = min(upcoming, rules.first_masked_bar)
    state[b, DROP_BEFORE] = max(0, upcoming + 1 - rules.reach)
    if not rules.summaries:
        return
    _append(b, SUMMARIES, bar, SUMMARY, pages)
    _append(b, SUMMARIES2, bar, SUMMARY2, pages)
    n = 0
    for i in range(state[b, N_PAGES]):
        page = pages.owned[b, i]
        s = pages.segment[page]
        if s == SUMMARIES2 or (s >= FIRST_OF_ROWS and pages.key[b, s] % 2 != middle):
            continue
        seen = False
        for slot in range(PAGE):
            visible = slot < pages.taken[page] and bool(s == SUMMARIES or pages.bar[page, slot] == bar)
            pages.summary_bias[b, n * PAGE + slot] = np.float32(0) if visible else MASKED
            seen = seen or visible
        if seen:
            pages.summary_visible[b, n] = page
            n += 1
    state[b, N_SUMMARY_VISIBLE] = n


@compiled
def _drop_before(b: int, bar: int, first_segment: int, pages: Pages) -> None:
    """Give back the pages of segments from `first_segment` on that hold nothing of this bar or a later one."""
    kept = 0
    for i in range(pages.state[b, N_PAGES]):
        page = pages.owned[b, i]
        s = pages.segment[page]
        if s < first_segment or pages.bar[page, pages.taken[page] - 1] >= bar:
            pages.owned[b, kept] = page
            kept += 1
            continue
        if pages.open_page[b, s] == page:
            pages.open_page[b, s] = -1
        pages.free[pages.n_free[0]] = page
        pages.n_free[0] += 1
    pages.state[b, N_PAGES] = kept
