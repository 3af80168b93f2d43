"""Checks the bytes of a MIDI file before a library reads them. No library is used here.

symusic 0.5.9 trusts what it reads (its src/io/midi.cpp and minimidi's MiniMidi.hpp). On these classes of damaged or unusual
files it crashes, takes memory without bound, or gives wrong times, so they are refused or rewritten first:

    chunks that run past the end of the file         it may crash
    data bytes out of range on one channel           it may crash
    more ticks in a track than 31 bits hold          times wrap: onsets are wrong, long notes vanish
    programs, or copies of a name, by the thousand   it takes gigabytes
    escape events (status F7)                        read as delta times: onsets are wrong

A quick look at the whole file rules all of these out for nearly every file; a track that it does not clear is walked event
by event, as symusic would.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.arrays import Bools, Ints
from analysis.errors import MeloError

PAD = bytes(64)
"""Zeros after the last byte: an event that ends early may still be read this far."""

MOST_TICKS = 1 << 31
"""Ticks of a track stay below this."""

MOST_PROGRAMS = 2048
"""Programs with notes, over all channels and tracks, that symusic is given."""

MOST_NAME = (1 << 14) - 1
"""Bytes of a track's name."""

MOST_WALKED = 8 << 20
"""Bytes that are walked; more would take over a second."""

_MOST_PAIRS = 1 << 20
"""Pairs of bytes above 127 that are looked at one by one."""

_UNCHECKED_NOTES = (0x8F, 0x9F)
"""Status bytes of the channel on which symusic does not check a note's pitch."""

_SMALL = 64 << 10
"""A file of this size cannot hold enough programs to do harm."""

_LENGTHS = bytes([3] * 64 + [2] * 32 + [3] * 16 + [0, 2, 3, 2, 255, 255, 1, 0, 1, 255, 1, 1, 1, 255, 1, 0])
"""Length of the event of each status byte from 80 on; 255 is what symusic gives to a status that does not exist."""

Column = npt.NDArray[np.uint8]
"""(N,) the bytes of a file."""

Positions = Ints
"""Indices into a file, ascending."""

Bounds = tuple[int, int]
"""First byte of a track's events, and the byte after its last."""


@dataclass(frozen=True, kw_only=True)
class Track:
    """What a walk over a track's events finds."""

    ticks: int
    """Its length."""

    programs: int
    """Pairs of channel and program in which a note, or the text of a song, begins."""

    name: int
    """Bytes of its longest name."""

    escapes: tuple[int, ...]
    """Where the status bytes F7 stand."""


def prepare(data: bytes) -> bytes:
    """The file as symusic may read it: its header, then its chunks, then zeros; escape events turned into plain ones (F0).

    Raises MeloError: not a MIDI file, damaged, or more than symusic can read.
    """
    _check_header(data)
    data = _with_plain_header(data)
    bounds, end = _tracks(data)
    data = data[:end] + PAD
    doubtful = _doubtful(data, bounds)
    return _walked(data, doubtful) if doubtful else data


def tracks(data: bytes) -> list[Bounds]:
    """Bounds of the tracks of a prepared file."""
    return _tracks(data)[0]


def walk(data: bytes, bounds: Bounds) -> Track:
    """Follow the events of one track. Some bytes must come after it.

    Stops early where symusic gives up too (an event that runs past the track's end, no status to repeat).
    Raises MeloError for a pitch above 127 that symusic would not check.
    """
    at, end = bounds
    ticks = size = name = status = 0
    programs, used, escapes = bytearray(16), set(), []
    while at < end:
        delta = data[at]
        at += 1
        if delta > 0x7F:
            delta, at = _number(data, at - 1)
        ticks += delta
        byte = data[at]
        start = at
        if byte < 0x80:  # the status before is repeated
            at += size - 1
            if not size or at > end:
                break
            if status & 0xF0 == 0xC0:
                programs[status & 0xF] = byte
        elif byte == 0xFF:  # a meta event, which leaves the status as it was
            kind = data[at + 1]
            length, at = _number(data, at + 2)
            at += length
            if kind == 0x2F or at > end:
                break
            if kind == 0x03:
                name = max(name, length)
            elif kind == 0x05:
                used.add((15, programs[15]))  # where symusic puts the text of a song
        elif byte in (0xF0, 0xF7):
            if byte == 0xF7:
                escapes.append(at)
            length, at = _number(data, at + 1)
            at += length
            status, size = byte, at - start
            if at > end:
                break
        else:
            status, size = byte, _LENGTHS[byte - 0x80]
            at += size
            if at > end:
                break
            if byte in _UNCHECKED_NOTES and data[start + 1] > 0x7F:
                raise MeloError("damaged: a pitch above 127")
            if byte & 0xF0 == 0x90:
                used.add((byte & 0xF, programs[byte & 0xF]))
            elif byte & 0xF0 == 0xC0:
                programs[byte & 0xF] = data[start + 1]
    return Track(ticks=ticks, programs=len(used), name=name, escapes=tuple(escapes))


