"""New notes among those that stay of a MIDI file: the edited file, checked against what it must hold.

Shape letters: E events, K tracks, M new notes, N kept notes.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from analysis.arrays import Ints
from analysis.errors import MeloError
from analysis.midi import MidiSource, parse_source
from analysis.piece import Part
from meloctl.score.kept_music import KeptMusic, note_end
from meloctl.score.midi_channels import (
    CHANNEL,
    END,
    ONSET,
    PITCH,
    SOUND,
    TRACK,
    VELOCITY,
    event_channels,
    notes_in_file,
    only_in,
    sounds_at,
    sounds_of,
)
from meloctl.score.midi_edit import FIRST, LAST, Edit, NewEvent, edited_midi, note_off, note_on
from meloctl.score.midi_release import releases
from meloctl.score.note_channels import NoteChannels

PlacedNote = tuple[int, int, int, int, int]
"""(part, pitch, onset tick, end tick, velocity), in ticks of the edited file."""

_ENDS_ALL = (120, 123, 124, 125, 126, 127)
"""Controllers that end all notes of their channel."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EditedMidi:
    """A MIDI file with new notes."""

    data: bytes
    source: MidiSource
    """The same, read back."""

    other_patch: int
    """New notes that no channel could play with the program of their part: they sound with the one in force."""

    shortened: int
    """Kept notes that were held beyond the last new bar, and end with it."""

    behind_end: Counter[str]
    """Events of the file that stood behind the last new bar, and go, by kind."""

    released: Counter[str]
    """What hung, at the end of the kept bars, on channels that have new notes, and is released there, by kind."""


def join_notes(
    kept: KeptMusic,
    parts: Sequence[Part],
    new: Sequence[PlacedNote],
    *,
    n_bars: int,
    begin_before: int,
    end_tick: Ints,
    events: Sequence[NewEvent] = (),
    release_tick: int | None = None,
) -> EditedMidi:
    """A file with new notes.

    A new note on a key that a kept note of its channel holds begins where that ends, and ends where the next one begins or where
    the file ends notes of its key or channel; one for which nothing is left is dropped.

    Args:
        parts: those of the file, then new ones.
        n_bars: bars that the edited file must have.
        begin_before: the end of the bars with new notes, in ticks of the edited file; a note that would begin there is dropped.
        end_tick: (K,) where each track ends at least, in ticks of the edited file.
        events: further new events, in ticks of the edited file.
        release_tick: of the file: where pedals and bends are released on channels that get new notes; None for nowhere.

    Raises:
        MeloError: no free channel for a new part; or the edited file does not read back as what it must be.
    """
    base = Edit(keep=kept.keep, new=[*kept.new, *events], factor=kept.factor, end_tick=end_tick)
    placed = np.array(new, dtype=np.int64).reshape(-1, 5)
    where = NoteChannels.of(kept.source, base, parts, placed[:, 0], placed[:, 2])
    hanging, released = _releases(kept, where, release_tick)
    base = replace(base, new=[*base.new, *hanging, *where.setup])
    rows = np.column_stack([where.track, where.channel, placed[:, 1:], sounds_of(parts)[placed[:, 0]]])
    rows = _fitted(rows, kept.notes, _stops(kept), begin_before)
    as_written = rows.copy()
    as_written[:, SOUND] = sounds_at(
        kept.source.events, base, list(map(tuple, rows[:, (TRACK, CHANNEL, ONSET)].tolist()))
    )
    edit = replace(base, new=[*base.new, *_note_events(rows), *_own_ends(kept, rows, base)])
    data = edited_midi(kept.source.events, edit)
    again = parse_source(data)
    _check(kept.source, edit, again, np.concatenate([kept.notes, as_written]), n_bars)
    other_patch = int((rows[:, SOUND] != as_written[:, SOUND]).sum())
    return EditedMidi(
        data=data,
        source=again,
        other_patch=other_patch,
        shortened=kept.shortened,
        behind_end=kept.behind_end,
        released=released,
    )


def _releases(kept: KeptMusic, where: NoteChannels, tick: int | None) -> tuple[list[NewEvent], Counter[str]]:
    if tick is None:
        return [], Counter()
    new, counts = releases(kept.source.events, kept.keep, tick, set(where.channel.tolist()))
    return [replace(event, tick=kept.factor * event.tick) for event in new], counts


def _note_events(rows: Ints) -> Iterator[NewEvent]:
    """The events of notes (M, 7)."""
    for track, channel, pitch, onset, end, velocity, _ in rows.tolist():
        yield NewEvent(track=track, tick=onset, place=LAST, data=note_on(channel % 16, pitch, velocity))
        yield NewEvent(track=track, tick=end, place=FIRST, data=note_off(channel % 16, pitch))


def _own_ends(kept: KeptMusic, rows: Ints, base: Edit) -> Iterator[NewEvent]:
    """Note-offs for kept notes that last to the end of their track, where that moves behind new notes (M, 7)."""
    events = kept.source.events
    for row in map(tuple, kept.notes[kept.note_off == -1].tolist()):
        old_end = base.factor * int(events.end_tick[row[TRACK]])
        new_end = max([int(base.end_tick[row[TRACK]]), *rows[rows[:, TRACK] == row[TRACK], END].tolist()])
        if row[END] == old_end < new_end:
            yield note_end(row)


