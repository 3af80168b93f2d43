"""The mixes on which transcription is measured: sums of real stems, and of rendered ones."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

RATE = 22_050
SYNTHETIC_MIXES = 12
"""Of each number of parts, where the library has so many."""

PEAK = 0.99
"""A sum of stems that is louder is made softer, down to this peak."""


@dataclass(frozen=True)
class MeasuredMix:
    """One sound with the notes in it."""

    name: str
    collection: str
    parts: int
    samples: npt.NDArray[np.float32]
    """(n,) mono, 22,050 Hz."""

    notes: npt.NDArray[np.float64]
    """(N, 4): onset and offset in seconds, MIDI pitch, part from 0."""


def bach10_mixes(folder: Path, quick: bool = False) -> Iterator[MeasuredMix]:
    """Each part, pair, triple and quartet of the pieces in `folder` (20, 30, 20, 5); `quick` takes the first piece only.

    The folder holds PIECE-notes.csv (part,onset_s,offset_s,pitch) and PIECE-PART.flac for each part.
    """
    for table in sorted(folder.glob("*-notes.csv"))[: 1 if quick else None]:
        piece = table.name.removesuffix("-notes.csv")
        with table.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
        parts = sorted({row["part"] for row in rows})
        stems = {part: _read(folder / f"{piece}-{part}.flac") for part in parts}
        for count in range(1, len(parts) + 1):
            for chosen in combinations(parts, count):
                notes = [
                    (float(row["onset_s"]), float(row["offset_s"]), float(row["pitch"]), chosen.index(row["part"]))
                    for row in rows
                    if row["part"] in chosen
                ]
                yield MeasuredMix(
                    f"bach10/{piece}/{'+'.join(chosen)}",
                    "BACH10",
                    count,
                    mixed([stems[part] for part in chosen]),
                    np.array(sorted(notes)),
                )


def synthetic_mixes(folder: Path, quick: bool = False) -> Iterator[MeasuredMix]:
    """Mixes of 1 to 4 parts of the test split of a stem library: fonts, music and instruments that training never meets."""
    from meloctl.transcription.sounds.fixed_mixes import fixed_mixes
    from meloctl.transcription.sounds.stem_library import StemLibrary

    library = StemLibrary(folder, "test")
    for parts in (1, 2, 3, 4):
        for number, mix in enumerate(fixed_mixes(library, parts, 2 if quick else SYNTHETIC_MIXES)):
            columns = (mix.notes.onset, mix.notes.offset, mix.notes.pitch, mix.notes.part)
            name = f"synthetic/{parts}/{number}/{'+'.join(mix.instruments)}"
            yield MeasuredMix(name, "unheard fonts", parts, mix.samples, np.stack(columns, axis=1).astype(np.float64))


def mixed(stems: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """The sum of stems (n,) of any lengths, made softer where it would clip."""
    total = np.zeros(max(len(stem) for stem in stems), np.float32)
    for stem in stems:
        total[: len(stem)] += stem
    return total * np.float32(min(1.0, PEAK / max(float(np.abs(total).max()), 1e-9)))


def _read(path: Path) -> npt.NDArray[np.float32]:
    samples, rate = soundfile.read(path, dtype="float32")
    if rate != RATE or samples.ndim != 1:
        raise SystemExit(f"{path}: {rate} Hz, {samples.ndim} channels; this benchmark wants {RATE} Hz mono")
    return samples
