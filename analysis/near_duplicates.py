"""Near copies: one song in another key, tempo, arrangement or cut, found without comparing every file with every other.

A piece is the set of its shingles: short runs of a part's top line, described by intervals and by how each note's wait compares
with the one before, so that key, tempo, resolution, program and the place in the piece make no difference. The similarity of
two pieces is the Jaccard index of their sets, estimated from min-hash signatures of a fixed size (Broder 1997). Its largest
parts have signatures of their own: another arrangement may share nothing but the tune. Candidates are files that agree
in one of many small slices of a signature (locality-sensitive hashing), and each is checked before it counts.

Whether two files are near copies depends on these two files alone, so adding files can only add links (but see _WINDOW).
What recall and false links measured is in docs/decisions.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.arrays import Floats, Ints
from analysis.grid import nearest_step
from analysis.piece import Piece

NEAR = 0.2
"""Similarity from which two pieces are near copies. Unrelated pieces stay under 0.1; a copy with every twentieth note
changed has about 0.5."""

SAME_PART = 0.35
"""Similarity from which a part makes two pieces near copies. Two stock accompaniments reach 0.17, one tune sung twice 0.6."""

FEWEST = 24
"""Shingles that a piece must have to be compared; below, a few shared turns would make strangers copies."""

FEWEST_OF_PART = 128
"""Shingles that a part must have to stand for its piece: short bass lines of strangers reach 0.3."""

MOST_PARTS = 4
"""Parts of a piece that have signatures of their own: those with the most shingles."""

_RUN = 6
"""Notes in a shingle."""

_VARIETY = 3
"""Different intervals that a shingle must hold: scales, trills and repeated notes are in everything."""

_REPEATS = 3
"""How often one shingle counts in a piece: what returns counts more than what an edit broke once."""

_HASHES, _ROWS = 128, 2
"""Min-hashes in a signature, and how many of them a slice holds: at similarity 0.2 a pair is found in 93 of 100 cases, at
0.25 in 98."""

_WINDOW = 32
"""Where more signatures than this agree in a slice, each is compared with so many after it, not with all."""

_CHUNK = 1 << 16
"""Pairs compared at once."""

Codes = npt.NDArray[np.uint16]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """What is kept of a piece to compare it: at most five signatures of 256 bytes."""

    whole: bytes
    """Signature of the piece: 128 min-hashes, the lower 16 bits of each. Empty for one with too few shingles."""

    parts: tuple[bytes, ...]
    """Signatures of its largest pitched parts; none for a piece of one pitched part."""

    key: str
    """16 hex digits that most copies share and hardly any strangers: the smallest hash of ten notes in a row. Empty
    where there are too few."""


@dataclass(frozen=True, kw_only=True)
class Links:
    """Pairs of near copies among N files, each once, `first` < `second`, in ascending order."""

    first: Ints
    second: Ints
    similarity: Floats
    """Estimated, of the pieces or of the parts that are most alike; the standard error is 0.045 at most."""

    def __len__(self) -> int:
        return len(self.first)


def sketch(piece: Piece) -> Sketch:
    """The sketch of a piece."""
    code, part, place = _runs(piece)
    of_parts = [code[part == p] for p in np.unique(part)]
    largest = sorted(map(_with_repeats, of_parts), key=len, reverse=True)[:MOST_PARTS] if len(of_parts) > 1 else []
    items = _with_repeats(code)
    return Sketch(
        whole=_signature(items) if len(items) >= FEWEST else b"",
        parts=tuple(_signature(p) for p in largest if len(p) >= FEWEST_OF_PART),
        key=_key(code, part, place),
    )


def shingles(piece: Piece) -> Hashes:
    """The set of a piece's shingles, as different 64-bit hashes in ascending order; drums have none."""
    return _with_repeats(_runs(piece)[0])


def estimated_similarity(a: Sketch, b: Sketch) -> float:
    """Estimated similarity of two whole pieces, 0..1; 0 where one of them has too few shingles."""
    if not a.whole or not b.whole:
        return 0.0
    return float((np.frombuffer(a.whole, dtype="<u2") == np.frombuffer(b.whole, dtype="<u2")).mean())


def near_duplicates(sketches: Sequence[Sketch]) -> Links:
    """All pairs of near copies that the slices find; time and memory grow with the number of files, not its square."""
    kept = [(i, s.whole, NEAR) for i, s in enumerate(sketches) if s.whole]
    kept += [(i, part, SAME_PART) for i, s in enumerate(sketches) for part in s.parts]
    owner = np.array([i for i, _, _ in kept], dtype=np.int64)
    threshold = np.array([least for _, _, least in kept])
    signature = np.frombuffer(b"".join(one for _, one, _ in kept), dtype="<u2").reshape(-1, _HASHES)
    del kept
    links = np.zeros((3, 0))
    for row in range(0, _HASHES, _ROWS):
        key = np.ascontiguousarray(signature[:, row : row + _ROWS]).view(np.uint32)[:, 0]
        links = _strongest(np.concatenate([links, *_links_in_slice(signature, key, owner, threshold)], axis=1))
    return Links(first=links[0].astype(np.int64), second=links[1].astype(np.int64), similarity=links[2])


