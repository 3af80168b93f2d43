"""A gap is filled run by run, where it is long: a run and what is heard around it are no more rows than a window that the model
was trained on, so it hears no distances that it never heard.
"""

from dataclasses import dataclass

import numpy as np

from analysis.arrays import Ints
from meloctl.generation.infill import Infill, NewNote
from meloctl.generation.infill_writer import InfillContext
from meloctl.rows.vocabulary import INSTANCE, INSTRUMENT, PITCH, POSITION, Vocabulary


@dataclass(frozen=True, kw_only=True)
class InfillSegment:
    """Bars that are written at one go, and those that are heard, as rows count them."""

    bars: range
    heard: range


def infill_segments(infill: Infill, context: int, vocabulary: Vocabulary) -> list[InfillSegment]:
    """The runs in which a gap is filled. With what is heard around it, none takes more than `context` rows, if as many notes are
    written as were taken out (for a new part: as a part has on average); but a bar that is longer alone is a run.

    Args:
        context: rows of a window of the model.
    """
    kept = np.bincount(np.cumsum(infill.rows[:, INSTRUMENT] == vocabulary.bar) - 1)
    fill = 1 + _expected(infill)
    runs, start, heard = [], infill.row_bars.start, kept.copy()
    while start < infill.row_bars.stop:
        size = np.cumsum((kept + fill)[start : infill.row_bars.stop])
        stop = start + max(1, int(np.searchsorted(size, context // 2, side="right")))
        run, room = range(start, stop), context - int(size[stop - start - 1])
        runs.append(InfillSegment(bars=run, heard=_around(heard, run, room)))
        heard[run] += fill[run] - 1
        start = stop
    return runs


def gap_of(infill: Infill, run: InfillSegment, new: list[NewNote], vocabulary: Vocabulary) -> InfillContext:
    """What is heard around one run, new notes of earlier runs included. Bars that are not written yet are told by their headers.

    Args:
        new: what has been written so far.
    """
    bar = np.cumsum(infill.rows[:, INSTRUMENT] == vocabulary.bar) - 1
    rows = np.concatenate([infill.rows, *(row[None] for _, row in new)])
    bar = np.append(bar, np.array([b for b, _ in new], dtype=np.int64))
    order = np.lexsort((rows[:, PITCH], rows[:, POSITION], rows[:, INSTANCE], rows[:, INSTRUMENT], bar))
    rows, bar = rows[order], bar[order]
    opened = np.flatnonzero(rows[:, INSTRUMENT] == vocabulary.bar)
    headers = rows[opened[run.bars.start : run.bars.stop]]
    rows[opened[run.bars.start : infill.row_bars.stop], INSTRUMENT] = vocabulary.masked_bar
    playing = {(int(row[INSTRUMENT]), int(row[INSTANCE])) for _, row in new}
    last = run.bars.stop == infill.row_bars.stop
    return InfillContext(
        kept=rows[(bar >= run.heard.start) & (bar < run.heard.stop)],
        first=run.bars.start - run.heard.start,
        headers=headers,
        parts=infill.parts,
        must=tuple(p for p in infill.parts if p not in playing) if infill.named and last else (),
        must_sound=last and not new,
        ends_piece=run.bars.stop == len(infill.start_tick) - 1,
    )


def _expected(infill: Infill) -> Ints:
    """(T,) new notes that are reckoned with in each bar."""
    n, notes = len(infill.start_tick) - 1, infill.piece.notes
    taken = notes.onset_tick[infill.replaced]
    count = np.bincount(np.searchsorted(infill.start_tick, taken, side="right") - 1, minlength=n)
    added = len(infill.parts) - len(set(notes.part[infill.replaced].tolist()))
    mean = len(notes) / (len(infill.piece.parts) * n)
    return count + int(np.ceil(max(0, added) * mean))


def _around(rows: Ints, bars: range, room: int) -> range:
    """Bars that are heard: those of the run, and on both sides by turns as many as there is room for; rows (T,) of each bar."""
    start, stop = bars.start, bars.stop
    left = right = True
    while left or right:
        left = start > 0 and rows[start - 1] <= room
        if left:
            start, room = start - 1, room - int(rows[start - 1])
        right = stop < len(rows) and rows[stop] <= room
        if right:
            room, stop = room - int(rows[stop]), stop + 1
    return range(start, stop)
