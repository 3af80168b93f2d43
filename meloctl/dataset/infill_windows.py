"""Infill windows: the notes of some bars or parts are moved to the end, so that a model learns to write them last.

    context   every header row, those of masked bars as such, and the notes that stay, in their order
    middle    for each masked bar an infill header, then the notes that were taken out of the bar
    end       the end row, where the window has one

The form is that of fill-in-the-middle (Bavarian et al., 2022) at bar lines, for all parts or for some of them.
Letters: L rows, F fields.
"""

from collections.abc import Collection

import numpy as np

from analysis.arrays import Bools
from meloctl.dataset.windows import Middle, Window
from meloctl.rows.codec import Rows
from meloctl.rows.parts import PartId
from meloctl.rows.vocabulary import INSTANCE, INSTRUMENT, PITCH, Vocabulary


def infill_window(rows: Rows, bars: range, parts: Collection[PartId] | None, vocabulary: Vocabulary) -> Window:
    """The infill window of given masked bars and parts.

    Args:
        rows: (L, F) whole bars that open with a header row; an end row may be missing.
        bars: one or more, counted from the first one of the rows.
        parts: whose notes are moved; None for all parts.

    Returns:
        A window of the L rows and an infill header per masked bar, as one that opens its piece.
    """
    bar = np.cumsum(rows[:, INSTRUMENT] == vocabulary.bar) - 1
    moves = (rows[:, PITCH] >= 0) & (bar >= bars.start) & (bar < bars.stop) & _is_of_parts(rows, parts)
    end = rows[:, INSTRUMENT] == vocabulary.end
    masked = np.flatnonzero(rows[:, INSTRUMENT] == vocabulary.bar)[bars.start : bars.stop]
    marked = rows.copy()
    marked[masked, INSTRUMENT] = vocabulary.masked_bar
    context, infill_headers = marked[~moves & ~end], rows[masked]
    infill_headers[:, INSTRUMENT] = vocabulary.infill_bar
    middle = np.concatenate([infill_headers, rows[moves]])
    order = np.argsort(np.concatenate([bar[masked], bar[moves]]), kind="stable")
    return Window(
        rows=np.concatenate([context, middle[order], rows[end]]),
        first_bar=0,
        middle=Middle(
            row=len(context),
            bar=bars.start,
            masked_headers=tuple(np.flatnonzero(context[:, INSTRUMENT] == vocabulary.masked_bar).tolist()),
        ),
    )


def random_infill_window(window: Window, room: int, vocabulary: Vocabulary, random: np.random.Generator) -> Window:
    """The infill window of random masked bars and parts: all bars of some parts, some bars of all parts (half of the bars at
    most), or some bars of some parts, each about as often.

    Args:
        window: not an infill window.
        room: how many rows longer it may become; where that is too few, bars at its end are left out.
    """
    rows = window.rows
    starts = np.append(np.flatnonzero(rows[:, INSTRUMENT] == vocabulary.bar), len(rows))
    bars, parts = _sample(len(starts) - 1, _parts_of(rows), random)
    spare = len(rows) + room - len(bars)  # for the infill headers
    if spare < len(rows):
        last = int(np.searchsorted(starts, spare, side="right")) - 1
        if last <= bars.start:
            return window
        rows, bars = rows[: starts[last]], range(bars.start, min(bars.stop, last))
    infill = infill_window(rows, bars, parts, vocabulary)
    return Window(rows=infill.rows, first_bar=window.first_bar, middle=infill.middle)


def _sample(n_bars: int, parts: list[PartId], random: np.random.Generator) -> tuple[range, list[PartId] | None]:
    """Random masked bars, and parts or None for all of them."""
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


def _is_of_parts(rows: Rows, parts: Collection[PartId] | None) -> Bools:
    """(L,) whether a row is of one of the parts."""
    if parts is None:
        return np.ones(len(rows), dtype=np.bool_)
    chosen = np.zeros(len(rows), dtype=np.bool_)
    for instrument, number in parts:
        chosen |= (rows[:, INSTRUMENT] == instrument) & (rows[:, INSTANCE] == number)
    return chosen
