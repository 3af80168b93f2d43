"""Several takes of the same piece: the one is kept that has no period by chance."""

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from meloctl.corpus.composer.band_parts import Hit
from meloctl.corpus.composer.material import BASS, CHORDS, DRUMS, LEAD, Band, Material, compose_material
from meloctl.corpus.composer.perform import Played, perform

_SKETCHES = 24
"""How many phrases are written for a letter."""

_LONG_SKETCHES = 8
"""How many through-composed sketches are written: each is a whole piece, in which chance evens out."""

_KEPT = 4
"""How many of them go into takes."""

_TAKES = 16
"""How many takes of a piece are played."""

_FARTHEST = 17
"""Offsets up to this one are looked at when takes are compared."""


def best_take(rng: np.random.Generator, band: Band, *, form: str, phrase: int, section: int) -> Played:
    """The piece, bar by bar: the take whose similarity by offset is flattest where nothing is planted.

    Chance plants periods too: a walk of chords may come home every two bars, a fill may sound like a bar before it.
    """
    names = dict.fromkeys(form) if phrase else [form]
    bars = phrase or section * len(form)
    flattest = {name: _sketches(rng, band, bars=bars, through=not phrase) for name in names}
    takes = [
        perform(
            rng,
            band,
            {n: x[rng.integers(_KEPT)] for n, x in flattest.items()},
            form=form,
            phrase=phrase,
            section=section,
        )
        for _ in range(_TAKES)
    ]
    return min(takes, key=lambda take: stray_rise(take, phrase))


def _sketches(rng: np.random.Generator, band: Band, *, bars: int, through: bool) -> list[Material]:
    """The flattest of many phrases, first the very flattest; what will recur is looked at as it sounds when it does."""
    sketches = [
        compose_material(rng, band, bars=bars, through=through) for _ in range(_LONG_SKETCHES if through else _SKETCHES)
    ]
    rises = []
    for sketch in sketches:
        once = [list(bar) for bar in zip(*sketch.lines, strict=True)]
        rises.append(stray_rise(once, 0) if through else stray_rise(once * 3, bars))
    return [sketches[i] for i in np.argsort(rises, kind="stable")[:_KEPT]]


def stray_rise(bars: Played, phrase: int) -> float:
    """The farthest that similarity by offset is from the mean of its neighbours, over offsets where nothing recurs.

    Similarities are the mean Jaccard, over all pairs of bars of one part, of onsets, and of pitch classes without the drums.
    """
    most = min(_FARTHEST, len(bars) - 1)
    # The offsets next to a planted peak fall below their neighbours by its height.
    free = [k for k in range(2, most) if not phrase or k % phrase not in (0, 1, phrase - 1)]
    onsets = _sets(bars, (DRUMS, BASS, CHORDS, LEAD), lambda h: h.step)
    pitches = _sets(bars, (BASS, CHORDS, LEAD), lambda h: h.pitch % 12)
    worst = 0.0
    for sets in (onsets, pitches) if free else ():
        alike = {k: _alike(sets, k) for k in range(1, most + 1)}
        worst = max(worst, *(abs(alike[k] - (alike[k - 1] + alike[k + 1]) / 2) for k in free))
    return worst


def _sets(bars: Played, parts: tuple[int, ...], of: Callable[[Hit], int]) -> npt.NDArray[np.uint64]:
    """What the notes of each bar have, as the bits of a number, shape (parts, bars)."""
    return np.array([[_bits(map(of, bar[part])) for bar in bars] for part in parts], dtype=np.uint64)


def _bits(members: Iterable[int]) -> int:
    """A set of small numbers as the bits of one."""
    bits = 0
    for member in members:
        bits |= 1 << member
    return bits


def _alike(sets: npt.NDArray[np.uint64], offset: int) -> float:
    """Mean Jaccard of the sets (parts, bars), none empty, with those `offset` bars before."""
    now, before = sets[:, offset:], sets[:, :-offset]
    return float((np.bitwise_count(now & before) / np.bitwise_count(now | before)).mean())
