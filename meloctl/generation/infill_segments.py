"""The segments in which a long infill is written. A segment and its context are no more rows than a window that the model was
trained on, so that it reads no distances that it has not seen.

Shape letters: L rows, F fields, T bars as rows count them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.arrays import Ints
from meloctl.generation.infill import Infill
from meloctl.generation.new_bars import NewBars, masked_bars
from meloctl.rows.vocabulary import INSTANCE, INSTRUMENT, PITCH, POSITION, Vocabulary
from meloctl.score.editing import NewNote
from meloctl.score.key import Key


@dataclass(frozen=True, kw_only=True)
class InfillSegment:
    """Masked bars that are written at one go, and the bars that the model reads; both as rows count them."""

    bars: range
    context: range


def infill_segments(infill: Infill, context_rows: int, vocabulary: Vocabulary) -> list[InfillSegment]:
    """The segments of an infill, in order.

    None takes more than `context_rows` rows with its context, if as many notes are written as were masked (for a new part: as
    many as a part has on average); a bar that is longer alone is a segment.

    Args:
        context_rows: rows of a window of the model.
    """
    kept = np.bincount(np.cumsum(infill.rows[:, INSTRUMENT] == vocabulary.bar) - 1)
    middle = 1 + _expected_notes(infill)
    segments, start, context = [], infill.row_bars.start, kept.copy()
    while start < infill.row_bars.stop:
        size = np.cumsum((kept + middle)[start : infill.row_bars.stop])
        stop = start + max(1, int(np.searchsorted(size, context_rows // 2, side="right")))
        bars, room = range(start, stop), context_rows - int(size[stop - start - 1])
        segments.append(InfillSegment(bars=bars, context=_widened(bars, context, room)))
        context[bars] += middle[bars] - 1
        start = stop
    return segments


def segment_bars(
    infill: Infill, segment: InfillSegment, new: Sequence[NewNote], vocabulary: Vocabulary, *, key: Key | None = None
) -> NewBars:
    """What the model reads before the masked bars of a segment, and what these must be.

    Args:
        new: notes of earlier segments, which the model reads too; bars of this and later segments are marked as masked.
        key: of the new notes.
    """
    bar = np.cumsum(infill.rows[:, INSTRUMENT] == vocabulary.bar) - 1
    rows = np.concatenate([infill.rows, *(row[None] for _, row in new)])
    bar = np.append(bar, np.array([b for b, _ in new], dtype=np.int64))
    order = np.lexsort((rows[:, PITCH], rows[:, POSITION], rows[:, INSTANCE], rows[:, INSTRUMENT], bar))
    rows, bar = rows[order], bar[order]
    header_at = np.flatnonzero(rows[:, INSTRUMENT] == vocabulary.bar)
    headers = rows[header_at[segment.bars.start : segment.bars.stop]]
    rows[header_at[segment.bars.start : infill.row_bars.stop], INSTRUMENT] = vocabulary.masked_bar
    playing = {(int(row[INSTRUMENT]), int(row[INSTANCE])) for _, row in new}
    is_last = segment.bars.stop == infill.row_bars.stop
    required = infill.parts if infill.each_part_plays and is_last else ()
    return masked_bars(
        rows[(bar >= segment.context.start) & (bar < segment.context.stop)],
        segment.bars.start - segment.context.start,
        headers,
        infill.parts,
        vocabulary,
        required_parts=[part for part in required if part not in playing],
        needs_note=is_last and not new,
        key=key,
    )


def _expected_notes(infill: Infill) -> Ints:
    """(T,) how many new notes are expected in each bar."""
    n_bars, notes = len(infill.bar_tick) - 1, infill.piece.notes
    masked = np.bincount(infill.note_row_bar[infill.masked_notes], minlength=n_bars)
    new_parts = len(infill.parts) - len(set(notes.part[infill.masked_notes].tolist()))
    mean = len(notes) / (len(infill.piece.parts) * n_bars)
    return masked + int(np.ceil(max(0, new_parts) * mean))


def _widened(bars: range, rows: Ints, room: int) -> range:
    """Bars, and around them as many as there is room for, one on each side in turn.

    Args:
        bars: to begin with.
        rows: (T,) number of rows of each bar.
        room: how many rows may be added.
    """
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
