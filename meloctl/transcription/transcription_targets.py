"""What the transcriber should say of mixes whose notes are known.

Shape letters: B mixes, T frames of posteriors, M cells.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from meloctl.transcription.network import FRAME_S, LOWEST_PITCH, PITCHES
from meloctl.transcription.notes import NoteTable

_ONSET_REACH = 2.0
"""Frames on each side of an onset over which its target falls from 1 to 0."""

_SHORTEST_FRAMES = 2


class Targets(NamedTuple):
    """Of a batch of mixes."""

    note: Tensor
    """(B, 88, T), 1 where a note sounds."""

    onset: Tensor
    """(B, 88, T), up to 1 where a note begins."""

    mix: Tensor
    """(M,) the mix of each cell in which exactly one note sounds."""

    pitch: Tensor
    """(M,) from 0 to 87."""

    frame: Tensor
    """(M,)."""

    cell_note: Tensor
    """(M,) the cell's note, numbered through all mixes."""

    note_mix: Tensor
    """(N,) the mix of each note."""

    note_part: Tensor
    """(N,) the part of each note."""


def batch_targets(tables: Sequence[NoteTable], frames: int) -> Targets:
    """The targets of mixes of T frames, one table of notes each. A note that began before its mix has no onset there."""
    note, onset = (np.zeros((len(tables), PITCHES, frames), np.float32) for _ in range(2))
    owner = np.full((len(tables), PITCHES, frames), -1, np.int64)
    first = 0
    for mix, table in enumerate(tables):
        _sounding(table, note[mix], owner[mix], first)
        _beginning(table, onset[mix])
        first += len(table)
    mixes, pitches, places = np.nonzero(owner >= 0)
    counts = [len(table) for table in tables]
    parts = np.concatenate([np.zeros(0, np.int64), *(table.part for table in tables)])
    return Targets(
        torch.from_numpy(note),
        torch.from_numpy(onset),
        torch.from_numpy(mixes),
        torch.from_numpy(pitches),
        torch.from_numpy(places),
        torch.from_numpy(owner[mixes, pitches, places]),
        torch.from_numpy(np.repeat(np.arange(len(tables)), counts)),
        torch.from_numpy(parts),
    )


_SHARED = -2
"""Marks a cell in which two notes sound: it has no one timbre."""


def _sounding(table: NoteTable, note: np.ndarray, owner: np.ndarray, first: int) -> None:
    """Set the cells (88, T) of a mix's notes to 1, and their owners to the notes' numbers from `first` on."""
    frames = note.shape[1]
    for number, (start, end, k) in enumerate(_extents(table)):
        begin, end = max(start, 0), min(max(end, start + _SHORTEST_FRAMES), frames)
        if 0 <= k < PITCHES and begin < end:
            note[k, begin:end] = 1
            cells = owner[k, begin:end]
            owner[k, begin:end] = np.where(cells == -1, first + number, _SHARED)


def _extents(table: NoteTable) -> list[tuple[int, int, int]]:
    """(first frame, frame after the last, pitch from 0) of each note."""
    start, end = (np.floor(time / FRAME_S + 0.5).astype(int) for time in (table.onset, table.offset))
    return list(zip(start.tolist(), end.tolist(), (table.pitch - LOWEST_PITCH).tolist(), strict=True))


def _beginning(table: NoteTable, onset: np.ndarray) -> None:
    """Raise the onset targets (88, T) of a mix around each onset."""
    frames = onset.shape[1]
    for time, k in zip((table.onset / FRAME_S).tolist(), (table.pitch - LOWEST_PITCH).tolist(), strict=True):
        if time < 0 or not 0 <= k < PITCHES:
            continue
        places = np.arange(max(0, int(time) - 1), min(frames, int(time) + 3))
        onset[k, places] = np.maximum(onset[k, places], 1 - np.abs(places - time) / _ONSET_REACH)
