#!/usr/bin/env bash
# midirenderer 0.1.3 (rustysynth 1.3.1 inside), with a SoundFont of one sine that takes 4 s to fade; 2026-11-30.
# Expected of a renderer to a file: the sound goes on until the last note has died away, as FluidSynth's does, and a loud chord comes out
#   softer as a whole, or as numbers above 1, so that it can be scaled.
# Seen: the sound stops at End of Track in the middle of the ring, which in most files is the tick of the last note-off; and samples beyond full
#   scale are clipped in the 16-bit result without a word: a chord of 45 sines gets a third harmonic that a sine does not have.
# To do: put End of Track ten seconds later and cut the silence off; look for samples at full scale, and if there are any render
#   again with all volumes (controller 7, with 39 for its finer half) multiplied by a half, which is 12 dB.
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


FONT = font({(0, 0): [((38, 2400),)]})
sound = render(FONT, (0, b"\x90\x45\x7f"), (1, b"\x80\x45\x00"))
print(f"a note of 1 s that fades in 4 s: {len(sound) / RATE:.2f} s of sound, the last samples at {np.abs(sound[-480:]).max():.3f}")
cut = len(sound) == RATE and np.abs(sound[-480:]).max() > 0.05


def third(voices):
    """Level of the third harmonic of so many equal sines, beside the first, in decibels."""
    dry = [(0, bytes((0xB0 | i, 91, 0))) for i in range(16)]
    chord = [(0, bytes((0x90 | i, 69, 127))) for i in range(16) if i != 9] * 3
    sound = render(FONT, *dry, *chord[:voices], (1, b"\xb0\x01\x00"))
    spectrum = np.abs(np.fft.rfft(sound[-RATE // 2 :, 0]))
    return 20 * np.log10(spectrum[660] / spectrum[220])


one, many = third(1), third(45)
print(f"third harmonic of one sine {one:.0f} dB, of 45 {many:.0f} dB")
sys.exit(0 if cut and one < -60 and many > -20 else "changed: the end or the level of the sound is another now")
PYTHON