def clusters(links: Links, names: Sequence[str]) -> Ints:
    """(N,) a number for each file, the same for files joined by links, directly or through others, or by equal names."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, named = np.unique(np.array(names, dtype=np.str_), return_inverse=True)
    order = np.argsort(named, kind="stable")
    equal = np.flatnonzero(np.diff(named[order]) == 0)
    first = np.concatenate([links.first, order[equal]])
    second = np.concatenate([links.second, order[equal + 1]])
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(len(names), len(names)))
    _, label = connected_components(graph, directed=False)
    return np.asarray(label, dtype=np.int64)


def _links_in_slice(signature: Codes, key: npt.NDArray[np.uint32], owner: Ints, threshold: Floats) -> list[Floats]:
    """Links (3, M) among signatures with equal keys: the lower file, the higher file, similarity."""
    found = []
    order = np.argsort(key, kind="stable")
    key = key[order]
    for distance in range(1, min(_WINDOW, len(key) - 1) + 1):
        equal = np.flatnonzero(key[distance:] == key[:-distance])
        if not len(equal):
            break
        equal = equal[owner[order[equal]] != owner[order[equal + distance]]]
        for at in range(0, len(equal), _CHUNK):
            a, b = order[equal[at : at + _CHUNK]], order[equal[at : at + _CHUNK] + distance]
            shared = (signature[a] == signature[b]).mean(axis=1)
            near = shared >= np.maximum(threshold[a], threshold[b])
            files = np.sort([owner[a[near]], owner[b[near]]], axis=0)
            found.append(np.concatenate([files, shared[near][None]]))
    return found


def _strongest(links: Floats) -> Floats:
    """Links (3, M) in ascending order of files, of several between two files the strongest."""
    links = links[:, np.lexsort((-links[2], links[1], links[0]))]
    once = np.ones(links.shape[1], dtype=bool)
    once[1:] = (np.diff(links[:2], axis=1) != 0).any(axis=0)
    return links[:, once]


def _runs(piece: Piece) -> tuple[Ints, Ints, Ints]:
    """(M,) each varied run of six notes in the top line of a pitched part, as a number, its part, and where it begins."""
    notes = piece.notes
    pitched = ~np.array([p.is_drum for p in piece.parts], dtype=bool)[notes.part]
    step = nearest_step(notes.onset_tick, piece.ticks_per_quarter)[pitched]
    pitch, part = notes.pitch[pitched], notes.part[pitched]
    order = np.lexsort((pitch, step, part))
    step, pitch, part = step[order], pitch[order], part[order]
    top = np.append((np.diff(step) != 0) | (np.diff(part) != 0), True)[: len(step)]
    step, pitch, part = step[top], pitch[top], part[top]
    if len(step) < _RUN:
        none = np.zeros(0, dtype=np.int64)
        return none, none, none
    whole = part[_RUN - 1 :] == part[: 1 - _RUN]  # all six notes in one part
    interval = np.lib.stride_tricks.sliding_window_view(np.diff(pitch), _RUN - 1)[whole]
    wait = np.diff(step)
    # Longer or shorter than the wait before from a quarter more: under any ratio that is notated, over most unevenness.
    pace = np.where(4 * wait[1:] >= 5 * wait[:-1], 1, np.where(5 * wait[1:] <= 4 * wait[:-1], 2, 0))
    pace = np.lib.stride_tricks.sliding_window_view(pace, _RUN - 2)[whole]
    varied = 1 + (np.diff(np.sort(interval, axis=1), axis=1) != 0).sum(axis=1) >= _VARIETY
    code = (interval[varied] + 128) @ (256 ** np.arange(_RUN - 1)) + ((pace[varied] @ (3 ** np.arange(_RUN - 2))) << 40)
    place = np.flatnonzero(whole)[varied]
    return code, part[place], place


def _key(code: Ints, part: Ints, place: Ints) -> str:
    """The key of a sketch: two runs that begin four notes apart are ten notes in a row."""
    after = np.searchsorted(place, place + 4)
    inside = after < len(place)
    first, after = np.flatnonzero(inside), after[inside]
    row = (place[after] == place[first] + 4) & (part[after] == part[first])
    both = _mixed(_mixed(code[first[row]].astype(np.uint64)) ^ code[after[row]].astype(np.uint64))
    return f"{int(both.min()):016x}" if len(both) else ""


def _with_repeats(code: Ints) -> Hashes:
    """Hashes of (shingle, how often it has come before), the first few times of each."""
    value, count = np.unique(code, return_counts=True)
    count = np.minimum(count, _REPEATS)
    time = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return np.unique(_mixed((np.repeat(value, count) + (time << 48)).astype(np.uint64)))


def _signature(items: Hashes) -> bytes:
    smallest = np.full(_HASHES, np.iinfo(np.uint32).max, dtype=np.uint64)
    for start in range(0, len(items), 1024):
        hashed = (items[start : start + 1024, None] * _FACTORS + _TERMS) >> np.uint64(32)
        smallest = np.minimum(smallest, hashed.min(axis=0))
    return (smallest & np.uint64(0xFFFF)).astype("<u2").tobytes()


def _mixed(x: Hashes) -> Hashes:
    """Every bit of the result depends on every bit of x (the finalizer of SplitMix64, Steele and others 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


_FACTORS = _mixed(np.arange(1, _HASHES + 1, dtype=np.uint64)) | np.uint64(1)
_TERMS = _mixed(np.arange(1001, _HASHES + 1001, dtype=np.uint64))
"""One multiply-shift hash function a min-hash, the same on every machine and in every version of numpy."""
