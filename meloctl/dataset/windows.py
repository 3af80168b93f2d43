"""Pieces → windows of whole bars that fit the context. A window is a view of its piece: nothing is copied here.

Letters: L rows of a piece or window, F fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meloctl.rows.codec import Rows
from meloctl.rows.vocabulary import ABSENT, INSTRUMENT, PITCH, Vocabulary


@dataclass(frozen=True, kw_only=True, slots=True)
class Middle:
    """The middle of an infill window: the notes of its masked bars, moved to the end behind an infill header for each bar."""

    row: int
    """Row of the window where the middle begins, with the first infill header; all rows before it are context."""

    bar: int
    """Bar of the first infill header, counted in the window; the others are of the bars after it."""

    masked_headers: tuple[int, ...]
    """Rows of the window that are headers of masked bars, in the context."""


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Window:
    """Consecutive whole bars of one piece that fit the context."""

    rows: Rows
    """(L, F) a view of the piece's rows, which may be memory-mapped: nothing is read before it is packed."""

    first_bar: int
    """Its first bar, counted in the piece."""

    middle: Middle | None = None
    """Of an infill window; None for another."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Bars and notes of pieces that no window holds."""

    bars: int
    """Bars that are cut, being longer than a window."""

    notes: int
    """Notes that are cut off."""


def windows(pieces: Sequence[Rows], context: int, vocabulary: Vocabulary) -> list[Window]:
    """Cut each piece at bar lines into windows of at most `context` rows; a bar that is longer alone is cut at its end.

    Windows without a note are left out.

    Args:
        pieces: (L, F) rows each, opening with a header row.
        context: most rows of a window, 1 or more.
    """
    out = []
    for rows in pieces:
        starts = np.append(np.flatnonzero(rows[:, INSTRUMENT] == vocabulary.bar), len(rows))
        bar = 0
        while bar < len(starts) - 1:
            fit = int(np.searchsorted(starts, starts[bar] + context, side="right")) - 1
            stop = max(fit, bar + 1)
            window = Window(rows=rows[starts[bar] : min(starts[stop], starts[bar] + context)], first_bar=bar)
            if (window.rows[:, PITCH] != ABSENT).any():  # nothing is learned from a long silence
                out.append(window)
            bar = stop
    return out


def left_out(pieces: Sequence[Rows], context: int, vocabulary: Vocabulary) -> LeftOut:
    """Bars and notes that `windows` with the same arguments cuts off: those beyond `context` rows of a bar."""
    cut = []
    for rows in pieces:
        starts = np.append(np.flatnonzero(rows[:, INSTRUMENT] == vocabulary.bar), len(rows))
        for bar in np.flatnonzero(np.diff(starts) > context):
            cut.append(int((rows[starts[bar] + context : starts[bar + 1], PITCH] != ABSENT).sum()))
    return LeftOut(bars=sum(notes > 0 for notes in cut), notes=sum(cut))
