"""Slow and obvious: the bytes of a MIDI file as its events, from "Standard MIDI Files 1.0" and "MIDI 1.0", one rule a function.

Nothing of the project is imported. What the events mean is said in plain_player.py.
"""

import zlib
from collections import Counter
from typing import NamedTuple

MOST_BYTES = 16 << 20
"""Bytes of a file, and those that a gzip may unpack to."""

LAST_TICK = 2**31 - 1

GZIP = b"\x1f\x8b"


class Refused(Exception):  # noqa: N818
    """The file cannot be read; the reason."""


class Event(NamedTuple):
    """One event of a track, but for End of Track."""

    track: int
    index: int
    """Its place in the track, from 0."""
    tick: int
    port: int
    status: int
    """80..EF with running status written out, F0 and F7 system exclusive, FF meta, F1..FE the others."""
    data: bytes
    """A channel message's data bytes, at most 127; a meta event's type and content; a system exclusive message that is
    complete with this event, without F0 and F7, all its packets joined; nothing for all others."""
    start: int
    """Offset of the byte behind the delta time, in the plain file."""
    stop: int


class Track(NamedTuple):
    events: list[Event]
    end_tick: int
    """Tick of End of Track, or of the last event."""


class MidiFile(NamedTuple):
    data: bytes
    """The plain Standard MIDI File."""
    format: int
    ticks_per_quarter: int
    tracks: list[Track]
    counts: Counter[str]
    """running_status, not_understood, behind_end, further_files, escapes, other_chunks, extra_tracks: the departures that
    show in the bytes."""


def read_file(data: bytes) -> MidiFile:
    """The events of a file's bytes. Raises Refused."""
    counts: Counter[str] = Counter()
    data = without_riff(without_gzip(data, counts), counts)
    file_format, counted, division, at = read_header(data)
    chunks = track_chunks(data, at, counted, counts)
    if len(chunks) < counted:
        raise Refused("fewer tracks than the header counts")
    if file_format == 2 and len(chunks) > 1:
        raise Refused("independent sequences (format 2)")
    counts["extra_tracks"] = len(chunks) - counted
    tracks = [TrackReader(data, start, stop, number, counts).read() for number, (start, stop) in enumerate(chunks)]
    return MidiFile(data, file_format, division, tracks, counts)


def without_gzip(data: bytes, counts: Counter[str]) -> bytes:
    """A file that opens as gzip does, unpacked: all its members; what is no member behind them is passed over, counted."""
    plain = b""
    packed = data.startswith(GZIP)
    while data.startswith(GZIP):
        member = zlib.decompressobj(wbits=31)
        try:
            plain += member.decompress(data, MOST_BYTES + 1)
        except zlib.error as error:
            raise Refused("gzip: damaged") from error
        if len(plain) > MOST_BYTES:
            raise Refused("gzip: more than a file may hold")
        if not member.eof:
            raise Refused("gzip: cut short")
        data = member.unused_data
    if not packed:
        return data
    if data.strip(b"\0"):
        counts["further_files" if b"MThd" in data else "other_chunks"] += 1
    return plain


def without_riff(data: bytes, counts: Counter[str]) -> bytes:
    """The MIDI file in the first `data` chunk of a RIFF file of type RMID. RIFF's numbers are little-endian, its chunks even.

    Its sizes are not relied upon: the MIDI file says itself where it ends, and some writers forget to make chunks even.
    """
    if data[:4] != b"RIFF":
        return data
    if data[8:12] != b"RMID":
        raise Refused("RIFF: no MIDI")
    at, found = 12, []
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        content = data[at + 8 : at + 8 + size]
        if data[at : at + 4] == b"RIFF" and data[at + 8 : at + 12] == b"RMID":
            at += 12
            continue
        if data[at : at + 4] == b"data" and data[at + 8 : at + 12] == b"MThd" and content:
            found.append(content)
        else:
            counts["other_chunks"] += 1
        at += 8 + size
        at += size % 2 and data[at : at + 1] == b"\0"
    if not found:
        raise Refused("RIFF: no data chunk with a MIDI file")
    counts["further_files"] += len(found) - 1
    return found[0]


def read_header(data: bytes) -> tuple[int, int, int, int]:
    """Format, number of tracks, ticks a quarter, and the offset behind the header."""
    if data[:4] != b"MThd":
        raise Refused("not a MIDI file")
    if len(data) < 14:
        raise Refused("the file ends inside its header")
    size = int.from_bytes(data[4:8], "big")
    if size < 6:
        raise Refused("the header is shorter than 6 bytes")
    if 8 + size > len(data):
        raise Refused("the header runs past the end of the file")
    file_format, counted, division = (int.from_bytes(data[at : at + 2], "big") for at in (8, 10, 12))
    if file_format > 2:
        raise Refused("a format other than 0, 1, 2")
    if division & 0x8000:
        raise Refused("ticks of SMPTE frames")
    if division == 0:
        raise Refused("no ticks a quarter")
    return file_format, counted, division, 8 + size


def track_chunks(data: bytes, at: int, counted: int, counts: Counter[str]) -> list[tuple[int, int]]:
    """First byte of each MTrk chunk's content and the byte behind it, up to the end of the file or a second MThd.

    Of what stands behind the tracks that the header counts, only a track must be whole: other bytes may be anything.
    """
    found = []
    while at + 8 <= len(data):
        kind, stop = data[at : at + 4], at + 8 + int.from_bytes(data[at + 4 : at + 8], "big")
        if kind == b"MThd":
            counts["further_files"] += 1
            break
        if len(found) >= counted and not all(" " <= letter <= "~" for letter in kind.decode("latin-1")):
            break
        if stop > len(data) and (kind == b"MTrk" or len(found) < counted):
            raise Refused("a chunk runs past the end of the file")
        if kind == b"MTrk":
            found.append((at + 8, stop))
        else:
            counts["other_chunks"] += 1
        at = stop
    rest = data[at:]
    if len(rest) >= 8 and not all(" " <= letter <= "~" for letter in rest[:4].decode("latin-1")):
        counts["behind_end"] += len(without_padding(without_padding(rest).removesuffix(b"\xff\x2f")))
    return found


