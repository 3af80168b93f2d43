"""Stems of two instruments that a test can make in no time: tones of few harmonics, one after the other."""

from pathlib import Path

import numpy as np

from meloctl.transcription.notes import NoteTable
from meloctl.transcription.sounds.stem_library import STEM_RATE, STEM_SECONDS, InstrumentStems, StemLine, write_stems

STRENGTHS = {"packs": (1.0, 0.1, 0.6), "fluid": (0.5, 0.5, 0.0)}
"""Harmonics 1 to 3 of the instrument of each family."""

_BEAT_S = 0.5


def tones(pitches: list[int], strengths: tuple[float, ...]) -> tuple[np.ndarray, NoteTable]:
    """Sound (n,) of 16 bits, and notes of a melody that goes round, a tone each half second."""
    time = np.arange(round(STEM_SECONDS * STEM_RATE)) / STEM_RATE
    place = (time // _BEAT_S).astype(int)
    frequency = 440 * 2 ** ((np.resize(pitches, place.max() + 1)[place] - 69) / 12)
    envelope = np.minimum(1, (time % _BEAT_S) / 0.01) * (time % _BEAT_S < 0.45)
    sound = sum(s * np.sin(2 * np.pi * h * frequency * time) for h, s in enumerate(strengths, 1)) * envelope
    onset = np.arange(place.max() + 1) * _BEAT_S
    notes = NoteTable.of(onset, onset + 0.45, np.resize(pitches, len(onset)), loudness=np.full(len(onset), -20.0))
    return np.round(sound * 4000).astype(np.int16), notes


def write_sung_stems(folder: Path) -> Path:
    """Both splits in a folder: two groups, each of two lines, each line by an instrument of its own."""
    for split in ("train", "validation"):
        for number, (family, strengths) in enumerate(STRENGTHS.items()):
            lines = [[60 + 5 * number + step, 62, 67 + number] for step in range(2)]
            made = [tones(line, strengths) for line in lines]
            stems = InstrumentStems(
                instrument=f"{family} {number}",
                family=family,
                drums=False,
                stems=tuple(StemLine(group=group, line=number) for group in range(2)),
                dropped=(),
            )
            path = folder / split / f"{number:04}"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_stems(path, stems, np.stack([sound for sound, _ in made]), [notes for _, notes in made])
    return folder
