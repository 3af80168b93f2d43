"""Slow and obvious reference for reading a MIDI file: what a player of events sounds, in plain records.

Written from "Standard MIDI Files 1.0", "MIDI 1.0" and the project's reading rules (docs/conventions.md) alone; nothing of the
project and no library is imported. plain_events.py reads the bytes, plain_channels.py knows what is in force at a note,
plain_note_ends.py ends the notes, plain_bars.py counts the bars; here notes become parts.
"""

from collections import Counter
from typing import NamedTuple

from plain_bars import Grid, Region, grid_of
from plain_channels import Sound, in_order, reset_mode, roland, sounds, yamaha
from plain_events import Event, MidiFile, Refused, read_file
from plain_note_ends import all_ends

MOST_BARS = 10_000


class Note(NamedTuple):
    track: int
    port: int
    channel: int
    """0..15."""
    onset: int
    end: int
    pitch: int
    velocity: int
    program: int
    is_drum: bool
    ended: str
    """"off", "grace", "next note", "all off", "other track" or "end of track"."""
    bar: int
    on: int
    """Place of the note-on in its track."""
    off: int
    """Place of the note-off that is its own; -1 where it has none."""
    player: int
    """The channel whose instrument plays it: its own, or the manager of its MPE zone."""


class Part(NamedTuple):
    program: int
    is_drum: bool
    name: bytes
    channels: tuple[int, ...]
    """port * 16 + channel, ascending."""
    notes: list[Note]


class Playing(NamedTuple):
    """A file as it is meant."""

    file: MidiFile
    notes: list[Note]
    """By track, then as their note-ons stand."""
    parts: list[Part]
    n_bars: int
    tempos: list[tuple[int, int]]
    """(tick, microseconds a quarter) of each change, from tick 0."""
    signatures: list[Region]
    """In force after the rules."""
    end_tick: int
    departures: dict[str, int]
    """Counts of what was not read as it stands."""


def play(data: bytes, meter: tuple[int, int] | None = None) -> Playing:
    """A file's bytes as notes, parts and bars. Raises Refused."""
    file = read_file(data)
    events = [event for track in file.tracks for event in track.events]
    departures = Counter(file.counts)
    tempos = tempo_changes(events, departures)
    grid = grid_of(signatures(events, departures), file.ticks_per_quarter, meter)
    departures["signatures_moved"], departures["signatures_inside"] = grid.moved, grid.inside
    notes = all_notes(file, sounds(in_order(events)), grid, departures)
    if not notes:
        raise Refused("no notes")
    parts = all_parts(file, notes)
    departures["overruled_programs"] = overruled_programs(file, notes)
    departures["transposed"] = transposed(events, notes)
    departures["mt32"] = int(any(e.status == 0xF0 and e.data[:1] + e.data[2:4] == b"\x41\x16\x12" for e in events))
    departures["joined_parts"] = sum(joins(part) for part in parts)
    end_tick = max(track.end_tick for track in file.tracks)
    n_bars = max(note.bar for note in notes) + 1
    complete = grid.bar_of_note(end_tick)  # bars complete at the last End of Track
    departures["late_end"] = int(complete > MOST_BARS)
    if complete <= MOST_BARS:
        n_bars = max(n_bars, complete)
    counts = {kind: departures[kind] for kind in KINDS}
    return Playing(file, notes, parts, n_bars, tempos, grid.regions, end_tick, counts)


KINDS = (
    "running_status",
    "not_understood",
    "behind_end",
    "further_files",
    "escapes",
    "other_chunks",
    "extra_tracks",
    "endless",
    "ended_by_all_off",
    "grace",
    "drums_by_bank",
    "drums_by_sysex",
    "overruled_programs",
    "transposed",
    "mt32",
    "joined_parts",
    "signatures_moved",
    "signatures_contradicted",
    "signatures_ignored",
    "signatures_inside",
    "tempos_ignored",
    "late_end",
)


def is_meta(event: Event, kind: int) -> bool:
    return event.status == 0xFF and event.data[0] == kind


def tempo_changes(events: list[Event], departures: Counter[str]) -> list[tuple[int, int]]:
    """Meta 51, microseconds a quarter in 3 bytes: 120 quarters a minute before the first; of one tick the last
    counts, by track."""
    at = {0: 500_000}
    for event in events:
        if is_meta(event, 0x51):
            if len(event.data) != 4:
                departures["tempos_ignored"] += 1
                continue
            at[event.tick] = int.from_bytes(event.data[1:], "big")
            if at[event.tick] == 0:
                raise Refused("a tempo of 0 microseconds a quarter")
    changes: list[tuple[int, int]] = []
    for tick, tempo in sorted(at.items()):
        if not changes or changes[-1][1] != tempo:
            changes.append((tick, tempo))
    return changes


def signatures(events: list[Event], departures: Counter[str]) -> list[tuple[int, int, int]]:
    """(tick, numerator, denominator) of meta 58, those left out that no music has. Of one tick the first track that says
    one counts ("Standard MIDI Files 1.0": they stand in the first track), in it the last."""
    found: dict[int, dict[int, tuple[int, int]]] = {}
    for event in events:
        if is_meta(event, 0x58):
            if len(event.data) < 3 or event.data[1] == 0 or event.data[2] > 7:
                departures["signatures_ignored"] += 1
            else:
                found.setdefault(event.tick, {})[event.track] = (event.data[1], 2 ** event.data[2])
    chosen = []
    for tick, by_track in found.items():
        signature = by_track[min(by_track)]
        chosen.append((tick, *signature))
        departures["signatures_contradicted"] += sum(other != signature for other in by_track.values())
    return chosen


