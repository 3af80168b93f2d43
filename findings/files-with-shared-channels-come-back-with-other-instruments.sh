#!/usr/bin/env bash
# symusic 0.5.9, miditoolkit 1.0.1 and pretty_midi 0.2.11.post0, beside mido 1.3.3; 2026-11-30.
# Expected: eight instruments in sixteen tracks (two hands, or two voices, of each on one channel, so that 8 of 16 channels are in
#   use), read and written back, sound as the same instruments. There is room for all of them.
# Seen: all three forget the channels and give each track one of its own, in order, past 10 for drums. The sixteenth track gets channel 1 again,
#   where its program change at tick 0 takes the place of the first track's: the piano plays as a flute. Read back by the same library
#   each track still has its program; only a player shows it. It takes 16 pitched tracks, not 16 channels. mido keeps all.
# To do: join tracks of one channel and program before writing, or edit with mido; never write more than 15 pitched tracks.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check symusic==0.5.9 miditoolkit==1.0.1 pretty_midi==0.2.11.post0 \
  mido==1.3.3 numpy==2.4.6
venv/bin/python -W ignore - <<'PYTHON'
import sys

import mido
import miditoolkit
import pretty_midi
from symusic import Score

PROGRAMS = (0, 24, 32, 40, 48, 56, 64, 73)  # piano, guitar, bass, violin, strings, trumpet, saxophone, flute

song = mido.MidiFile(ticks_per_beat=480, type=1)
for voice in range(2):
    for channel, program in enumerate(PROGRAMS):
        key = 48 + channel + 12 * voice
        messages = [mido.Message("program_change", channel=channel, program=program)]
        messages.append(mido.Message("note_on", channel=channel, note=key, velocity=100, time=480))
        messages.append(mido.Message("note_off", channel=channel, note=key, time=480))
        song.tracks.append(mido.MidiTrack(messages))
song.save("song.mid")


def instruments(path):
    """{key: program in force on its channel}; all programs stand at tick 0, all notes begin at tick 480."""
    messages = [message for track in mido.MidiFile(path).tracks for message in track]
    program = {message.channel: message.program for message in messages if message.type == "program_change"}
    return {message.note: program[message.channel] for message in messages if message.type == "note_on"}


writers = {
    "mido": lambda path: mido.MidiFile("song.mid").save(path),
    "symusic": lambda path: Score("song.mid").dump_midi(path),
    "miditoolkit": lambda path: miditoolkit.MidiFile("song.mid").dump(path),
    "pretty_midi": lambda path: pretty_midi.PrettyMIDI("song.mid").write(path),
}
right, wrong = instruments("song.mid"), {}
for name, write in writers.items():
    write(f"{name}.mid")
    back = instruments(f"{name}.mid")
    wrong[name] = {key: (right[key], back.get(key)) for key in right if back.get(key) != right[key]}
    print(f"{name}: keys whose program is another in the copy: {wrong[name]}")
first = {48: (0, 73)}
as_described = list(wrong.values()) == [{}, first, first, first]
sys.exit(0 if as_described else "changed: channels are given out otherwise now")
PYTHON
