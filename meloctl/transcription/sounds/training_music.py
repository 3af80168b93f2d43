"""Music to be played: lines of pieces, and lines drawn at random, in seconds as a metronome would play them."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from analysis.errors import MeloError
from analysis.midi import read_midi

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Split = Literal["train", "validation", "test"]

_VALIDATION_SHARE, _TEST_SHARE = 10, 10
"""Percent of the pieces."""

_FEWEST_NOTES = 6
_MOST_LINES = 6
_MEDIAN_GAP_S = (0.18, 0.8)
"""Between the onsets of a piece's busiest part: what a piece's tempo is drawn for."""


@dataclass(frozen=True, eq=False)
class Line:
    """N notes of one part, in order of onset."""

    onset: Floats
    """(N,) seconds."""

    offset: Floats
    """(N,) seconds."""

    pitch: Integers
    """(N,) MIDI pitch."""

    def __len__(self) -> int:
        return len(self.onset)

    def take(self, index: npt.NDArray) -> "Line":
        """The notes at `index`, (M,) of integers or (N,) of booleans."""
        return Line(self.onset[index], self.offset[index], self.pitch[index])


def sorted_line(onset: Floats, offset: Floats, pitch: Integers) -> Line:
    """The line of these notes, sorted by onset, then pitch.

    Args:
        onset: (N,) seconds.
        offset: (N,) seconds.
        pitch: (N,) MIDI pitch.
    """
    line = Line(np.asarray(onset, float), np.asarray(offset, float), np.asarray(pitch, np.int64))
    return line.take(np.lexsort((line.pitch, line.onset)))


def split_of(path: Path) -> Split:
    """The split that a piece belongs to, by the hash of its file's name without a movement's number ("-m2")."""
    name = re.sub(r"-m\d+$", "", path.stem)
    place = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 100
    if place < _VALIDATION_SHARE:
        return "validation"
    return "test" if place < _VALIDATION_SHARE + _TEST_SHARE else "train"


def excerpt(files: Sequence[Path], rng: np.random.Generator, seconds: float) -> list[Line]:
    """Lines that sound together for so long, of a piece of `files` drawn at random, at a tempo drawn at random.

    A file that cannot be read, or has no two lines there, gives way to another; after twenty of them, lines at random.
    """
    for _ in range(20 if len(files) else 0):
        lines = _piece_lines(files[int(rng.integers(len(files)))])
        if len(lines) < 2:
            continue
        cut = _cut(lines, rng, seconds)
        if len(cut) >= 2:
            return [cut[i] for i in rng.permutation(len(cut))[:_MOST_LINES]]
    return [random_line(rng, seconds) for _ in range(rng.integers(2, 5))]


def _piece_lines(path: Path) -> list[Line]:
    """The lines of a file in quarter notes; none, where it cannot be read."""
    try:
        piece = read_midi(path)
    except MeloError:
        return []
    notes, quarter = piece.notes, piece.ticks_per_quarter
    lines = []
    for number, part in enumerate(piece.parts):
        own = notes.part == number
        if not part.is_drum and own.sum() > _FEWEST_NOTES:
            onset = notes.onset_tick[own] / quarter
            lines.append(sorted_line(onset, onset + notes.duration_tick[own] / quarter, notes.pitch[own]))
    return lines


def _cut(lines: list[Line], rng: np.random.Generator, seconds: float) -> list[Line]:
    """The same bars of each line, in seconds; lines that rest there are left out."""
    gaps = [float(np.median(np.diff(np.unique(line.onset)))) for line in lines if len(np.unique(line.onset)) > 2]
    if not gaps:
        return []
    scale = np.exp(rng.uniform(*np.log(_MEDIAN_GAP_S))) / max(min(gaps), 0.05)
    end = max(float(line.offset.max()) for line in lines) * scale
    start = rng.uniform(0, max(end - seconds, 1e-3))
    cut = []
    for line in lines:
        onset, offset = line.onset * scale - start, line.offset * scale - start
        inside = (onset >= 0) & (onset < seconds - 0.1)
        if inside.sum() >= _FEWEST_NOTES:
            cut.append(Line(onset[inside], np.minimum(offset[inside], seconds), line.pitch[inside]))
    return cut


def random_line(rng: np.random.Generator, seconds: float) -> Line:
    """A melody, or chords, of random steps, leaps, repeated notes and rests, around a random register."""
    beat = np.exp(rng.uniform(np.log(0.14), np.log(0.9)))
    center = rng.uniform(34, 92)
    chord = int(rng.choice([1, 1, 1, 2, 3]))
    steps, stay, rests = rng.choice([1.5, 3.0, 6.0]), rng.choice([0.05, 0.15, 0.4]), rng.choice([0.02, 0.1, 0.25])
    time, pitch = rng.uniform(0, 0.8), center
    onset, offset, pitches = [], [], []
    while time < seconds - 0.15:
        length = beat * rng.choice([0.5, 1, 1, 1, 1.5, 2, 3, 6], p=[0.2, 0.2, 0.15, 0.15, 0.08, 0.12, 0.07, 0.03])
        if rng.random() > stay:
            pitch += rng.choice([-12, 12]) if rng.random() < 0.03 else round(rng.normal(0.1 * (center - pitch), steps))
        for extra in range(chord):
            onset.append(time)
            offset.append(min(time + length, seconds))
            pitches.append(int(np.clip(pitch + (extra and rng.integers(3, 9) * extra), 24, 104)))
        time += length + (rng.exponential(beat) if rng.random() < rests else 0)
    return sorted_line(np.array(onset), np.array(offset), np.array(pitches))
