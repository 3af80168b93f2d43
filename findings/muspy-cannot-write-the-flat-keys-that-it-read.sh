#!/usr/bin/env bash
# muspy 0.5.0 with mido 1.3.3, 2026-11-30.
# Expected: muspy.read_midi(path).write_midi(copy) writes a file in each of the 30 keys of key signatures, with the same signature.
# Seen: three of the commonest, E flat, A flat and B flat major, cannot be written: ValueError, invalid key 'D#' ('G#', 'A#'), and no
#   music is written at all, since the writer knows sharps only. Of the 27 others six come back with another signature: D flat major
#   as C sharp major (seven sharps for five flats), B flat minor as A sharp minor.
# To do: set music.key_signatures = [] before writing, and put the signatures of the original file into the written one with mido.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check muspy==0.5.0 mido==1.3.3 numpy==2.4.6
venv/bin/python -W ignore - <<'PYTHON'
import sys

import mido
import muspy

MAJOR = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
MINOR = ("Abm", "Ebm", "Bbm", "Fm", "Cm", "Gm", "Dm", "Am", "Em", "Bm", "F#m", "C#m", "G#m", "D#m", "A#m")


def key_of_copy(key):
    """What a copy by muspy of a one-note file in `key` says: a key's name, or the error."""
    messages = [mido.MetaMessage("key_signature", key=key), mido.Message("note_on", note=60), mido.Message("note_off", note=60, time=480)]
    mido.MidiFile(type=0, ticks_per_beat=480, tracks=[mido.MidiTrack(messages)]).save("song.mid")
    try:
        muspy.read_midi("song.mid").write_midi("copy.mid")
    except ValueError as error:
        return str(error)
    return next(message.key for track in mido.MidiFile("copy.mid").tracks for message in track if message.type == "key_signature")


seen = {key: key_of_copy(key) for key in MAJOR + MINOR}
other = {key: copy for key, copy in seen.items() if copy != key}
for key, copy in other.items():
    print(f"{key}: {copy}")
as_described = other == {
    "Cb": "B",
    "Gb": "F#",
    "Db": "C#",
    "Ab": "invalid key 'G#'",
    "Eb": "invalid key 'D#'",
    "Bb": "invalid key 'A#'",
    "Abm": "G#m",
    "Ebm": "D#m",
    "Bbm": "A#m",
}
sys.exit(0 if as_described else "changed: keys are written otherwise now")
PYTHON
