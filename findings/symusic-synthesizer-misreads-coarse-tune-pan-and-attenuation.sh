#!/usr/bin/env bash
# symusic 0.5.9's Synthesizer, beside tinysoundfont 0.3.7, with a SoundFont of one sine; 2026-11-30.
# Expected, by SoundFont 2: coarse tune (generator 51) is in semitones, so 12 is an octave up; pan (17) is in tenths of a
#   percent, so 50 is a tenth of the way from the middle to the right; attenuation (48) is in centibels, so 480 is 48 dB softer.
# Seen: symusic never tunes by more than 120 cents (12 and -12 move a note by 120 cents); pan is taken for percents, so 50 and more
#   is the right channel alone; attenuation is 1 - n / 1000, so 480 is 5.7 dB softer. tinysoundfont does as expected.
#   Fonts whose layers lie octaves apart (organs) sound dissonant, and quiet layers as loud as the others.
# To do: before symusic gets a font, subtract coarse tune from the root key in the sample's header, divide pan by 10, and write
#   attenuation as 1000 (1 - 10^(-n / 200)), or render with another synthesizer.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check symusic==0.5.9 numpy==2.4.6
venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps tinysoundfont==0.3.7 # its pyaudio is for loudspeakers
venv/bin/python - <<'PYTHON'
import pathlib
import struct
import sys

import numpy as np
import tinysoundfont
from symusic import Note, Score, Synthesizer, Track

RATE = 44100


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def font(generator, amount):
    """A SoundFont of one preset: a looped sine of 440 Hz, at its own pitch on key 69, with one generator more."""
    sine = (9000 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype("<i2")
    zone = b"".join(struct.pack("<Hh", *pair) for pair in ((54, 1), (generator, amount), (53, 0), (0, 0)))
    lists = (
        (b"INFO", (b"ifil", struct.pack("<HH", 2, 1)), (b"isng", b"EMU8000\0"), (b"INAM", b"sine\0\0")),
        (b"sdta", (b"smpl", sine.tobytes() + b"\0" * 92)),
        (
            b"pdta",
            (b"phdr", struct.pack("<20sHHHIII20sHHHIII", b"sine", 0, 0, 0, 0, 0, 0, b"EOP", 0, 0, 1, 0, 0, 0)),
            (b"pbag", struct.pack("<HHHH", 0, 0, 1, 0)),
            (b"pmod", bytes(10)),
            (b"pgen", struct.pack("<HHHH", 41, 0, 0, 0)),
            (b"inst", struct.pack("<20sH20sH", b"sine", 0, b"EOI", 1)),
            (b"ibag", struct.pack("<HHHH", 0, 0, 3, 0)),
            (b"imod", bytes(10)),
            (b"igen", zone),
            (b"shdr", struct.pack("<20sIIIIIBbHH", b"sine", 0, RATE, 0, RATE, RATE, 69, 0, 0, 1) + b"EOS".ljust(46, b"\0")),
        ),
    )
    body = b"".join(chunk(b"LIST", name + b"".join(chunk(*part) for part in parts)) for name, *parts in lists)
    path = pathlib.Path(f"{generator}_{amount}.sf2")
    path.write_bytes(chunk(b"RIFF", b"sfbk" + body))
    return str(path)


def by_symusic(path):
    score, track = Score(480), Track(program=0)
    track.notes.append(Note(0, 1920, 69, 127))
    score.tracks.append(track)
    return np.asarray(Synthesizer(path, RATE, 0).render(score))


def by_tinysoundfont(path):
    player = tinysoundfont.Synth(samplerate=RATE)
    player.program_select(0, player.sfload(path), 0, 0)
    player.noteon(0, 69, 127)
    return np.frombuffer(bytes(player.generate(2 * RATE)), dtype=np.float32).reshape(-1, 2).T


def cents(sound):
    second = sound.sum(axis=0)[:RATE]
    size = 1 << 20
    return 1200 * np.log2(np.abs(np.fft.rfft(second * np.hanning(RATE), size)).argmax() * RATE / size / 440)


def level(sound):
    return np.sqrt((sound[:, RATE // 10 : RATE].astype(float) ** 2).mean(axis=1))


seen = {}
for name, render in (("symusic", by_symusic), ("tinysoundfont", by_tinysoundfont)):
    plain = level(render(font(48, 0)))
    octave = cents(render(font(51, 12)))
    left, right = level(render(font(17, 50)))
    softer = 20 * np.log10(plain.sum() / level(render(font(48, 480))).sum())
    seen[name] = octave, left / right, softer
    print(f"{name}: coarse tune 12 {octave:+.0f} cents, pan 50 left/right {left / right:.2f}, attenuation 480 {softer:.1f} dB softer")
octave, balance, softer = seen["symusic"]
right = seen["tinysoundfont"]
as_described = abs(octave - 120) < 3 and balance < 0.01 and 5 < softer < 6.5
as_expected = abs(right[0] - 1200) < 3 and 0.8 < right[1] < 1 and 47 < right[2] < 49
sys.exit(0 if as_described and as_expected else "changed: the synthesizers read these generators otherwise now")
PYTHON
