"""Does a piece copy from a reference? The longest runs of notes that it shares with a reference piece, and its nearest piece.

Notes of a part are sorted by onset, then pitch, so chords are runs too. A note step is the pitch interval to the next note
and the time until it starts, in steps of 12 a quarter; a run is shared if all its note steps are equal. So a copy is found
in another key and at another place, not in another rhythm. A run counts its notes, but not those that only repeat a figure
of up to 16 notes (a trill, an Alberti bass, a chord struck again): any two pieces share these. Drums are left out.

The nearest piece has the largest Jaccard index of both sets of shingles (`analysis.near_duplicates`), computed exactly; from
`NEAR` on two pieces are near copies.

The longest runs are found for all notes at once: all suffixes of all pieces are ranked by prefix doubling (Karp, Miller &
Rosenberg 1972; Manber & Myers 1990), the longest match of a suffix is its neighbour in their order, and its length is read
from the ranks.

Letters: P pieces, M note steps, R note steps of the reference.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.arrays import Bools, Ints
from analysis.grid import nearest_step
from analysis.near_duplicates import Hashes
from analysis.piece import Piece

COPIED_NOTES = 24
"""Length in notes from which a shared run counts as copied."""

_END = -1
"""Closes a part; no two of them are equal."""

_FIGURE = 16
"""Note steps of the longest figure whose repetition is not counted."""

_MOST_WAIT = 1 << 12
_CHUNK = 1 << 20
"""Note steps of the reference that are ranked at once."""


@dataclass(frozen=True, kw_only=True)
class SharedNotes:
    """What one piece shares with a reference."""

    longest: int
    """Notes of the longest shared run, without repeated figures; 0 where not even one note step is shared."""

    source: int
    """Index of the reference piece that has that run; -1 for none."""

    share: float
    """Share of the piece's note steps in shared runs of COPIED_NOTES notes or more, 0..1; NaN for a piece without note steps."""


def note_steps(piece: Piece) -> Ints:
    """Note steps of a piece's pitched parts → (M,) interval and wait in one code, part after part, each closed by _END."""
    notes = piece.notes
    pitched = ~np.array([p.is_drum for p in piece.parts], dtype=np.bool_)[notes.part]
    step = nearest_step(notes.onset_tick, piece.ticks_per_quarter)[pitched]
    pitch, part = notes.pitch[pitched], notes.part[pitched]
    order = np.lexsort((pitch, step, part))
    step, pitch, part = step[order], pitch[order], part[order]
    if not len(step):
        return np.zeros(0, dtype=np.int64)
    code = (np.diff(pitch) + 128) * _MOST_WAIT + np.minimum(np.diff(step), _MOST_WAIT - 1)
    return np.append(np.where(np.diff(part) == 0, code, _END), _END)


