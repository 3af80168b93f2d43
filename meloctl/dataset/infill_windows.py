"""Windows of which a part is written last, when all the rest is known: how a model learns to fill gaps in a piece.

    kept       every header row, and the notes that stay, as they stood; headers of bars with a gap say so
    rewritten  for each bar of a range a reopening row, then the notes of that bar that were taken out of it
    end        the end row, where the window has one

Which bars and which parts are drawn anew each time. The form is that of fill-in-the-middle (Bavarian et al., 2022), at bar lines,
and for some parts as well as for all.
"""

from collections.abc import Collection

import numpy as np

from analysis.arrays import Bools
from meloctl.dataset.windows import Reopened, Window
from meloctl.rows.codec import Rows
from meloctl.rows.parts import PartId
from meloctl.rows.vocabulary import INSTANCE, INSTRUMENT, PITCH, Vocabulary


def rewritten(rows: Rows, bars: range, parts: Collection[PartId] | None, vocabulary: Vocabulary) -> Window:
    """A window of whole bars in which some notes are moved to the end.

    Args:
        rows: (L, 8) opening with a header row; an end row may be missing.
        bars: one or more, counted from the first one of the rows.
        parts: whose notes are moved; None for all parts.

    Returns:
        The rows, len(bars) more of them, as a window that opens its piece.
    """
    bar = np.cumsum(rows[:, INSTRUMENT] == vocabulary.bar) - 1
    moves = (rows[:, PITCH] >= 0) & (bar >= bars.start) & (bar < bars.stop) & _of_parts(rows, parts)
    end = rows[:, INSTRUMENT] == vocabulary.end
    opened = np.flatnonzero(rows[:, INSTRUMENT] == vocabulary.bar)[bars.start : bars.stop]
    told = rows.copy()
    told[opened, INSTRUMENT] = vocabulary.masked_bar
    kept, reopening = told[~moves & ~end], rows[opened]
    reopening[:, INSTRUMENT] = vocabulary.infill_bar
    behind = np.concatenate([reopening, rows[moves]])
    order = np.argsort(np.concatenate([bar[opened], bar[moves]]), kind="stable")
    return Window(
        rows=np.concatenate([kept, behind[order], rows[end]]),
        first_bar=0,
        reopened=Reopened(
            row=len(kept),
            bar=bars.start,
            headers=tuple(np.flatnonzero(kept[:, INSTRUMENT] == vocabulary.masked_bar).tolist()),
        ),
    )


def drawn(window: Window, room: int, vocabulary: Vocabulary, random: np.random.Generator) -> Window:
    """The window with bars and parts that are drawn by lot moved to the end: all bars of some parts, some bars of all parts (half
    of them at most), or some of some, each about as often.

    Args:
        window: nothing of it is rewritten yet.
        room: how many rows longer it may become; where that is too little, bars at its end are left out.
    """
    rows = window.rows
    starts = np.append(np.flatnonzero(rows[:, INSTRUMENT] == vocabulary.bar), len(rows))
    bars, parts = _draw(len(starts) - 1, _parts_of(rows), random)
    spare = len(rows) + room - len(bars)  # for the bars themselves
    if spare < len(rows):
        last = int(np.searchsorted(starts, spare, side="right")) - 1
        if last <= bars.start:
            return window
        rows, bars = rows[: starts[last]], range(bars.start, min(bars.stop, last))
    moved = rewritten(rows, bars, parts, vocabulary)
    return Window(rows=moved.rows, first_bar=window.first_bar, reopened=moved.reopened)


def _draw(n_bars: int, parts: list[PartId], random: np.random.Generator) -> tuple[range, list[PartId] | None]:
    """Bars, and parts or None for all of them."""
    kind = int(random.integers(3)) if len(parts) > 1 else 0
    some = None
    if kind:
        count = int(random.integers(1, len(parts)))
        some = [parts[i] for i in sorted(random.choice(len(parts), count, replace=False).tolist())]
    if kind == 1:
        return range(n_bars), some
    most = n_bars if some else max(1, n_bars // 2)
    n = int(random.integers(1, most + 1))
    first = int(random.integers(n_bars - n + 1))
    return range(first, first + n), some


def _parts_of(rows: Rows) -> list[PartId]:
    note = rows[rows[:, PITCH] >= 0]
    return [(int(i), int(n)) for i, n in np.unique(note[:, [INSTRUMENT, INSTANCE]], axis=0)]


def _of_parts(rows: Rows, parts: Collection[PartId] | None) -> Bools:
    """(L,) is it of one of these parts?"""
    if parts is None:
        return np.ones(len(rows), dtype=np.bool_)
    chosen = np.zeros(len(rows), dtype=np.bool_)
    for instrument, number in parts:
        chosen |= (rows[:, INSTRUMENT] == instrument) & (rows[:, INSTANCE] == number)
    return chosen
