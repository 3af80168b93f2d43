#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile 1.2.2 in its wheel, mpg123 inside), an MP3 that it wrote itself: ten tones, one a second; 2026-12-01.
# Expected: SoundFile.blocks(), or read(frames) again and again, gives the samples that one read of the whole file gives, as it does
#   for WAV, FLAC and OGG. Reading from a start (`soundfile.read(path, start=…)`) gives the same samples too.
# Seen: after every read soundfile seeks to where it already is, and a seek in an MP3 throws away what the decoder had kept of the
#   frames before: the next frames are silent or wrong. In blocks of 4,096 frames a quarter of the samples differ and the error is
#   6 dB below the sound; in blocks of half a second attacks that lie at the seams are lost; read(start=) is wrong for 30 ms.
# To do: read MP3 in one pass through a subclass whose seekable() is False (nothing then seeks; equal to the whole read), or at once.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check soundfile==0.14.0 numpy==2.4.6
venv/bin/python - <<'PYTHON' 2>/dev/null
import sys

import numpy as np
import soundfile

RATE, SECONDS = 44100, 10
t = np.arange(RATE // 2) / RATE
sound = np.zeros(RATE * SECONDS, np.float32)
for k in range(SECONDS):
    begin = k * RATE + 100
    sound[begin : begin + len(t)] = 0.8 * np.sin(2 * np.pi * 440 * 2 ** (k / 12) * t) * np.exp(-5 * t)


class InOnePass(soundfile.SoundFile):
    def seekable(self):
        return False


def in_blocks(opener, path, frames):
    with opener(path) as file:
        blocks = []
        while len(block := file.read(frames, dtype="float32")):
            blocks.append(block)
    return np.concatenate(blocks)


def decibels(read, whole):
    """Level of the error below the sound; infinite where there is none."""
    error = float(((read - whole) ** 2).sum())
    return 10 * np.log10(float((whole**2).sum()) / error) if error else np.inf


print(f"soundfile {soundfile.__version__}, {soundfile.__libsndfile_version__}")
below = {}
for kind, path in (("FLAC", "a.flac"), ("OGG", "a.ogg"), ("MP3", "a.mp3")):
    soundfile.write(path, sound, RATE)
    whole, _ = soundfile.read(path, dtype="float32")
    for frames in (4096, RATE // 2):
        below[kind, frames] = decibels(in_blocks(soundfile.SoundFile, path, frames), whole)
        print(f"{kind}, blocks of {frames}: error {below[kind, frames]:.0f} dB below the sound")
in_one_pass = decibels(in_blocks(InOnePass, "a.mp3", 4096), whole)
print(f"MP3, blocks of 4096, seekable() False: error {in_one_pass:.0f} dB below the sound")
start = 2 * RATE
part, _ = soundfile.read("a.mp3", start=start, frames=3000, dtype="float32")
wrong = np.flatnonzero(np.abs(part - whole[start : start + 3000]) > 0.01)
print(f"read(start={start}): {len(wrong)} of 3000 samples wrong, the last at {wrong.max(initial=-1)}")
others_fine = all(below[kind, frames] > 60 for kind, frames in below if kind != "MP3")
as_described = others_fine and below["MP3", 4096] < 20 and below["MP3", RATE // 2] < 20 and in_one_pass > 100 and len(wrong) > 500
sys.exit(0 if as_described else "changed: an MP3 read in blocks is what is read at once")
PYTHON
