"""How many notes of real music lie outside the range of their instrument, by set and by instrument.

python benchmarks/ranges.py FOLDER…
"""

import sys
from collections import Counter
from pathlib import Path

import numpy as np

from analysis.errors import MeloError
from analysis.midi import read_midi
from meloctl.rows.general_midi import instrument_name
from meloctl.score.ranges import range_of


def counts(folder: Path) -> tuple[Counter[str], Counter[str]]:
    """(notes, notes outside) of each instrument in a folder's files that can be read."""
    notes, outside = Counter[str](), Counter[str]()
    for path in sorted(folder.rglob("*.mid")):
        try:
            piece = read_midi(path)
        except MeloError:
            continue
        for i, part in enumerate(piece.parts):
            name, (low, high) = (
                instrument_name(part.program, part.is_drum),
                range_of(part.program, is_drum=part.is_drum),
            )
            pitch = piece.notes.pitch[piece.notes.part == i]
            notes[name] += len(pitch)
            outside[name] += int(np.sum((pitch < low) | (pitch > high)))
    return notes, outside


def main(folders: list[str]) -> None:
    notes, outside = Counter[str](), Counter[str]()
    for folder in map(Path, folders):
        some, out = counts(folder)
        print(f"{folder.name}: {out.total():,} of {some.total():,} notes, {out.total() / some.total():.3%}")
        notes, outside = notes + some, outside + out
    for name in sorted(outside, key=lambda name: -outside[name] / notes[name]):
        print(f"  {name}: {outside[name]:,} of {notes[name]:,}, {outside[name] / notes[name]:.1%}")


if __name__ == "__main__":
    main(sys.argv[1:])
