"""Channels of a MIDI file: which are free, and which program or drum kit a note struck on one would have.

A channel is its port times 16 plus its number from 0. Shape letters: E events, N notes, P parts.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analysis.arrays import Ints
from analysis.midi import MidiSource, parse_source
from analysis.midi_events import MidiEvents
from analysis.midi_limits import Limits
from analysis.midi_ports import event_ports
from analysis.piece import Part
from meloctl.score.midi_edit import FIRST, LAST, Edit, NewEvent, edited_midi, note_off, note_on

DRUMS = 9
"""Channel 10 of a port, which plays the drums from the start."""

DRUM_SOUND = 128
"""Stands for a drum where a sound is a program, 0 to 127."""

Place = tuple[int, int, int]
"""(track, channel, tick)"""

_PROBE_LIMITS = Limits(notes=1 << 21, parts=1 << 14)


TRACK, CHANNEL, PITCH, ONSET, END, VELOCITY, SOUND = range(7)
"""Columns of notes where they stand in a file: (N, 7), ticks of onset and end, program or DRUM_SOUND."""


def notes_in_file(source: MidiSource) -> Ints:
    """(N, 7) the notes of a file with track and channel, in the order of its piece's notes."""
    notes, on = source.piece.notes, source.note_on
    track, channel = source.events.track[on], source.note_channel
    end, sound = notes.onset_tick + notes.duration_tick, sounds_of(source.piece.parts)[notes.part]
    return np.stack([track, channel, notes.pitch, notes.onset_tick, end, notes.velocity, sound], axis=1)


def only_in(rows: Ints, others: Ints) -> Counter[tuple[int, ...]]:
    """How often each row is there more often than among others.

    Args:
        rows: (N, C)
        others: (M, C)
    """
    if rows.shape == others.shape and np.array_equal(rows[np.lexsort(rows.T)], others[np.lexsort(others.T)]):
        return Counter()
    found, known = (Counter(map(tuple, some.tolist())) for some in (rows, others))
    return found - known


def event_channels(events: MidiEvents) -> Ints:
    """(E,) the channel of each channel event; −1 for other events."""
    is_channel = (events.status >= 0x80) & (events.status < 0xF0)
    return np.where(is_channel, 16 * event_ports(events) + (events.status & 0x0F), -1)


def free_channels(events: MidiEvents) -> dict[int, list[int]]:
    """{port: channels, ascending} that have no event, of each port that the file uses; drums' channels are not among them."""
    channels = event_channels(events)
    used = set(np.unique(channels[channels >= 0]).tolist())
    ports = sorted({channel // 16 for channel in used} | {0})
    return {port: [c for c in range(16 * port, 16 * port + 16) if c not in used and c % 16 != DRUMS] for port in ports}


def drum_channel(source: MidiSource) -> int | None:
    """The channel that a new drum part plays on: the lowest that plays drums, else channel 10 if it is free."""
    is_drum = np.array([part.is_drum for part in source.piece.parts], dtype=np.bool_)
    playing = notes_in_file(source)[is_drum[source.piece.notes.part], CHANNEL]
    if len(playing):
        return int(playing.min())
    return None if (event_channels(source.events) == DRUMS).any() else DRUMS


def sounds_at(events: MidiEvents, edit: Edit, places: Sequence[Place]) -> list[int]:
    """The program, or DRUM_SOUND, of notes struck at some places of an edited file. The reader is asked: there is one rule.

    Args:
        places: ticks of the edited file; a note struck there stands behind all else in its tick and track.
    """
    return [sound for sound, _ in _probed(events, edit, places)]


def channels_at(events: MidiEvents, edit: Edit, places: Sequence[Place]) -> list[int]:
    """The channels at some places, on the port that is in force there: as `sounds_at`."""
    return [channel for _, channel in _probed(events, edit, places)]


def _probed(events: MidiEvents, edit: Edit, places: Sequence[Place]) -> list[tuple[int, int]]:
    """The sound and the channel of a note at each place."""
    if not places:
        return []
    taken = _onsets(events, edit)
    count: defaultdict[int, int] = defaultdict(int)
    probes, keys = [], []
    for track, channel, tick in places:
        while (key := (tick, count[tick] % 128, 1 + count[tick] // 128)) in taken:
            count[tick] += 1
        count[tick] += 1
        keys.append(key)
        probes.append(NewEvent(track=track, tick=tick, place=LAST, data=note_on(channel % 16, *key[1:])))
        probes.append(NewEvent(track=track, tick=tick + 1, place=FIRST, data=note_off(channel % 16, key[1])))
    source = parse_source(edited_midi(events, replace(edit, new=[*edit.new, *probes])), limits=_PROBE_LIMITS)
    notes, sound = source.piece.notes, sounds_of(source.piece.parts)[source.piece.notes.part]
    read = zip(notes.onset_tick.tolist(), notes.pitch.tolist(), notes.velocity.tolist(), strict=True)
    found = dict(zip(read, zip(sound.tolist(), source.note_channel.tolist(), strict=True), strict=True))
    return [found[key] for key in keys]


def _onsets(events: MidiEvents, edit: Edit) -> set[tuple[int, int, int]]:
    """(tick, pitch, velocity) of the note-ons of an edited file."""
    data, on = np.frombuffer(events.data, dtype=np.uint8), np.flatnonzero(events.status & 0xF0 == 0x90)
    tick, stop = edit.factor * events.tick[on].astype(np.int64), events.stop[on]
    found = set(zip(tick.tolist(), data[stop - 2].tolist(), data[stop - 1].tolist(), strict=True))
    return found | {(e.tick, e.data[1], e.data[2]) for e in edit.new if e.data[0] & 0xF0 == 0x90}


def sounds_of(parts: Sequence[Part]) -> Ints:
    """(P,) the program of each part, or DRUM_SOUND: the kit of drums is their channel's own affair."""
    return np.array([DRUM_SOUND if part.is_drum else part.program for part in parts], dtype=np.int64)
