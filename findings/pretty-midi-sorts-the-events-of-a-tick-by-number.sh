#!/usr/bin/env bash
# pretty_midi 0.2.11.post0, beside symusic 0.5.9; the player midirenderer 0.1.3 with pretty_midi's SoundFont TimGM6mb.sf2; 2026-11-30.
# Expected: PrettyMIDI(path).write(copy) keeps the order of controllers and bends within a tick, since the order is their sense: controllers 101, 100, 6
#   (in this order) set the bend range; of two values at one tick the last is in force.
# Seen: controllers of a tick come back sorted by number and then value, bends by value. Data entry (6) stands before the
#   parameter that it is for (100, 101), so a bend range of 12 is lost and bends sound as 2 semitones; a pedal that goes down and up at one
#   tick (127, 0) is down for good (0, 127); a bend set to 0 and then to -4096 is 0. symusic keeps all three.
# To do: take files with RPNs, or with two values of a controller at one tick, through symusic or mido.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check symusic==0.5.9 pretty_midi==0.2.11.post0 midirenderer==0.1.3 \
  mido==1.3.3 numpy==2.4.6
venv/bin/python -W ignore - <<'PYTHON'
import pathlib
import struct
import sys

import midirenderer
import mido
import numpy as np
import pretty_midi
from symusic import Score

RATE = 48000
FONT = next(pathlib.Path(pretty_midi.__file__).parent.rglob("TimGM6mb.sf2")).read_bytes()
BEND_RANGE = "00 b0 65 00  00 b0 64 00  00 b0 06 0c"  # RPN 0 is 12 semitones
UP = "00 e0 7f 7f"
PEDAL = "00 b0 40 7f  00 b0 40 00"
TWO_BENDS = "00 e0 00 40  00 e0 00 20"


def song(before):
    """An ocarina's a' of one second behind the events of `before`."""
    events = bytes.fromhex("00 c0 4f" + before + "00 90 45 7f  87 40 80 45 40  00 ff 2f 00")
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480) + b"MTrk" + struct.pack(">I", len(events)) + events


def copies(data):
    pathlib.Path("song.mid").write_bytes(data)
    Score("song.mid").dump_midi("symusic.mid")
    pretty_midi.PrettyMIDI("song.mid").write("pretty_midi.mid")
    return {name: pathlib.Path(f"{name}.mid") for name in ("song", "symusic", "pretty_midi")}


def semitones(path):
    """Semitones above a' of the sound."""
    sound = np.frombuffer(midirenderer.render_wave_from(FONT, path.read_bytes()), dtype="<i2", offset=44).reshape(-1, 2)
    some = sound.sum(axis=1)[RATE // 5 : RATE * 9 // 10].astype(float)
    hertz = np.abs(np.fft.rfft(some * np.hanning(len(some)), 1 << 20)).argmax() * RATE / (1 << 20)
    return round(float(12 * np.log2(hertz / 440)))


def last(path, kind):
    messages = [message for track in mido.MidiFile(path).tracks for message in track if message.type == kind]
    return messages[-1].pitch if kind == "pitchwheel" else messages[-1].value


seen = {
    "a full bend with a range of 12, semitones": {name: semitones(path) for name, path in copies(song(BEND_RANGE + UP)).items()},
    "the pedal after 127, 0": {name: last(path, "control_change") for name, path in copies(song(PEDAL)).items()},
    "the bend after 0, -4096": {name: last(path, "pitchwheel") for name, path in copies(song(TWO_BENDS)).items()},
}
for what, values in seen.items():
    print(f"{what}: {values}")
as_described = [list(values.values()) for values in seen.values()] == [[12, 12, 2], [0, 0, 127], [-4096, -4096, 0]]
sys.exit(0 if as_described else "changed: the events of a tick are in another order now")
PYTHON
