#!/usr/bin/env bash
# midirenderer 0.1.3 (rustysynth 1.3.1 inside), with a SoundFont that has a variation in bank 8; 2026-11-30.
# Expected, by MIDI 1.0 and General MIDI: a bank select (controller 0) waits for the next program change of its channel. Files set a
#   bank ahead of time, or set it back without a program change, and the sound stays.
# Seen: the next note plays the preset of the new bank at once, without a program change.
# To do: hold each bank select back until just before the next program change of its channel.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check midirenderer==0.1.3 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import struct
import sys

import midirenderer
import numpy as np

RATE = 48000


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def font(presets):
    """A SoundFont of presets {(bank, program): zones}, a zone a tuple of (generator, amount); a looped sine, 440 Hz at key 69."""
    sine = (9000 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype("<i2")
    phdr, pbag, pgen, inst, ibag, igen = (b"" for _ in range(6))
    bags = generators = 0
    for i, ((bank, program), zones) in enumerate(sorted(presets.items())):
        phdr += struct.pack("<20sHHHIII", b"sine", program, bank, i, 0, 0, 0)
        pbag += struct.pack("<HH", i, 0)
        pgen += struct.pack("<HH", 41, i)
        inst += struct.pack("<20sH", b"sine", bags)
        for zone in zones:
            ibag += struct.pack("<HH", generators, 0)
            igen += b"".join(struct.pack("<Hh", *pair) for pair in (*zone, (54, 1), (53, 0)))
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
            (b"shdr", struct.pack("<20sIIIIIBbHH", b"sine", 0, RATE, 0, RATE, RATE, 69, 0, 0, 1) + b"EOS".ljust(46, b"\0")),
        ),
    )
    body = b"".join(chunk(b"LIST", name + b"".join(chunk(*part) for part in parts)) for name, *parts in lists)
    return chunk(b"RIFF", b"sfbk" + body)


def render(sf2, *events):
    """The samples of a MIDI file of (seconds, event bytes), End of Track at the last of them; 1 is full scale."""
    body, last = b"", 0
    for seconds, event in events:
        delta, last = round(960 * seconds) - last, round(960 * seconds)
        body += bytes((0x80 | delta >> 7, delta & 127)) + event  # 960 ticks a second
    body += b"\0\xff\x2f\0"
    midi = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480) + b"MTrk" + struct.pack(">I", len(body)) + body
    return np.frombuffer(midirenderer.render_wave_from(sf2, midi), dtype="<i2", offset=44).reshape(-1, 2) / 32768


def rises(*events):
    """Semitones above its key of each second's note."""
    sound = render(font({(0, 0): [()], (8, 0): [((51, 12),)]}), *events).sum(axis=1)
    out = []
    for second in range(2):
        some = sound[second * RATE : second * RATE + RATE * 9 // 10]
        hertz = np.abs(np.fft.rfft(some * np.hanning(len(some)), 1 << 20)).argmax() * RATE / (1 << 20)
        out.append(round(12 * np.log2(hertz / 440)))
    return out


on, off, bank, program = b"\x90\x45\x7f", b"\x80\x45\x00", b"\xb0\x00\x08", b"\xc0\x00"
first = [(0, program), (0, on), (0.9, off)]
second = [(1, on), (2, off)]
alone, with_program = rises(*first, (0.95, bank), *second), rises(*first, (0.95, bank), (0.95, program), *second)
print(f"two notes, a bank select between: {alone} semitones up; with a program change after it: {with_program}")
as_described = alone == [0, 12] and with_program == [0, 12]
sys.exit(0 if as_described else "changed: a bank select waits for its program change now")
PYTHON