def _stops(kept: KeptMusic) -> dict[tuple[int, int], list[int]]:
    """{(channel, key): ticks, ascending, at which the file ends notes that are none of its own}, by a note-off without a note or,
    under key −1, by All Notes Off of the channel."""
    events = kept.source.events
    stops: dict[tuple[int, int], list[int]] = defaultdict(list)
    channel, kind = event_channels(events), events.status & 0xF0
    stray = kept.keep.copy()
    stray[kept.source.note_on] = False
    stray[kept.source.note_off[kept.source.note_off >= 0]] = False
    for i in np.flatnonzero(kept.keep & (stray & ((kind == 0x80) | (kind == 0x90)) | (kind == 0xB0))).tolist():
        raw, at = events.raw(i), kept.factor * int(events.tick[i])
        if kind[i] == 0xB0 and raw[1] in _ENDS_ALL:
            stops[int(channel[i]), -1].append(at)
        elif kind[i] == 0x80 or (kind[i] == 0x90 and raw[2] == 0):
            stops[int(channel[i]), raw[1]].append(at)
    return {key: sorted(ticks) for key, ticks in stops.items()}


def _fitted(rows: Ints, kept: Ints, stops: dict[tuple[int, int], list[int]], begin_before: int) -> Ints:
    """New notes shortened so that none overlaps a kept or a later new note of its channel and key.

    Args:
        rows: (M, 7) new notes.
        kept: (N, 7) kept notes.
        stops: what ends notes besides, see `_stops`.
        begin_before: a note that would begin there or behind is dropped.
    """
    rows = rows[np.lexsort((rows[:, END], rows[:, ONSET], rows[:, PITCH], rows[:, CHANNEL]))]
    held = _held_keys(kept)
    found = []
    for n, row in enumerate(rows.tolist()):
        key, begins = (row[CHANNEL], row[PITCH]), row[ONSET]
        starts, until = held.get(key, ([], []))
        if before := bisect_right(starts, begins):
            begins = max(begins, until[before - 1])
        following = _next(starts, bisect_left(starts, begins))
        if n + 1 < len(rows) and (rows[n + 1, CHANNEL], rows[n + 1, PITCH]) == key:
            following.append(int(rows[n + 1, ONSET]))
        for ticks in (stops.get(key, []), stops.get((row[CHANNEL], -1), [])):
            following += _next(ticks, bisect_right(ticks, begins))
        ends = min([row[END], *following])
        if begins < min(ends, begin_before):
            found.append([*row[:ONSET], begins, ends, *row[VELOCITY:]])
    return np.array(found, dtype=np.int64).reshape(-1, 7)


def _next(ticks: list[int], index: int) -> list[int]:
    return ticks[index : index + 1]


def _held_keys(kept: Ints) -> dict[tuple[int, int], tuple[list[int], list[int]]]:
    """{(channel, key): (onsets, ascending; by each, the tick up to which notes struck so far are held)} of notes (N, 7)."""
    found: dict[tuple[int, int], tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for channel, pitch, onset, end in kept[np.argsort(kept[:, ONSET], kind="stable")][
        :, (CHANNEL, PITCH, ONSET, END)
    ].tolist():
        starts, until = found[channel, pitch]
        starts.append(onset)
        until.append(max([end, *until[-1:]]))
    return dict(found)


def _check(source: MidiSource, edit: Edit, again: MidiSource, notes: Ints, n_bars: int) -> None:
    """Raises MeloError unless an edited file, read back, holds the bars and notes (N, 7) that it must, and of the original all
    that stays."""
    found = notes_in_file(again)
    wrong = only_in(found, notes).total() + only_in(notes, found).total()
    if wrong or again.piece.n_bars != n_bars:
        raise MeloError(
            f"the edited file reads back as {again.piece.n_bars} bars, not {n_bars}, and {wrong:,} of its notes differ from what "
            "was to be written; this is a bug, please report it"
        )
    new = defaultdict(list)
    for event in edit.new:
        new[event.track].append((event.tick, event.data))
    for track in range(len(again.events.tracks)):
        stays = _track_events(source, track, edit) if track < len(source.events.tracks) else []
        if _digest(chain(new[track], stays)) != _digest(_track_events(again, track)):
            raise MeloError(f"track {track + 1} of the edited file lost events; this is a bug, please report it")


def _digest(events: Iterable[tuple[int, bytes]]) -> int:
    """A number that tells multisets of events apart, whatever their order, without a copy of them."""
    return sum(map(hash, events))


def _track_events(source: MidiSource, track: int, edit: Edit | None = None) -> Iterator[tuple[int, bytes]]:
    """(tick, event) of a track; of the original those that stay, in ticks of the edited file."""
    events, factor = source.events, edit.factor if edit else 1
    for i in range(*events.first_event[track : track + 2].tolist()):
        if edit is None or edit.keep[i]:
            yield factor * int(events.tick[i]), events.raw(i)
