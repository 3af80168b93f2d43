#!/usr/bin/env bash
# symusic 0.5.9, miditoolkit 1.0.1, pretty_midi 0.2.11.post0, music21 10.5.1 and partitura 1.9.0, beside the player midirenderer 0.1.3
#   (with the SoundFont TimGM6mb.sf2 of pretty_midi); 2026-11-30.
# Expected: a program change acts on its channel, whichever track of a format 1 file it stands in, since the tracks are played together: with
#   program 40 for channel 1 in the first track and channel 1's notes in the second the part is a violin.
#   midirenderer's sound is that of the same file with the program in the notes' own track, to the sample.
# Seen: for symusic, miditoolkit and pretty_midi the part is program 0, a piano; music21 has no instrument for it, and in partitura the notes' part has no
#   program. What is counted, filtered or written back by instrument is wrong, and no reader says a word.
# To do: before such a library reads a file, copy each program change that is in force on a channel into the tracks that have notes there.
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
import partitura
import pretty_midi
from symusic import Score

FONT = next(pathlib.Path(pretty_midi.__file__).parent.rglob("TimGM6mb.sf2"))
PROGRAM, NOTE, END = (bytes.fromhex(text) for text in ("00 c0 28", "00 90 3c 64 83 60 80 3c 40", "00 ff 2f 00"))


def song(*tracks):
    chunks = b"".join(b"MTrk" + struct.pack(">I", len(track)) + track for track in tracks)
    return b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), 480) + chunks


def by_music21(path):
    parts = [part for part in music21.converter.parse(path).parts if part.flatten().notes]
    return [instrument.midiProgram for part in parts for instrument in part.recurse().getElementsByClass("Instrument")]


readers = {
    "symusic": lambda path: [track.program for track in Score(path).tracks if track.notes],
    "miditoolkit": lambda path: [int(part.program) for part in miditoolkit.MidiFile(path).instruments if part.notes],
    "pretty_midi": lambda path: [int(part.program) for part in pretty_midi.PrettyMIDI(path).instruments if part.notes],
    "music21": by_music21,
    "partitura": lambda path: [
        change["program"] for part in partitura.load_performance_midi(path) if part.notes for change in part.programs
    ],
}
files = {"own": song(END, PROGRAM + NOTE + END), "other": song(PROGRAM + END, NOTE + END), "no": song(END, NOTE + END)}
seen, sound = {}, {}
for name, data in files.items():
    path = f"{name}.mid"
    pathlib.Path(path).write_bytes(data)
    seen[name] = {reader: read(path) for reader, read in readers.items()}
    sound[name] = midirenderer.render_wave_from(FONT.read_bytes(), data)
    print(f"program 40 in {name} track: {seen[name]}")
same = sound["other"] == sound["own"] != sound["no"]
print(f"midirenderer plays the program of another track as that of its own: {same}")
as_described = (
    same
    and all(programs == [40] for programs in seen["own"].values())
    and list(seen["other"].values()) == [[0], [0], [0], [], []]
)
sys.exit(0 if as_described else "changed: programs of other tracks are read otherwise now")
PYTHON
