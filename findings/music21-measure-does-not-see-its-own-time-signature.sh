#!/usr/bin/env bash
# music21 10.5.1; 2026-11-30.
# Expected: measure.getContextByClass("TimeSignature") is the metre of that measure, as it is for each note in it: of four measures, of which
#   the first (3/4), second (2/4) and fourth (1/4) begin with a signature of their own, the answers are 3/4, 2/4, 2/4, 1/4.
# Seen: None, 3/4, 2/4, 2/4. A measure that holds a signature at its start gets the one before it, since the search stops at the
#   measure itself, which sorts before what it holds; so the first measure has no metre, and every change comes a bar late. Keys
#   are found the same way. The documentation has it for a clef in a lone stream, among the "advanced uses", and not as what measures do.
# To do: ask with getElementMethod=ElementSearch.AT_OR_BEFORE_OFFSET, or ask a note of the measure; barDuration is right too. Not
#   bestTimeSignature(), which guesses from the notes and calls a bar of 3/4 with one note 6/8.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check music21==10.5.1 numpy==2.4.6
venv/bin/python -W ignore - <<'PYTHON'
import sys

from music21 import converter, key, meter, note, stream
from music21.common.enums import ElementSearch

KEYS = (1, -2, None, 4)
part = stream.Part()
for number, (metre, sharps, quarters) in enumerate(zip(("3/4", "2/4", None, "1/4"), KEYS, (3, 2, 2, 1)), 1):
    measure = stream.Measure(number=number)
    if metre is not None:
        measure.insert(0, meter.TimeSignature(metre))
        measure.insert(0, key.KeySignature(sharps))
    measure.insert(0, note.Note("C4", quarterLength=quarters))
    part.append(measure)
stream.Score([part]).write("musicxml", "song.musicxml")


def metre_of(signature):
    return signature and signature.ratioString


seen = {}
for name, music in (("built", part), ("read from MusicXML", converter.parse("song.musicxml").parts[0])):
    measures = list(music.getElementsByClass(stream.Measure))
    by_offset = {"getElementMethod": ElementSearch.AT_OR_BEFORE_OFFSET}
    seen[name] = {
        "the measure asked": [metre_of(m.getContextByClass("TimeSignature")) for m in measures],
        "its note asked": [metre_of(m.notes[0].getContextByClass("TimeSignature")) for m in measures],
        "barDuration, in quarters": [float(m.barDuration.quarterLength) for m in measures],
        "bestTimeSignature": [metre_of(m.bestTimeSignature()) for m in measures],
        "the measure asked by offset": [metre_of(m.getContextByClass("TimeSignature", **by_offset)) for m in measures],
        "sharps, the measure asked": [getattr(m.getContextByClass("KeySignature"), "sharps", None) for m in measures],
        "sharps, its note asked": [m.notes[0].getContextByClass("KeySignature").sharps for m in measures],
    }
    for question, answers in seen[name].items():
        print(f"{name}, {question}: {answers}")
right, late = ["3/4", "2/4", "2/4", "1/4"], [None, "3/4", "2/4", "2/4"]
described = [late, right, [3.0, 2.0, 2.0, 1.0], ["6/8", *right[1:]], right, [None, 1, -2, -2], [1, -2, -2, 4]]
as_described = all(list(answers.values()) == described for answers in seen.values())
sys.exit(0 if as_described else "changed: a measure finds other signatures now")
PYTHON
