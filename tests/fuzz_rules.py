"""Events and songs in which the reading rules meet: what a file may hold that needs more than note-ons and note-offs.

Few channels, few pitches and few ticks, so that things fall on one another. Nothing but Python's own library is imported, as
this runs in the process whose memory is measured.
"""

import gzip
import struct
from collections.abc import Callable

from fuzz_songs import Event, Random, joined, note, signature, variable_length

Maker = Callable[[Random, int], list[Event]]
"""(random, channel) to events of no or little length."""

PITCHES = (36, 60, 61)
PROGRAMS = (0, 24, 40)
RESETS = ("7e7f0901", "7e7f0903", "4110421240007f0041", "43104c00007e00")
GM_OFF_AND_WRONG_SUM = ("7e7f0902", "4110421240007f0042")


def sysex(rng: Random, message: bytes) -> list[Event]:
    """A system exclusive message, whole, in packets, or without its end."""
    body = message + b"\xf7"
    match rng.randrange(8):
        case 0:
            cut = rng.randrange(len(body))
            between = rng.choice(([], [(0, b"\xff\x01\x00")], [(0, b"\xb0\x07\x40")]))
            packets = [(0, b"\xf0" + variable_length(cut) + body[:cut]), *between]
            return [*packets, (rng.choice((0, 60)), b"\xf7" + variable_length(len(body) - cut) + body[cut:])]
        case 1:
            return [(0, b"\xf0" + variable_length(len(message)) + message)]
    return [(0, rng.choice((b"\xf0", b"\xf0", b"\xf7")) + variable_length(len(body)) + body)]


def _roland(rng: Random, address: bytes) -> bytes:
    total = -sum(address) % 128
    return bytes([0x41, 0x10, 0x42, 0x12]) + address + bytes([total if rng.random() < 0.8 else rng.randrange(128)])


def _note(rng: Random, channel: int) -> list[Event]:
    return note(rng.choice(PITCHES), rng.choice((0, 60, 480)), channel=channel, velocity=rng.randint(1, 127))


def _note_on(rng: Random, channel: int) -> list[Event]:
    return [(0, bytes([0x90 | channel, rng.choice(PITCHES), rng.randint(1, 127)]))]


def _note_off(rng: Random, channel: int) -> list[Event]:
    return [(0, bytes([rng.choice((0x80, 0x90)) | channel, rng.choice(PITCHES), 0]))]


def _grace(rng: Random, channel: int) -> list[Event]:
    pitch = rng.choice(PITCHES)
    return [(0, bytes([0x80 | channel, pitch, 0])), (0, bytes([0x90 | channel, pitch, 64]))]


def _silence(rng: Random, channel: int) -> list[Event]:
    return [(0, bytes([0xB0 | channel, rng.choice((120, 121, 123, 124, 125, 126, 127)), 0]))]


def _program(rng: Random, channel: int) -> list[Event]:
    return [(0, bytes([0xC0 | channel, rng.choice(PROGRAMS)]))]


def _bank(rng: Random, channel: int) -> list[Event]:
    bank = rng.choice((0, 8, 120, 121, 126, 127))
    select = [(0, bytes([0xB0 | channel, 0, bank])), (0, bytes([0xB0 | channel, 32, 0]))]
    return select[: rng.choice((1, 2))] + (_program(rng, channel) if rng.random() < 0.7 else [])


def _reset(rng: Random, channel: int) -> list[Event]:
    return sysex(rng, bytes.fromhex(rng.choice(RESETS if rng.random() < 0.9 else GM_OFF_AND_WRONG_SUM)))


def _drum_message(rng: Random, channel: int) -> list[Event]:
    """GS "use for rhythm part" or XG part mode, mostly of this channel."""
    channel = channel if rng.random() < 0.7 else rng.randrange(16)
    if rng.random() < 0.5:
        return sysex(rng, bytes([0x43, 0x10, 0x4C, 8, channel, 7, rng.choice((0, 0, 1, 2))]))
    block = 0 if channel == 9 else channel + 1 if channel < 9 else channel
    return sysex(rng, _roland(rng, bytes([rng.choice((0x40, 0x50)), 0x10 | block, 0x15, rng.choice((0, 1, 2, 3))])))


def _zone(rng: Random, channel: int) -> list[Event]:
    """RPN 6 on a manager, at times of another number, and the manager's program."""
    manager = rng.choice((0, 0, 15, channel))
    number, members = rng.choice((6, 6, 6, 0)), rng.choice((0, 1, 5, 14, 15, 16))
    made = [(0, bytes([0xB0 | manager, *pair])) for pair in ((101, 0), (100, number), (6, members))]
    if rng.random() < 0.2:
        made.insert(rng.randrange(3), (0, bytes([0xB0 | manager, rng.choice((98, 99)), 1])))
    return made + (_program(rng, manager) if rng.random() < 0.7 else [])


def _transposed(rng: Random, channel: int) -> list[Event]:
    """Coarse tuning, GS key shift, XG note shift; or a message for an MT-32."""
    value = rng.choice((52, 64, 71))
    match rng.randrange(4):
        case 0:
            return sysex(rng, bytes([0x43, 0x10, 0x4C, 8, channel, 8, value]))
        case 1:
            block = 0 if channel == 9 else channel + 1 if channel < 9 else channel
            return sysex(rng, _roland(rng, bytes([0x40, 0x10 | block, 0x16, value])))
        case 2:
            return sysex(rng, bytes.fromhex("411016122000004869 2f"))
    return [(0, bytes([0xB0 | channel, *pair])) for pair in ((101, 0), (100, rng.choice((0, 2, 2))), (6, value))]


