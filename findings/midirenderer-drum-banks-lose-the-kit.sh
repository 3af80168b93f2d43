#!/usr/bin/env bash
# midirenderer 0.1.3 (rustysynth 1.3.1 inside), with a SoundFont whose presets are told apart by pitch; 2026-11-30.
# Expected: bank 127 (XG) and bank 120 (General MIDI 2) of bank select MSB are drums: with program 25 on channel 10 the kit 25, on
#   another channel drums too. Files of XG keyboards send bank 127 even on channel 10, where drums are already.
# Seen: on channel 10 the bank is added to 128, no such preset is there, and the standard kit 0 plays instead of kit 25; on any other
#   channel the melodic program of that number plays. No message says so. Without a bank select channel 10 plays kit 25.
# To do: take bank selects off channel 10, and move drums of other channels to channel 10 of a file of their own, to be rendered
#   alone and added.
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


PRESETS = {"piano": ((0, 0), 0), "program 25": ((0, 25), 4), "kit 0": ((128, 0), 7), "kit 25": ((128, 25), 12)}
FONT = font({place: [((51, rise),)] for place, rise in PRESETS.values()})


def plays(channel, *bank):
    """Which preset sounds at program 25."""
    select = [(0, bytes((0xB0 | channel, 0, msb))) for msb in bank]
    on, off = bytes((0x90 | channel, 57, 100)), bytes((0x80 | channel, 57, 0))
    sound = render(FONT, *select, (0, bytes((0xC0 | channel, 25))), (0, on), (1, off)).sum(axis=1)
    hertz = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 1 << 20)).argmax() * RATE / (1 << 20)
    rise = round(12 * np.log2(hertz / 220))
    return next((name for name, (_, semitones) in PRESETS.items() if semitones == rise), f"{rise} semitones")


seen = {}
for channel in (10, 3):
    for bank in ((), (127,), (120,)):
        seen[channel, bank] = plays(channel - 1, *bank)
        print(f"channel {channel}, bank {bank[0] if bank else 'not said'}, program 25: {seen[channel, bank]}")
as_described = list(seen.values()) == ["kit 25", "kit 0", "kit 0", "program 25", "program 25", "program 25"]
sys.exit(0 if as_described else "changed: banks choose other presets now")
PYTHON
