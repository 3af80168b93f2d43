"""The MIDI files that the fuzzer starts from, made in code: small sound ones, ones in which the reading rules meet
(fuzz_rules.py), and crowds of parts, names, signatures.

Nothing but Python's own library is imported, as this runs in the process whose memory is measured.
"""

import random
import struct

Random = random.Random

Event = tuple[int, bytes]
"""Delta ticks, and the bytes of the event."""

Chunk = tuple[bytes, bytes]
"""Type and body."""


def song(rng: Random) -> bytes:
    """A small sound file: parts, drums, changing signatures and tempos, names, controllers, a system message."""
    tracks = []
    for part in range(rng.randint(1, 5)):
        channel = rng.choice((part, 9, 15))
        track: list[Event] = [(0, b"\xff\x03\x05track"), (0, bytes([0xC0 | channel, rng.randrange(128)]))]
        for _ in range(rng.randint(1, 24)):
            rest, ticks = rng.choice((0, 0, 60, 240, 1920)), rng.choice((0, 1, 120, 480))
            track += note(rng.randrange(128), ticks, rest=rest, channel=channel, velocity=rng.randint(1, 127))
            if rng.random() < 0.2:
                track.append((0, rng.choice((bytes([0xB0 | channel, 64, 127]), bytes([0xE0 | channel, 0, 80])))))
            if part == 0 and rng.random() < 0.2:
                track.append(signature(rng.randint(1, 12), rng.randint(0, 5), delta=rng.choice((0, 240))))
                track.append((0, b"\xff\x51\x03" + rng.randint(200_000, 2_000_000).to_bytes(3, "big")))
        if rng.random() < 0.2:
            track.insert(0, (0, b"\xf0\x05\x7e\x7f\x09\x01\xf7"))
        tracks.append(track)
    return smf(*tracks, division=rng.choice((24, 96, 120, 480, 960)))


def crowd(rng: Random) -> bytes:
    """Thousands of parts by program changes, or of signatures and tempos, or a name for each of many parts."""
    match rng.randrange(4):
        case 0:
            one = [e for i in range(rng.choice((100, 1000, 4096))) for e in _part(i)]
            return smf(*[one] * rng.choice((1, 2, 15)))
        case 1:
            return smf(*[note(60, 10)] * rng.choice((65, 1000, 20_000)))
        case 2:
            name = (0, b"\xff\x03" + variable_length(1 << 15) + bytes([rng.randrange(256)]) * (1 << 15))
            return smf([name, *(e for i in range(2000) for e in _part(i))])
        case _:
            event = rng.choice((signature(4, 2, delta=1), (1, b"\xff\x51\x03\x07\xa1\x20"), (1, b"\xff\x05\x01x")))
            return smf([*note(60, 10), *[event] * rng.choice((10_000, 60_000))])


def smf(*tracks: list[Event], division: int = 480) -> bytes:
    """A Standard MIDI File from tracks of (delta ticks, event bytes)."""
    end = b"\0\xff\x2f\0"
    bodies = [b"".join(variable_length(delta) + event for delta, event in track) + end for track in tracks]
    return joined(b"MThd\0\0\0\6\0\1\0\0" + struct.pack(">H", division), [(b"MTrk", body) for body in bodies])


def variable_length(number: int) -> bytes:
    out = [number & 0x7F]
    while number := number >> 7:
        out.insert(0, number & 0x7F | 0x80)
    return bytes(out)


def note(pitch: int, ticks: int, *, rest: int = 0, channel: int = 0, velocity: int = 64) -> list[Event]:
    return [(rest, bytes([0x90 | channel, pitch, velocity])), (ticks, bytes([0x80 | channel, pitch, 0]))]


def signature(numerator: int, power: int, *, delta: int = 0) -> Event:
    return delta, bytes([0xFF, 0x58, 4, numerator, power, 24, 8])


def joined(header: bytes, parts: list[Chunk], *, count: bool = True) -> bytes:
    """A file from its header's 14 bytes and its chunks; `count` writes how many there are into the header."""
    if count and len(header) == 14:
        header = header[:10] + struct.pack(">H", min(len(parts), 0xFFFF)) + header[12:]
    return header + b"".join(kind + struct.pack(">I", len(body)) + body for kind, body in parts)


def _part(index: int) -> list[Event]:
    channel, program = index % 16, index // 16 % 256
    return [(0, bytes([0xC0 | channel, program])), *note(60, 1, channel=channel)]