def without_padding(rest: bytes) -> bytes:
    """Bytes behind the tracks without zeros, Ctrl-Z and white space around them."""
    return rest.strip(b"\0\x1a\t\n\r ")


DATA_BYTES = {0x80: 2, 0x90: 2, 0xA0: 2, 0xB0: 2, 0xC0: 1, 0xD0: 1, 0xE0: 2}
SYSTEM_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0, 0xF8: 0, 0xFA: 0, 0xFB: 0, 0xFC: 0, 0xFE: 0}


class TrackReader:
    """Reads one track, event by event."""

    def __init__(self, data: bytes, start: int, stop: int, number: int, counts: Counter[str]) -> None:
        self.data, self.at, self.stop, self.number, self.counts = data, start, stop, number, counts
        self.tick = self.port = 0
        self.running: int | None = None
        """The status of the last channel message."""
        self.disturbed = False
        """Whether system exclusive or meta events stand behind that message."""
        self.unfinished: bytes | None = None
        """What there is of a system exclusive message that has not ended."""
        self.events: list[Event] = []

    def read(self) -> Track:
        while self.at < self.stop:
            self.tick += self.number_here()
            if self.tick > LAST_TICK:
                raise Refused("ticks past 2^31 - 1")
            self.need(1)
            start, first = self.at, self.data[self.at]
            if first == 0xFF:
                if self.meta(start):
                    self.counts["behind_end"] += len(self.data[self.at : self.stop].rstrip(b"\0"))
                    break
            elif first in (0xF0, 0xF7):
                self.system_exclusive(start, first)
            elif first >= 0xF0:
                self.system(start, first)
            else:
                self.channel_message(start, first)
        return Track(self.on_first_port(), self.tick)  # without End of Track it ends with its last event

    def on_first_port(self) -> list[Event]:
        """The events; those before the track's first port event are on its port too, if no note-on is among them."""
        for place, event in enumerate(self.events):
            if event.status == 0xFF and event.data[:1] == b"\x21" and len(event.data) == 2:
                before = [e._replace(port=event.port) for e in self.events[:place]]
                return before + self.events[place:]
            if event.status & 0xF0 == 0x90 and event.data[1] > 0:
                break
        return self.events

    def need(self, size: int) -> None:
        """An event that runs past its track's end is refused."""
        if self.at + size > self.stop:
            raise Refused("an event runs past the end of its track")

    def number_here(self) -> int:
        """A number of variable length: seven bits a byte, the highest bit set in all but the last of at most four."""
        value = 0
        for _ in range(4):
            self.need(1)
            byte = self.data[self.at]
            self.at += 1
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value
        raise Refused("a number of more than four bytes")

    def bytes_here(self, size: int) -> bytes:
        self.need(size)
        self.at += size
        return self.data[self.at - size : self.at]

    def add(self, start: int, status: int, data: bytes) -> None:
        self.events.append(Event(self.number, len(self.events), self.tick, self.port, status, data, start, self.at))

    def meta(self, start: int) -> bool:
        """FF type length content; True for End of Track, which is not among the events."""
        self.at += 1
        kind = self.bytes_here(1)
        content = self.bytes_here(self.number_here())
        self.disturbed = True
        if kind == b"\x2f":
            return True
        if kind == b"\x21" and len(content) == 1:  # MIDI port: of this event and all behind it
            self.port = content[0] & 0x7F
        self.add(start, 0xFF, kind + content)
        return False

    def system_exclusive(self, start: int, first: int) -> None:
        """F0 length content, and packets F7 length content that go on it up to one that ends in F7; else F7 is an escape."""
        self.at += 1
        content = self.bytes_here(self.number_here())
        self.disturbed = True
        message = b""
        if first == 0xF0:
            self.unfinished = content
        elif self.unfinished is not None:
            self.unfinished += content
        if first == 0xF7 and b"\x80" <= content[:1] < b"\xf0":  # a channel message that is hidden so
            self.counts["escapes"] += 1
        if self.unfinished is not None and content.endswith(b"\xf7"):
            message, self.unfinished = self.unfinished[:-1], None
        self.add(start, first, message)

    def system(self, start: int, first: int) -> None:
        """F1 to FE have no place in a file: passed over. Those below F8 end a system exclusive message."""
        if first not in SYSTEM_BYTES:
            raise Refused(f"status {first:X}")
        self.at += 1
        self.bytes_here(SYSTEM_BYTES[first])
        self.counts["not_understood"] += 1
        if first < 0xF8:
            self.unfinished = None
        self.add(start, first, b"")

    def channel_message(self, start: int, first: int) -> None:
        """A channel message; one without a status byte has that of the last one, over system exclusive and meta events too."""
        if first >= 0x80:
            self.running = first
            self.at += 1
        elif self.running is None:
            raise Refused("a data byte where an event must begin")
        elif self.disturbed:
            self.counts["running_status"] += 1
        self.disturbed, self.unfinished = False, None
        data = self.bytes_here(DATA_BYTES[self.running & 0xF0])
        if max(data) > 127:
            if self.running < 0xB0 and data[0] > 127:
                raise Refused("a pitch above 127")
            self.counts["not_understood"] += sum(byte > 127 for byte in data)
            data = bytes(min(byte, 127) for byte in data)
        self.add(start, self.running, data)
