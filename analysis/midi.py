"""MIDI files in: bytes → events → notes → a Piece.

Every file is hostile: it either gives a Piece or raises MeloError with a reason that a person understands. The rules of reading
stand in docs/conventions.md.
"""

import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analysis.arrays import Ints
from analysis.channel_state import ChannelStates, channel_states
from analysis.departures import Departures
from analysis.errors import MeloError
from analysis.mended_bars import mend_bars
from analysis.midi_container import Wrapper, unwrap
from analysis.midi_events import ESCAPE, MidiEvents, read_events
from analysis.midi_limits import FILE_LIMITS, Limits, check_limit
from analysis.midi_notes import FileNotes, file_notes, sorted_notes
from analysis.midi_times import FileTimes, MetaEvents, file_times, meta_events
from analysis.piece import Part, Piece
from analysis.reading import AS_IT_STANDS, Reading
from analysis.sounds_otherwise import for_mt32, overruled_programs, transposed_notes
from analysis.sustain import managers, pedal_events, sustained_end
from analysis.track_names import channel_names, track_names


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


def read_midi(path: Path, *, reading: Reading = AS_IT_STANDS, limits: Limits = FILE_LIMITS) -> Piece:
    """Read one MIDI file.

    Args:
        path: a regular file, or a link to one; plain, in RIFF, or packed by gzip.
        reading: what of it counts.
        limits: what the file may hold.

    Raises:
        MeloError: not a file, not MIDI, damaged, over a limit, or without notes. The message is the reason alone.
    """
    return parse_midi(read_bytes(path, limits), reading=reading, limits=limits)


def parse_midi(data: bytes, *, reading: Reading = AS_IT_STANDS, limits: Limits = FILE_LIMITS) -> Piece:
    """The same from the bytes of a file."""
    return _read(data, reading, limits).piece


def read_source(path: Path, *, reading: Reading = AS_IT_STANDS, limits: Limits = FILE_LIMITS) -> MidiSource:
    """Read one MIDI file with its events; arguments and errors as for `read_midi`."""
    return parse_source(read_bytes(path, limits), reading=reading, limits=limits)


def parse_source(data: bytes, *, reading: Reading = AS_IT_STANDS, limits: Limits = FILE_LIMITS) -> MidiSource:
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


def read_bytes(path: Path, limits: Limits = FILE_LIMITS) -> bytes:
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
    times: FileTimes


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
        lost = f", but {events.behind_end:,} bytes that belong to no track" if events.behind_end else ""
        raise MeloError(f"holds no notes{lost}")
    check_limit(len(found.part_program), limits.parts, "parts")
    check_limit(len(found.on), limits.notes, "notes")
    if reading.pedal:
        found = _under_pedals(events, states, found)
    metas = meta_events(events)
    times = file_times(events, metas, reading.meter, limits)
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
        check_limit(piece.n_bars, limits.bars, "bars")
    if reading.fix_bars:
        piece = mend_bars(piece)
        check_limit(piece.n_bars, limits.bars, "bars")
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


def _parts(events: MidiEvents, found: FileNotes, metas: MetaEvents) -> tuple[Part, ...]:
    """The parts with their names: their track's, or in a track of all channels (format 0), whose name is the piece's, their
    channel's."""
    names, tracks = track_names(events, metas.names), found.part_track.tolist()
    own = [names.get(track, "") for track in tracks]
    if events.format == 0 and len(tracks) > 1 and len(metas.names):
        of_channel = channel_names(events, metas.names)
        channels = (found.part_channel & 15).tolist()
        own = [
            name if tracks.count(track) == 1 else of_channel.get((track, channel), "")
            for name, track, channel in zip(own, tracks, channels, strict=True)
        ]
    rows = zip(found.part_program.tolist(), found.part_drums.tolist(), own, strict=True)
    return tuple(Part(program=p, is_drum=bool(d), name=name) for p, d, name in rows)


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
        overruled_programs=overruled_programs(events, found),
        transposed=transposed_notes(events, found),
        mt32=int(for_mt32(events)),
        joined_parts=int(found.part_joined.sum()),
        signatures_moved=read.times.moved,
        signatures_inside=read.times.inside,
        signatures_contradicted=read.times.contradicted,
        signatures_ignored=read.times.signatures_ignored,
        tempos_ignored=read.times.tempos_ignored,
        late_end=int(read.piece.end_tick < events.end_tick.max()),
    )
