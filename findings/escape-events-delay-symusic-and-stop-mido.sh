#!/usr/bin/env bash
# symusic 0.5.9 and mido 1.3.3, two readers of Standard MIDI Files; 2026-11-30.
# Expected: an escape event (F7, a length, that many bytes to be sent as they are; here the one byte FA, "start") takes no time,
#   and both readers find the note behind it at tick 480. Standard MIDI Files 1.0 allows it anywhere between events.
# Seen: symusic finds the note at tick 481: it reads the length as a delta time. Each further escape event adds to the error, and
#   the longer its data, the more. mido refuses the whole file ("data byte must be in range 0..127"), for the bytes that escape
#   events exist for.
# To do: before symusic or mido reads a file, turn each escape event into a text event (FF 01) of the same length.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check symusic==0.5.9 mido==1.3.3 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import io
import struct
import sys

import mido
from symusic import Score


def song(between):
    """Two quarters, c' and e', one after the other, with an event between them."""
    events = bytes.fromhex("00 90 3c 64  83 60 80 3c 40") + between + bytes.fromhex("00 90 40 64  83 60 80 40 40  00 ff 2f 00")
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480) + b"MTrk" + struct.pack(">I", len(events)) + events


def by_symusic(data):
    return [note.time for track in Score.from_midi(data).tracks for note in track.notes]


def by_mido(data):
    try:
        now, onsets = 0, []
        for message in mido.MidiFile(file=io.BytesIO(data)).tracks[0]:
            now += message.time
            if message.type == "note_on":
                onsets.append(now)
        return onsets
    except Exception as error:
        return str(error)


seen = {}
for name, between in (("nothing", b""), ("text event", bytes.fromhex("00 ff 01 01 61")), ("escape event", bytes.fromhex("00 f7 01 fa"))):
    data = song(between)
    seen[name] = (by_symusic(data), by_mido(data))
    print(f"{name} between the notes: symusic {seen[name][0]}, mido {seen[name][1]}")
right = ([0, 480], [0, 480])
as_described = (
    seen["nothing"] == right
    and seen["text event"] == right
    and seen["escape event"][0] == [0, 481]
    and "data byte must be in range" in str(seen["escape event"][1])
)
sys.exit(0 if as_described else "changed: escape events are read otherwise now")
PYTHON
