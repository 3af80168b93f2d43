"""The band's harmony: chords of a key, a weighted walk through their functions, and voicings that move little.

The weights are ours: what usually follows what in songs of common-practice harmony (tonic, subdominant, dominant, tonic),
with secondary dominants now and then, and in minor the raised leading tone in the dominant.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

import numpy as np

from meloctl.corpus.composer.rhythm import Feel, pick


@dataclass(frozen=True, kw_only=True)
class BandKey:
    """A major or (natural) minor key."""

    tonic: int
    """Pitch class 0..11."""

    minor: bool


@dataclass(frozen=True, kw_only=True)
class Chord:
    """Pitch classes of a chord, and the scale that a melody over it takes its other notes from."""

    root: int
    tones: tuple[int, ...]
    """3 or 4 pitch classes, the root first."""

    scale: frozenset[int]
    """7 pitch classes, the tones among them."""


Changes = tuple[tuple[int, Chord], ...]
"""Chords of one bar with the step from which each sounds; the first at step 0."""

_MAJ, _MIN, _DOM, _HALF = (0, 4, 7, 11), (0, 3, 7, 10), (0, 4, 7, 10), (0, 3, 6, 10)

_MAJOR = {
    "I": (0, _MAJ), "ii": (2, _MIN), "iii": (4, _MIN), "IV": (5, _MAJ), "V": (7, _DOM), "vi": (9, _MIN),
    "bVII": (10, _MAJ), "V/ii": (9, _DOM), "V/IV": (0, _DOM), "V/V": (2, _DOM), "V/vi": (4, _DOM),
}  # fmt: skip
_MINOR = {
    "I": (0, _MIN), "ii": (2, _HALF), "III": (3, _MAJ), "iv": (5, _MIN), "V": (7, _DOM), "VI": (8, _MAJ),
    "VII": (10, _MAJ), "V/iv": (0, _DOM), "V/V": (2, _DOM), "V/III": (10, _DOM),
}  # fmt: skip

_AFTER_MAJOR: dict[str, dict[str, float]] = {
    "I": {"IV": 3, "vi": 3, "ii": 2, "V": 2, "iii": 1.5, "bVII": 0.4, "V/vi": 0.5, "V/ii": 0.4, "V/IV": 0.4},
    "ii": {"V": 5, "IV": 1, "iii": 1, "V/V": 0.4},
    "iii": {"vi": 3, "IV": 3, "ii": 1},
    "IV": {"V": 3, "I": 2, "ii": 2, "iii": 0.8, "bVII": 0.3, "V/V": 0.5},
    "V": {"I": 4, "vi": 2, "IV": 1, "iii": 0.5},
    "vi": {"ii": 3, "IV": 3, "V": 1, "iii": 1.5, "V/V": 0.5},
    "bVII": {"IV": 2, "I": 1, "V": 1},
    "V/ii": {"ii": 1},
    "V/IV": {"IV": 1},
    "V/V": {"V": 1},
    "V/vi": {"vi": 1},
}
_AFTER_MINOR: dict[str, dict[str, float]] = {
    "I": {"iv": 3, "VI": 3, "VII": 2, "ii": 1.5, "V": 2, "III": 1.5, "V/iv": 0.5},
    "ii": {"V": 5, "VII": 0.5},
    "III": {"VI": 3, "iv": 2, "VII": 1, "ii": 1},
    "iv": {"V": 3, "I": 2, "VII": 1.5, "ii": 1, "V/III": 0.5},
    "V": {"I": 4, "VI": 2},
    "VI": {"iv": 2, "ii": 2, "VII": 2, "III": 1.5, "V": 1, "V/V": 0.4},
    "VII": {"III": 3, "I": 1, "VI": 1, "V": 0.5},
    "V/iv": {"iv": 1},
    "V/V": {"V": 1},
    "V/III": {"III": 1},
}

_USED = 0.25
"""Factor on the weight of a chord that the phrase has had already."""

_BACK = 0.12
"""How much of a chord's weights goes to the chord before it: harmony that swings out and home again."""

_SPLIT = 0.2
"""Share of bars with two chords."""

_HOLD = 0.1
"""Share of bars of a through-composed piece in which the chord stays."""


def progression(rng: np.random.Generator, key: BandKey, feel: Feel, *, bars: int, sevenths: bool) -> list[Changes]:
    """Chords of a phrase: from the tonic, or a relative of it, to a cadence in the last bar that leads back to the start.

    Args:
        bars: length of the phrase, ≥ 1.
        sevenths: True gives every chord its seventh; else only dominants have one.
    """
    related = {"I": 5.0, "VI": 1.5, "iv": 1.0} if key.minor else {"I": 5.0, "vi": 1.5, "IV": 1.5}
    walk, names = [pick(rng, related)], []
    for left in reversed(range(1, bars)):
        bar = [walk[-1]]
        for _ in range(1 + (rng.random() < _SPLIT)):
            ahead = {n: w * (_USED if n in walk else 1.0) for n, w in _ahead(walk, key).items()}
            if left == 2:  # what is drawn now fills the last bar but one, and should lead to the cadence
                ahead = {n: w * (0.05 + _after(key)[n].get("V", 0.0)) for n, w in ahead.items()}
            walk.append(pick(rng, ahead))
            bar.append(walk[-1])
        names.append(tuple(bar[:-1]))
    closing = {("V",): 3.0, ("iv" if key.minor else "IV", "V"): 1.0, ("ii", "V"): 1.0, ("V", "I"): 0.7}
    names.append(pick(rng, {c: w for c, w in closing.items() if not names or c != names[-1][-1:]}))
    return [_changes(bar, key, feel, sevenths=sevenths) for bar in names]


