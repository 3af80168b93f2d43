"""What a model reads of the bars that a piece goes on from: the first bars of a file, as rows."""

from dataclasses import dataclass, replace

from analysis.errors import MeloError
from analysis.piece import Notes, Part, Piece
from meloctl.rows.codec import Rows, encode
from meloctl.rows.parts import part_ids
from meloctl.rows.vocabulary import INSTANCE, INSTRUMENT, TIME_SIGNATURE, Vocabulary
from meloctl.score.editing import refine_ticks, without_idle_parts


@dataclass(frozen=True, kw_only=True, eq=False)
class Prompt:
    """The first bars of a piece, which new bars go on from."""

    piece: Piece
    """Its notes in those bars alone, in ticks that are fine enough for rows."""

    bars: int
    """How many they are, as the file counts them."""

    end_tick: int
    """Where they end."""

    rows: Rows
    """(L, F) rows of these bars, without an end row; a bar that rows cannot name is several there."""

    @property
    def row_bars(self) -> int:
        """How many bars they are as rows count them."""
        return int((self.rows[:, TIME_SIGNATURE] >= 0).sum())


def encode_prompt(piece: Piece, bars: int | None, vocabulary: Vocabulary) -> Prompt:
    """The first bars of a piece as a prompt.

    Args:
        bars: how many bars are kept; None keeps all.

    Raises:
        MeloError: the piece has fewer bars, or no note in them, or its ticks cannot be made fine enough.
    """
    piece = refine_ticks(piece, vocabulary)
    bars = piece.n_bars if bars is None else bars
    if not 1 <= bars <= piece.n_bars:
        raise MeloError(
            f"the prompt has {piece.n_bars} bars; give a number from 1 to {piece.n_bars}", field="keep_bars", given=bars
        )
    end_tick = int(piece.bars.start_tick(bars))
    notes, before_end = piece.notes.take(piece.notes.onset_tick < end_tick), piece.tempo_tick < end_tick
    if not len(notes):
        raise MeloError("the prompt has no note in its first bars; keep more of them", field="keep_bars", given=bars)
    kept = without_idle_parts(
        replace(piece, notes=notes, tempo_tick=piece.tempo_tick[before_end], tempo=piece.tempo[before_end])
    )
    return Prompt(piece=kept, bars=bars, end_tick=end_tick, rows=encode_bars(kept, end_tick, vocabulary))


def encode_bars(piece: Piece, end_tick: int, vocabulary: Vocabulary) -> Rows:
    """(L, F) rows of all bars before a tick, empty ones too, without an end row; a note that rounds to that tick is left out.

    A marker in a part of its own keeps `encode` from stopping at the last note; its row is removed again.
    """
    step = piece.ticks_per_quarter / vocabulary.steps_per_quarter
    last_bar_tick = int(piece.bars.start_tick(piece.bars.bar_of(end_tick - 1)))
    marker = Notes.of([max(last_bar_tick, int(end_tick - step))], [1], [0], [1], [len(piece.parts)])
    notes = piece.notes.take(2 * (end_tick - piece.notes.onset_tick) > step)
    parts = (*piece.parts, Part(program=127, is_drum=False))
    rows, _ = encode(replace(piece, parts=parts, notes=Notes.joined([notes, marker])), vocabulary)
    instrument, instance = part_ids(parts, vocabulary)[-1]
    is_marker = (rows[:, INSTRUMENT] == instrument) & (rows[:, INSTANCE] == instance)
    return rows[~is_marker & (rows[:, INSTRUMENT] != vocabulary.end)]