def not_repeated(steps: Ints) -> Bools:
    """Note steps (M,) → (M,) False where the last n of them repeat the n before, for some n up to _FIGURE."""
    out = np.ones(len(steps), dtype=np.bool_)
    for n in range(1, min(_FIGURE, len(steps) // 2) + 1):
        equal = (steps[n:] == steps[:-n]) & (steps[n:] != _END)
        total = np.append(0, np.cumsum(equal))
        out[2 * n - 1 :] &= total[n:] - total[:-n] < n
    return out


def shared_notes(
    pieces: Sequence[Ints], reference: Sequence[Ints], *, same: Sequence[int] | None = None, chunk: int = _CHUNK
) -> list[SharedNotes]:
    """Runs of notes that each piece shares with any one piece of the reference.

    Args:
        pieces: (M,) note steps of each piece, from `note_steps`.
        reference: (R,) note steps of each reference piece.
        same: of each piece, the index of the reference piece that is the same file, which is skipped; -1 for none. None: all
            are -1.
        chunk: note steps of the reference in memory at once.
    """
    steps = np.concatenate([np.zeros(0, dtype=np.int64), *pieces])
    piece = np.repeat(np.arange(len(pieces)), [len(p) for p in pieces])
    skipped = np.full(len(steps), -1) if same is None else np.asarray(same, dtype=np.int64)[piece]
    length, source = np.zeros(len(steps), dtype=np.int64), np.full(len(steps), -1)
    for chunk_steps, chunk_owner in _chunks(reference, chunk):
        found, where = longest_matches(steps, chunk_steps, skipped, chunk_owner)
        better = found > length
        length, source = np.where(better, found, length), np.where(better, chunk_owner[where], source)
    first = np.concatenate([[0], np.cumsum([len(p) for p in pieces])]).astype(np.int64)
    return [_summary(steps[a:b], length[a:b], source[a:b]) for a, b in zip(first[:-1], first[1:], strict=True)]


def _chunks(reference: Sequence[Ints], chunk: int) -> Iterator[tuple[Ints, Ints]]:
    """Whole reference pieces, about `chunk` note steps at a time: the note steps (R,), and the piece of each (R,)."""
    size = np.array([len(r) for r in reference])
    group = (np.cumsum(size) - size) // chunk
    for g in np.unique(group):
        members = np.flatnonzero((group == g) & (size > 0))
        if len(members):
            yield np.concatenate([reference[int(i)] for i in members]), np.repeat(members, size[members])


def _summary(steps: Ints, length: Ints, source: Ints) -> SharedNotes:
    """The summary of one piece's matches.

    Args:
        steps: (M,) its note steps.
        length: (M,) of the longest match that starts at each, in note steps.
        source: (M,) the reference piece of that match.
    """
    if not (steps != _END).any():
        return SharedNotes(longest=0, source=-1, share=np.nan)
    before = np.append(0, np.cumsum(not_repeated(steps)))
    end = np.arange(len(steps)) + length
    without_repeats = before[end] - before[:-1]
    best, copied = int(without_repeats.argmax()), without_repeats >= COPIED_NOTES - 1
    edges = np.bincount(np.flatnonzero(copied), minlength=len(steps) + 1) - np.bincount(
        end[copied], minlength=len(steps) + 1
    )
    share = float((np.cumsum(edges) > 0).sum() / (steps != _END).sum())
    longest = int(without_repeats[best]) + 1 if without_repeats[best] else 0
    return SharedNotes(longest=longest, source=int(source[best]), share=share)


def longest_matches(steps: Ints, reference: Ints, skipped: Ints, owner: Ints) -> tuple[Ints, Ints]:
    """Longest match of each suffix in the reference → length (M,) in note steps, start (M,) in the reference.

    Args:
        steps: (M,) note steps, _END after each part.
        reference: (R,) the same of the reference, R ≥ 1.
        skipped: (M,) the owner whose note steps are not compared with this one.
        owner: (R,) the piece of each note step of the reference.
    """
    m = len(steps)
    everything = np.concatenate([steps, reference])
    everything = np.where(everything == _END, -1 - np.arange(len(everything)), everything)
    levels = _ranks(everything)
    order = np.argsort(levels[-1])
    length, where = np.zeros(m, dtype=np.int64), np.zeros(m, dtype=np.int64)
    for neighbour in _neighbours(order, m, skipped, owner):
        at = np.flatnonzero(neighbour >= 0)
        found = _equal_prefix(levels, at, neighbour[at] + m)
        better = found > length[at]
        length[at[better]], where[at[better]] = found[better], neighbour[at[better]]
    return length, where


def _ranks(everything: Ints) -> list[Ints]:
    """Ranks (M + R,) of the runs of 1, 2, 4, … note steps that start at each; equal runs have equal ranks, in the last none."""
    levels, width, n = [np.unique(everything, return_inverse=True)[1].astype(np.int64)], 1, len(everything)
    while levels[-1].max(initial=0) < n - 1:
        rank = levels[-1]
        after = np.zeros(n, dtype=np.int64)
        after[: n - width] = rank[width:] + 1
        levels.append(np.unique(rank * (n + 1) + after, return_inverse=True)[1].astype(np.int64))
        width *= 2
    return levels


def _neighbours(order: Ints, m: int, skipped: Ints, owner: Ints) -> Iterator[Ints]:
    """(M,) reference suffix nearest to each suffix, first below it in the order, then above; -1 for none. Skips `skipped`.

    Args:
        order: (M + R,) all suffixes in ascending order; from `m` on they are the reference's.
        skipped, owner: as for `longest_matches`.
    """
    for direction in (order, order[::-1]):
        of_reference = direction >= m
        ranked = direction[of_reference] - m
        starts = np.append(True, np.diff(owner[ranked]) != 0)  # of spans of one owner
        other = np.maximum.accumulate(np.where(starts, np.arange(len(ranked)), 0)) - 1
        near = (np.cumsum(of_reference) - 1)[~of_reference]
        suffix = direction[~of_reference]
        same = (near >= 0) & (owner[ranked[near]] == skipped[suffix])
        near = np.where(same, other[near], near)
        out = np.empty(m, dtype=np.int64)
        out[suffix] = np.where(near >= 0, ranked[near], -1)
        yield out


def _equal_prefix(levels: Sequence[Ints], a: Ints, b: Ints) -> Ints:
    """Length (K,) in note steps of the common prefix of the suffixes at a (K,) and b (K,)."""
    n, length = len(levels[0]), np.zeros(len(a), dtype=np.int64)
    for k, rank in reversed(list(enumerate(levels))):
        p, q = a + length, b + length
        inside = (p < n) & (q < n)
        equal = inside & (rank[np.where(inside, p, 0)] == rank[np.where(inside, q, 0)])
        length += equal.astype(np.int64) << k
    return length


def nearest_pieces(
    pieces: Sequence[Hashes], reference: Sequence[Hashes], *, same: Sequence[int] | None = None
) -> list[tuple[float, int]]:
    """(Jaccard index 0..1, index) of the reference piece nearest to each piece; (0, -1) where none shares a shingle.

    Args:
        pieces: shingles of each piece, from `analysis.near_duplicates.shingles`.
        reference: shingles of each reference piece.
        same: as for `shared_notes`.
    """
    size = np.array([len(r) for r in reference], dtype=np.int64)
    every = np.concatenate([np.zeros(0, dtype=np.uint64), *reference])
    owner = np.repeat(np.arange(len(reference)), size)
    order = np.argsort(every, kind="stable")
    every, owner = every[order], owner[order]
    out = []
    for i, shingles in enumerate(pieces):
        low, high = (np.searchsorted(every, shingles, side=side) for side in ("left", "right"))
        hits = np.repeat(low - np.concatenate([[0], np.cumsum(high - low)[:-1]])[: len(low)], high - low)
        shared = np.bincount(owner[hits + np.arange(len(hits))], minlength=len(reference))
        if same is not None and same[i] >= 0:
            shared[same[i]] = 0
        similarity = shared / np.maximum(len(shingles) + size - shared, 1)
        best = int(similarity.argmax()) if len(similarity) else -1
        out.append((float(similarity[best]), best) if best >= 0 and similarity[best] > 0 else (0.0, -1))
    return out
