"""An infill: which bars and parts of a piece are replaced, and the rows of what stays.

Shape letters: N notes, L rows, F fields, T bars as rows count them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.arrays import Bools, Ints
from analysis.errors import MeloError
from analysis.piece import Piece
from meloctl.generation.continuation import encode_bars
from meloctl.rows.codec import Rows, grid_bars
from meloctl.rows.parts import PartId, part_ids
from meloctl.rows.vocabulary import Vocabulary
from meloctl.score.editing import NewNote, insert_notes, refine_ticks


@dataclass(frozen=True, kw_only=True, eq=False)
class Infill:
    """A piece with masked bars."""

    piece: Piece
    """All of it, in ticks that are fine enough for rows."""

    bars: range
    """The masked bars, as the file counts them."""

    parts: tuple[PartId, ...]
    """The parts whose notes are masked in these bars, and those that are new to the piece."""

    masked_notes: Bools
    """(N,) True for each note that is taken out."""

    rows: Rows
    """(L, F) rows of the other notes, and all header rows, without an end row; no bar is marked as masked yet."""

    row_bars: range
    """`bars` as rows count them."""

    bar_tick: Ints
    """(T + 1,) the tick on which each bar of `rows` begins, then the piece's end."""

    each_part_plays: bool
    """True where each of `parts` must have a new note."""


def encode_infill(piece: Piece, bars: range | None, parts: Collection[PartId] | None, vocabulary: Vocabulary) -> Infill:
    """A piece with some bars of some parts masked, and the rows of what stays.

    Args:
        bars: as the file counts them, all in the piece; None for all.
        parts: the piece's or new ones, each of which must play; None for all of the piece, any of which may.

    Raises:
        MeloError: nothing would be kept, or its ticks cannot be made fine enough.
    """
    piece = refine_ticks(piece, vocabulary)
    bars = range(piece.n_bars) if bars is None else bars
    ids = part_ids(piece.parts, vocabulary)
    is_masked_part = np.array([parts is None or part in parts for part in ids])
    onset, bar_tick = piece.notes.onset_tick, piece.bars.start_tick(range(piece.n_bars + 1))
    masked = is_masked_part[piece.notes.part] & (onset >= bar_tick[bars.start]) & (onset < bar_tick[bars.stop])
    if masked.all():
        raise MeloError(
            "nothing would be kept; give fewer bars with `bars_range` or fewer parts with `parts`, or write a new piece: "
            "meloctl generate --bars",
            field="infill",
        )
    grid, end_tick = grid_bars(piece, vocabulary), int(bar_tick[-1])
    first, last = np.searchsorted(grid.start_tick, [bar_tick[bars.start], bar_tick[bars.stop]]).tolist()
    return Infill(
        piece=piece,
        bars=bars,
        parts=tuple(ids if parts is None else parts),
        masked_notes=masked,
        rows=encode_bars(replace(piece, notes=piece.notes.take(~masked)), end_tick, vocabulary),
        row_bars=range(first, last),
        bar_tick=np.append(grid.start_tick, end_tick),
        each_part_plays=parts is not None,
    )


def infilled_piece(
    infill: Infill, new: Sequence[NewNote], vocabulary: Vocabulary, *, bars_done: int | None = None
) -> Piece:
    """The piece with new notes in place of the masked ones. Masked bars that are not done yet keep their old notes.

    Args:
        new: notes of the masked bars, in any order.
        bars_done: how many of the masked bars are done, as rows count them; None for all.
    """
    stop = infill.row_bars.stop if bars_done is None else infill.row_bars.start + bars_done
    notes = infill.piece.notes
    kept = notes.take(~infill.masked_notes | (notes.onset_tick >= infill.bar_tick[stop]))
    return insert_notes(replace(infill.piece, notes=kept), new, infill.bar_tick, vocabulary)
