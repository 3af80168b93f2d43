"""Does a piece copy from the reference? Runs of notes that it shares with a reference piece, and its nearest reference piece.

A run is told by steps from note to note within one part: the pitch interval and the wait in steps of 12 a quarter. So a copy is
found in another key and at another place, not in another rhythm. Notes of a part go by onset, then pitch, so chords are runs
too. Two runs are shared if all their steps are equal. Their notes are counted, but not those that only go on repeating a
figure of up to 16 notes (a trill, an Alberti bass, a chord struck again): any two pieces share these. Drums are left out.

Nearest: the reference piece with the largest share of common turns (six notes of a part's top line, `analysis.near_duplicates`),
as Jaccard index of both sets, exactly. From `analysis.near_duplicates.NEAR` on two pieces are near copies.

The longest runs are found for all notes at once: all suffixes of all pieces are ranked by doubling (Karp, Miller & Rosenberg
1972; Manber & Myers 1990), the longest match of a suffix stands beside it in their order, and its length is read off the ranks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.arrays import Bools, Ints
from analysis.grid import nearest_step
from analysis.near_duplicates import Hashes
from analysis.piece import Piece

LONG = 24
"""Notes from which on a shared run counts as copied."""

_END = -1
"""Between parts; no two of them are equal."""

_FIGURE = 16
"""Steps of the longest figure whose repetition counts as nothing."""

_MOST_WAIT = 1 << 12
_CHUNK = 1 << 20
"""Steps of the reference that are ranked at once."""


@dataclass(frozen=True, kw_only=True)
class SharedNotes:
    """What one piece shares with a reference."""

    longest: int
    """Notes of the shared run that counts most; 0 where not even one step is shared."""

    source: int
    """Index of the reference piece that has it; -1 for none."""

    share: float
    """Of the piece's steps, those in shared runs of LONG notes or more; NaN for a piece without steps."""


def steps_of(piece: Piece) -> Ints:
    """(M,) the steps of a piece's pitched parts, one part after the other, each closed by _END."""
    notes = piece.notes
    pitched = ~np.array([p.is_drum for p in piece.parts], dtype=np.bool_)[notes.part]
    step = nearest_step(notes.onset_tick, piece.ticks_per_quarter)[pitched]
    pitch, part = notes.pitch[pitched], notes.part[pitched]
    order = np.lexsort((pitch, step, part))
    step, pitch, part = step[order], pitch[order], part[order]
    if not len(step):
        return np.zeros(0, dtype=np.int64)
    steps = (np.diff(pitch) + 128) * _MOST_WAIT + np.minimum(np.diff(step), _MOST_WAIT - 1)
    return np.append(np.where(np.diff(part) == 0, steps, _END), _END)


