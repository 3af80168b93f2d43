"""The band's drummer: kick, snare, hats with ghost notes that differ from bar to bar, fills and crashes."""

import numpy as np

from meloctl.corpus.composer.band_parts import Hit, Line, accent
from meloctl.corpus.composer.rhythm import Feel, Rhythm, bar_rhythms, edited

KICK, SIDE_STICK, SNARE, CLOSED_HAT, OPEN_HAT, RIDE, CRASH = 36, 37, 38, 42, 46, 51, 49
TOMS = (50, 47, 45, 41)
"""General MIDI's percussion: high tom to low floor tom."""

_SHORT = 3
"""Steps that a drum's note lasts."""


def drum_line(
    rng: np.random.Generator, feel: Feel, *, bars: int, through: bool, cymbal: int, snare: int, busy: float
) -> Line:
    """A groove: one pattern, in every bar changed in a few places.

    Args:
        through: True draws the pattern afresh in every bar.
        cymbal, snare: what keeps time, and what plays the backbeat.
        busy: 0..1, how many ghost notes and kicks.
    """
    kicks = bar_rhythms(
        rng, feel, bars=bars, onsets=(2, 3 + round(busy)), syncopation=0.9, edits=1, through=through, keep={0}
    )
    late = feel.pulse[1]
    ride = tuple(sorted([*feel.beats, *(b + late for b in feel.backbeats)]))  # ding, ding-a, ding, ding-a
    hats = bar_rhythms(
        rng, feel, bars=bars, onsets=(0, 0), syncopation=1.0, edits=3, through=through, keep=set(feel.beats),
        base=ride if cymbal == RIDE and feel.swing else feel.pulse,
    )  # fmt: skip
    return [_bar(rng, feel, k, h, cymbal, snare, busy) for k, h in zip(kicks, hats, strict=True)]


def _bar(
    rng: np.random.Generator, feel: Feel, kicks: Rhythm, hats: Rhythm, cymbal: int, snare: int, busy: float
) -> list[Hit]:
    """One bar; kick and backbeat stay apart, ghost notes fall off the beat."""
    hits = [Hit(s, _SHORT, KICK, 88 + accent(feel, s)) for s in kicks if s not in feel.backbeats]
    hits += [Hit(s, _SHORT, snare, 92) for s in feel.backbeats]
    open_hat = int(rng.choice(hats)) if cymbal == CLOSED_HAT and rng.random() < 0.35 else -1
    for s in hats:
        struck = OPEN_HAT if s == open_hat and s not in feel.beats else cymbal
        hits.append(Hit(s, _SHORT, struck, 66 + accent(feel, s)))
    if snare == SNARE:
        ghosts = edited(rng, (), feel, edits=int(rng.integers(0, 2 + round(2 * busy))), syncopation=2.0)
        hits += [Hit(s, _SHORT, SNARE, 34) for s in ghosts if s not in feel.beats]
    return hits


def with_crash(hits: list[Hit]) -> list[Hit]:
    """The bar with a crash instead of the cymbal on its first beat."""
    kept = [h for h in hits if h.step or h.pitch not in (CLOSED_HAT, OPEN_HAT, RIDE)]
    return [*kept, Hit(0, 12, CRASH, 100)]


def with_fill(rng: np.random.Generator, feel: Feel, hits: list[Hit]) -> list[Hit]:
    """The bar whose last beat or two give way to a run down the toms."""
    beat = feel.steps // len(feel.beats)
    start = feel.steps - beat * int(rng.integers(1, 1 + max(1, len(feel.beats) // 2)))
    pace = 6 if feel.meter == (6, 8) else 4 if feel.swing else 3
    run = [s for s in range(start, feel.steps, pace) if s == start or rng.random() < 0.85]
    kit = (SNARE, *TOMS)
    fill = [
        Hit(s, pace, kit[min(len(kit) - 1, i * len(kit) // len(run))], 78 + 18 * i // len(run))
        for i, s in enumerate(run)
    ]
    return [h for h in hits if h.step < start] + fill


def with_last_stroke(hits: list[Hit], step: int) -> list[Hit]:
    """The last bar of a piece: as it is until a step, then kick and crash."""
    return [*(h for h in hits if h.step < step), Hit(step, 12, KICK, 100), Hit(step, 12, CRASH, 104)]
