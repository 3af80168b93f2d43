"""The band's pitched parts: bass, chords and lead over given chords and rhythms."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from meloctl.corpus.composer.harmony import Changes, Chord, chord_at, voicings
from meloctl.corpus.composer.rhythm import Feel, Rhythm, pick

BASS_RANGE = (28, 52)
CHORDS_RANGE = (48, 72)
LEAD_RANGE = (59, 81)
"""Lowest and highest pitch of each part; the lead's is what most people can sing."""


class Hit(NamedTuple):
    """A note within its bar."""

    step: int
    length: int
    """Steps."""

    pitch: int
    velocity: int


Line = list[list[Hit]]
"""The notes of one part, bar by bar."""


def accent(feel: Feel, step: int) -> int:
    """What metric weight adds to a velocity."""
    return round(14 * feel.grid.get(step, 0.0)) - 6


def gaps(rhythm: Rhythm, steps: int) -> list[int]:
    """Steps from each onset to the next one, or to the end of the bar."""
    return [b - a for a, b in zip(rhythm, [*rhythm[1:], steps], strict=True)]


def bass_line(
    rng: np.random.Generator, feel: Feel, chords: list[Changes], rhythms: list[Rhythm], *, walking: bool
) -> Line:
    """Roots where chords start, then roots, fifths, thirds and octaves, and a step into the next chord's root."""
    wandering = {"root": 1.0, "fifth": 3.0, "third": 3.0, "octave": 1.0}
    between = wandering if walking else {"root": 5.0, "fifth": 3.0, "octave": 1.5, "third": 0.7}
    out: Line = []
    last = 40
    for bar, (changes, rhythm) in enumerate(zip(chords, rhythms, strict=True)):
        starts = {step for step, _ in changes}
        line: list[Hit] = []
        for step, gap in zip(rhythm, gaps(rhythm, feel.steps), strict=True):
            chord = chord_at(changes, step)
            following = step + gap
            is_last = following >= feel.steps or following in starts
            ahead = chords[(bar + 1) % len(chords)][0][1] if following >= feel.steps else chord_at(changes, following)
            if step in starts:
                last = nearest(chord.root, 2 * last // 3 + 12, BASS_RANGE)
                pitch = last
            elif is_last and ahead.root != chord.root and rng.random() < (0.9 if walking else 0.45):
                pitch = _approach(rng, ahead, chord, last)
            else:
                pitch = _inside(last + _interval(chord, pick(rng, between)), BASS_RANGE)
            length = gap if walking or gap <= 6 else gap - 2
            line.append(Hit(step, length, pitch, 84 + accent(feel, step)))
        out.append(line)
    return out


def _interval(chord: Chord, name: str) -> int:
    third = (chord.tones[1] - chord.root) % 12
    fifth = (chord.tones[2] - chord.root) % 12
    return {"root": 0, "third": third, "fifth": fifth, "octave": 12}[name]


def _approach(rng: np.random.Generator, ahead: Chord, chord: Chord, last: int) -> int:
    """A half or whole step from the root to come; from above a note of the scale that sounds."""
    root = nearest(ahead.root, 2 * last // 3 + 12, BASS_RANGE)
    above = next(root + i for i in (1, 2) if (root + i) % 12 in chord.scale or i == 2)
    below = next(root - i for i in (1, 2) if (root - i) % 12 in chord.scale or i == 2)
    return _inside(int(pick(rng, {above: 1.0, below: 1.2, root - 1: 0.8})), BASS_RANGE)


def nearest(pitch_class: int, to: int, within: tuple[int, int]) -> int:
    """The pitch of that class nearest to `to` within a range of an octave or more."""
    return min((p for p in range(within[0], within[1] + 1) if p % 12 == pitch_class), key=lambda p: (abs(p - to), p))


def _inside(pitch: int, within: tuple[int, int]) -> int:
    """The pitch, moved by octaves into a range."""
    while pitch > within[1]:
        pitch -= 12
    while pitch < within[0]:
        pitch += 12
    return pitch


def comping(feel: Feel, chords: list[Changes], rhythms: list[Rhythm], *, style: str) -> Line:
    """Chords in a rhythm: "block" (short off the beat), "strum" (up-strokes leave the low strings out), "broken" or "pad"."""
    low, high = CHORDS_RANGE
    shapes = iter(voicings([chord for changes in chords for _, chord in changes], low=low, high=high))
    out: Line = []
    for changes, rhythm in zip(chords, rhythms, strict=True):
        voiced = tuple((start, next(shapes)) for start, _ in changes)
        line: list[Hit] = []
        for i, (step, gap) in enumerate(zip(rhythm, gaps(rhythm, feel.steps), strict=True)):
            shape = next(v for start, v in reversed(voiced) if start <= step)
            on_beat = step in feel.beats
            velocity = 66 + accent(feel, step)
            if style == "broken":
                order = [*shape, *shape[-2:0:-1]]
                line.append(Hit(step, gap, order[i % len(order)], velocity))
                continue
            if style == "strum" and not on_beat:
                shape, velocity = shape[1:], velocity - 6
            length = gap if style == "pad" else min(gap, 10 if style == "strum" else 12 if on_beat else 5)
            line += [Hit(step, length, pitch, velocity) for pitch in shape]
        out.append(line)
    return out


def lead_line(
    rng: np.random.Generator, feel: Feel, chords: list[Changes], rhythms: list[Rhythm], *, centre: int
) -> Line:
    """A tune: chord tones on the beat and on long notes, steps of the scale between them, an arch over the phrase, breaths.

    Args:
        centre: pitch around which the phrase rises and falls.
    """
    where = [
        (bar, step, gap)
        for bar, rhythm in enumerate(rhythms)
        for step, gap in zip(rhythm, gaps(rhythm, feel.steps), strict=True)
    ]
    beat = feel.beats[1]
    anchors = [
        i
        for i, (_, step, gap) in enumerate(where)
        if step in feel.beats or (gap >= beat and step) or i + 1 == len(where)
    ]
    pitches = [0] * len(where)
    height = float(rng.uniform(3, 9))
    last = centre - 2
    for i in anchors:
        bar, step, _ = where[i]
        aim = centre + height * math.sin(math.pi * (bar + step / feel.steps) / len(rhythms)) - 2
        last = pitches[i] = _chord_tone(rng, chord_at(chords[bar], step), last, aim)
    for a, b in zip([-1, *anchors], anchors, strict=False):
        here = pitches[a] if a >= 0 else pitches[b]
        for i in range(a + 1, b):
            bar, step, _ = where[i]
            here = pitches[i] = _passing(rng, chord_at(chords[bar], step).scale, here, pitches[b])
    out: Line = [[] for _ in rhythms]
    for (bar, step, gap), pitch in zip(where, pitches, strict=True):
        out[bar].append(Hit(step, _sung(rng, gap, beat), pitch, 92 + accent(feel, step)))
    return out


def _sung(rng: np.random.Generator, gap: int, beat: int) -> int:
    """How long a note is held: now and then a long one ends early, for a breath."""
    if gap > beat and rng.random() < 0.35:
        return beat
    return gap if gap <= 4 else gap - 1


def _chord_tone(rng: np.random.Generator, chord: Chord, last: int, aim: float) -> int:
    """A chord tone near the note before and near where the phrase is going; repeats and leaps are the exception."""
    options: Sequence[int] = [p for p in range(LEAD_RANGE[0], LEAD_RANGE[1] + 1) if p % 12 in chord.tones[:3]]
    chance: list[float] = rng.exponential(1.6, len(options)).tolist()

    def cost(i: int) -> float:
        leap = abs(options[i] - last)
        return (2.4 if leap == 0 else 0.4 * leap + max(0, leap - 7)) + 0.45 * abs(options[i] - aim) + chance[i]

    return options[min(range(len(options)), key=cost)]


def _passing(rng: np.random.Generator, scale: frozenset[int], here: int, goal: int) -> int:
    """The next step of the scale toward a goal; a neighbour where the goal is reached already, and now and then before."""
    up = here < goal if here != goal else bool(rng.random() < 0.5)
    if rng.random() < 0.2:
        up = not up
    pitch = here + 1 if up else here - 1
    while pitch % 12 not in scale:
        pitch += 1 if up else -1
    return pitch if LEAD_RANGE[0] <= pitch <= LEAD_RANGE[1] else here
