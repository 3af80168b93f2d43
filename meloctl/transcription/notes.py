"""A table of notes in seconds, with the part and the timbre of each."""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]

NO_PART = -1
"""The part of a note that was given to none."""


@dataclass(frozen=True)
class NoteTable:
    """N notes, in order of onset, then pitch. `NoteTable.of` sorts and fills in what is not known."""

    onset: Floats
    """(N,) seconds."""

    offset: Floats
    """(N,) seconds, later than the onset."""

    pitch: Integers
    """(N,) MIDI pitch, 0 to 127."""

    loudness: Singles
    """(N,) decibels relative to full scale, at most about 0; 0 where unknown."""

    part: Integers
    """(N,) from 0, or `NO_PART`."""

    confidence: Singles
    """(N,) from 0 to 1."""

    embedding: Singles
    """(N, D) directions of timbre; D is 0 where there are none."""

    @classmethod
    def of(
        cls,
        onset: npt.ArrayLike,
        offset: npt.ArrayLike,
        pitch: npt.ArrayLike,
        *,
        loudness: npt.ArrayLike | None = None,
        part: npt.ArrayLike | None = None,
        confidence: npt.ArrayLike | None = None,
        embedding: npt.ArrayLike | None = None,
    ) -> "NoteTable":
        """The table of these notes, sorted by onset, then pitch.

        Args:
            onset: (N,) seconds.
            offset: (N,) seconds.
            pitch: (N,) MIDI pitch.
            loudness: (N,) decibels; 0 where not given.
            part: (N,) from 0; `NO_PART` where not given.
            confidence: (N,) from 0 to 1; 1 where not given.
            embedding: (N, D) directions; (N, 0) where not given.
        """
        count = len(np.asarray(onset, dtype=np.float64))
        table = cls(
            np.asarray(onset, dtype=np.float64),
            np.asarray(offset, dtype=np.float64),
            np.asarray(pitch, dtype=np.int64),
            np.zeros(count, np.float32) if loudness is None else np.asarray(loudness, dtype=np.float32),
            np.full(count, NO_PART, np.int64) if part is None else np.asarray(part, dtype=np.int64),
            np.ones(count, np.float32) if confidence is None else np.asarray(confidence, dtype=np.float32),
            np.zeros((count, 0), np.float32) if embedding is None else np.asarray(embedding, dtype=np.float32),
        )
        if any(len(column) != count for column in table.columns().values()):
            raise ValueError(f"columns of different lengths: {[len(column) for column in table.columns().values()]}")
        return table.take(np.lexsort((table.pitch, table.onset)))

    def columns(self) -> dict[str, npt.NDArray]:
        """{name: column (N, …)}."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def take(self, index: npt.NDArray) -> "NoteTable":
        """The notes at `index` (M,) of integers, or where `index` (N,) of booleans is true, in that order."""
        return NoteTable(*(column[index] for column in self.columns().values()))

    def __len__(self) -> int:
        return len(self.onset)


def joined(tables: list[NoteTable]) -> NoteTable:
    """One table of all notes of `tables` (at least one), whose embeddings have one width; sorted."""
    columns = [table.columns() for table in tables]
    whole = {name: np.concatenate([column[name] for column in columns]) for name in columns[0]}
    return NoteTable.of(**whole)
