#!/usr/bin/env bash
# The SoundFont TimGM6mb.sf2 that pretty_midi 0.2.11.post0 carries, played by symusic 0.5.9 and tinysoundfont 0.3.7; 2026-11-30.
# Expected: a General MIDI instrument sounds at every key that a real one has. An alto saxophone plays d flat to a'' flat.
# Seen: the alto sax (program 65) has no zone for key 64: its e' is silent, in the middle of its range, while the keys around it
#   sound. The whistle (78) has none for keys 79 to 101, most of what a whistle plays; the baritone sax (67) ends at key 79. No
#   player says so: a note is missing from the sound and nothing else.
# To do: listen for silent keys before a font renders a corpus; let the zone of keys 62 and 63 reach to 64, or take another font.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check symusic==0.5.9 numpy==2.4.6 pretty_midi==0.2.11.post0
venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps tinysoundfont==0.3.7 # its pyaudio is for loudspeakers
venv/bin/python - <<'PYTHON'
import pathlib
import sys

import numpy as np
import pretty_midi
import tinysoundfont
from symusic import Note, Score, Synthesizer, Track

FONT = next(pathlib.Path(pretty_midi.__file__).parent.rglob("TimGM6mb.sf2"))
ALTO_SAX = 65
symusic = Synthesizer(str(FONT), 44100, 0)


def peak_of_symusic(pitch):
    score, track = Score(480), Track(program=ALTO_SAX)
    track.notes.append(Note(0, 480, pitch, 100))
    score.tracks.append(track)
    return float(np.abs(np.asarray(symusic.render(score))).max())


def peak_of_tinysoundfont(pitch):
    player = tinysoundfont.Synth(samplerate=44100)
    player.program_select(0, player.sfload(str(FONT)), 0, ALTO_SAX)
    player.noteon(0, pitch, 100)
    return float(np.abs(np.frombuffer(bytes(player.generate(22050)), dtype=np.float32)).max())


seen = {pitch: (peak_of_symusic(pitch), peak_of_tinysoundfont(pitch)) for pitch in range(60, 69)}
for pitch, (first, second) in seen.items():
    print(f"alto sax, key {pitch}: highest sample {first:.3f} by symusic, {second:.3f} by tinysoundfont")
silent = [pitch for pitch, peaks in seen.items() if max(peaks) == 0]
as_described = silent == [64] and all(min(peaks) > 0.01 for pitch, peaks in seen.items() if pitch != 64)
sys.exit(0 if as_described else "changed: other keys are silent now")
PYTHON
