"""MIDI files in: bytes → events → notes → a Piece.

Every file is hostile: it either gives a Piece or raises MeloError with a reason that a person understands. The rules of reading
stand in docs/conventions.md.
"""

import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analysis.arrays import Floats, Ints
from analysis.channel_state import ChannelStates, channel_states
from analysis.departures import Departures
from analysis.errors import MeloError
from analysis.mended_bars import mend_bars
from analysis.midi_container import Wrapper, unwrap
from analysis.midi_events import ESCAPE, META, MidiEvents, read_events
from analysis.midi_notes import FileNotes, file_notes, sorted_notes
from analysis.piece import Bars, Part, Piece, bar_tolerance
from analysis.reading import AS_IT_STANDS, Reading
from analysis.sustain import managers, pedal_events, sustained_end
from analysis.track_names import track_names

DEFAULT_TEMPO = 120.0
"""Quarter notes a minute until a file says otherwise (Standard MIDI Files 1.0)."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a file may hold. A hostile file is refused before it takes memory."""

    file_bytes: int = 16 << 20
    """Size of the file."""

    bars: int = 10_000
    """Bars up to the last onset."""

    bar_quarters: int = 128
    """Length of a bar in quarter notes."""

    notes: int = 500_000
    """Notes in all parts."""

    parts: int = 64
    """Parts with notes."""

    changes: int = 50_000
    """Time signatures, and tempos, each."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MidiSource:
    """A MIDI file: its events, and the piece that they are read as."""

    piece: Piece
    events: MidiEvents

    note_on: Ints
    """(N,) index of the event that begins each note of the piece."""

    note_off: Ints
    """(N,) index of the note-off that is its own; −1 where it has none: All Notes Off, another track or nothing ends it."""

    note_channel: Ints
    """(N,) port · 16 + channel of each note."""

    wrapper: Wrapper
    departures: Departures


def read_midi(path: Path, *, reading: Reading = AS_IT_STANDS, limits: Limits = Limits()) -> Piece:
    """Read one MIDI file.

    Args:
        path: a regular file, or a link to one; plain, in RIFF, or packed by gzip.
        reading: what of it counts.
        limits: what the file may hold.

    Raises:
        MeloError: not a file, not MIDI, damaged, over a limit, or without notes. The message is the reason alone.
    """
    return parse_midi(read_bytes(path, limits), reading=reading, limits=limits)


def parse_midi(data: bytes, *, reading: Reading = AS_IT_STANDS, limits: Limits = Limits()) -> Piece:
    """The same from the bytes of a file."""
    return _read(data, reading, limits).piece


def read_source(path: Path, *, reading: Reading = AS_IT_STANDS, limits: Limits = Limits()) -> MidiSource:
    """Read one MIDI file with its events; arguments and errors as for `read_midi`."""
    return parse_source(read_bytes(path, limits), reading=reading, limits=limits)


def parse_source(data: bytes, *, reading: Reading = AS_IT_STANDS, limits: Limits = Limits()) -> MidiSource:
    """The same from the bytes of a file."""
    read = _read(data, reading, limits)
    found = read.found
    duration = found.end_tick - found.onset_tick
    order = np.lexsort((found.velocity, duration, found.pitch, found.part, found.onset_tick))
    return MidiSource(
        piece=read.piece,
        events=read.events,
        note_on=read.found.on[order].astype(np.int64),
        note_off=read.found.off[order].astype(np.int64),
        note_channel=read.found.channel[order].astype(np.int64),
        wrapper=read.wrapper,
        departures=_departures(read),
    )


def read_bytes(path: Path, limits: Limits = Limits()) -> bytes:
    """The bytes of a regular file; a pipe or a device is never opened for reading."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise MeloError(f"cannot be opened: {_os_message(error)}") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise MeloError("not a regular file")
        if status.st_size > limits.file_bytes:
            raise MeloError(f"{status.st_size:,} bytes; at most {limits.file_bytes:,} are read")
        return os.read(handle, status.st_size)
    except OSError as error:
        raise MeloError(f"cannot be read: {_os_message(error)}") from error
    finally:
        os.close(handle)


