"""The events of a MIDI file as columns: one walk over its bytes, in which nothing is interpreted.

Source: Standard MIDI Files 1.0. Running status is kept across system exclusive and meta events, which the standard forbids and
players do; each such event is counted.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analysis.arrays import Ints
from analysis.compiled import compiled
from analysis.errors import MeloError

Bytes = npt.NDArray[np.uint8]
"""(…) bytes."""

Int32s = npt.NDArray[np.int32]
"""(…) whole numbers of 32 bits."""

MOST_TICKS = 1 << 31
"""Ticks of a track stay below this."""

MOST_EVENTS = 2_000_000
"""Events of a file."""

SYSEX, ESCAPE, META = 0xF0, 0xF7, 0xFF
"""Status bytes that a length follows."""

_OTHER_FILES = {
    b"<!DOCTYPE HTML": "a web page",
    b"<HTML": "a web page",
    b"PK\3\4": "a zip archive: unpack it",
    b"FORM": "of the kind FORM (XMI of old games, perhaps): convert it to MIDI",
    b"MUS\x1a": "a MUS file of old games: convert it to MIDI",
    b"ID3": "sound (MP3)",
    b"OGGS": "sound (Ogg)",
}
"""What some files that are named as MIDI are, by how they start, in capitals."""

_FAR = 1024
"""Bytes in which the start of a MIDI file is looked for, behind a header of an old Mac or a mail."""

_PADDING, _END_OF_TRACK = b"\0\x1a\t\n\r ", b"\xff\x2f"
"""What stands behind the tracks without a meaning."""

_PAST_END, _NO_STATUS, _PITCH, _UNDEFINED, _TICKS, _EVENTS, _LONG_NUMBER = range(1, 8)
_REASONS = {
    _PAST_END: "damaged: an event runs past the end of its track",
    _NO_STATUS: "damaged: a data byte where an event must begin",
    _PITCH: "damaged: a pitch above 127",
    _UNDEFINED: "damaged: a status byte that MIDI does not define",
    _TICKS: "damaged: its ticks run past 2^31",
    _EVENTS: f"over {MOST_EVENTS:,} events; no piece has so many",
    _LONG_NUMBER: "damaged: a delta time or a length of more than four bytes",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class MidiEvents:
    """The E events of a MIDI file, in the order of the file: track by track. End of Track is not among them."""

    data: bytes = field(repr=False)
    """The file, without a container around it."""

    format: int
    """0: one track; 1: tracks that sound together; 2: independent sequences."""

    ticks_per_quarter: int

    tracks: Ints
    """(K, 2) first byte of each track's events, and the byte after its last."""

    header_tracks: int
    """How many tracks the header counts."""

    first_event: Int32s
    """(K + 1,) index of each track's first event; the last is E."""

    tick: Int32s
    """(E,) ticks from the start."""

    status: Bytes
    """(E,) 80 to EF: a channel message, running status resolved; F0, F7: system exclusive; FF: meta; others: system messages."""

    start: Int32s
    """(E,) position of the event behind its delta time: of its status, or of its first data byte under running status."""

    stop: Int32s
    """(E,) position behind its last byte."""

    first_port: Int32s
    """(K,) the port that each track begins on: that of its first port event, which may stand behind other events but not behind a
    note-on (MuseScore 3 writes it behind programs and controllers); else 0."""

    end_tick: Int32s
    """(K,) tick of each track's End of Track, or of its last event."""

    marked: Int32s
    """(M,) indices of the few events that say how the others are read: programs, bank selects, parameters, modes, sysex, meta."""

    note_ons: int
    """Note-ons; those of velocity 0 are note-offs."""

    status_kept: int
    """Events that took their status across a system exclusive or meta event."""

    not_understood: int
    """Data bytes above 127, and system messages, which no file holds."""

    behind_end: int
    """Bytes behind the tracks' End of Track, but for zeros at the end of a track; and behind the last track, if no chunk:
    the rest of a track that says it is shorter than it is."""

    other_chunks: int
    """Chunks that hold no track."""

    further_files: int
    """1 where a second header follows."""

    def __len__(self) -> int:
        return len(self.tick)

    @property
    def track(self) -> Ints:
        """(E,) track of each event."""
        return np.repeat(np.arange(len(self.tracks)), np.diff(self.first_event))

    def raw(self, event: int) -> bytes:
        """The bytes of an event behind its delta time, its status written out."""
        content = self.data[self.start[event] : self.stop[event]]
        return content if content[0] > 0x7F else bytes([self.status[event]]) + content

    def payload(self, event: int) -> bytes:
        """What a meta or system exclusive event holds, without kind and length."""
        at = int(self.start[event]) + (2 if self.status[event] == META else 1)
        while self.data[at] > 0x7F:
            at += 1
        return self.data[at + 1 : self.stop[event]]


