#!/usr/bin/env bash
# symusic 0.5.9, miditoolkit 1.0.1, pretty_midi 0.2.11.post0, music21 10.5.1 and partitura 1.9.0, beside the player midirenderer 0.1.3
#   (with the SoundFont TimGM6mb.sf2 of pretty_midi); 2026-11-30.
# Expected: controller 123 (All Notes Off) ends the notes of its channel, so that an organ's c' struck at tick 0, with controller 123
#   at 480 and no note-off of its own, is a quarter. MIDI 1.0 says so, and players do it: midirenderer's note falls silent at 480.
# Seen: none of the five readers has the note: not a quarter, not a long one, none at all, without a word. The e' behind it,
#   with a note-off of its own, is there.
# To do: before such a library reads a file, write a note-off for each open note of a channel in the place of controllers 120 and 123.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check symusic==0.5.9 miditoolkit==1.0.1 pretty_midi==0.2.11.post0 \
  music21==10.5.1 partitura==1.9.0 midirenderer==0.1.3 mido==1.3.3 numpy==2.4.6
venv/bin/python -W ignore - <<'PYTHON'
import pathlib
import struct
import sys

import midirenderer
import miditoolkit
import music21
import numpy as np
import partitura
import pretty_midi
from symusic import Score

PATH, RATE = "song.mid", 48000
FONT = next(pathlib.Path(pretty_midi.__file__).parent.rglob("TimGM6mb.sf2"))
# an organ's c' from tick 0, All Notes Off at 480, e' from 1440 to 1920, End of Track; a quarter is half a second
events = bytes.fromhex("00 c0 10  00 90 3c 64  83 60 b0 7b 00  87 40 90 40 64  83 60 80 40 40  00 ff 2f 00")
header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480)
song = header + b"MTrk" + struct.pack(">I", len(events)) + events
pathlib.Path(PATH).write_bytes(song)

readers = {
    "symusic": lambda: [note.pitch for track in Score(PATH).tracks for note in track.notes],
    "miditoolkit": lambda: [note.pitch for part in miditoolkit.MidiFile(PATH).instruments for note in part.notes],
    "pretty_midi": lambda: [note.pitch for part in pretty_midi.PrettyMIDI(PATH).instruments for note in part.notes],
    "music21": lambda: [note.pitch.midi for note in music21.converter.parse(PATH).flatten().notes],
    "partitura": lambda: [note["midi_pitch"] for part in partitura.load_performance_midi(PATH) for note in part.notes],
}
seen = {name: [int(pitch) for pitch in read()] for name, read in readers.items()}
for name, pitches in seen.items():
    print(f"{name}: keys {pitches}")
sound = np.frombuffer(midirenderer.render_wave_from(FONT.read_bytes(), song), dtype="<i2", offset=44).reshape(-1, 2) / 32768
held, after = (np.sqrt((sound[int(a * RATE) : int(b * RATE)] ** 2).mean()) for a, b in ((0.2, 0.45), (1.2, 1.45)))
fall = 20 * np.log10(held / max(after, 1e-9))
print(f"midirenderer: the note sounds at {held:.3f} before All Notes Off, {fall:.0f} dB softer 0.7 s behind it")
as_described = all(pitches == [64] for pitches in seen.values()) and held > 0.005 and fall > 30
sys.exit(0 if as_described else "changed: All Notes Off is read otherwise now")
PYTHON
