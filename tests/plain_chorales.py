"""Bach's chorales with ties joined by music21 itself: slow, and what `read_chorale` must give."""

from fractions import Fraction

import numpy as np
from music21 import converter

from analysis.piece import Bars, Notes, Part, Piece
from meloctl.corpus.chorales import CHOIR, CHOIR_AAHS, TEMPO, TICKS_PER_QUARTER, VELOCITY


def chorale(path):
    """A score as a piece of four choir parts, or None."""
    score = converter.parse(path, forceSource=True, storePickle=False)
    parts = list(score.parts)
    if len(parts) > 4:
        parts = [p for p in parts if p.partName in CHOIR]
    voices = [list(sounding(part)) for part in parts]
    if len(voices) != 4 or not all(voices):
        return None
    part = np.repeat(np.arange(4), [len(v) for v in voices])
    onset, duration, pitch = np.array([n for v in voices for n in v], dtype=np.int64).T
    return Piece(
        parts=tuple(Part(program=CHOIR_AAHS, is_drum=False, name=str(p.partName or "")) for p in parts),
        notes=Notes.of(onset, duration, pitch, np.full(len(part), VELOCITY), part),
        bars=Bars.of(signatures(parts[0]), TICKS_PER_QUARTER),
        tempo_tick=np.zeros(1, dtype=np.int64),
        tempo=np.array([TEMPO]),
        end_tick=ticks(score.highestTime),
    )


def sounding(part):
    """(onset, duration, pitch) of every note, ties joined, grace notes left out."""
    for element in part.stripTies().flatten().notes:
        onset, length = ticks(element.offset), ticks(element.quarterLength)
        if length:
            for pitch in element.pitches:
                yield onset, length, int(pitch.midi)


def ticks(quarters):
    return round(Fraction(quarters) * TICKS_PER_QUARTER)


def signatures(part):
    """(tick, numerator, denominator) where the signature, or the length of a bar, changes."""
    measures = list(part.getElementsByClass("Measure"))
    starts = [Fraction(m.offset) for m in measures]
    nominal = [Fraction(m.barDuration.quarterLength) for m in measures]
    lengths = [b - a for a, b in zip(starts, starts[1:], strict=False)] + [nominal[-1]]
    bars = []
    for measure, start, length, whole in zip(measures, starts, lengths, nominal, strict=True):
        signature = measure.timeSignature or measure.getContextByClass(
            "TimeSignature"
        )  # the latter: of an earlier measure
        below = int(signature.denominator) if signature else 4
        if len(bars) > 1 and bars[-1][1] < whole and bars[-1][1] + length == whole:
            bars[-1] = (bars[-1][0], whole, below)
        elif length:
            bars.append((start, length, below))
    out = []
    for start, length, below in bars:
        denominator = next((d for d in (below, 8, 16, 32, 64) if (length * d / 4).denominator == 1), 64)
        signature = (int(length * denominator / 4), denominator)
        if not out or out[-1][1:] != signature:
            out.append((ticks(start), *signature))
    return out