def read_events(data: bytes) -> MidiEvents:
    """The events of a Standard MIDI File.

    Raises MeloError: not a MIDI file, damaged, or over a limit.
    """
    header_tracks = _check_header(data)
    tracks, other_chunks, at, left_over = _tracks(data, header_tracks)
    room = min(int((tracks[:, 1] - tracks[:, 0]).sum()) // 2 + 1, MOST_EVENTS)
    tick, start, stop, marked = (np.empty(room, dtype=np.int32) for _ in range(4))
    status = np.empty(room, dtype=np.uint8)
    first_event = np.zeros(len(tracks) + 1, dtype=np.int32)
    end_tick = np.zeros(len(tracks), dtype=np.int32)
    columns = (tick, status, start, stop, marked)
    n, error, n_marked, note_ons, kept, odd, behind = _walk(
        np.frombuffer(data, dtype=np.uint8), tracks, *columns, first_event, end_tick
    )
    if error:
        raise MeloError(_REASONS[error])
    return MidiEvents(
        data=data,
        format=data[9],
        ticks_per_quarter=int.from_bytes(data[12:14], "big"),
        tracks=tracks,
        header_tracks=header_tracks,
        first_event=first_event,
        first_port=_first_ports(
            np.frombuffer(data, dtype=np.uint8), status, start, stop, marked[:n_marked], first_event
        ),
        tick=tick[:n],
        status=status[:n],
        start=start[:n],
        stop=stop[:n],
        end_tick=end_tick,
        marked=marked[:n_marked].copy(),
        note_ons=note_ons,
        status_kept=kept,
        not_understood=odd,
        behind_end=behind + left_over,
        other_chunks=other_chunks,
        further_files=int(data[at : at + 4] == b"MThd"),
    )


def _check_header(data: bytes) -> int:
    """How many tracks the header counts."""
    if not data:
        raise MeloError("the file is empty")
    if data[:4] != b"MThd":
        start, behind = data.lstrip()[:16].upper(), data.find(b"MThd", 0, _FAR)
        what = next((f"; it is {what}" for known, what in _OTHER_FILES.items() if start.startswith(known)), "")
        what = f"; cut off the {behind:,} bytes before it" if behind > 0 else what
        raise MeloError(f"not a MIDI file: it does not start with MThd{what}")
    if len(data) < 14:
        raise MeloError("damaged: the file ends inside its header")
    if not 6 <= int.from_bytes(data[4:8], "big") <= len(data) - 8:
        raise MeloError("damaged: its header is shorter than 6 bytes or longer than the file")
    if (kind := int.from_bytes(data[8:10], "big")) > 2:
        raise MeloError(f"damaged: MIDI of format {kind}; there are formats 0, 1 and 2")
    if data[12] & 0x80:
        raise MeloError("timed in video frames (SMPTE), not in quarter notes: it has no bars")
    if data[12:14] == b"\0\0":
        raise MeloError("damaged: 0 ticks per quarter note")
    return int.from_bytes(data[10:12], "big")


def _tracks(data: bytes, header_tracks: int) -> tuple[Ints, int, int, int]:
    """(K, 2) bounds of all tracks up to a second header or the end of the file, chunks of other kinds, where that is, and bytes
    that are no chunk.

    Of what follows the tracks that the header counts only a track must be whole; other bytes may be anything.
    """
    tracks: list[tuple[int, int]] = []
    other = 0
    at = 8 + int.from_bytes(data[4:8], "big")
    while at + 8 <= len(data) and data[at : at + 4] != b"MThd":
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "big")
        is_track = data[at : at + 4] == b"MTrk"
        if len(tracks) >= header_tracks and not _is_name(data[at : at + 4]):
            break
        if end > len(data):
            if is_track or len(tracks) < header_tracks:
                raise MeloError("damaged: the file ends inside a track")
            other += 1
            break
        if is_track:
            tracks.append((at + 8, end))
        other += not is_track
        at = end
    if len(tracks) < header_tracks:
        raise MeloError(f"damaged: {len(tracks):,} of the {header_tracks:,} tracks that its header counts")
    left_over = 0
    if at + 8 <= len(data) and not _is_name(data[at : at + 4]):
        left_over = len(data[at:].strip(_PADDING).removesuffix(_END_OF_TRACK).strip(_PADDING))
    return np.array(tracks, dtype=np.int64).reshape(-1, 2), other, at, left_over


def _is_name(name: bytes) -> bool:
    """Whether four bytes may be the name of a chunk."""
    return all(0x20 <= byte < 0x7F for byte in name)


