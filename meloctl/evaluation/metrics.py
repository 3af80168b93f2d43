"""Nine metrics of one piece: pitch, rhythm and texture. NaN where a piece lacks what is measured.

Pitch-class entropy, scale consistency and groove consistency are the trio of muspy and the MMT (Dong et al., ISMIR 2020 and
ICASSP 2023), here of whole pieces. None of them is better when it is higher: the difference to real music matters.
"""

from dataclasses import dataclass

import numpy as np

from analysis.arrays import Bools, Floats, Ints
from analysis.piece import Notes, Piece

POSITIONS = 48
"""Places in a bar, whatever its signature, on which grooves are compared; the number is part of the measure."""

MANY = 2
"""Pitches: the polyphony rate counts the time at which more than these sound (muspy's threshold, a strict >)."""

_MAJOR = np.array([1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1], dtype=np.float64)
_MINOR = np.array([1, 0, 1, 1, 0, 1, 0, 1, 1, 0, 1, 0], dtype=np.float64)
_SCALES = np.array([np.roll(scale, root) for scale in (_MAJOR, _MINOR) for root in range(12)])
"""(24, 12) the pitch classes of every major and natural minor scale."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric's name, unit and definition."""

    name: str
    unit: str
    definition: str


METRICS = (
    Metric(name="pitch-class entropy", unit="bits", definition="0 to 3.585; notes by pitch class, drums left out"),
    Metric(
        name="scale consistency",
        unit="share",
        definition="notes in the best of 24 major and minor scales, drums left out",
    ),
    Metric(name="groove consistency", unit="share", definition=f"{POSITIONS} positions a bar, all parts"),
    Metric(name="note density", unit="notes a bar", definition="all parts"),
    Metric(name="polyphony", unit="pitches", definition="sounding where any does, drums left out"),
    Metric(
        name="polyphony rate", unit="share", definition=f"of the time, more than {MANY} pitches sound, drums left out"
    ),
    Metric(name="pitch range of a part", unit="semitones", definition="mean over parts, drums left out"),
    Metric(name="parts", unit="parts", definition="drums among them"),
    Metric(name="empty bars", unit="share", definition="bars in which no part sounds"),
)
"""In the order in which `piece_metrics` returns them."""


def piece_metrics(piece: Piece) -> Floats:
    """The metrics of METRICS for one piece → (9,)."""
    notes, drums = piece.notes, np.array([p.is_drum for p in piece.parts], dtype=np.bool_)
    pitched = ~drums[notes.part]
    pitch, part = notes.pitch[pitched], notes.part[pitched]
    mean, rate = polyphony(notes, pitched)
    return np.array(
        [
            pitch_class_entropy(pitch),
            scale_consistency(pitch),
            groove_consistency(piece),
            len(notes) / piece.n_bars if len(notes) else np.nan,
            mean,
            rate,
            pitch_range(pitch, part),
            float(len(piece.parts)),
            empty_bars(piece),
        ]
    )


def pitch_class_entropy(pitch: Ints) -> float:
    """How evenly are the pitch classes used?  -Σ p log2 p over the notes, in bits: 0 (one) to log2 12. muspy's, exactly.

    Args:
        pitch: (N,) of the pitched notes; NaN where there are none.
    """
    if not len(pitch):
        return np.nan
    share = np.bincount(pitch % 12, minlength=12) / len(pitch)
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum()) + 0.0


def scale_consistency(pitch: Ints) -> float:
    """What share of the notes lies in one scale, the best of 24 major and natural minor ones? muspy's, exactly.

    Args:
        pitch: (N,) of the pitched notes; NaN where there are none.
    """
    if not len(pitch):
        return np.nan
    return float((_SCALES @ np.bincount(pitch % 12, minlength=12)).max() / len(pitch))