def closes_sysex(data: bytes, at: int) -> bool:
    """Whether the F7 at `at` ends what looks like a sysex event: F0, a length, and that many bytes below 128.

    It looks like one where it is none once in some ten thousand damaged files; then a stray escape event stays in.
    """
    opening = data.rfind(0xF0, max(0, at - 1024), at)
    if opening < 0 or data[opening - 1] > 0x7F:
        return False
    length, first = _number(data, opening + 1)
    return first + length == at + 1 and data[first:at].isascii()


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, of at most four bytes, and the position after it."""
    value = 0
    for _ in range(4):
        byte = data[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return value, at


def _check_header(data: bytes) -> None:
    if not data:
        raise MeloError("the file is empty")
    if data[:4] != b"MThd":
        raise MeloError("not a MIDI file: it does not start with MThd")
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


def _with_plain_header(data: bytes) -> bytes:
    """The same with a header of 6 bytes: a longer one is allowed, but symusic knows none."""
    size = int.from_bytes(data[4:8], "big")
    return data if size == 6 else b"MThd\0\0\0\6" + data[8:14] + data[8 + size :]


def _tracks(data: bytes) -> tuple[list[Bounds], int]:
    """Bounds of the tracks that the header counts, and where the last of them ends. Other chunks are passed over."""
    tracks: list[Bounds] = []
    named = int.from_bytes(data[10:12], "big")
    at = 8 + int.from_bytes(data[4:8], "big")
    while len(tracks) < named and at + 8 <= len(data):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "big")
        if data[at : at + 4] == b"MTrk":
            tracks.append((at + 8, end))
        at = end
    if at > len(data):
        raise MeloError("damaged: the file ends inside a track")
    if len(tracks) < named:
        raise MeloError(f"damaged: {len(tracks):,} of the {named:,} tracks that its header counts")
    return tracks, at


def _doubtful(data: bytes, tracks: list[Bounds]) -> list[Bounds]:
    """Tracks that the quick look does not clear.

    Every harm needs two bytes above 127 side by side, or a status F7, or many bytes that could be program changes.
    """
    column = np.frombuffer(data, dtype=np.uint8)
    if len(data) > _SMALL and _most_programs(data, column, len(tracks)) > MOST_PROGRAMS:
        return tracks
    paired = (column[1:] & column[:-1]) > 0x7F
    if len(data) > _MOST_PAIRS and np.count_nonzero(paired) > _MOST_PAIRS:
        return tracks
    pairs = np.flatnonzero(paired)
    threes = pairs[:-1][pairs[1:] - pairs[:-1] == 1]
    spots = np.concatenate([_odd_pairs(column, pairs), _escapes(data, column)])
    if not len(spots) and (len(threes) << 28) + (len(pairs) << 21) + (len(data) << 13) < MOST_TICKS:
        return []
    start, end = np.array(tracks, dtype=np.int64).reshape(-1, 2).T

    def inside(positions: Positions) -> Positions:
        return np.searchsorted(positions, end) - np.searchsorted(positions, start)

    singles = np.array([_most_singles(column[a:b]) for a, b in tracks], dtype=np.int64)
    ticks = (inside(threes) << 28) + (inside(pairs) << 21) + singles
    doubt = (inside(np.sort(spots)) > 0) | (ticks >= MOST_TICKS)
    return [tracks[i] for i in np.flatnonzero(doubt)]


def _most_singles(column: Column) -> int:
    """No less than the sum of delta times of one and two bytes; one of three opens with a pair, one of four with three."""
    if len(column) < 1 << 18:
        return len(column) << 13
    above = column > 0x7F
    low, high = (int(column.sum(where=w, dtype=np.int64)) for w in (~above, above))
    return low + 128 * (high - 128 * int(np.count_nonzero(above)))


def _odd_pairs(column: Column, pairs: Positions) -> Positions:
    """Where a note with an unchecked pitch above 127 may stand, or a name of more than MOST_NAME bytes."""
    first, before, kind = column[pairs], column[pairs - 2], column[pairs - 1]
    odd: Bools = ((first & 0xEF) == _UNCHECKED_NOTES[0]) | ((before == 0xFF) & (kind == 0x03))
    return pairs[odd]


def _escapes(data: bytes, column: Column) -> Positions:
    """Where an F7 stands that does not close a sysex event (F0, length, …, F7) and so may be a status."""
    if 0xF7 not in data:
        return np.empty(0, dtype=np.int64)
    spots: Positions = np.flatnonzero(column == 0xF7)
    spots = spots[column[spots - 1] < 0x80]  # a delta time ends with such a byte
    if len(spots) > 1000:
        return spots
    return np.array([at for at in spots.tolist() if not closes_sysex(data, at)], dtype=np.int64)


def _most_programs(data: bytes, column: Column, tracks: int) -> int:
    """No less than the pairs of channel and program with notes: 16 channels start with one, and each further needs a C0…CF.

    The text of a song begins one too, on channel 16, where a program may change without a status of its own.
    """
    changes = int(np.count_nonzero((column & 0xF0) == 0xC0))
    return 16 * tracks + changes + (data.count(b"\xff\x05") if 0xCF in data else 0)


def _walked(data: bytes, tracks: list[Bounds]) -> bytes:
    """The same bytes with escape events turned into plain ones, once no track holds what symusic cannot read."""
    size = sum(end - start for start, end in tracks)
    if size > MOST_WALKED:
        raise MeloError(f"{size:,} bytes of tracks that must be followed event by event; at most {MOST_WALKED:,} are")
    programs = 0
    escapes: list[int] = []
    for bounds in tracks:
        track = walk(data, bounds)
        programs += track.programs
        escapes += track.escapes
        if track.ticks >= MOST_TICKS:
            raise MeloError("damaged: its ticks run past 2^31")
        if track.name > MOST_NAME:
            raise MeloError(f"damaged: a track name of {track.name:,} bytes; at most {MOST_NAME:,} are read")
        if programs > MOST_PROGRAMS:
            raise MeloError(f"over {MOST_PROGRAMS:,} programs with notes; no piece has so many")
    if not escapes:
        return data
    out = bytearray(data)
    for at in escapes:
        out[at] = 0xF0
    return bytes(out)