def fresh(steps: Ints) -> Bools:
    """(M,) steps that do more than go on: not those with which the last n steps equal the n before, n up to _FIGURE."""
    out = np.ones(len(steps), dtype=np.bool_)
    for n in range(1, min(_FIGURE, len(steps) // 2) + 1):
        equal = (steps[n:] == steps[:-n]) & (steps[n:] != _END)
        row = np.append(0, np.cumsum(equal))
        out[2 * n - 1 :] &= row[n:] - row[:-n] < n
    return out


def copied(
    pieces: Sequence[Ints], reference: Sequence[Ints], *, own: Sequence[int] | None = None, chunk: int = _CHUNK
) -> list[SharedNotes]:
    """What each piece shares with any one piece of the reference.

    Args:
        pieces, reference: from `steps_of`.
        own: of each piece, the reference piece that it is, with which it is then not compared, -1 for none; None: all are none.
        chunk: steps of the reference in memory at once.
    """
    mine = np.concatenate([np.zeros(0, dtype=np.int64), *pieces])
    me = np.repeat(np.arange(len(pieces)), [len(p) for p in pieces])
    myself = np.full(len(mine), -1) if own is None else np.asarray(own, dtype=np.int64)[me]
    length, source = np.zeros(len(mine), dtype=np.int64), np.full(len(mine), -1)
    for theirs, owner in _chunks(reference, chunk):
        found, where = longest_matches(mine, theirs, myself, owner)
        better = found > length
        length, source = np.where(better, found, length), np.where(better, owner[where], source)
    first = np.concatenate([[0], np.cumsum([len(p) for p in pieces])]).astype(np.int64)
    return [_told(mine[a:b], length[a:b], source[a:b]) for a, b in zip(first[:-1], first[1:], strict=True)]


def _chunks(reference: Sequence[Ints], chunk: int) -> Iterator[tuple[Ints, Ints]]:
    """Steps of whole reference pieces, end to end, and whose each is."""
    size = np.array([len(r) for r in reference])
    group = (np.cumsum(size) - size) // chunk
    for g in np.unique(group):
        members = np.flatnonzero((group == g) & (size > 0))
        if len(members):
            yield np.concatenate([reference[int(i)] for i in members]), np.repeat(members, size[members])


def _told(steps: Ints, length: Ints, source: Ints) -> SharedNotes:
    """What the matches (M,) at each step of one piece say."""
    if not (steps != _END).any():
        return SharedNotes(longest=0, source=-1, share=np.nan)
    before = np.append(0, np.cumsum(fresh(steps)))
    end = np.arange(len(steps)) + length
    counted = before[end] - before[:-1]
    best, long = int(counted.argmax()), counted >= LONG - 1
    edges = np.bincount(np.flatnonzero(long), minlength=len(steps) + 1) - np.bincount(
        end[long], minlength=len(steps) + 1
    )
    share = float((np.cumsum(edges) > 0).sum() / (steps != _END).sum())
    return SharedNotes(longest=int(counted[best]) + 1 if counted[best] else 0, source=int(source[best]), share=share)


def longest_matches(mine: Ints, theirs: Ints, myself: Ints, owner: Ints) -> tuple[Ints, Ints]:
    """How many steps from each of mine on also stand somewhere in theirs, (M,), and where in theirs, (M,).

    Args:
        mine, theirs: (M,) and (R,) steps, _END after each part; R ≥ 1.
        myself: (M,) owner whose steps are not compared with this one.
        owner: (R,) whose each is.
    """
    m = len(mine)
    everything = np.concatenate([mine, theirs])
    everything = np.where(everything == _END, -1 - np.arange(len(everything)), everything)
    levels = _ranks(everything)
    order = np.argsort(levels[-1])
    length, where = np.zeros(m, dtype=np.int64), np.zeros(m, dtype=np.int64)
    for neighbour in _neighbours(order, m, myself, owner):
        at = np.flatnonzero(neighbour >= 0)
        found = _common(levels, at, neighbour[at] + m)
        better = found > length[at]
        length[at[better]], where[at[better]] = found[better], neighbour[at[better]]
    return length, where


def _ranks(everything: Ints) -> list[Ints]:
    """Ranks of the runs of 1, 2, 4, … steps that begin at each step; equal runs have equal ranks, in the last level none has."""
    levels, width, n = [np.unique(everything, return_inverse=True)[1].astype(np.int64)], 1, len(everything)
    while levels[-1].max(initial=0) < n - 1:
        rank = levels[-1]
        after = np.zeros(n, dtype=np.int64)
        after[: n - width] = rank[width:] + 1
        levels.append(np.unique(rank * (n + 1) + after, return_inverse=True)[1].astype(np.int64))
        width *= 2
    return levels


def _neighbours(order: Ints, m: int, myself: Ints, owner: Ints) -> Iterator[Ints]:
    """(M,) of each of my suffixes, the nearest of theirs by another owner, -1 for none: below in the order, then above."""
    for turned in (order, order[::-1]):
        theirs = turned >= m
        ranked = turned[theirs] - m
        starts = np.append(True, np.diff(owner[ranked]) != 0)  # of stretches of one owner
        other = np.maximum.accumulate(np.where(starts, np.arange(len(ranked)), 0)) - 1
        near = (np.cumsum(theirs) - 1)[~theirs]
        mine = turned[~theirs]
        same = (near >= 0) & (owner[ranked[near]] == myself[mine])
        near = np.where(same, other[near], near)
        out = np.empty(m, dtype=np.int64)
        out[mine] = np.where(near >= 0, ranked[near], -1)
        yield out


def _common(levels: Sequence[Ints], a: Ints, b: Ints) -> Ints:
    """How many steps from a on equal those from b on."""
    n, length = len(levels[0]), np.zeros(len(a), dtype=np.int64)
    for k, rank in reversed(list(enumerate(levels))):
        p, q = a + length, b + length
        inside = (p < n) & (q < n)
        equal = inside & (rank[np.where(inside, p, 0)] == rank[np.where(inside, q, 0)])
        length += equal.astype(np.int64) << k
    return length


def nearest(
    turns: Sequence[Hashes], reference: Sequence[Hashes], *, own: Sequence[int] | None = None
) -> list[tuple[float, int]]:
    """(likeness, index) of the reference piece most like each piece; (0, -1) where none shares a turn.

    Args:
        turns, reference: from `analysis.near_duplicates.shingles`.
        own: as for `copied`.
    """
    size = np.array([len(r) for r in reference], dtype=np.int64)
    every = np.concatenate([np.zeros(0, dtype=np.uint64), *reference])
    owner = np.repeat(np.arange(len(reference)), size)
    order = np.argsort(every, kind="stable")
    every, owner = every[order], owner[order]
    out = []
    for i, mine in enumerate(turns):
        low, high = (np.searchsorted(every, mine, side=side) for side in ("left", "right"))
        hits = np.repeat(low - np.concatenate([[0], np.cumsum(high - low)[:-1]])[: len(low)], high - low)
        shared = np.bincount(owner[hits + np.arange(len(hits))], minlength=len(reference))
        if own is not None and own[i] >= 0:
            shared[own[i]] = 0
        likeness = shared / np.maximum(len(mine) + size - shared, 1)
        best = int(likeness.argmax()) if len(likeness) else -1
        out.append((float(likeness[best]), best) if best >= 0 and likeness[best] > 0 else (0.0, -1))
    return out
