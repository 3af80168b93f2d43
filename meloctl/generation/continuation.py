"""What a model reads of the bars that a piece goes on from: the first bars of a file, as rows."""

from dataclasses import dataclass

from analysis.errors import MeloError
from analysis.midi import MidiSource
from analysis.piece import Piece
from meloctl.formatting import count
from meloctl.generation.constraints import ChannelRoom
from meloctl.rows.codec import Rows, encode
from meloctl.rows.parts import part_ids
from meloctl.rows.vocabulary import TIME_SIGNATURE, Vocabulary
from meloctl.score.editing import check_ticks, with_new_bars
from meloctl.score.join_notes import EditedMidi
from meloctl.score.kept_music import KeptMusic, up_to_bar
from meloctl.score.midi_channels import drum_channel, free_channels
from meloctl.score.midi_edit import Edit
from meloctl.score.note_channels import parts_in_force


@dataclass(frozen=True, kw_only=True, eq=False)
class Prompt:
    """The first bars of a file, which new bars go on from."""

    kept: KeptMusic
    """What stays of the file."""

    piece: Piece
    """The same, as a piece with all parts of the file."""

    bars: int
    """How many they are, as the file counts them."""

    rows: Rows
    """(L, F) rows of these bars, without an end row; a bar that rows cannot name is several there."""

    room: ChannelRoom
    """Which parts may play in the new bars, by the channels that the file leaves them."""

    @property
    def row_bars(self) -> int:
        """How many bars they are as rows count them."""
        return int((self.rows[:, TIME_SIGNATURE] >= 0).sum())


def encode_prompt(source: MidiSource, bars: int | None, vocabulary: Vocabulary) -> Prompt:
    """The first bars of a file as a prompt.

    Args:
        bars: how many bars are kept; None keeps all.

    Raises:
        MeloError: the file has fewer bars, or no note in them, or notes that would change.
    """
    piece = source.piece
    bars = piece.n_bars if bars is None else bars
    if not 1 <= bars <= piece.n_bars:
        raise MeloError(
            f"the prompt has {count(piece.n_bars, 'bar')}; give a number from 1 to {piece.n_bars}",
            field="keep_bars",
            given=bars,
        )
    if not (piece.note_bar < bars).any():
        raise MeloError("the prompt has no note in its first bars; keep more of them", field="keep_bars", given=bars)
    check_ticks(piece)
    kept = up_to_bar(source, bars)
    first = kept.piece(bars)
    rows, _ = encode(first, vocabulary)
    return Prompt(kept=kept, piece=first, bars=bars, rows=rows[:-1], room=_room_behind(kept, bars, vocabulary))


def continued(prompt: Prompt, rows: Rows, vocabulary: Vocabulary) -> EditedMidi:
    """The file of a prompt with new bars.

    Args:
        rows: (L, F) the prompt's rows, and those of the new bars behind them.
    """
    return with_new_bars(prompt.kept, prompt.bars, prompt.row_bars, rows, vocabulary)


def _room_behind(kept: KeptMusic, bars: int, vocabulary: Vocabulary) -> ChannelRoom:
    """Which parts may play behind the first bars of a file: those whose program is in force, and others on free channels."""
    source = kept.source
    edit = Edit(keep=kept.keep, new=kept.new, end_tick=source.events.end_tick)
    in_force = parts_in_force(source, edit, [int(source.piece.bars.start_tick(bars))])
    ids = part_ids(source.piece.parts, vocabulary)
    pitched = sum(map(len, free_channels(source.events).values()))
    drums = drum_channel(source) is not None
    return ChannelRoom(
        own=frozenset(part for part, plays in zip(ids, in_force, strict=True) if plays),
        pitched=pitched,
        parts=pitched + drums,
        drums=drums,
    )