def groove_consistency(piece: Piece) -> float:
    """How alike are the rhythms of neighbouring bars?  1 - mean over neighbours of hamming(G_b, G_b+1) / 48.

    G_b has a 1 at each of 48 positions of bar b where a note of any part starts. NaN for a piece of one bar.

    It differs from muspy's `groove_consistency` in three things: bars are the piece's own, while muspy cuts all time into bars
    of one length; the last bar is that of the last onset, while muspy's is that of the last note's end,
    `length // resolution + 1`, often an empty one; a bar always has 48 positions, an onset going to the nearest of its bar (one
    just before the bar line is the next bar's first), while muspy's grid is the file's (the finer it is, the nearer to 1 the
    number).
    """
    if piece.n_bars < 2:
        return np.nan
    bars, bar, tpq = piece.bars, piece.note_bar, piece.ticks_per_quarter
    at = bars.signature_index(bar)
    within = piece.notes.onset_tick - bars.start_tick(bar)
    length = 4 * tpq * bars.numerator[at]  # of the bar, times its denominator
    position = (2 * POSITIONS * within * bars.denominator[at] + length) // (2 * length)
    groove = np.zeros((piece.n_bars, POSITIONS), dtype=np.bool_)
    groove[bar, np.clip(position, 0, POSITIONS - 1)] = True
    return 1.0 - float((groove[1:] != groove[:-1]).mean())


def polyphony(notes: Notes, pitched: Bools) -> tuple[float, float]:
    """How many pitches sound at once?  (mean where any sounds, share of the piece's time at which more than MANY sound).

    A pitch that two parts hold counts once; a note of no length sounds for a tick. muspy's `polyphony` and
    `polyphony_rate`, exactly, but that those let a note of no length be silent; time runs to the end of the last note, drums
    among them. (NaN, NaN) where nothing is pitched.

    Args:
        notes: of a piece.
        pitched: (N,) True for notes of pitched parts.
    """
    if not pitched.any():
        return np.nan, np.nan
    end = notes.onset_tick + np.maximum(notes.duration_tick, 1)
    total = int(end.max())
    shift = notes.pitch[pitched] * (total + 1)  # every pitch has a span of time of its own
    first, last = _union(notes.onset_tick[pitched] + shift, end[pitched] + shift)
    at = np.concatenate([first, last]) % (total + 1)
    order = np.argsort(at, kind="stable")
    sounding = np.cumsum(np.repeat([1, -1], len(first))[order])[:-1]
    ticks = np.diff(at[order])
    return float((sounding * ticks).sum() / ticks[sounding > 0].sum()), float(ticks[sounding > MANY].sum() / total)


def _union(start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """The union of N intervals [start, end) as M disjoint ones → starts (M,), ends (M,), in ticks."""
    order = np.argsort(start, kind="stable")
    start, reach = start[order], np.maximum.accumulate(end[order])
    break_at = np.flatnonzero(start[1:] > reach[:-1])
    return start[np.append(0, break_at + 1)], reach[np.append(break_at, len(reach) - 1)]


def pitch_range(pitch: Ints, part: Ints) -> float:
    """How far from its lowest to its highest note does a part go, in semitones? The mean over parts; NaN without any.

    muspy's `pitch_range` is that of all parts together.

    Args:
        pitch: (N,) MIDI pitch of the pitched notes.
        part: (N,) the part of each.
    """
    if not len(pitch):
        return np.nan
    lowest, highest = np.full(part.max() + 1, 128), np.full(part.max() + 1, -1)
    np.minimum.at(lowest, part, pitch)
    np.maximum.at(highest, part, pitch)
    present = highest >= 0
    return float((highest - lowest)[present].mean())


def empty_bars(piece: Piece) -> float:
    """What share of the bars holds no sound of any part, neither one that starts there nor one that is held into it?

    Bars up to the last onset's, so a bar behind the music is none, as it is in muspy's `empty_measure_rate`, which also counts a
    bar as sounding that a note only ends on. NaN for a piece without notes.
    """
    notes = piece.notes
    if not len(notes):
        return np.nan
    last = piece.bars.bar_of(notes.onset_tick + np.maximum(notes.duration_tick, 1) - 1)
    change = np.bincount(piece.note_bar, minlength=piece.n_bars + 1)
    change = change - np.bincount(np.minimum(last, piece.n_bars - 1) + 1, minlength=piece.n_bars + 1)
    return float((np.cumsum(change)[: piece.n_bars] == 0).mean())
