"""The band's material: one phrase of a section, written out for all four parts."""

from dataclasses import dataclass

import numpy as np

from meloctl.corpus.composer.band_parts import Line, bass_line, comping, lead_line
from meloctl.corpus.composer.drums import CLOSED_HAT, RIDE, SIDE_STICK, SNARE, drum_line
from meloctl.corpus.composer.harmony import BandKey, Changes, progression, wandering
from meloctl.corpus.composer.rhythm import Feel, Rhythm, bar_rhythms

DRUMS, BASS, CHORDS, LEAD = range(4)
"""Indices of the band's parts."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """What stays the same in all sections of a piece."""

    key: BandKey
    feel: Feel
    sevenths: bool
    comping: str
    """"block", "strum", "broken" or "pad"."""

    walking: bool
    lead_centre: int


@dataclass(frozen=True, kw_only=True)
class Material:
    """A phrase, written out once."""

    chords: list[Changes]
    lines: tuple[Line, Line, Line, Line]
    """One line a part, in the order DRUMS, BASS, CHORDS, LEAD."""


def compose_material(rng: np.random.Generator, band: Band, *, bars: int, through: bool) -> Material:
    """One phrase for all parts.

    Args:
        through: True for material without any recurrence.
    """
    feel = band.feel
    walk = wandering if through else progression
    chords = walk(rng, band.key, feel, bars=bars, sevenths=band.sevenths)
    rhythms = {
        part: [
            tuple(sorted({0, *r, *(s for s, _ in c)})) if part != LEAD else r for r, c in zip(rows, chords, strict=True)
        ]
        for part, rows in _rhythms(rng, band, bars=bars, through=through).items()
    }
    if not through:
        rhythms[LEAD][-1] = _breath(rhythms[LEAD][-1], feel)
    quiet = rng.random() < 0.2
    drums = drum_line(
        rng, feel, bars=bars, through=through,
        cymbal=RIDE if rng.random() < (0.7 if feel.swing else 0.25) else CLOSED_HAT,
        snare=SIDE_STICK if quiet else SNARE, busy=float(rng.random()),
    )  # fmt: skip
    return Material(
        chords=chords,
        lines=(
            drums,
            bass_line(rng, feel, chords, rhythms[BASS], walking=band.walking),
            comping(feel, chords, rhythms[CHORDS], style=band.comping),
            lead_line(rng, feel, chords, rhythms[LEAD], centre=band.lead_centre + int(rng.integers(-2, 3))),
        ),
    )


_ONSETS = {
    # style: onsets of a bar of 4/4, how readily off the beat
    "block": ((3, 5), 1.1),
    "strum": ((5, 7), 1.0),
    "broken": ((6, 8), 1.3),
    "pad": ((1, 3), 0.5),
}


def _rhythms(rng: np.random.Generator, band: Band, *, bars: int, through: bool) -> dict[int, list[Rhythm]]:
    """Onsets of the pitched parts, by part and bar."""
    feel = band.feel
    size = 1.0 if feel.meter == (4, 4) else 0.75

    def some(low: int, high: int) -> tuple[int, int]:
        return max(1, round(low * size)), max(1, round(high * size))

    onsets, syncopation = _ONSETS[band.comping]
    walk = feel.beats if band.walking else None
    return {
        BASS: bar_rhythms(
            rng, feel, bars=bars, onsets=some(2, 5), syncopation=0.7, edits=1 + band.walking, through=through,
            keep={0}, base=walk,
        ),
        CHORDS: bar_rhythms(
            rng, feel, bars=bars, onsets=some(*onsets), syncopation=syncopation, edits=2, through=through
        ),
        LEAD: bar_rhythms(rng, feel, bars=bars, onsets=some(4, 6), syncopation=1.0, edits=2, through=through),
    }  # fmt: skip


def _breath(rhythm: Rhythm, feel: Feel) -> Rhythm:
    """The end of a tune: nothing new starts in the second half of its last bar."""
    return tuple(s for s in rhythm if s <= feel.half) or rhythm[:1]