@compiled
def _first_ports(
    data: Bytes, status: Bytes, start: Int32s, stop: Int32s, marked: Int32s, first_event: Int32s
) -> Int32s:
    """(K,) the port that each track begins on."""
    ports = np.zeros(len(first_event) - 1, np.int32)
    k, known = -1, False
    for e in marked:
        if e >= first_event[k + 1]:
            while e >= first_event[k + 1]:
                k += 1
            known = False
        if known or status[e] != META or data[start[e] + 1] != 0x21 or data[start[e] + 2] != 1:
            continue
        known = True
        for at in range(first_event[k], e):
            if status[at] & 0xF0 == 0x90 and data[stop[at] - 1] > 0:
                break
        else:
            ports[k] = data[start[e] + 3] & 0x7F
    return ports


@compiled
def _number(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """A number of variable length and the position after it; −1 where it runs past `end`, −2 where it has over four bytes."""
    value = 0
    for _ in range(4):
        if at >= end:
            return -1, at
        byte = data[at]
        at += 1
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            return value, at
    return -2, at


@compiled
def _length_but_for_zeros(data: Bytes, start: int, end: int) -> int:
    """Bytes of a range without the zeros at its end."""
    while end > start and data[end - 1] == 0:
        end -= 1
    return end - start


@compiled
def _is_marked(code: int, control: int) -> bool:
    """Whether an event belongs to those that say how others are read; a controller does by its number."""
    if code < 0xC0:
        return code >= 0xB0 and (control == 0 or control == 6 or 98 <= control <= 101 or control >= 120)
    return code < 0xD0 or code >= 0xF0


@compiled
def _walk(
    data: Bytes,
    tracks: Ints,
    tick: Int32s,
    status: Bytes,
    start: Int32s,
    stop: Int32s,
    marked: Int32s,
    first_event: Int32s,
    end_tick: Int32s,
) -> tuple[int, int, int, int, int, int, int]:
    """Fill the columns; events, an error or 0, events marked, note-ons, statuses kept, bytes not understood, bytes behind."""
    n = m = ons = kept = odd = behind = 0
    for k in range(len(tracks)):
        at, end = tracks[k, 0], tracks[k, 1]
        now = running = 0
        crossed = False
        first_event[k] = n
        while at < end:
            delta, at = _number(data, at, end)
            if delta < 0:
                return n, _PAST_END if delta == -1 else _LONG_NUMBER, m, ons, kept, odd, behind
            now += delta
            if now >= MOST_TICKS:
                return n, _TICKS, m, ons, kept, odd, behind
            if at >= end:
                return n, _PAST_END, m, ons, kept, odd, behind
            begin, code = at, int(data[at])
            if code >= 0xF0:
                at += 1
                if code in (META, SYSEX, ESCAPE):
                    if code == META:
                        at += 1
                    length, at = _number(data, at, end)
                    if length < 0:
                        return n, _PAST_END if length == -1 else _LONG_NUMBER, m, ons, kept, odd, behind
                    at += length
                    crossed = True
                elif code == 0xF4 or code == 0xF5 or code == 0xF9 or code == 0xFD:
                    return n, _UNDEFINED, m, ons, kept, odd, behind
                else:
                    at += 2 if code == 0xF2 else 1 if code == 0xF1 or code == 0xF3 else 0
                    odd += 1
                if at > end:
                    return n, _PAST_END, m, ons, kept, odd, behind
                if code == META and data[begin + 1] == 0x2F:
                    behind += _length_but_for_zeros(data, at, end)
                    break
            else:
                if code >= 0x80:
                    running = code
                    at += 1
                elif running == 0:
                    return n, _NO_STATUS, m, ons, kept, odd, behind
                else:
                    code = running
                    kept += crossed
                crossed = False
                kind = code & 0xF0
                at += 1 if kind == 0xC0 or kind == 0xD0 else 2
                if at > end:
                    return n, _PAST_END, m, ons, kept, odd, behind
                pair = kind < 0xC0 or kind == 0xE0
                if data[at - 1] > 0x7F or (pair and data[at - 2] > 0x7F):
                    if kind < 0xB0 and data[at - 2] > 0x7F:
                        return n, _PITCH, m, ons, kept, odd, behind
                    odd += int(data[at - 1] > 0x7F) + int(pair and data[at - 2] > 0x7F)
            if code & 0xF0 == 0x90:
                ons += data[at - 1] > 0
            elif n < len(tick) and _is_marked(code, data[at - 2]):
                marked[m] = n
                m += 1
            if n == len(tick):
                return n, _EVENTS, m, ons, kept, odd, behind
            tick[n], status[n], start[n], stop[n] = now, code, begin, at
            n += 1
        end_tick[k] = now
    first_event[len(tracks)] = n
    return n, 0, m, ons, kept, odd, behind
