"""An infill: which bars and parts of a piece are replaced, and the rows of what stays.

Shape letters: N notes, L rows, F fields, T bars as rows count them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.arrays import Bools, Ints
from analysis.errors import MeloError
from analysis.midi import MidiSource
from analysis.piece import Piece
from meloctl.rows.codec import Rows, encode, grid_bars
from meloctl.rows.parts import PartId, part_ids
from meloctl.rows.vocabulary import Vocabulary
from meloctl.score.editing import NewNote, check_ticks, with_new_notes
from meloctl.score.join_notes import EditedMidi
from meloctl.score.kept_music import KeptMusic, without_notes
from meloctl.score.midi_edit import Edit
from meloctl.score.note_channels import parts_in_force


@dataclass(frozen=True, kw_only=True, eq=False)
class Infill:
    """A file with masked bars."""

    kept: KeptMusic
    """What stays of it."""

    bars: range
    """The masked bars, as the file counts them."""

    parts: tuple[PartId, ...]
    """The parts that may play in these bars, new ones among them."""

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

    @property
    def piece(self) -> Piece:
        """All of the file, as it was."""
        return self.kept.source.piece

    @property
    def note_row_bar(self) -> Ints:
        """(N,) the bar of each note of the file, as rows count bars."""
        return np.searchsorted(self.bar_tick, self.piece.notes.onset_tick + self.piece.bar_tolerance, side="right") - 1


def encode_infill(
    source: MidiSource, bars: range | None, parts: Collection[PartId] | None, vocabulary: Vocabulary
) -> Infill:
    """A file with some bars of some parts masked, and the rows of what stays.

    Args:
        bars: as the file counts them, all in the piece; None for all.
        parts: the piece's or new ones, each of which must play; None for all of the piece that have a channel to play on in these
            bars, any of which may.

    Raises:
        MeloError: nothing would be kept, or notes that are to be kept would change.
    """
    piece = source.piece
    bars = range(piece.n_bars) if bars is None else bars
    ids = part_ids(piece.parts, vocabulary)
    is_masked_part = np.array([parts is None or part in parts for part in ids])
    masked = is_masked_part[piece.notes.part] & (piece.note_bar >= bars.start) & (piece.note_bar < bars.stop)
    if masked.all():
        raise MeloError(
            "nothing would be kept; give fewer bars with `bars_range` or fewer parts with `parts`, or write a new piece: "
            "meloctl generate --bars",
            field="infill",
        )
    first_tick, end_tick, piece_end = piece.bars.start_tick([bars.start, bars.stop, piece.n_bars]).tolist()
    check_ticks(piece)
    kept = without_notes(source, masked, end_tick if bars.stop < piece.n_bars else None)
    grid = grid_bars(piece, vocabulary)
    first, last = np.searchsorted(grid.start_tick, [first_tick, end_tick]).tolist()
    rows, _ = encode(kept.piece(piece.n_bars), vocabulary)
    return Infill(
        kept=kept,
        bars=bars,
        parts=tuple(_parts_of_gap(kept, bars, masked, ids) if parts is None else parts),
        masked_notes=masked,
        rows=rows[:-1],
        row_bars=range(first, last),
        bar_tick=np.append(grid.start_tick, piece_end),
        each_part_plays=parts is not None,
    )


def _parts_of_gap(kept: KeptMusic, bars: range, masked: Bools, ids: Sequence[PartId]) -> list[PartId]:
    """Parts of a file that play in some bars, or have a channel with their program there to play on."""
    source = kept.source
    edit = Edit(keep=kept.keep, new=kept.new, end_tick=source.events.end_tick)
    plays = parts_in_force(source, edit, source.piece.bars.start_tick(bars).tolist())
    plays[source.piece.notes.part[masked]] = True
    return [part for part, there in zip(ids, plays, strict=True) if there]


def infilled(
    infill: Infill, new: Sequence[NewNote], vocabulary: Vocabulary, *, bars_done: int | None = None
) -> EditedMidi:
    """The file with new notes in place of the masked ones. Masked bars that are not done yet keep their old notes.

    Args:
        new: notes of the masked bars, in any order.
        bars_done: how many of the masked bars are done, as rows count them; None for all.
    """
    kept = infill.kept
    if bars_done is not None and bars_done < len(infill.row_bars):
        stop = infill.row_bars.start + bars_done
        kept = without_notes(
            kept.source, infill.masked_notes & (infill.note_row_bar < stop), int(infill.bar_tick[stop])
        )
    return with_new_notes(kept, new, infill.bar_tick, vocabulary)
