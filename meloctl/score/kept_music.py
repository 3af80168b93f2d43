"""What stays of a MIDI file before new notes come in: a file without some of its notes, or up to a bar line.

Shape letters: E events, N notes of the file, M notes that stay, K tracks.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from analysis.arrays import Bools, Ints
from analysis.errors import MeloError
from analysis.midi import MidiSource, parse_source
from analysis.midi_events import Int32s, MidiEvents
from analysis.piece import Notes, Piece
from meloctl.formatting import count
from meloctl.score.midi_channels import (
    CHANNEL,
    END,
    ONSET,
    PITCH,
    SOUND,
    TRACK,
    VELOCITY,
    notes_in_file,
    only_in,
    sounds_at,
)
from meloctl.score.midi_edit import FIRST, LAST, Edit, NewEvent, edited_midi, note_off, note_on
from meloctl.score.midi_kinds import TEMPO, TIME_SIGNATURE, count_kinds, meta_kinds
from meloctl.score.midi_release import releases

GIVEN = -2
"""Stands for a note-off that a note is given."""


@dataclass(frozen=True, kw_only=True, eq=False)
class KeptMusic:
    """What stays of a file, in its own ticks or in finer ones."""

    source: MidiSource
    factor: int = 1
    """Ticks of the edited file in one of the file."""

    keep: Bools
    """(E,) False for each event that goes."""

    notes: Ints
    """(M, 7) the notes that stay, columns as in `midi_channels`; those struck again among them."""

    new: tuple[NewEvent, ...] = ()
    """Note-ons that strike held notes again, ends of notes that lost theirs, releases."""

    part: Ints
    """(M,) the part of each of them."""

    note_off: Ints
    """(M,) index of the note-off that is each note's own; −1 where it has none, GIVEN where it is among `new`."""

    struck_again: int = 0
    """Notes that are struck again behind the gap, which held them."""

    given_up: int = 0
    """Notes that the gap holds too, and that end with it: their channel has another program by then."""

    replaced_by_kept: int = 0
    """Notes that the gap holds too, and that end with it: a kept note strikes their key at its end, or holds it there."""

    ended: int = 0
    """Notes that are given an end of their own, because what ended them goes or moves."""

    shortened: int = 0
    """Notes that are held beyond the last new bar, and end with it."""

    left_out: Counter[str] = field(default_factory=Counter)
    """Events behind the cut that go, by kind."""

    behind_end: Counter[str] = field(default_factory=Counter)
    """Events behind the last new bar that go, by kind."""

    released: Counter[str] = field(default_factory=Counter)
    """What hung at the cut and is released, by kind."""

    def in_finer_ticks(self, factor: int) -> "KeptMusic":
        """The same with ticks that are multiplied."""
        notes = self.notes.copy()
        notes[:, (ONSET, END)] *= factor
        new = tuple(replace(event, tick=factor * event.tick) for event in self.new)
        return replace(self, factor=factor * self.factor, notes=notes, new=new)

    def ending_at(self, end_tick: int) -> "KeptMusic":
        """The same with nothing behind a tick; notes that are held longer end there."""
        events, longer = self.source.events, self.notes[:, END] > end_tick
        behind, notes = self.keep & (events.tick > end_tick // self.factor), self.notes.copy()
        keep = self.keep & ~behind
        keep[self.note_off[longer & (self.note_off >= 0)]] = False
        notes[:, END] = np.minimum(notes[:, END], end_tick)
        has_event = ~longer | (self.note_off == GIVEN)
        ends = map(note_end, map(tuple, notes[~has_event].tolist()))
        return replace(
            self,
            keep=keep,
            notes=notes,
            new=(*(replace(event, tick=min(event.tick, end_tick)) for event in self.new), *ends),
            note_off=np.where(longer, GIVEN, self.note_off),
            shortened=int(longer.sum()),
            behind_end=count_kinds(events, behind & ~_of_notes(events)),
        )

    def piece(self, n_bars: int) -> Piece:
        """What stays, in the file's ticks, as a piece of so many bars."""
        piece, rows = self.source.piece, self.notes
        end_tick = int(piece.bars.start_tick(n_bars))
        before = piece.tempo_tick < end_tick
        return replace(
            piece,
            notes=Notes.of(rows[:, ONSET], rows[:, END] - rows[:, ONSET], rows[:, PITCH], rows[:, VELOCITY], self.part),
            tempo_tick=piece.tempo_tick[before],
            tempo=piece.tempo[before],
            end_tick=end_tick,
        )


def without_notes(source: MidiSource, masked: Bools, gap_end: int | None) -> KeptMusic:
    """A file without some notes: their note-on and note-off events go, all else stays.

    A note that sounds on behind the gap is struck again at its end, so that the bars behind it keep their sound; not so one that
    ends within the tolerance in which a note belongs to the bar line, or whose key a kept note strikes or holds there.

    Args:
        masked: (N,) the notes that go.
        gap_end: the bar line at which bars that are kept begin; None where there are none behind the gap.

    Raises:
        MeloError: notes that stay would change.
    """
    piece, events, rows = source.piece, source.events, notes_in_file(source)
    held = again = taken = np.zeros(len(masked), dtype=np.bool_)
    if gap_end is not None:
        held = masked & (rows[:, ONSET] < gap_end) & (rows[:, END] > gap_end + piece.bar_tolerance)
        again = held & _sounds_there(source, rows, held, gap_end)
        struck = ~masked & (np.abs(rows[:, ONSET] - gap_end) <= piece.bar_tolerance)
        taken = _on_keys_of(rows, rows[struck].tolist())
    kept, misread = _ended(_without(source, masked, again & ~taken, gap_end or 0), events.end_tick)
    if misread:
        taken |= _on_keys_of(rows, misread)
        kept = _with_ends(_without(source, masked, again & ~taken, gap_end or 0), events.end_tick)
    return replace(kept, given_up=int((held & ~again).sum()), replaced_by_kept=int((again & taken).sum()))


def _without(source: MidiSource, masked: Bools, again: Bools, gap_end: int) -> KeptMusic:
    """A file without some notes (N,), but for those that are struck again at a tick, in the order in which they were struck."""
    keep, stays = np.ones(len(source.events.tick), dtype=np.bool_), ~masked | again
    keep[source.note_on[masked]] = False
    keep[source.note_off[masked & ~again & (source.note_off >= 0)]] = False
    struck = notes_in_file(source)
    struck[again, ONSET] = gap_end
    new = [
        NewEvent(track=t, tick=tick, place=LAST, data=note_on(channel % 16, pitch, velocity))
        for t, channel, pitch, tick, _, velocity, _ in struck[again].tolist()
    ]
    return KeptMusic(
        source=source,
        keep=keep,
        notes=struck[stays],
        part=source.piece.notes.part[stays],
        note_off=source.note_off[stays],
        new=tuple(new),
        struck_again=int(again.sum()),
    )


def _on_keys_of(rows: Ints, others: Iterable[Sequence[int]]) -> Bools:
    """(N,) which notes (N, 7) are on a channel and key of other notes."""
    keys = {(row[CHANNEL], row[PITCH]) for row in others}
    return np.array([tuple(key) in keys for key in rows[:, (CHANNEL, PITCH)].tolist()], dtype=np.bool_)


def _sounds_there(source: MidiSource, rows: Ints, held: Bools, tick: int) -> Bools:
    """(N,) which of the held notes (N, 7), struck at a tick, would sound as they did."""
    events, found = source.events, held.copy()
    places = [(track, channel, tick) for track, channel in rows[held][:, (TRACK, CHANNEL)].tolist()]
    edit = Edit(keep=np.ones(len(events.tick), dtype=np.bool_), end_tick=events.end_tick)
    found[held] = rows[held, SOUND] == np.array(sounds_at(events, edit, places), dtype=np.int64)
    return found


def up_to_bar(source: MidiSource, bars: int) -> KeptMusic:
    """The first bars of a file: what stands at the bar line behind them or later goes, notes that hang over it stay whole, and
    pedals, bends and pressure that would hang are released there.

    Where all bars stay, so do all events, but for time signatures and tempos behind the last bar.

    Raises:
        MeloError: notes that stay would change.
    """
    piece, events = source.piece, source.events
    cut, stays = int(piece.bars.start_tick(bars)), piece.note_bar < bars
    behind = events.tick >= cut
    if bars == piece.n_bars:
        behind &= np.isin(meta_kinds(events), (TEMPO, TIME_SIGNATURE))
    keep = ~behind
    keep[source.note_on[~stays]] = False
    own_ends = source.note_off[source.note_off >= 0]
    keep[own_ends] = stays[source.note_off >= 0]
    left_out = count_kinds(events, ~keep & ~_of_notes(events)) + Counter({"note": int((~stays).sum())})
    new, released = ([], Counter[str]()) if bars == piece.n_bars else releases(events, keep, cut)
    kept = KeptMusic(
        source=source,
        keep=keep,
        notes=notes_in_file(source)[stays],
        part=piece.notes.part[stays],
        note_off=source.note_off[stays],
        new=tuple(new),
        left_out=+left_out,
        released=released,
    )
    later = max(cut, int(events.end_tick.max())) + 4 * events.ticks_per_quarter
    return _with_ends(kept, np.full(len(events.end_tick), later))


def _of_notes(events: MidiEvents) -> Bools:
    """(E,) whether each event is a note-on or a note-off."""
    return (events.status & 0xE0) == 0x80


def _with_ends(kept: KeptMusic, end_tick: Ints | Int32s) -> KeptMusic:
    """As `_ended`. Raises MeloError where notes still read otherwise."""
    mended, misread = _ended(kept, end_tick)
    if misread:
        raise MeloError(
            f"{count(len(misread), 'note')} to be kept would change, overlapping others of the same key and channel that have no "
            "end of their own; choose other bars"
        )
    return mended


def _ended(kept: KeptMusic, end_tick: Ints | Int32s) -> tuple[KeptMusic, set[tuple[int, ...]]]:
    """The same, where notes without a note-off of their own get one if they would read otherwise than before; and those that read
    otherwise even so.

    Args:
        end_tick: (K,) where the tracks end, at least: where they go on, a note that lasts as long as its track would grow.
    """
    misread = _misread(kept, end_tick)
    if not misread:
        return kept, misread
    ended = (kept.note_off == -1) & np.array([row[:5] in misread for row in map(tuple, kept.notes.tolist())])
    ends = map(note_end, map(tuple, kept.notes[ended].tolist()))
    mended = replace(
        kept, new=(*kept.new, *ends), note_off=np.where(ended, GIVEN, kept.note_off), ended=int(ended.sum())
    )
    return mended, _misread(mended, end_tick)


def note_end(row: tuple[int, ...]) -> NewEvent:
    """A note-off for a note (7,) without one: behind its note-on where it has no length."""
    track, channel, pitch, onset, end, *_ = row
    return NewEvent(track=track, tick=end, place=LAST if onset == end else FIRST, data=note_off(channel % 16, pitch))


def _misread(kept: KeptMusic, end_tick: Ints | Int32s) -> set[tuple[int, ...]]:
    """Track, channel, pitch, onset and end of the notes that stay and would read otherwise, without any new note."""
    edit = Edit(keep=kept.keep, new=kept.new, end_tick=end_tick)
    again = notes_in_file(parse_source(edited_midi(kept.source.events, edit)))
    columns = (TRACK, CHANNEL, PITCH, ONSET, END, VELOCITY)
    return {row[:5] for row in only_in(kept.notes[:, columns], again[:, columns])}
