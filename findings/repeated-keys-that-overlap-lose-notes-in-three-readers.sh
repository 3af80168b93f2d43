#!/usr/bin/env bash
# symusic 0.5.9, miditoolkit 1.0.1, pretty_midi 0.2.11.post0, music21 10.5.1 and partitura 1.9.0 read one file; 2026-11-30.
# Expected: c' struck at ticks 0 and 470, let go at 480 and 950 (two quarters, the second ten ticks early, as legato is played or two voices
#   on one channel meet), is two notes of 480 ticks: the first note-off ends the note that has been held longest. In any case two
#   note-ons are two notes.
# Seen: symusic and miditoolkit give the two notes. In pretty_midi and music21 the first note-off ends both, so that the second is 10 ticks long and its
#   own note-off is passed over. In partitura the first note is gone and the second is 10 ticks long; it
#   warns of the second note-off, not of the lost note. The others say nothing.
# To do: read with symusic or miditoolkit, or, before one of the three gets a file, move the note-off of a key that is struck again to just
#   before the second note-on; count note-ons and notes when a corpus is read.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check symusic==0.5.9 miditoolkit==1.0.1 pretty_midi==0.2.11.post0 \
  music21==10.5.1 partitura==1.9.0 mido==1.3.3 numpy==2.4.6
venv/bin/python -W ignore - <<'PYTHON'
import pathlib
import struct
import sys

import miditoolkit
import music21
import partitura
import pretty_midi
from symusic import Score

PATH = "song.mid"
events = bytes.fromhex("00 90 3c 64  83 56 90 3c 64  0a 80 3c 40  83 56 80 3c 40  00 ff 2f 00")  # deltas 0, 470, 10, 470
header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480)
pathlib.Path(PATH).write_bytes(header + b"MTrk" + struct.pack(">I", len(events)) + events)


def by_symusic():
    return [(note.time, note.end) for track in Score(PATH).tracks for note in track.notes]


def by_miditoolkit():
    return [(note.start, note.end) for part in miditoolkit.MidiFile(PATH).instruments for note in part.notes]


def by_pretty_midi():
    song = pretty_midi.PrettyMIDI(PATH)
    return [(song.time_to_tick(note.start), song.time_to_tick(note.end)) for part in song.instruments for note in part.notes]


def by_music21():
    notes = music21.converter.parse(PATH, quantizePost=False).flatten().notes
    return [(round(480 * note.offset), round(480 * (note.offset + note.quarterLength))) for note in notes]


def by_partitura():
    return [(note["note_on_tick"], note["note_off_tick"]) for part in partitura.load_performance_midi(PATH) for note in part.notes]


seen = {}
for read in (by_symusic, by_miditoolkit, by_pretty_midi, by_music21, by_partitura):
    seen[read.__name__] = sorted((int(start), int(end)) for start, end in read())
    print(f"{read.__name__}: notes from and to ticks {seen[read.__name__]}")
both, cut, lost = [(0, 480), (470, 950)], [(0, 480), (470, 480)], [(470, 480)]
as_described = list(seen.values()) == [both, both, cut, cut, lost]
sys.exit(0 if as_described else "changed: repeated keys are read otherwise now")
PYTHON
