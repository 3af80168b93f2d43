#!/usr/bin/env bash
# symusic 0.5.9, miditoolkit 1.0.1 and pretty_midi 0.2.11.post0, beside mido 1.3.3; 2026-11-30.
# Expected: a file that is read and written back selects the same presets. A bank select (controllers 0 and 32) takes effect with the next program
#   change of its channel (MIDI 1.0), so it has to stay before it; the file below selects bank 8, program 5.
# Seen: all three write the program change first and the controllers of its tick behind it. A receiver takes program 5 of bank 0, and
#   bank 8 with the next program change, if there is one: variations and kits of GS, XG and General MIDI 2 are lost. mido writes the file as it was.
#   Read back by the same library the controllers are as before, so a comparison of what is read does not show it.
# To do: edit such files with mido, or move the controllers 0 and 32 of each tick before its program change after writing.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check symusic==0.5.9 miditoolkit==1.0.1 pretty_midi==0.2.11.post0 \
  mido==1.3.3 numpy==2.4.6
venv/bin/python -W ignore - <<'PYTHON'
import pathlib
import struct
import sys

import mido
import miditoolkit
import pretty_midi
from symusic import Score

# controllers 0 = 8 and 32 = 0, program 5, c' for a quarter, End of Track
events = bytes.fromhex("00 b0 00 08  00 b0 20 00  00 c0 05  00 90 3c 64  83 60 80 3c 40  00 ff 2f 00")
header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480)
pathlib.Path("song.mid").write_bytes(header + b"MTrk" + struct.pack(">I", len(events)) + events)


def preset_of_first_note(path):
    """Bank (MSB) and program of a receiver at the first note of a file of one part."""
    bank, preset = 0, (0, 0)
    for message in (message for track in mido.MidiFile(path).tracks for message in track):
        if message.type == "control_change" and message.control == 0:
            bank = message.value
        elif message.type == "program_change":
            preset = bank, message.program
        elif message.type == "note_on":
            return preset


writers = {
    "mido": lambda path: mido.MidiFile("song.mid").save(path),
    "symusic": lambda path: Score("song.mid").dump_midi(path),
    "miditoolkit": lambda path: miditoolkit.MidiFile("song.mid").dump(path),
    "pretty_midi": lambda path: pretty_midi.PrettyMIDI("song.mid").write(path),
}
print(f"the file: bank and program {preset_of_first_note('song.mid')}")
seen = {}
for name, write in writers.items():
    write(f"{name}.mid")
    seen[name] = preset_of_first_note(f"{name}.mid")
    print(f"written back by {name}: {seen[name]}")
as_described = preset_of_first_note("song.mid") == (8, 5) and list(seen.values()) == [(8, 5), (0, 5), (0, 5), (0, 5)]
sys.exit(0 if as_described else "changed: bank selects are written elsewhere now")
PYTHON
