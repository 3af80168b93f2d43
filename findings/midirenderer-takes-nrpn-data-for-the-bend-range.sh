#!/usr/bin/env bash
# midirenderer 0.1.3 (rustysynth 1.3.1 inside), with a SoundFont of one sine; 2026-11-30.
# Expected, by MIDI 1.0: data entry (controller 6) sets the parameter that was chosen last. A file that sets a bend range of 2
#   semitones (RPN 0: controllers 101 and 100) and then, as GS and XG files do, the rate of the vibrato (NRPN 1, 8: controllers 99 and
#   98, then 6) still bends by 2 semitones.
# Seen: NRPN numbers are not looked at, so the data of the vibrato become the bend range: the bend to the top goes up by 64
#   semitones. Only an RPN that was chosen before is hit; with "RPN null" (101 and 100 at 127) in between all is well.
# To do: take NRPN messages (99, 98, and the 6, 38, 96 and 97 behind them) out, or choose RPN null before them. rustysynth 1.3.3
#   and later are right.
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


def hertz(*before):
    events = [(0, bytes((0xB0, *pair))) for pair in before]
    sound = render(font({(0, 0): [()]}), *events, (0, b"\xe0\x7f\x7f"), (0, b"\x90\x15\x7f"), (1, b"\x80\x15\x00")).sum(axis=1)
    return np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 1 << 20)).argmax() * RATE / (1 << 20)


def semitones(*before):
    return 12 * np.log2(hertz(*before) / (440 * 2 ** ((0x15 - 69) / 12)))


bend_range = (101, 0), (100, 0), (6, 2)
vibrato = (99, 1), (98, 8), (6, 64)
null = (101, 127), (100, 127)
alone, spoiled, saved = semitones(*bend_range), semitones(*bend_range, *vibrato), semitones(*bend_range, *null, *vibrato)
print(f"a bend to the top: {alone:.2f} semitones, with an NRPN after it {spoiled:.2f}, with RPN null between {saved:.2f}")
as_described = abs(alone - 2) < 0.1 and abs(spoiled - 64) < 0.1 and abs(saved - 2) < 0.1
sys.exit(0 if as_described else "changed: NRPN data act otherwise now")
PYTHON