def _os_message(error: OSError | ValueError) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Read:
    """All that is found in a file."""

    wrapper: Wrapper
    events: MidiEvents
    found: FileNotes
    piece: Piece
    times: "_Times"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Times:
    """What a file says of bars and tempo."""

    bars: Bars
    tempo_tick: Ints
    tempo: Floats
    moved: int = 0
    """Time signatures that were moved to a bar line."""

    inside: int = 0
    """Time signatures said again inside a bar."""

    signatures_ignored: int = 0
    tempos_ignored: int = 0


def _read(data: bytes, reading: Reading, limits: Limits) -> _Read:
    data, wrapper = unwrap(data, most_bytes=limits.file_bytes)
    events = read_events(data)
    if events.format == 2 and len(events.tracks) > 1:
        raise MeloError(
            f"{len(events.tracks):,} independent sequences (format 2), no parts that sound together: "
            "split it into a file for each"
        )
    states = channel_states(events)
    found = file_notes(events, states)
    if not len(found.on):
        raise MeloError("holds no notes")
    _within(len(found.part_program), limits.parts, "parts")
    _within(len(found.on), limits.notes, "notes")
    if reading.pedal:
        found = _under_pedals(events, states, found)
    metas = _metas(events)
    times = _times(events, metas, reading.meter, limits)
    piece = Piece(
        parts=_parts(events, found, metas),
        notes=sorted_notes(found),
        bars=times.bars,
        tempo_tick=times.tempo_tick,
        tempo=times.tempo,
        end_tick=int(events.end_tick.max()),
    )
    if piece.n_bars > limits.bars:  # End of Track by mistake, perhaps: the notes decide
        piece = replace(piece, end_tick=0)
        _within(piece.n_bars, limits.bars, "bars")
    if reading.fix_bars:
        piece = mend_bars(piece)
        _within(piece.n_bars, limits.bars, "bars")
    return _Read(wrapper=wrapper, events=events, found=found, piece=piece, times=times)


def _under_pedals(events: MidiEvents, states: ChannelStates, found: FileNotes) -> FileNotes:
    """Notes as long as the sustain pedal holds them, at most to the last release of a key; drums end by themselves."""
    onset, end, pitch, channel = (
        c.astype(np.int64) for c in (found.onset_tick, found.end_tick, found.pitch, found.channel)
    )
    manager = managers(states, channel, onset)
    end = sustained_end(onset, end, pitch, channel, manager, pedals=pedal_events(events), last_tick=int(end.max()))
    drums = found.part_drums[found.part].astype(bool)
    return replace(found, end_tick=np.where(drums, found.end_tick, end).astype(found.end_tick.dtype))


def _parts(events: MidiEvents, found: FileNotes, metas: "_Metas") -> tuple[Part, ...]:
    names = track_names(events, metas.names)
    rows = zip(found.part_program.tolist(), found.part_drums.tolist(), found.part_track.tolist(), strict=True)
    return tuple(Part(program=p, is_drum=bool(d), name=names.get(t, "")) for p, d, t in rows)


@dataclass(frozen=True, kw_only=True)
class _Metas:
    """Indices of the meta events that are read, by kind."""

    names: Ints
    signatures: Ints
    tempos: Ints


def _metas(events: MidiEvents) -> _Metas:
    metas = events.marked[events.status[events.marked] == META]
    kind = np.frombuffer(events.data, dtype=np.uint8)[events.start[metas] + 1]
    return _Metas(names=metas[kind == 0x03], signatures=metas[kind == 0x58], tempos=metas[kind == 0x51])


