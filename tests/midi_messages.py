"""MIDI messages as (delta ticks, bytes), files from the bytes of tracks, and what plain player and reader make of them."""

import struct

from conftest import variable_length
from plain_player import KINDS, play
from player_comparison import difference


def on(pitch, rest=0, channel=0, velocity=64):
    return rest, bytes([0x90 | channel, pitch, velocity])


def off(pitch, rest=0, channel=0):
    return rest, bytes([0x80 | channel, pitch, 0])


def control(number, value, rest=0, channel=0):
    return rest, bytes([0xB0 | channel, number, value])


def program(number, rest=0, channel=0):
    return rest, bytes([0xC0 | channel, number])


def meta(kind, content=b"", rest=0):
    return rest, bytes([0xFF, kind]) + variable_length(len(content)) + content


def sysex(message, rest=0):
    body = bytes.fromhex(message) + b"\xf7"
    return rest, b"\xf0" + variable_length(len(body)) + body


GM_ON, GM2_ON, GS_RESET, XG_ON = "7e 7f 09 01", "7e 7f 09 03", "41 10 42 12 40 00 7f 00 41", "43 10 4c 00 00 7e 00"


def gs_rhythm(block, value):
    """Use channel's part for rhythm: the sum of address, data and checksum is 0 in 7 bits."""
    address = [0x40, 0x10 | block, 0x15, value]
    return f"41 10 42 12 {bytes(address).hex()} {-sum(address) % 128:02x}"


def raw(*bodies, header=None, kind=1, division=480):
    """A file from the bytes of its tracks."""
    head = b"MThd" + struct.pack(">IHHH", 6, kind, len(bodies) if header is None else header, division)
    return head + b"".join(b"MTrk" + struct.pack(">I", len(body)) + body for body in bodies)


def riff(data):
    body = b"RMIDDISP\x03\0\0\0abc\0" + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def both(data):
    """The file as the plain player plays it; the reader reads the same."""
    assert difference(data) == ""
    return play(data)


def times(data):
    """(onset, end, pitch) of the notes."""
    return [(n.onset, n.end, n.pitch) for n in both(data).notes]


def departures(data):
    """What was not read as it stands, without the zeros."""
    counts = both(data).departures
    assert tuple(counts) == KINDS
    return {kind: n for kind, n in counts.items() if n}


def parts(data):
    """(program or "drums", channels from 1, number of notes) of the parts."""
    return [("drums" if p.is_drum else p.program, *(c + 1 for c in p.channels), len(p.notes)) for p in both(data).parts]
