"""New bars of a piece: the rows that they come behind, and what each of them must be.

Shape letters: L rows, F fields, T new bars.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from analysis.arrays import Bools, Ints
from meloctl.generation.constraints import ChannelRoom, Constraints
from meloctl.rows.codec import Rows
from meloctl.rows.parts import PartId
from meloctl.rows.vocabulary import (
    ABSENT,
    FIELDS,
    INSTANCE,
    INSTRUMENT,
    TEMPO,
    TIME_SIGNATURE,
    Vocabulary,
)
from meloctl.score.key import Key


@dataclass(frozen=True, kw_only=True, eq=False)
class NewBars:
    """Bars to be written: a row that opens each, its notes behind it, and after the last an end row."""

    vocabulary: Vocabulary
    before: Rows
    """(L, F) rows that the model reads first: whole bars, no end row."""

    opener: int
    """Instrument of the row that opens each new bar: "bar", or "infill_bar" for the masked bars of an infill."""

    headers: Rows
    """(T, F) header rows of the new bars, of which the time signature and the tempo count; ABSENT leaves one to the model."""

    has_kept_note: Bools
    """(T,) whether a bar has a note among the rows before."""

    tonic_chord_only: Bools
    """(T,) whether new notes keep to the key's tonic chord instead of its scale."""

    empty_bars: int
    """Bars without a note right before the first new one."""

    parts: frozenset[PartId] | None
    """Parts that may play; None leaves that to the model, within `room`."""

    required_parts: frozenset[PartId] = frozenset()
    """Parts that must have a new note: from the middle new bar on, each enters as soon as it can."""

    room: ChannelRoom = field(default_factory=ChannelRoom)
    """Which parts may play where `parts` is None."""

    key: Key | None = None
    """Of the new notes."""

    needs_note: bool = False
    """There must be a new note."""

    last_bar_needs_note: bool = False
    """There must be one in the last bar, so that music lasts as long as was asked for."""

    header_changes: tuple[float, float] | None = None
    """Probabilities that a new bar's time signature, and its tempo, differ from the bar before, where neither is given: what it
    changes to is the model's choice, whether it changes is not, the time signature behind a piece's first bar apart. None leaves
    both to the model."""

    first_masked_bar: int | None = None
    """Bar of the rows before, from 0, that the first new bar fills; None where there are no masked bars."""


def bars_behind(
    prompt: Rows | None,
    constraints: Constraints,
    vocabulary: Vocabulary,
    *,
    room: ChannelRoom | None = None,
    header_changes: tuple[float, float] | None = None,
    tempo: Ints | None = None,
) -> NewBars:
    """So many new bars as the constraints say, behind a prompt or at the beginning.

    Args:
        prompt: (L, F) rows that the piece begins with: whole bars, no end row.
        room: which parts may play, if the constraints leave that to the model.
        header_changes: see `NewBars`.
        tempo: (T,) index of the vocabulary's tempo of each new bar, ABSENT where the model chooses, if the constraints leave that
            to the model; None for all such bars.
    """
    before = np.zeros((0, len(FIELDS)), dtype=np.int16) if prompt is None else prompt
    headers = np.full((constraints.bars, len(FIELDS)), ABSENT, dtype=np.int16)
    headers[:, INSTRUMENT] = vocabulary.bar
    for of_header, value in ((TIME_SIGNATURE, constraints.time_signature), (TEMPO, constraints.tempo)):
        headers[:, of_header] = ABSENT if value is None else value
    if tempo is not None and constraints.tempo is None:
        headers[:, TEMPO] = tempo
    playing = {(int(row[INSTRUMENT]), int(row[INSTANCE])) for row in before if row[INSTANCE] != ABSENT}
    at = np.arange(constraints.bars)
    return NewBars(
        vocabulary=vocabulary,
        before=before,
        opener=vocabulary.bar,
        headers=headers,
        has_kept_note=np.zeros(constraints.bars, dtype=np.bool_),
        tonic_chord_only=(at == 0) | (at == constraints.bars - 1),
        empty_bars=_empty_at_end(_bars_with_notes(before)),
        parts=None if constraints.parts is None else frozenset(constraints.parts),
        required_parts=frozenset(constraints.parts or ()) - playing,
        room=ChannelRoom() if room is None else room,
        key=constraints.key,
        last_bar_needs_note=True,
        header_changes=header_changes,
    )


def count_bars(rows: Rows, vocabulary: Vocabulary) -> int:
    """How many bars rows (L, F) open."""
    return int((rows[:, INSTRUMENT] == vocabulary.bar).sum())


def masked_bars(
    context: Rows,
    first: int,
    headers: Rows,
    parts: Collection[PartId],
    vocabulary: Vocabulary,
    *,
    required_parts: Collection[PartId] = (),
    needs_note: bool = False,
    key: Key | None = None,
) -> NewBars:
    """Bars of an infill, in which notes are written beside those that stay.

    Args:
        context: (L, F) every header row, masked bars among them, and the notes that stay; no end row.
        first: bar of `context`, from 0, that is written first; the next masked bars follow.
        headers: (T, F) header rows of the bars to be written.
        parts: that may play in them.
        required_parts: that must.
        needs_note: there must be a new note at all.
        key: of the new notes.
    """
    has_note = _bars_with_notes(context)
    return NewBars(
        vocabulary=vocabulary,
        before=context,
        opener=vocabulary.infill_bar,
        headers=headers,
        has_kept_note=has_note[first : first + len(headers)],
        tonic_chord_only=np.zeros(len(headers), dtype=np.bool_),
        empty_bars=_empty_at_end(has_note[:first]),
        parts=frozenset(parts),
        required_parts=frozenset(required_parts),
        key=key,
        needs_note=needs_note,
        first_masked_bar=first,
    )


def _bars_with_notes(rows: Rows) -> Bools:
    """(bars,) whether each bar of rows (L, F) has a note."""
    is_header = rows[:, INSTANCE] == ABSENT
    return np.diff(np.flatnonzero(np.append(is_header, True))) > 1


def _empty_at_end(has_note: Bools) -> int:
    """How many bars without a note stand behind the last one that has one."""
    with_notes = np.flatnonzero(has_note)
    return len(has_note) - 1 - int(with_notes[-1]) if len(with_notes) else len(has_note)
