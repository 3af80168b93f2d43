"""Stems on disk: the sound of one part alone, and its notes. A folder a split; in it two files an instrument.

`NNNN.npy` holds the sound of an instrument's stems, int16 (S, n) at `STEM_RATE`; `NNNN.safetensors` their notes, and, as JSON in
its header, who plays which line of which group. Lines of one group belong to one piece and one tempo.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from analysis.atomic_write import atomic_write
from analysis.errors import MeloError
from analysis.json_spec import JsonSpec
from meloctl.transcription.notes import NoteTable
from meloctl.transcription.sounds.note_samples import Samples
from meloctl.transcription.sounds.training_music import Split

STEM_RATE = 22_050
"""Samples a second of stems and mixes."""

STEM_SECONDS = 24.0

_HEADER_BYTES = 1 << 20
_COLUMNS = ("onset", "offset", "pitch", "loudness", "stem")
_SUFFIX = ".safetensors"


class StemLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which music a stem plays."""

    group: int
    """Stems of one group fit together; each drum track is a group of its own."""

    line: int
    """The line of the group's music that it plays."""


class InstrumentStems(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The stems of one instrument: the header of its file of notes."""

    noun: ClassVar = "list of stems"

    instrument: str
    family: str
    """Instruments of two families share no sample."""

    drums: bool
    stems: tuple[StemLine, ...]
    dropped: tuple[str, ...]
    """Notes of the instrument that were not used, and why."""


@dataclass(frozen=True, eq=False)
class Stem:
    """One part alone."""

    audio: Samples
    """(n,) at `STEM_RATE`."""

    notes: NoteTable
    instrument: str
    family: str


@dataclass(frozen=True, kw_only=True)
class StemPlace:
    """Where a stem lies, and what it plays."""

    file: int
    row: int
    group: int
    line: int
    instrument: str
    family: str
    drums: bool


def write_stems(path: Path, stems: InstrumentStems, audio: npt.NDArray[np.int16], notes: list[NoteTable]) -> None:
    """Write an instrument's stems: `path`.npy, then `path`.safetensors, each whole.

    Args:
        path: without a suffix.
        stems: who plays what.
        audio: (S, n) at `STEM_RATE`.
        notes: S tables, one a stem.
    """
    from safetensors.numpy import save_file

    columns = {
        name: np.concatenate([np.zeros(0), *(getattr(table, name) for table in notes)]).astype(kind)
        for name, kind in zip(_COLUMNS[:4], (np.float64, np.float64, np.int64, np.float32), strict=True)
    }
    columns["stem"] = np.repeat(np.arange(len(notes)), [len(table) for table in notes]).astype(np.int64)
    with atomic_write(path.with_suffix(".npy")) as partial, partial.open("wb") as file:
        np.save(file, audio, allow_pickle=False)
    with atomic_write(path.with_suffix(_SUFFIX)) as partial:
        save_file(columns, partial, {"stems": json.dumps(stems.to_json())})


class StemLibrary:
    """The stems of one split, which are read when they are wanted.

    Raises:
        MeloError: the folder holds none, or a file is damaged.
    """

    def __init__(self, folder: Path, split: Split) -> None:
        self.folder, self.split = folder / split, split
        self._audio: list[npt.NDArray[np.int16]] = []
        self._notes: list[list[NoteTable]] = []
        self.places: list[StemPlace] = []
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            stems, notes = _read_notes(path)
            self.places += [
                StemPlace(
                    file=len(self._audio),
                    row=row,
                    group=stem.group,
                    line=stem.line,
                    instrument=stems.instrument,
                    family=stems.family,
                    drums=stems.drums,
                )
                for row, stem in enumerate(stems.stems)
            ]
            self._audio.append(_mapped(path.with_suffix(".npy"), len(stems.stems)))
            self._notes.append(notes)
        if not self.places:
            raise MeloError(f"{self.folder}: no stems; build them first")

    @cached_property
    def groups(self) -> dict[int, dict[int, list[int]]]:
        """{group: {line: indices of stems that play it}}, without drums."""
        groups: dict[int, dict[int, list[int]]] = {}
        for index, place in enumerate(self.places):
            if not place.drums:
                groups.setdefault(place.group, {}).setdefault(place.line, []).append(index)
        return groups

    @cached_property
    def melodic(self) -> list[int]:
        """Indices of all stems but drums."""
        return [index for index, place in enumerate(self.places) if not place.drums]

    @cached_property
    def drums(self) -> list[int]:
        """Indices of drum tracks."""
        return [index for index, place in enumerate(self.places) if place.drums]

    @property
    def hours(self) -> float:
        """Sound of all stems."""
        return sum(audio.size for audio in self._audio) / STEM_RATE / 3600

    def __len__(self) -> int:
        return len(self.places)

    def read(self, index: int, start_s: float = 0.0, seconds: float = STEM_SECONDS) -> Stem:
        """Part of a stem; its notes count from `start_s`, and those that begin before it have an onset below 0."""
        place = self.places[index]
        first, last = round(start_s * STEM_RATE), round((start_s + seconds) * STEM_RATE)
        audio = self._audio[place.file][place.row, first:last].astype(np.float32) / np.float32(32768)
        notes = self._notes[place.file][place.row]
        begin = first / STEM_RATE
        inside = notes.take((notes.offset > begin) & (notes.onset < begin + seconds))
        shifted = NoteTable.of(
            inside.onset - begin, inside.offset - begin, inside.pitch, loudness=inside.loudness, part=inside.part
        )
        return Stem(audio, shifted, place.instrument, place.family)


def _mapped(path: Path, count: int) -> npt.NDArray[np.int16]:
    """The sound (count, n) in a file, not read yet."""
    try:
        audio = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise MeloError(f"{path}: cannot be read: {error}; delete the folder and build the stems again") from error
    if audio.dtype != np.int16 or audio.ndim != 2 or len(audio) != count:
        raise MeloError(f"{path}: holds no {count} stems of 16 bits; delete the folder and build the stems again")
    return audio


def _read_notes(path: Path) -> tuple[InstrumentStems, list[NoteTable]]:
    """(who plays what, notes of each stem) of a file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            header = (file.metadata() or {}).get("stems", "")[:_HEADER_BYTES]
            columns = {name: file.get_tensor(name) for name in _COLUMNS}
        stems = InstrumentStems.from_json(json.loads(header), where=str(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise MeloError(f"{path}: a damaged file: {error}; delete the folder and build the stems again") from error
    bounds = np.searchsorted(columns["stem"], np.arange(len(stems.stems) + 1))
    return stems, [
        NoteTable.of(
            columns["onset"][a:b], columns["offset"][a:b], columns["pitch"][a:b], loudness=columns["loudness"][a:b]
        )
        for a, b in zip(bounds[:-1], bounds[1:], strict=True)
    ]