def wandering(rng: np.random.Generator, key: BandKey, feel: Feel, *, bars: int, sevenths: bool) -> list[Changes]:
    """Chords of a through-composed piece: a walk without a goal, now and then two chords in a bar or one in two."""
    walk, out = ["I"], []
    for _ in range(bars):
        bar = [walk[-1]]
        if rng.random() < _SPLIT:
            walk.append(pick(rng, _ahead(walk, key)))
            bar.append(walk[-1])
        out.append(_changes(tuple(bar), key, feel, sevenths=sevenths))
        if rng.random() >= _HOLD:
            walk.append(pick(rng, _ahead(walk, key)))
    return out


def _after(key: BandKey) -> dict[str, dict[str, float]]:
    return _AFTER_MINOR if key.minor else _AFTER_MAJOR


def _ahead(walk: list[str], key: BandKey) -> dict[str, float]:
    """What may follow the last chord of a walk, with weights; a secondary dominant goes where it must."""
    ahead = _after(key)[walk[-1]]
    if len(walk) < 2 or "/" in walk[-1]:
        return ahead
    back = _BACK * sum(ahead.values())
    return ahead | {walk[-2]: ahead.get(walk[-2], 0.0) + back}


def tonic_chord(key: BandKey) -> Chord:
    """The triad on which a piece ends."""
    return _chord("I", key, sevenths=False)


def chord_at(changes: Changes, step: int) -> Chord:
    """The chord that sounds at a step of a bar."""
    return next(chord for start, chord in reversed(changes) if start <= step)


def _changes(names: tuple[str, ...], key: BandKey, feel: Feel, *, sevenths: bool) -> Changes:
    return tuple(zip((0, feel.half), (_chord(n, key, sevenths=sevenths) for n in names), strict=False))


def _chord(name: str, key: BandKey, *, sevenths: bool) -> Chord:
    degree, intervals = (_MINOR if key.minor else _MAJOR)[name]
    kept = intervals if sevenths or intervals == _DOM else intervals[:3]
    scale = {0, 2, 3, 5, 7, 8, 10} if key.minor else {0, 2, 4, 5, 7, 9, 11}
    for tone in {(degree + i) % 12 for i in kept} - scale:
        # A tone that the key lacks takes the place of the step that it raises; only the flat seventh of major lowers one.
        scale = scale - {11 if tone == 10 else (tone - 1) % 12} | {tone}
    return Chord(
        root=(key.tonic + degree) % 12,
        tones=tuple((key.tonic + degree + i) % 12 for i in kept),
        scale=frozenset((key.tonic + s) % 12 for s in scale),
    )


def voicings(chords: list[Chord], *, low: int, high: int) -> list[tuple[int, ...]]:
    """Pitches for each chord, low ≤ pitch ≤ high, each the smallest move from the one before (the first near the middle)."""
    out: list[tuple[int, ...]] = []
    for chord in chords:
        before = out[-1] if out else ()
        out.append(min(_shapes(chord.tones, low, high), key=lambda v: (_move(before, v[1]) + v[0], v[1]))[1])
    return out


@cache
def _shapes(tones: tuple[int, ...], low: int, high: int) -> list[tuple[float, tuple[int, ...]]]:
    """Close positions of a chord, and those with the second voice from the top an octave lower, each with its price.

    A chord of four tones may leave its root to the bass. The price is how far a shape lies from the middle of the range.
    """
    shapes = set()
    for members in [tones] if len(tones) == 3 else [tones, tones[1:]]:
        for bottom in range(low, high):
            if bottom % 12 in members:
                close = tuple(bottom + r for r in sorted((t - bottom) % 12 for t in members))
                shapes |= {close, tuple(sorted((*close[:-2], close[-2] - 12, close[-1])))}
    return [
        (abs(sum(s) / len(s) - (low + high) / 2) / 3, s)
        for s in sorted(shapes)
        if s[0] >= low and s[-1] <= high and all(b - a > 1 for a, b in pairwise(s))
    ]


@lru_cache(1 << 16)
def _move(before: tuple[int, ...], after: tuple[int, ...]) -> float:
    """How far the voices go: each to its nearest neighbour, both ways."""
    if not before:
        return 0.0
    there = sum(min(abs(a - b) for b in before) for a in after)
    back = sum(min(abs(a - b) for a in after) for b in before)
    return (there + back) / 2
