#!/usr/bin/env bash
# miditoolkit 1.0.1 with mido 1.3.3; 2026-11-30.
# Expected: a file whose last note ends at a bar line ends there, so that it is one bar of 4/4 long (2 seconds) and loops.
# Seen: End of Track stands one tick behind the last event of each track, also of the track that holds no notes (tick 1).
#   A program that counts bars by the file's end counts one more.
# To do: set the time of each track's end_of_track message to 0 after MidiFile.dump, or write with mido.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check miditoolkit==1.0.1 mido==1.3.3 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import sys

import mido
from miditoolkit import Instrument, MidiFile, Note

file = MidiFile(ticks_per_beat=480)
piano = Instrument(program=0)
piano.notes.append(Note(velocity=100, pitch=60, start=0, end=1920))
file.instruments.append(piano)
file.dump("bar.mid")
written = mido.MidiFile("bar.mid")
ends = [sum(message.time for message in track) for track in written.tracks]
print(f"End of Track at ticks {ends}, {written.length:.4f} seconds")
sys.exit(0 if ends == [1, 1921] else "changed: tracks end elsewhere now")
PYTHON