def all_notes(
    file: MidiFile, sound_of: dict[tuple[int, int], Sound], grid: Grid, departures: Counter[str]
) -> list[Note]:
    """The notes of all tracks."""
    notes = []
    ends = all_ends([track.events for track in file.tracks], [track.end_tick for track in file.tracks])
    for on, end_tick, how, off in ends:
        sound = sound_of[on.track, on.index]
        departures["endless"] += how in ("next note", "end of track")
        departures["ended_by_all_off"] += how == "all off"
        departures["grace"] += how == "grace"
        departures[sound.departure] += 1
        notes.append(
            Note(
                track=on.track,
                port=on.port,
                channel=on.status & 0x0F,
                onset=on.tick,
                end=end_tick,
                pitch=on.data[0],
                velocity=on.data[1],
                program=sound.program,
                is_drum=sound.is_drum,
                ended=how,
                bar=grid.bar_of_note(on.tick),
                on=on.index,
                off=-1 if off is None else off.index,
                player=sound.player,
            )
        )
    return notes


def all_parts(file: MidiFile, notes: list[Note]) -> list[Part]:
    """The notes of one track and port, by program, on however many channels; drums whatever their kits. Where all channels
    share one track (format 0) also by channel, a zone of MPE being one."""
    groups: dict[tuple[int, ...], list[Note]] = {}
    for note in notes:
        program = -1 if note.is_drum else note.program
        channel = -1 if file.format == 1 else note.player
        groups.setdefault((note.track, note.port, channel, program), []).append(note)
    names = [track_name(track.events) for track in file.tracks]
    in_track = Counter(key[0] for key in groups)
    parts = []
    for (track, *_), members in groups.items():
        channels = tuple(sorted({16 * note.port + note.channel for note in members}))
        first = members[0]  # as its track stands
        name = names[track]
        if file.format == 0 and in_track[track] > 1:  # the track's name is the piece's
            name = channel_name(file.tracks[track].events, channels[0] % 16)
        part = Part(first.program, first.is_drum, name, channels, members)
        parts.append(((track, channels[0], part.program, part.is_drum), part))
    return [part for _, part in sorted(parts, key=lambda placed: placed[0])]


def track_name(events: list[Event]) -> bytes:
    """The first name event (meta 03) that is not empty."""
    return next((event.data[1:] for event in events if is_meta(event, 0x03) and len(event.data) > 1), b"")


def channel_name(events: list[Event], channel: int) -> bytes:
    """The first name that is not empty behind a channel prefix (meta 20), which holds to the next channel message."""
    prefix = -1
    for event in events:
        if event.status < 0xF0:
            prefix = -1
        elif is_meta(event, 0x20) and len(event.data) == 2:
            prefix = event.data[1] & 15
        elif is_meta(event, 0x03) and len(event.data) > 1 and prefix == channel:
            return event.data[1:]
    return b""


def overruled_programs(file: MidiFile, notes: list[Note]) -> int:
    """Pitched notes that sound with another program than the last on their channel in their own track before them."""
    count = 0
    for number, track in enumerate(file.tracks):
        own: dict[tuple[int, int], int] = {}
        program_at = {note.on: note for note in notes if note.track == number and not note.is_drum}
        for event in track.events:
            channel = (event.port, event.status & 0x0F)
            if event.status & 0xF0 == 0xC0:
                own[channel] = event.data[0]
            elif note := program_at.get(event.index):
                count += own.get(channel, note.program) != note.program
    return count


def transposed(events: list[Event], notes: list[Note]) -> int:
    """Pitched notes at whose tick, when all has acted, their channel is transposed."""
    shift: Counter[tuple[int, int]] = Counter()
    parameter: dict[tuple[int, int], tuple[int, int]] = {}
    at_tick: dict[int, dict[tuple[int, int], int]] = {}
    for event in sorted(events, key=lambda e: (e.tick, e.track, e.index)):
        channel = (event.port, event.status & 0x0F)
        if event.status == 0xF0 and reset_mode(event):
            shift = Counter({key: n for key, n in shift.items() if key[0] != event.port})
            parameter = {key: chosen for key, chosen in parameter.items() if key[0] != event.port}
        elif event.status == 0xF0:
            gs, xg = roland(event.data), yamaha(event.data)
            if len(gs) == 4 and gs[0] == 0x40 and gs[1] & 0xF0 == 0x10 and gs[2] == 0x16:
                block = gs[1] & 0x0F
                shift[event.port, 9 if block == 0 else block - 1 if block < 10 else block] = gs[3] - 64
            elif len(xg) == 4 and xg[0] == 0x08 and xg[1] < 16 and xg[2] == 0x08:
                shift[event.port, xg[1]] = xg[3] - 64
        elif event.status & 0xF0 == 0xB0:
            control, value = event.data
            high, low = parameter.get(channel, (-1, -1))
            if control in (98, 99, 100, 101):
                parameter[channel] = {100: (high, value), 101: (value, low)}.get(control, (-1, -1))
            elif control == 6 and (high, low) == (0, 2):
                shift[channel] = value - 64
        at_tick[event.tick] = dict(shift)
    return sum(not n.is_drum and at_tick[n.onset].get((n.port, n.channel), 0) != 0 for n in notes)


def joins(part: Part) -> bool:
    """Whether a part joins several channels, or several kits."""
    return len(part.channels) > 1 or len({note.program for note in part.notes}) > 1
