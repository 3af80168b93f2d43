#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile 1.2.2), one sine of 0.49 of full scale in five formats, read with dtype="int16"; 2026-12-01.
# Expected: about 16,000 at the peak from each of them: they are the same sound, and full scale is 32,767.
# Seen: FLAC, MP3, OGG Vorbis and Opus give that. WAV with float samples (what most audio software exports) gives 0 throughout: its
#   numbers are rounded, not scaled, so a sound below half of full scale is silence and a louder one 1, 0 and -1. The Vorbis, Opus
#   and MP3 decoders make floats as well, so "it is a float format" does not tell which file is scaled.
# To do: read float32 and scale yourself.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check soundfile==0.14.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import sys

import numpy as np
import soundfile

sine = 0.49 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)
peaks = {}
for kind, subtype in (("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS")):
    soundfile.write("a.sound", sine, 48000, format=kind, subtype=subtype)
    integers, _ = soundfile.read("a.sound", dtype="int16")
    floats, _ = soundfile.read("a.sound", dtype="float32")
    peaks[subtype] = (int(np.abs(integers.astype(int)).max()), float(np.abs(floats).max()))
    print(f"{kind} {subtype}: peak {peaks[subtype][0]} as int16, {peaks[subtype][1]:.3f} as float32")
scaled = {name: abs(integer / (32768 * floating) - 1) < 0.01 for name, (integer, floating) in peaks.items()}
as_described = peaks["FLOAT"][0] == 0 and peaks["FLOAT"][1] > 0.48 and all(ok for name, ok in scaled.items() if name != "FLOAT")
sys.exit(0 if as_described else "changed: float WAV is scaled, or other formats are not")
PYTHON
