"""The band's rhythm: the grid of a metre, one-bar rhythms drawn on it, and bars that resemble one rhythm without being it.

Steps are 12 to the quarter and count from 0 in every bar, so sixteenths, triplets and swung eighths are exact.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

METERS = ((4, 4), (3, 4), (6, 8))
"""Time signatures that the band plays."""

Rhythm = tuple[int, ...]
"""Onsets of one bar in steps, ascending."""

T = TypeVar("T")

_SIXTEENTH = 0.12
_TRIES = 20
"""How often a bar is drawn again that is the same as an earlier one of its phrase."""


@dataclass(frozen=True, kw_only=True)
class Feel:
    """Where notes may start in a bar, and how readily they do."""

    meter: tuple[int, int]
    """(numerator, denominator), one of METERS."""

    swing: bool
    """True: off-beat eighths come at two thirds of the beat."""

    steps: int
    """Length of a bar."""

    half: int
    """Step at which a bar's second chord starts."""

    beats: Rhythm
    """Steps of the beats; in 6/8 the two dotted quarters."""

    backbeats: Rhythm
    """Steps of the snare."""

    pulse: Rhythm
    """Steps of the hi-hat: the eighths, swung or straight."""

    grid: Mapping[int, float]
    """Step -> metric weight in 0..1: 1 for the first beat, the least for sixteenths."""


def feel_of(meter: tuple[int, int], *, swing: bool) -> Feel:
    """The feel of a metre of METERS; 6/8 has no swing of its own."""
    beats: Rhythm = tuple(range(0, 12 * meter[0], 12))
    pulse: Rhythm
    if meter == (6, 8):
        beats, half, pulse = (0, 18), 18, tuple(range(0, 36, 6))
        offs = {6: 0.4, 12: 0.55, 24: 0.4, 30: 0.55} | dict.fromkeys(range(3, 36, 6), _SIXTEENTH / 2)
    else:
        half, eighth = 24, 8 if swing else 6
        sixteenths = {} if swing else {b + s: _SIXTEENTH for b in beats for s in (3, 9)}
        offs = {b + eighth: 0.5 for b in beats} | sixteenths
        pulse = tuple(sorted([*beats, *(b + eighth for b in beats)]))
    weights = {b: 1.0 if b == 0 else 0.9 if b == half else 0.75 for b in beats}
    return Feel(
        meter=meter,
        swing=swing,
        steps=12 * 4 * meter[0] // meter[1],
        half=half,
        beats=beats,
        backbeats={(4, 4): (12, 36), (3, 4): (12, 24), (6, 8): (18,)}[meter],
        pulse=pulse,
        grid=dict(sorted((weights | offs).items())),
    )


def pick(rng: np.random.Generator, weights: Mapping[T, float]) -> T:
    """One of the keys, by weight (≥ 0, not all 0)."""
    at = rng.random() * sum(weights.values())
    for item, weight in weights.items():
        at -= weight
        if at < 0:
            return item
    return max(weights, key=lambda k: weights[k])  # rounding ran past the last one


def bar_rhythms(
    rng: np.random.Generator,
    feel: Feel,
    *,
    bars: int,
    onsets: tuple[int, int],
    syncopation: float,
    edits: int,
    through: bool,
    keep: Set[int] = frozenset(),
    base: Rhythm | None = None,
) -> list[Rhythm]:
    """A rhythm for each bar of a phrase: each one is the phrase's own rhythm, changed in a few places of its own.

    So any two bars are equally alike, whatever their distance, and no period shorter than the phrase comes about.

    Args:
        onsets: least and most onsets of the rhythm that the bars share.
        syncopation: factor on the weight of steps off the beat.
        edits: changes a bar, each an onset added, taken away or moved.
        through: True draws the shared rhythm afresh for every bar (`base` is kept if given).
        keep: steps that every bar has.
        base: the shared rhythm, drawn when None.
    """
    out: list[Rhythm] = []
    shared = base or draw_rhythm(rng, feel, onsets=onsets, syncopation=syncopation, keep=keep)
    for _ in range(bars):
        if through and base is None:
            shared = draw_rhythm(rng, feel, onsets=onsets, syncopation=syncopation, keep=keep)
        bar = edited(rng, shared, feel, edits=edits, syncopation=syncopation, keep=keep)
        for _ in range(0 if through else _TRIES):
            if bar not in out:
                break
            bar = edited(rng, shared, feel, edits=edits, syncopation=syncopation, keep=keep)
        out.append(bar)
    return out


def draw_rhythm(
    rng: np.random.Generator, feel: Feel, *, onsets: tuple[int, int], syncopation: float, keep: Set[int] = frozenset()
) -> Rhythm:
    """A rhythm of at least onsets[0] and at most onsets[1] onsets, steps drawn by their weight; `keep` are in it."""
    chosen = set(keep)
    wanted = int(rng.integers(onsets[0], onsets[1] + 1))
    while len(chosen) < wanted:
        chosen.add(pick(rng, _free(feel, chosen, syncopation)))
    return tuple(sorted(chosen))


def edited(
    rng: np.random.Generator,
    rhythm: Rhythm,
    feel: Feel,
    *,
    edits: int,
    syncopation: float,
    keep: Set[int] = frozenset(),
) -> Rhythm:
    """The rhythm with some onsets added, taken away or moved; never empty, `keep` stay."""
    chosen = set(rhythm) | keep
    for _ in range(edits):
        loose = sorted(chosen - keep)
        kind = rng.integers(3)
        if kind != 0 and len(chosen) > 1 and loose:
            chosen.remove(loose[int(rng.integers(len(loose)))])
        if kind != 1:
            free = _free(feel, chosen, syncopation)
            if free:
                chosen.add(pick(rng, free))
    return tuple(sorted(chosen))


def _free(feel: Feel, taken: Set[int], syncopation: float) -> dict[int, float]:
    """Steps of the grid that are not taken, with their weights."""
    return {s: w if s in feel.beats else w * syncopation for s, w in feel.grid.items() if s not in taken}
