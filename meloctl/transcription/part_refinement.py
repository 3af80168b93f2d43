"""Notes moved from part to part while that lowers a cost of timbre, register and overlap."""

from typing import NamedTuple

import numpy as np

from analysis.arrays import Floats, Ints
from analysis.compiled import compiled
from meloctl.transcription.notes import NoteTable
from meloctl.transcription.part_weights import CostWeights

_SWEEPS = 12
_REACH = 3.0
"""Neighbours further away than so many times `register_s` have no weight in the register."""

_LONGEST_S = 10.0
"""Of a longer note only so much is looked at for overlaps."""

_ALWAYS = 0.5
"""The weight of a part's mean pitch in its register, beside 1 for a note at the same time."""

_JOINED_S = 0.06
"""Seconds of overlap that are no more than notes bound together."""

_WHOLE_S = 0.3
"""Notes of this length count in full, shorter ones by their share of it."""


class _Columns(NamedTuple):
    """Notes as compiled loops read them."""

    onset: Floats
    offset: Floats
    octave: Floats
    """(N,) pitch in octaves."""

    first: Ints
    """(N,) the first neighbour in time of each note."""

    last: Ints
    """(N,) one past the last."""


def note_weights(notes: NoteTable) -> Floats:
    """(N,) how much each note counts, 0 to 1: doubtful and short ones less."""
    length = np.minimum(notes.offset - notes.onset, _WHOLE_S) / _WHOLE_S
    return np.asarray(notes.confidence * length, np.float64)


def part_directions(notes: NoteTable, part: Ints, parts: int) -> Floats:
    """(parts, D) mean directions, of length 1, of each part's notes by their weights; 0 where it has none."""
    sums = np.zeros((parts, notes.embedding.shape[1]))
    np.add.at(sums, part, notes.embedding * note_weights(notes)[:, None])
    return np.asarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9))


def refined(notes: NoteTable, start: Ints, parts: int, weights: CostWeights) -> Ints:
    """(N,) parts of lower cost, reached from `start` by moving one note at a time, and by exchanging two that sound together.

    Args:
        notes: with embeddings (N, D).
        start: (N,) parts, 0 to `parts` − 1.
        parts: how many.
        weights: of the terms of the cost.
    """
    columns, part = _columns(notes, weights), start.astype(np.int64)
    for _ in range(_SWEEPS):
        timbre, octave = _state_of_parts(notes, columns, part, parts)
        if not _sweep(*columns, timbre, part, octave, weights.octave, weights.register_s, weights.overlap):
            break
    return part


def note_costs(notes: NoteTable, part: Ints, parts: int, weights: CostWeights) -> Floats:
    """(N, parts) what each note costs in each part, all others staying where they are.

    Args:
        notes: with embeddings (N, D).
        part: (N,) 0 to `parts` − 1.
        parts: how many.
        weights: of the terms of the cost.
    """
    columns, out = _columns(notes, weights), np.empty((len(notes), parts))
    timbre, octave = _state_of_parts(notes, columns, part, parts)
    _all_costs(*columns, timbre, part, octave, weights.octave, weights.register_s, weights.overlap, out)
    return out


def own_costs(notes: NoteTable, part: Ints, parts: int, weights: CostWeights) -> Floats:
    """(N,) what each note costs in its own part; arguments as those of `note_costs`."""
    return np.asarray(note_costs(notes, part, parts, weights)[np.arange(len(notes)), part])


def overlap_shares(notes: NoteTable, part: Ints) -> Floats:
    """(N,) the largest share, 0 to 1, in which a note sounds together with another of its part.

    Args:
        notes: whose onsets and offsets count.
        part: (N,) from 0.
    """
    columns = _columns(notes, CostWeights())
    return np.asarray(_overlaps(columns.onset, columns.offset, columns.first, columns.last, part))


def _columns(notes: NoteTable, weights: CostWeights) -> _Columns:
    longest = min(float((notes.offset - notes.onset).max(initial=0.0)), _LONGEST_S)
    reach = max(_REACH * weights.register_s, longest)
    first = np.searchsorted(notes.onset, notes.onset - reach)
    last = np.searchsorted(notes.onset, notes.onset + reach)
    return _Columns(notes.onset, notes.offset, notes.pitch / 12.0, first, last)


