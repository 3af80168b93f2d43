"""Edits of a MIDI file: some events go, new ones come in, all others stay as they are, byte for byte.

Shape letters: E events, K tracks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

import numpy as np

from analysis.arrays import Bools, Ints
from analysis.errors import MeloError
from analysis.midi_events import Int32s, MidiEvents

FIRST, BEHIND, LAST = range(3)
"""Where a new event stands in its tick: before the events that stay, behind them, or behind all new ones too. Note-offs come
first and note-ons last, so that no kept note of their key is disturbed; what sets up a channel comes between."""

_MOST_TICKS_PER_QUARTER = 32_767
_MOST_DELTA = (1 << 28) - 1
"""Ticks between two events of a track: a number of four bytes of 7 bits."""


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """An event that comes into a track."""

    track: int
    """Of the file, or beyond its last track: a new one."""

    tick: int
    """In ticks of the edited file."""

    place: int
    """FIRST, BEHIND or LAST."""

    data: bytes
    """The event with its status byte, without its delta time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Edit:
    """What becomes of a MIDI file."""

    keep: Bools
    """(E,) False for each event that goes."""

    new: Sequence[NewEvent] = field(default=())
    factor: int = 1
    """By which every tick is multiplied."""

    end_tick: Ints | Int32s
    """(K,) where each track ends in the edited file, at least; new tracks end with the last of them."""


def edited_midi(events: MidiEvents, edit: Edit) -> bytes:
    """The bytes of an edited Standard MIDI File.

    Header, other chunks, and tracks in which nothing changes are copied; a changed track is written event by event, each with
    its status byte. Order within a tick is kept.

    Raises:
        MeloError: two events of a track lie further apart than a MIDI file can say.
    """
    new = {t: list(group) for t, group in groupby(sorted(edit.new, key=attrgetter("track")), key=attrgetter("track"))}
    n_tracks = max([len(events.tracks), *(t + 1 for t in new)])
    header = _header(events, edit.factor, n_tracks)
    out, at = [header], len(header)
    for track, (start, stop) in enumerate(events.tracks.tolist()):
        out.append(events.data[at : start - 8])
        if _is_changed(events, edit, track) or track in new:
            out.append(_chunk(_changed_track(events, edit, track, new.get(track, []))))
        else:
            out.append(events.data[start - 8 : stop])
        at = stop
    last_end = int(edit.end_tick.max())
    out += [_chunk(_track([], new.get(track, []), last_end)) for track in range(len(events.tracks), n_tracks)]
    out.append(events.data[at:])
    return b"".join(out)


def finer_factor(events: MidiEvents, needed: int, end_tick: int) -> int:
    """By which whole number ticks are multiplied so that `needed` divides those of a quarter; 1 where a MIDI file that ends at a
    tick, or later, cannot have ticks as fine."""
    ticks, last = events.ticks_per_quarter, max(end_tick, int(events.end_tick.max()))
    factor = needed // math.gcd(needed, ticks)
    return 1 if factor * ticks > _MOST_TICKS_PER_QUARTER or factor * last > _MOST_DELTA else factor


def _header(events: MidiEvents, factor: int, n_tracks: int) -> bytes:
    """The file up to its first chunk behind the header."""
    header = bytearray(events.data[: 8 + int.from_bytes(events.data[4:8], "big")])
    if n_tracks > len(events.tracks):
        header[10:12] = n_tracks.to_bytes(2, "big")
    header[12:14] = (factor * events.ticks_per_quarter).to_bytes(2, "big")
    return bytes(header)


def _is_changed(events: MidiEvents, edit: Edit, track: int) -> bool:
    """True where events of a track go, or its ticks or its end change."""
    first, last = events.first_event[track : track + 2].tolist()
    end_tick = edit.factor * int(events.end_tick[track])
    return edit.factor > 1 or end_tick != int(edit.end_tick[track]) or not edit.keep[first:last].all()


def _changed_track(events: MidiEvents, edit: Edit, track: int, new: Sequence[NewEvent]) -> bytes:
    first, last = events.first_event[track : track + 2].tolist()
    stay = (first + np.flatnonzero(edit.keep[first:last])).tolist()
    old = [(edit.factor * int(events.tick[i]), events.raw(i)) for i in stay]
    return _track(old, new, int(edit.end_tick[track])) + _behind_end(events, track)


def _track(old: Sequence[tuple[int, bytes]], new: Sequence[NewEvent], end_tick: int) -> bytes:
    """The events of a track, with the delta time before each, from those that stay, as (tick, event), and new ones."""
    staying = [(tick, FIRST, 1, data) for tick, data in old]
    coming = [(event.tick, event.place, 0 if event.place == FIRST else 2, event.data) for event in new]
    placed = sorted([*staying, *coming], key=lambda e: (e[0], e[2], e[1]))
    out, now = [], 0
    for tick, _, _, data in [*placed, (max([end_tick, *(e[0] for e in placed[-1:])]), 0, 0, b"\xff\x2f\x00")]:
        out += [delta_time(tick - now), data]
        now = tick
    return b"".join(out)


def _behind_end(events: MidiEvents, track: int) -> bytes:
    """What stands behind a track's End of Track: bytes that no reader takes for events, and that stay."""
    stop = int(events.tracks[track, 1])
    first, last = events.first_event[track : track + 2].tolist()
    at = int(events.stop[last - 1]) if last > first else int(events.tracks[track, 0])
    while at < stop and events.data[at] > 0x7F:  # the delta time before it
        at += 1
    return events.data[at + 4 : stop] if events.data[at + 1 : at + 4] == b"\xff\x2f\x00" else b""


def _chunk(content: bytes) -> bytes:
    return b"MTrk" + len(content).to_bytes(4, "big") + content


def delta_time(ticks: int) -> bytes:
    """A number of variable length. Raises MeloError for one that a MIDI file cannot hold."""
    if ticks > _MOST_DELTA:
        raise MeloError(f"{ticks:,} ticks between two events; a MIDI file can have {_MOST_DELTA:,}")
    out = [ticks & 0x7F]
    while ticks := ticks >> 7:
        out.append(ticks & 0x7F | 0x80)
    return bytes(reversed(out))


def note_on(channel: int, pitch: int, velocity: int) -> bytes:
    """A note-on event; channels count from 0."""
    return bytes([0x90 | channel, pitch, velocity])


def note_off(channel: int, pitch: int) -> bytes:
    """A note-off event, at the release velocity 64 that keyboards without one send."""
    return bytes([0x80 | channel, pitch, 64])


def program_change(channel: int, program: int) -> bytes:
    """A program change event."""
    return bytes([0xC0 | channel, program])


def control_change(channel: int, controller: int, value: int) -> bytes:
    """A control change event."""
    return bytes([0xB0 | channel, controller, value])


def meta_event(kind: int, data: bytes) -> bytes:
    """A meta event."""
    return bytes([0xFF, kind]) + delta_time(len(data)) + data
