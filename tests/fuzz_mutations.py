"""Damaged and hostile MIDI files: each a pure function of (seed, index) and of the files it starts from. Nothing is read here.

`mutated` takes one file, damages it one to four times, and gives its bytes. Some damage goes by bytes, some by chunks, some
by events; what goes by events keeps the lengths of the chunks right, so that it comes through to the parser. This file imports
nothing but Python's own library, as it runs in the process whose memory is measured.
"""

import struct
from collections.abc import Callable

from fuzz_rules import RULES, rules_song, wrapped
from fuzz_songs import Chunk, Event, Random, crowd, joined, song, variable_length

Mutation = Callable[[Random, bytes, bytes], bytes]
"""(random, file, another file) to the damaged file."""

SPECIAL = (0x00, 0x01, 0x2F, 0x51, 0x58, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xC0, 0xCF, 0xF0, 0xF4, 0xF6, 0xF7, 0xFE, 0xFF)
LENGTHS = (0, 1, 7, 0x7F, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF8, 0xFFFFFFFF)
DIVISIONS = (0, 1, 2, 96, 480, 0x7FFF, 0x8000, 0xE728, 0xFFFF)
DELTAS = (0, 1, 0x7F, 0x80, 0x3FFF, 0x4000, 0x1FFFFF, 0x200000, 0xFFFFFFF)
TEXTS = (
    b"",
    b"\0",
    b"\xff\xfe\xfd",
    b"\n\r\x1b[31m",
    "钢琴".encode(),
    "钢琴".encode("gbk"),
    b"x" * 200,
    b"\xed\xa0\x80",
)


def mutated(seed: int, index: int, files: list[bytes]) -> bytes:
    """The file of that number."""
    rng = Random(f"{seed}/{index}")
    if rng.random() < 0.003:
        return crowd(rng)
    if rng.random() < 0.01:
        return rng.randbytes(rng.randrange(200))
    if rng.random() < 0.25:
        whole = rules_song(rng) * rng.choice((1,) * 19 + (2,))
        return wrapped(rng, whole) if rng.random() < 0.1 else whole
    data = _made(rng) if not files or rng.random() < 0.5 else rng.choice(files)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        other = _made(rng) if not files or rng.random() < 0.8 else rng.choice(files)
        data = rng.choice(MUTATIONS)(rng, data, other)
    return data


def _made(rng: Random) -> bytes:
    """A file made in code, sound or one in which the reading rules meet."""
    return rng.choice((song, rules_song))(rng)


def chunks(data: bytes) -> list[Chunk]:
    """(type, body) of each chunk after the header, as far as they go."""
    at, found = 14, []
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "big")
        found.append((data[at : at + 4], data[at + 8 : at + 8 + size]))
        at += 8 + size
    return found


def events(body: bytes) -> list[Event]:
    """(delta, event bytes) of a track; what cannot be parsed any more is one last event."""
    found: list[Event] = []
    at, size = 0, 0
    while at < len(body):
        delta, first = _number(body, at)
        if first >= len(body) or (body[first] < 0x80 and size == 0):
            return [*found, (0, body[at:])]
        if body[first] in (0xF0, 0xF7, 0xFF):
            length, at = _number(body, first + (2 if body[first] == 0xFF else 1))
            at += length
        else:
            size = size if body[first] < 0x80 else 2 if 0xC0 <= body[first] < 0xE0 else 3
            at = first + size - (body[first] < 0x80)
        found.append((delta, body[first:at]))
    return found


def _number(body: bytes, at: int) -> tuple[int, int]:
    """A number of variable length and the position after it."""
    value = 0
    for byte in body[at : at + 8]:
        at, value = at + 1, value << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return value, at


def _flip(rng: Random, data: bytes, other: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64)) if out else 0):
        at = rng.randrange(len(out))
        out[at] = rng.choice((rng.randrange(256), out[at] ^ 1 << rng.randrange(8), rng.choice(SPECIAL)))
    return bytes(out)


