"""SoundFonts made in the test: sines whose level and pitch a person can derive, in place of an instrument's."""

import struct
from pathlib import Path

import numpy as np

RATE = 48_000
RELEASE, KEYS, COARSE_TUNE, SAMPLE, LOOPS, EXCLUSIVE = 38, 43, 51, 53, 54, 57
"""Generators of SoundFont 2."""

Zone = tuple[tuple[int, int], ...]
"""Generators and their amounts, KEYS first; SAMPLE and LOOPS are added."""


def keys(low: int, high: int) -> tuple[int, int]:
    return KEYS, low | high << 8


def write_sine_font(path: Path, presets: dict[tuple[int, int], list[Zone]], *, size: float = 0.25) -> Path:
    """Write a soundfont whose presets, by (bank, program), play a sine of 440 Hz at key 69.

    Args:
        path: where it goes.
        presets: the zones of each.
        size: the sine's amplitude; full scale is 1.
    """
    sine = np.rint(size * 32767 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype("<i2")
    phdr, pbag, pgen, inst, ibag, igen = (b"" for _ in range(6))
    bags = generators = 0
    for i, ((bank, program), zones) in enumerate(sorted(presets.items())):
        phdr += struct.pack("<20sHHHIII", b"sine", program, bank, i, 0, 0, 0)
        pbag += struct.pack("<HH", i, 0)
        pgen += struct.pack("<HH", 41, i)
        inst += struct.pack("<20sH", b"sine", bags)
        for zone in zones:
            ibag += struct.pack("<HH", generators, 0)
            igen += b"".join(
                struct.pack("<HH", kind, amount & 0xFFFF) for kind, amount in (*zone, (LOOPS, 1), (SAMPLE, 0))
            )
            bags, generators = bags + 1, generators + len(zone) + 2
    n = len(presets)
    lists = (
        (b"INFO", (b"ifil", struct.pack("<HH", 2, 1)), (b"isng", b"EMU8000\0"), (b"INAM", b"sine\0\0")),
        (b"sdta", (b"smpl", sine.tobytes() + b"\0" * 92)),
        (
            b"pdta",
            (b"phdr", phdr + struct.pack("<20sHHHIII", b"EOP", 0, 0, n, 0, 0, 0)),
            (b"pbag", pbag + struct.pack("<HH", n, 0)),
            (b"pmod", bytes(10)),
            (b"pgen", pgen + bytes(4)),
            (b"inst", inst + struct.pack("<20sH", b"EOI", bags)),
            (b"ibag", ibag + struct.pack("<HH", generators, 0)),
            (b"imod", bytes(10)),
            (b"igen", igen + bytes(4)),
            (
                b"shdr",
                struct.pack("<20sIIIIIBbHH", b"sine", 0, RATE, 0, RATE, RATE, 69, 0, 0, 1) + b"EOS".ljust(46, b"\0"),
            ),
        ),
    )
    body = b"".join(_chunk(b"LIST", name + b"".join(_chunk(*part) for part in parts)) for name, *parts in lists)
    path.write_bytes(_chunk(b"RIFF", b"sfbk" + body))
    return path


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
