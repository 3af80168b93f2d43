"""Pieces → windows of whole bars that fit the context. A window is a view of its piece: nothing is copied here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meloctl.rows.codec import Rows
from meloctl.rows.vocabulary import ABSENT, INSTRUMENT, PITCH, Vocabulary


@dataclass(frozen=True, kw_only=True, slots=True)
class Middle:
    """Where the rewritten rows of a window begin: with a reopening row; the following ones open the bars after its bar."""

    row: int
    """Of the window; all rows before it are kept."""

    bar: int
    """That this row opens once more, counted in the window."""

    headers: tuple[int, ...]
    """Rows of the window: the header rows of the bars with a gap."""


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Window:
    """A run of whole bars of one piece that fits the context."""

    rows: Rows
    """(L, 8), a slice of the piece's rows: on disk until it is packed, where the piece is memory-mapped."""

    first_bar: int
    """Number of its first bar in the piece."""

    reopened: Middle | None = None
    """What of it is rewritten, if anything."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """What windows do not hold of their pieces' notes."""

    bars: int
    """That are cut, being longer than a window."""

    notes: int
    """In what is cut off."""


def windows(pieces: Sequence[Rows], context: int, vocabulary: Vocabulary) -> list[Window]:
    """Cut each piece at bar lines into windows of at most `context` rows; a bar that is longer alone is cut at its end.

    Windows without a note are left out.

    Args:
        pieces: (L, 8) rows each, opening with a header row.
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
            if (window.rows[:, PITCH] != ABSENT).any():  # a long silence teaches nothing
                out.append(window)
            bar = stop
    return out


def left_out(pieces: Sequence[Rows], context: int, vocabulary: Vocabulary) -> LeftOut:
    """What `windows` with the same arguments cuts off bars that are longer than `context` rows."""
    cut = []
    for rows in pieces:
        starts = np.append(np.flatnonzero(rows[:, INSTRUMENT] == vocabulary.bar), len(rows))
        for bar in np.flatnonzero(np.diff(starts) > context):
            cut.append(int((rows[starts[bar] + context : starts[bar + 1], PITCH] != ABSENT).sum()))
    return LeftOut(bars=sum(notes > 0 for notes in cut), notes=sum(cut))