def _state_of_parts(notes: NoteTable, columns: _Columns, part: Ints, parts: int) -> tuple[Floats, Floats]:
    """Of parts as they are: the timbre's cost of each note in each (N, parts), and mean pitch in octaves (parts,)."""
    timbre = 1 - notes.embedding @ part_directions(notes, part, parts).T
    octave = np.bincount(part, columns.octave, parts) / np.maximum(np.bincount(part, minlength=parts), 1)
    return timbre.astype(np.float64), octave


@compiled
def _together(onset, offset, n, m):  # type: ignore[no-untyped-def]  # compiled by numba
    """The share, 0 to 1, of the shorter of two notes during which both sound."""
    shared = min(offset[n], offset[m]) - max(onset[n], onset[m]) - _JOINED_S
    shorter = min(offset[n] - onset[n], offset[m] - onset[m])
    return min(max(shared / max(shorter - _JOINED_S, 0.02), 0.0), 1.0)


@compiled
def _overlaps(onset, offset, first, last, part):  # type: ignore[no-untyped-def]  # compiled by numba
    """(N,) the largest share in which a note sounds together with another of its part."""
    out = np.zeros(len(onset))
    for n in range(len(onset)):
        for m in range(first[n], last[n]):
            if m != n and part[m] == part[n]:
                out[n] = max(out[n], _together(onset, offset, n, m))
    return out


@compiled
def _cost(  # type: ignore[no-untyped-def]  # compiled by numba
    onset, offset, octave, first, last, timbre, part, part_octave, an_octave, register_s, overlap, n, k, without,
):  # fmt: skip
    """What note n costs in part k, as if `without` (a note, or −1) were not there."""
    total, weight, together = _ALWAYS * part_octave[k], _ALWAYS, 0.0
    for m in range(first[n], last[n]):
        if m in (n, without) or part[m] != k:
            continue
        near = np.exp(-abs(onset[m] - onset[n]) / register_s)
        total += near * octave[m]
        weight += near
        if onset[m] < offset[n] and onset[n] < offset[m]:
            together = max(together, _together(onset, offset, n, m))
    return timbre[n, k] + an_octave * abs(octave[n] - total / weight) + overlap * together


@compiled
def _all_costs(  # type: ignore[no-untyped-def]  # compiled by numba
    onset, offset, octave, first, last, timbre, part, part_octave, an_octave, register_s, overlap, out,
):  # fmt: skip
    """Fills `out` (N, parts) with what each note costs in each part."""
    for n in range(len(onset)):
        for k in range(len(part_octave)):
            out[n, k] = _cost(
                onset, offset, octave, first, last, timbre, part, part_octave, an_octave, register_s, overlap, n, k, -1
            )


@compiled
def _sweep(  # type: ignore[no-untyped-def]  # compiled by numba
    onset, offset, octave, first, last, timbre, part, part_octave, an_octave, register_s, overlap,
):  # fmt: skip
    """The number of notes that went to another part; `part` (N,) is changed."""
    moved, parts = 0, len(part_octave)
    for n in range(len(onset)):
        best, least = part[n], np.inf
        for k in range(parts):
            cost = _cost(
                onset, offset, octave, first, last, timbre, part, part_octave, an_octave, register_s, overlap, n, k, -1
            )
            if cost < least - 1e-9:
                best, least = k, cost
        if best != part[n]:
            part[n] = best
            moved += 1
        for m in range(n + 1, last[n]):
            if onset[m] >= offset[n]:
                break
            if part[m] == part[n]:
                continue
            a, b = part[n], part[m]
            change = 0.0
            for sign, i, k, other in ((1.0, n, b, m), (1.0, m, a, n), (-1.0, n, a, m), (-1.0, m, b, n)):
                change += sign * _cost(
                    onset, offset, octave, first, last, timbre, part, part_octave, an_octave, register_s, overlap,
                    i, k, other,
                )  # fmt: skip
            if change < -1e-9:
                part[n], part[m] = b, a
                moved += 2
    return moved