def _times(events: MidiEvents, metas: _Metas, meter: tuple[int, int] | None, limits: Limits) -> _Times:
    _within(max(len(metas.signatures), len(metas.tempos)), limits.changes, "time signatures or tempos")
    tempo_tick, tempo, tempos_ignored = _tempos(events, metas.tempos)
    stated = [(int(events.tick[e]), events.payload(e)[:2]) for e in metas.signatures.tolist()]
    known = [(t, s[0], 1 << s[1]) for t, s in stated if len(s) == 2 and s[1] < 8 and s[0]]
    found, moved, inside = ([(0, *meter)], 0, 0) if meter else _settled(known, events.ticks_per_quarter)
    for _, n, d in found:
        _within(-(-4 * n // d), limits.bar_quarters, f"quarter notes in a bar of {n}/{d}")
    return _Times(
        bars=Bars.of(found, events.ticks_per_quarter),
        tempo_tick=tempo_tick,
        tempo=tempo,
        moved=moved,
        inside=inside,
        signatures_ignored=len(stated) - len(known),
        tempos_ignored=tempos_ignored,
    )


def _settled(
    signatures: list[tuple[int, int, int]], ticks_per_quarter: int
) -> tuple[list[tuple[int, int, int]], int, int]:
    """Time signatures that change something, at their bar lines; those moved there, and those said again inside a bar.

    Args:
        signatures: (tick, numerator, denominator), in order of the file; the last of several at one tick counts.
    """
    near = bar_tolerance(ticks_per_quarter)
    settled, moved, inside = [(0, 4, 4)], 0, 0
    for tick, (n, d) in sorted({tick: (n, d) for tick, n, d in signatures}.items()):
        at, numerator, denominator = settled[-1]
        quarters4 = 4 * ticks_per_quarter * numerator
        bar = max((tick - at) * denominator // quarters4, 0)
        lines = [at - (-b * quarters4) // denominator for b in (bar + 1, bar)]
        line = min(lines, key=lambda line: abs(line - tick))  # the nearer; the later of two equally near
        beside = abs(line - tick) <= near
        if (n, d) == (numerator, denominator):
            inside += not beside
            continue
        if beside and line != tick:
            tick, moved = line, moved + 1
        if tick == at:
            settled.pop()
        if not settled or settled[-1][1:] != (n, d):
            settled.append((tick, n, d))
    return settled, moved, inside


def _tempos(events: MidiEvents, tempos: Ints) -> tuple[Ints, Floats, int]:
    """Ticks ascending from 0 and the tempo from each on, the last of several at one tick; and the events that were ignored."""
    at, ignored = {0: DEFAULT_TEMPO}, 0
    for tick, event in sorted(zip(events.tick[tempos].tolist(), tempos.tolist(), strict=True)):
        value = events.payload(event)
        if len(value) != 3:
            ignored += 1
        elif value == b"\0\0\0":
            raise MeloError(f"damaged: a tempo of 0 microseconds a quarter note at tick {tick}")
        else:
            at[tick] = 60e6 / int.from_bytes(value, "big")
    return np.array(list(at), dtype=np.int64), np.array(list(at.values())), ignored


def _departures(read: _Read) -> Departures:
    events, found = read.events, read.found
    escapes = np.flatnonzero(events.status == ESCAPE).tolist()
    return Departures(
        running_status=events.status_kept,
        not_understood=events.not_understood,
        behind_end=events.behind_end,
        further_files=events.further_files + read.wrapper.further_files,
        escapes=sum(0x80 <= events.payload(e)[:1][0] < 0xF0 for e in escapes if events.payload(e)),
        other_chunks=events.other_chunks + sum(read.wrapper.other_chunks.values()),
        extra_tracks=max(len(events.tracks) - events.header_tracks, 0),
        endless=found.endless,
        ended_by_all_off=found.all_off,
        grace=found.grace,
        drums_by_bank=found.drums_by_bank,
        drums_by_sysex=found.drums_by_sysex,
        joined_parts=int(found.part_joined.sum()),
        signatures_moved=read.times.moved,
        signatures_inside=read.times.inside,
        signatures_ignored=read.times.signatures_ignored,
        tempos_ignored=read.times.tempos_ignored,
        late_end=int(read.piece.end_tick < events.end_tick.max()),
    )


def _within(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise MeloError(f"{count:,} {what}; at most {limit:,} are read")
