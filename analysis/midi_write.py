"""MIDI files out: a Piece → a file."""

import struct
from pathlib import Path

from analysis.atomic_write import atomic_write
from analysis.piece import Notes, Piece

_Event = tuple[int, int, bytes]
"""Tick, place in the tick, and bytes."""

_META = 0xFF

_RELEASE = 64
"""The velocity of every note-off, which is that of instruments that measure none."""


def write_midi(piece: Piece, path: Path) -> None:
    """Write a piece as a MIDI file, whole or not at all; see `midi_bytes`."""
    data = midi_bytes(piece)
    with atomic_write(path) as partial:
        partial.write_bytes(data)


def midi_bytes(piece: Piece) -> bytes:
    """A piece as a MIDI file of format 1: a track of time signatures and tempos, then one a part. Tracks end at the piece's end.

    A port of MIDI has 15 channels for pitched parts, and channel 10 for drums of one kit: the 16th part, or the second kit,
    begins a second port.
    """
    bars = piece.bars
    signatures = zip(bars.signature_tick.tolist(), bars.numerator.tolist(), bars.denominator.tolist(), strict=True)
    tempos = zip(piece.tempo_tick.tolist(), piece.tempo.tolist(), strict=True)
    head = [
        *((tick, 0, _meta(0x58, bytes((n, d.bit_length() - 1, 24, 8)))) for tick, n, d in signatures),
        *((tick, 0, _meta(0x51, round(60_000_000 / tempo).to_bytes(3, "big"))) for tick, tempo in tempos),
    ]
    tracks = [_track(head, piece.end_tick)]
    pitched, kits = 0, list(dict.fromkeys(part.program for part in piece.parts if part.is_drum))
    for index, part in enumerate(piece.parts):
        port, channel = (kits.index(part.program), 9) if part.is_drum else divmod(pitched, 15)
        pitched += not part.is_drum
        channel += channel >= 9 and not part.is_drum
        setup = [_meta(0x03, part.name.encode())] if part.name else []
        setup += [_meta(0x21, bytes((port,)))] if port else []
        setup.append(bytes((0xC0 | channel, part.program)))
        mine = piece.notes.take(piece.notes.part == index)
        tracks.append(_track([*((0, -1, message) for message in setup), *_note_events(mine, channel)], piece.end_tick))
    return b"".join((_chunk(b"MThd", struct.pack(">HHH", 1, len(tracks), piece.ticks_per_quarter)), *tracks))


def _note_events(notes: Notes, channel: int) -> list[_Event]:
    """Ends of notes first in a tick, then notes of no length, then note-ons."""
    found: list[_Event] = []
    columns = (notes.onset_tick, notes.duration_tick, notes.pitch, notes.velocity)
    on, off = 0x90 | channel, 0x80 | channel
    for onset, duration, pitch, velocity in zip(*(c.tolist() for c in columns), strict=True):
        found.append((onset, 2 if duration else 1, bytes((on, pitch, velocity))))
        found.append((onset + duration, 0 if duration else 1, bytes((off, pitch, _RELEASE))))
    return found


def _track(events: list[_Event], end_tick: int) -> bytes:
    """A track of events in order, with running status, and End of Track at a tick or behind them."""
    data = bytearray()
    now, status = 0, _META
    for tick, _, event in sorted(events, key=lambda event: event[:2]):
        data += variable_length(tick - now)
        data += event if event[0] != status or status == _META else event[1:]
        now, status = tick, event[0]
    return _chunk(b"MTrk", bytes(data) + variable_length(max(end_tick - now, 0)) + _meta(0x2F, b""))


def _meta(kind: int, data: bytes) -> bytes:
    return bytes((_META, kind)) + variable_length(len(data)) + data


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack(">I", len(data)) + data


def variable_length(number: int) -> bytes:
    """A number as MIDI writes it, seven bits a byte."""
    out = [number & 0x7F]
    while number := number >> 7:
        out.append(number & 0x7F | 0x80)
    return bytes(reversed(out))
