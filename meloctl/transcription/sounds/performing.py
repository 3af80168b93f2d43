"""Lines as people play them: tempo that drifts, parts that are not quite together, articulation, the range of an instrument."""

import numpy as np

from meloctl.transcription.sounds.note_samples import SampledInstrument
from meloctl.transcription.sounds.training_music import Floats, Line

_SHORTEST_S = 0.07
_KNOTS_A_SECOND = 1.5
_PEDAL_SHARE = 0.3
"""Of stems of struck and plucked instruments, whose notes ring on when they are let go."""


def tempo_map(rng: np.random.Generator, seconds: float) -> tuple[Floats, Floats]:
    """((K,) metronome seconds, (K,) played seconds): a tempo that drifts by some percent, with up to three long notes."""
    count = int(seconds * _KNOTS_A_SECOND) + 2
    steady = np.linspace(0, seconds, count)
    drift = rng.normal(0, rng.choice([0.01, 0.03, 0.07]), count).cumsum()
    played = np.append(0, np.cumsum(np.diff(steady) * np.exp(np.clip(drift - drift.mean(), -0.35, 0.35))[1:]))
    for _ in range(int(rng.integers(0, 4)) if rng.random() < 0.6 else 0):
        played[int(rng.integers(2, count)) :] += rng.uniform(0.1, 1.0)
    return steady, played


def played_lines(lines: list[Line], rng: np.random.Generator, seconds: float) -> list[Line]:
    """All lines under one tempo that drifts, cut to `seconds`."""
    steady, played = tempo_map(rng, seconds)
    result = []
    for line in lines:
        onset, offset = np.interp(line.onset, steady, played), np.interp(line.offset, steady, played)
        inside = onset < seconds - 0.15
        result.append(Line(onset[inside], np.minimum(offset, seconds)[inside], line.pitch[inside]))
    return result


def fitted(line: Line, instrument: SampledInstrument, rng: np.random.Generator) -> Line:
    """The line, moved by octaves into the instrument's range, without notes that still lie outside."""
    low, high = instrument.range
    shifts = np.arange(-60, 61, 12)
    inside = np.array([((line.pitch + s >= low) & (line.pitch + s <= high)).mean() for s in shifts])
    good = shifts[inside >= min(0.95, inside.max())]
    nearest = good[np.abs(good).argmin()]
    pitch = line.pitch + (rng.choice(good) if rng.random() < 0.35 else nearest)
    return Line(line.onset, line.offset, pitch).take((pitch >= low) & (pitch <= high))


def performed(line: Line, instrument: SampledInstrument, rng: np.random.Generator) -> Line:
    """The line as one player of the instrument plays it: onsets apart by some milliseconds, notes of other lengths.

    A monophonic instrument plays the upper of notes that begin together, and ends each note by the next one's onset. Of two
    notes on one pitch the first always ends before the second begins.
    """
    line = fitted(line, instrument, rng)
    spread = rng.choice([0.003, 0.008, 0.015, 0.025])
    apart = rng.normal(0, spread, len(line)) + (0 if rng.random() < 0.5 else rng.normal(0, spread))
    onset = np.maximum(line.onset + apart, 0.03)
    styles = [(0.3, 0.6), (0.6, 0.9), (0.88, 1.0), (0.97, 1.02), (1.0, 1.1)]
    low, high = styles[
        rng.choice(5, p=[0.14, 0.14, 0.24, 0.36, 0.12] if instrument.sustained else [0.1, 0.2, 0.3, 0.2, 0.2])
    ]
    length = np.maximum((line.offset - line.onset) * rng.uniform(low, high, len(line)), _SHORTEST_S)
    if not instrument.sustained and not instrument.monophonic and rng.random() < _PEDAL_SHARE:
        length += rng.uniform(0.2, 2.5)
    order = np.lexsort((line.pitch, onset))
    line = Line(onset[order], (onset + length)[order], line.pitch[order])
    if instrument.monophonic:
        line = _one_at_a_time(line)
    return _repeats_apart(line, rng)


def _one_at_a_time(line: Line) -> Line:
    """The upper note of those within 50 ms, each ended where the next begins."""
    if not len(line):
        return line
    chord = np.cumsum(np.append(0, np.diff(line.onset) > 0.05))
    order = np.lexsort((-line.pitch, chord))
    line = line.take(np.sort(order[np.append(True, np.diff(chord[order]) > 0)]))
    following = np.append(line.onset[1:], np.inf)
    return Line(line.onset, np.minimum(line.offset, following), line.pitch)


def _repeats_apart(line: Line, rng: np.random.Generator) -> Line:
    """The line with each note ended shortly before the next one on its pitch; what is then too short is left out."""
    offset = line.offset.copy()
    for pitch in np.unique(line.pitch):
        same = np.flatnonzero(line.pitch == pitch)
        gap = rng.uniform(0, 0.04, max(len(same) - 1, 0))
        offset[same[:-1]] = np.minimum(offset[same[:-1]], line.onset[same[1:]] - gap)
    return Line(line.onset, offset, line.pitch).take(offset - line.onset >= 0.05)
