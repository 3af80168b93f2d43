#!/usr/bin/env bash
# symusic 0.5.9's Synthesizer, with the SoundFont TimGM6mb.sf2 that pretty_midi 0.2.11.post0 carries; 2026-11-30.
# Expected: a SoundFont 2 zone may override its sample's root key (generator 58), and players follow it, so that the grand
#   piano's a' sounds at 440 Hz.
# Seen: a' sounds a semitone low, at every sample rate (other keys are off by other amounts, up or down). The synthesizer goes by the root key in the sample's
#   header, which differs from the zone's for these samples.
# To do: write the zones' root keys into sample headers of their own before symusic gets the font, or render with another
#   synthesizer.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check symusic==0.5.9 numpy==2.4.6 pretty_midi==0.2.11.post0
venv/bin/python - <<'PYTHON'
import pathlib
import sys

import numpy as np
import pretty_midi
from symusic import Note, Score, Synthesizer, Track

FONT = next(pathlib.Path(pretty_midi.__file__).parent.rglob("TimGM6mb.sf2"))


def cents_off(pitch, rate):
    """How far the strongest partial near the note's frequency lies from it."""
    score, track = Score(480), Track(program=0)
    track.notes.append(Note(0, 1920, pitch, 100))
    score.tracks.append(track)
    sound = np.asarray(Synthesizer(str(FONT), rate, 0).render(score)).mean(axis=0)[rate // 5 : rate]
    size = 1 << 20
    strength = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), size))
    frequency = np.fft.rfftfreq(size, 1 / rate)
    right = 440 * 2 ** ((pitch - 69) / 12)
    near = (frequency > right * 2 ** (-1.6 / 12)) & (frequency < right * 2 ** (1.6 / 12))
    return 1200 * np.log2(frequency[near][strength[near].argmax()] / right)


seen = {rate: cents_off(69, rate) for rate in (32000, 44100, 48000)}
for rate, cents in seen.items():
    print(f"a' at {rate} samples a second: {cents:+.0f} cents")
sys.exit(0 if all(-120 < cents < -80 for cents in seen.values()) else "changed: the note is elsewhere now")
PYTHON