def _cut(rng: Random, data: bytes, other: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _span(rng: Random, data: bytes, other: bytes) -> bytes:
    at, size = rng.randrange(len(data) + 1), rng.choice((1, 2, 3, 9, 200))
    here = data[at : at + size]
    return data[:at] + rng.choice((b"", here + here, rng.randbytes(size), here[::-1])) + data[at + size :]


def _splice(rng: Random, data: bytes, other: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _header(rng: Random, data: bytes, other: bytes) -> bytes:
    out = bytearray(data.ljust(14, b"\0"))
    match rng.randrange(4):
        case 0:
            out[8:10] = struct.pack(">H", rng.choice((0, 1, 2, 3, 0xFFFF)))
        case 1:
            out[10:12] = struct.pack(">H", rng.choice((0, 1, 2, 255, 0xFFFF)))
        case 2:
            out[12:14] = struct.pack(">H", rng.choice(DIVISIONS))
        case _:
            out[4:8] = struct.pack(">I", rng.choice(LENGTHS))
    return bytes(out)


def _chunk_length(rng: Random, data: bytes, other: bytes) -> bytes:
    at = data.find(b"MTrk", rng.randrange(len(data) + 1))
    at = at if at >= 0 else data.find(b"MTrk")
    if at < 0:
        return data
    size = int.from_bytes(data[at + 4 : at + 8], "big")
    forged = rng.choice((*LENGTHS, max(size - 1, 0), size + 1, size // 2)) & 0xFFFFFFFF
    return data[: at + 4] + struct.pack(">I", forged) + data[at + 8 :]


def _chunk_order(rng: Random, data: bytes, other: bytes) -> bytes:
    parts = chunks(data)
    match rng.randrange(5) if parts else 0:
        case 0:
            parts += chunks(other)[:2]
        case 1:
            parts += [rng.choice(parts)] * rng.choice((1, 2, 70))
        case 2:
            parts.pop(rng.randrange(len(parts)))
        case 3:
            rng.shuffle(parts)
        case _:
            parts.insert(rng.randrange(len(parts) + 1), (rng.choice((b"XFIH", b"MThd", b"\0\0\0\0")), rng.randbytes(9)))
    return joined(data[:14], parts, count=rng.random() < 0.7)


def _inside(mutation: Mutation) -> Mutation:
    """The mutation of one chunk's body; its length is made right again."""

    def apply(rng: Random, data: bytes, other: bytes) -> bytes:
        parts, others = chunks(data), chunks(other)
        if not parts or not others:
            return mutation(rng, data, other)
        at = rng.randrange(len(parts))
        parts[at] = (parts[at][0], mutation(rng, parts[at][1], rng.choice(others)[1]))
        return joined(data[:14], parts)

    return apply


def _by_events(change: Callable[[Random, list[Event]], list[tuple[bytes, bytes]]]) -> Mutation:
    """A mutation that works on the events of one track; `change` gives (delta bytes, event bytes)."""

    def apply(rng: Random, data: bytes, other: bytes) -> bytes:
        parts = chunks(data)
        if not parts:
            return data
        at = rng.randrange(len(parts))
        changed = change(rng, events(parts[at][1]))
        parts[at] = (parts[at][0], b"".join(delta + event for delta, event in changed))
        return joined(data[:14], parts)

    return apply


def _plain(track: list[Event]) -> list[tuple[bytes, bytes]]:
    return [(variable_length(delta), event) for delta, event in track]


def _deltas(rng: Random, track: list[Event]) -> list[tuple[bytes, bytes]]:
    """Long delta times, up to so many that their sum passes 2^31 or 2^32, and numbers of five bytes."""
    changed = _plain(track)
    if rng.random() < 0.2:  # 2^31 or 2^32 ticks to the tick: wrapped, they are none
        repeats, at = rng.choice((8, 16)), rng.randrange(len(changed) + 1)
        filler = [(variable_length(DELTAS[-1]), b"\xff\x01\x00")] * repeats + [
            (variable_length(repeats), b"\xff\x01\x00")
        ]
        return changed[:at] + filler + changed[at:]
    long = variable_length(rng.choice(DELTAS))
    for _ in range(rng.choice((1, 1, 3, 9, 17, 40))):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(4):
            case 0:
                changed.insert(at, (long, rng.choice((b"\xff\x01\x00", b"\xb0\x07\x40", b"\xf0\x00"))))
            case 1:
                changed.insert(at, (b"\xff\xff\xff\xff" + rng.choice((b"", b"\x7f")), b"\xff\x06\x00"))
            case _ if at < len(changed):
                changed[at] = (long, changed[at][1])
    return changed


def _events(rng: Random, track: list[Event]) -> list[tuple[bytes, bytes]]:
    """Events that no sound file holds, put in; note ends, status bytes and lengths of meta events taken away or damaged."""
    changed = _plain(track)
    for _ in range(rng.choice((1, 2, 6))):
        at = rng.randrange(len(changed) + 1)
        odd = rng.choice(ODD)(rng)
        changed.insert(at, (variable_length(rng.choice((0, 0, 1, 300))), odd))
    match rng.randrange(5):
        case 0:
            return [(d, e) for d, e in changed if e[:1] < b"\x80" or e[:1] >= b"\x90"]
        case 1:
            return [(d, e[1:] if rng.random() < 0.3 and e[:1] < b"\xf0" else e) for d, e in changed]
        case 2:
            return [
                (d, e[:2] + rng.choice((b"\x7f", b"\xff\xff\x7f", b"")) if e[:1] == b"\xff" else e) for d, e in changed
            ]
        case 3:
            return changed + changed
    return changed


def _rules(rng: Random, track: list[Event]) -> list[tuple[bytes, bytes]]:
    """What the reading rules are for, put in, of channels that the track uses."""
    changed = _plain(track)
    used = [event[0] & 0x0F for _, event in track if b"\x80" <= event[:1] < b"\xf0"]
    for _ in range(rng.choice((1, 3, 9))):
        at = rng.randrange(len(changed) + 1)
        made = rng.choice(RULES)(rng, rng.choice(used) if used else 0)
        changed[at:at] = _plain(made)
    if rng.random() < 0.2:  # what no status byte stands before takes the one before, over meta events too
        status = b""
        for at, (delta, event) in enumerate(changed):
            if b"\x80" <= event[:1] < b"\xf0":
                changed[at], status = (delta, event[1:] if event[:1] == status else event), event[:1]
    return changed


ODD: tuple[Callable[[Random], bytes], ...] = (
    lambda rng: b"\xff\x51\x03" + rng.choice((b"\0\0\0", b"\0\0\1", b"\xff\xff\xff")),
    lambda rng: bytes([0xFF, 0x58, 4, rng.choice((0, 1, 64, 255)), rng.choice((0, 2, 6, 7, 8, 31, 32, 255)), 24, 8]),
    lambda rng: rng.choice((b"\xff\x58\x00", b"\xff\x51\x00", b"\xff\x59\x01\x7f", b"\xff\x2f\x00", b"\xff\x2f\x05")),
    lambda rng: (
        bytes([0xFF, rng.choice((1, 3, 5, 6, 0x7F))]) + (lambda t: variable_length(len(t)) + t)(rng.choice(TEXTS))
    ),
    lambda rng: rng.choice(
        (b"\xf0\x7f", b"\xf0", b"\xf0\x8f\xff\xff\x7f", b"\xf7\x03\x43\x12\x00", b"\xf7", b"\xf4", b"\xf6")
    ),
    lambda rng: bytes([0x90 | rng.randrange(16), rng.choice((127, 128, 150, 255)), rng.choice((0, 1, 127, 200))]),
    lambda rng: bytes([0x80 | rng.randrange(16), rng.choice((127, 128, 150, 255)), 0]),
    lambda rng: bytes([0xC0 | rng.randrange(16), rng.randrange(256)]) + b"\0\x90\x3c\x40\x05\x3c\x00",
    lambda rng: bytes([0x90 | rng.randrange(16), rng.randrange(128), 64]),
)

MUTATIONS: tuple[Mutation, ...] = (
    *(_flip, _cut, _span, _splice, _header, _chunk_length, _chunk_order),
    *[_inside(mutation) for mutation in (_flip, _flip, _flip, _cut, _span, _span, _splice)],
    *[_by_events(_deltas)] * 3,
    *[_by_events(_events)] * 6,
    *[_by_events(_rules)] * 6,
    lambda rng, data, other: wrapped(rng, data),
)
