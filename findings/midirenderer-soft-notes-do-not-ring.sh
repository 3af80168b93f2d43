#!/usr/bin/env bash
# midirenderer 0.1.3 (rustysynth 1.3.1 inside), with a SoundFont of one sine that takes 4 s to fade; 2026-11-30.
# Expected: a note fades by its release time alike whether it is loud or soft; at velocity 20 it is 32 dB softer all along. In 16 bits a
#   soft note still has 50 dB to fall.
# Seen: a voice ends, or is left out of the mix, once it is 60 dB below full scale, with velocity, volume, pan and master gain counted in. A
#   note of velocity 127 rings for 2.3 s, one of 40 for 1.3 s, one of 20 for 0.7 s; velocities 1 to 4 are silent from the start.
#   A quiet piece that is made louder afterwards loses its last chord's ring.
# To do: render at velocities and volumes as high as they go (controllers 7 and 11 at 127) and make it softer afterwards.
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


def ring(velocity):
    """Seconds between the note's end and the last sample that is not 0; None for a note that is not heard."""
    events = (0, b"\xb0\x5b\x00"), (0, bytes((0x90, 69, velocity))), (1, b"\x80\x45\x00"), (8, b"\xb0\x01\x00")
    heard = np.flatnonzero(render(font({(0, 0): [((38, 2400),)]}), *events).any(axis=1))
    return heard[-1] / RATE - 1 if len(heard) else None


seen = {velocity: ring(velocity) for velocity in (127, 80, 40, 20, 4)}
for velocity, seconds in seen.items():
    print(f"velocity {velocity}: " + ("not heard" if seconds is None else f"rings for {seconds:.2f} s"))
as_described = seen[127] > 1.8 and seen[40] < 1.4 and 0 < seen[20] < 0.8 and seen[4] is None
sys.exit(0 if as_described else "changed: soft notes ring otherwise now")
PYTHON