def _port(rng: Random, channel: int) -> list[Event]:
    return [(0, rng.choice((b"\xff\x21\x01\x00", b"\xff\x21\x01\x01", b"\xff\x21\x00")))]


def _signature(rng: Random, channel: int) -> list[Event]:
    """At a tick beside others, so that it lies on a bar line, near one, or off it."""
    return [
        signature(
            rng.choice((0, 1, 3, 4, 4, 4)), rng.choice((1, 2, 2, 2, 6, 7, 8)), delta=rng.choice((0, 0, 1, 2, 20, 21))
        )
    ]


def _tempo(rng: Random, channel: int) -> list[Event]:
    return [
        (
            0,
            rng.choice(
                (b"\xff\x51\x03\x07\xa1\x20", b"\xff\x51\x03\x0f\x42\x40", b"\xff\x51\x00", b"\xff\x58\x01\x04")
            ),
        )
    ]


def _text(rng: Random, channel: int) -> list[Event]:
    return [
        (
            0,
            rng.choice(
                (b"\xff\x01\x01x", b"\xff\x03\x00", b"\xff\x03\x04Lead", b"\xff\x05\x02la", b"\xf0\x02\x01\xf7")
            ),
        )
    ]


def _system(rng: Random, channel: int) -> list[Event]:
    return [
        (0, rng.choice((b"\xf1\x00", b"\xf2\x00\x90", b"\xf3\x01", b"\xf6", b"\xf8", b"\xfe", b"\xf7\x03\x90\x3c\x40")))
    ]


def _high(rng: Random, channel: int) -> list[Event]:
    """A data byte above 127 that is no pitch."""
    event = rng.choice(
        ((0xC0, 0xFF), (0xB0, 7, 0x80), (0xE0, 0x90, 0), (0xA0, 0xC0, 0), (0x90, 60, 0xFF), (0xD0, 0x80))
    )
    return [(0, bytes([event[0] | channel, *event[1:]]))]


RULES: tuple[Maker, ...] = (
    *[_note] * 8,
    *[_note_on, _note_off, _grace] * 2,
    *[_silence, _program, _bank, _reset, _drum_message, _zone, _transposed],
    *[_port, _signature, _tempo, _text, _system, _high],
)


def rules_song(rng: Random) -> bytes:
    """A small file that the rules are for. It can be read wherever it holds a note."""
    division = rng.choice((12, 24, 96, 120, 480))
    channels = [rng.choice((0, 1, 2, 9, 14, 15)) for _ in range(rng.randint(1, 3))]
    makers = RULES if rng.random() < 0.4 else (_note, *rng.choices(RULES, k=4))
    file_format = rng.choice((0, 1, 1, 1, 1))
    parts = [
        (b"MTrk", _written(rng, _rules_track(rng, makers, channels, division)))
        for _ in range(1 if file_format == 0 else rng.randint(1, 4))
    ]
    if rng.random() < 0.1:
        parts.insert(rng.randrange(len(parts) + 1), (b"XFIH", rng.randbytes(5)))
    counted = sum(kind == b"MTrk" for kind, _ in parts) - (rng.random() < 0.1)
    header = b"MThd" + struct.pack(">IHHH", 6, file_format, max(counted, 1), division)
    return joined(header, parts, count=False)


def _rules_track(rng: Random, makers: tuple[Maker, ...], channels: list[int], division: int) -> list[Event]:
    track: list[Event] = note(60, division, channel=channels[0]) if rng.random() < 0.5 else []
    if rng.random() < 0.1:
        track += _signature(rng, channels[0])
    for _ in range(rng.randint(1, 40)):
        made = rng.choice(makers)(rng, rng.choice(channels))
        rest = rng.choice((0, 0, 0, division, division // 2, 4 * division, division // 24, 1))
        track += [(made[0][0] + rest, made[0][1]), *made[1:]]
    return track


def _written(rng: Random, track: list[Event]) -> bytes:
    """The bytes of a track: at times in running status, over meta events too; at times without its end, or with more behind."""
    running = rng.choice((0.0, 0.3, 1.0))
    out, status = b"", b""
    for delta, event in track:
        channel = event[:1] < b"\xf0"
        omitted = channel and event[:1] == status and event[1] < 128 and rng.random() < running
        status = event[:1] if channel else status
        out += variable_length(delta) + (event[1:] if omitted else event)
    if rng.random() < 0.1:
        return out
    out += variable_length(rng.choice((0, 0, 480, 1900, 1920, 100_000))) + b"\xff\x2f\x00"
    return out + (rng.randbytes(3) if rng.random() < 0.1 else b"")


def wrapped(rng: Random, data: bytes) -> bytes:
    """The file in RIFF, gzip or both."""
    if rng.random() < 0.6:
        pad = b"\0" * (len(data) % 2)
        info = rng.choice((b"", b"DISP\x03\0\0\0abc\0"))
        body = b"RMID" + info + (b"data" + struct.pack("<I", len(data)) + data + pad) * rng.choice((1, 1, 1, 2))
        data = b"RIFF" + struct.pack("<I", len(body)) + body
    return gzip.compress(data, mtime=0) if rng.random() < 0.5 else data
