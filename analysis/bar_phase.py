"""Where the bars of a piece begin by its accents: stretches whose accents lie beside the file's own bar lines.

A pickup without a signature of its own, a part of a piece that a converter moved, a held note that no signature speaks of: bars
have the right length, and from some bar on all bar lines come too early by as much. Within each run of bars of one signature
every eighth of the bar is weighed as its beginning, bar by bar, and the likeliest path through the bars is taken, on which a
change costs. What is not much likelier than the next likeliest stays as the file has it. Weights and limits were measured on real
music (docs/experiments.md).
"""

from dataclasses import dataclass

import numpy as np

from analysis.accents import ACCENTS, SCATTERED, beat_shift, eighth_accents, scattered
from analysis.arrays import Floats, Ints
from analysis.piece import Piece

_WEIGHT = {
    "count": -0.116,
    "length": 0.157,
    "quarter_newness": 0.044,
    "half_newness": 0.115,
    "held": -0.120,
    "bass": 0.067,
    "kick": 0.054,
    "crash": 0.031,
}
"""Nats for an eighth as a bar's beginning, for each standard deviation of an accent: a conditional logit over stretches of 16
bars of `lieder`, `quartets` and `band`. Number and length together say how long the notes last that begin there."""

_FEWEST_BARS = 8
"""Shorter runs of bars, and stretches with fewer bars in which something sounds, stay as they are."""

_EIGHTHS = range(3, 17)
"""Eighths that a bar may last: in bars of a quarter nothing can be told, longer ones are rare."""

_CHANGE = 6.0
_BEGIN = 4.0
"""Nats against a change of phase between two bars, and against another phase than the file's at the beginning."""

_ENOUGH = 4.0
_ENOUGH_A_BAR = 0.08
"""Nats, in all and a bar, by which a phase must be likelier than the next likeliest."""

_CALIBRATED_BARS = 16
"""Bars of one decision when the weights were fitted."""

_LOOK_AHEAD = 8
"""Eighths behind the last bar whose harmony counts."""


@dataclass(frozen=True, kw_only=True)
class ShiftedStretch:
    """Consecutive bars whose accents lie beside the file's bar lines."""

    first_bar: int
    """As the file counts bars."""

    bars: int
    """Up to the next stretch, signature, or the end."""

    shift: float
    """Quarters from the file's bar lines to where bars begin by the accents, over −½ to ½ bar; above 0, later."""

    sureness: float
    """Probability, from 16 of its bars, of this shift against the next likeliest, ½..1."""


@dataclass(frozen=True, kw_only=True)
class _Run:
    """Bars of one signature."""

    first_bar: int
    bars: int
    eighths: int
    """Length of a bar."""

    start_tick: int


def shifted_stretches(piece: Piece) -> tuple[ShiftedStretch, ...]:
    """The stretches of a piece, in order, whose accents lie beside its bar lines; none where the notes leave it open.

    Bars that last no whole number of eighths, or fewer than 3 or more than 16, are left as they are, and so are pieces played
    without a click or with an odd number of ticks a quarter.
    """
    tpq, notes = piece.ticks_per_quarter, piece.notes
    if tpq % 2 or not len(notes):
        return ()
    phase = (notes.onset_tick - piece.bars.start_tick(piece.note_bar)) % tpq / tpq
    if scattered(phase) >= SCATTERED:
        return ()
    beside = round(beat_shift(phase) * tpq) / tpq
    return tuple(stretch for run in _runs(piece) for stretch in _stretches(piece, run, beside))


def _runs(piece: Piece) -> list[_Run]:
    """The runs of bars that are long enough to tell, and whose bars are."""
    bars, found = piece.bars, []
    edges = np.minimum(np.append(bars.first_bar, piece.n_bars), piece.n_bars).tolist()
    for i, (first, end) in enumerate(zip(edges, edges[1:], strict=False)):
        eighths, rest = divmod(8 * int(bars.numerator[i]), int(bars.denominator[i]))
        if end - first >= _FEWEST_BARS and not rest and eighths in _EIGHTHS:
            start = int(bars.signature_tick[i])
            found.append(_Run(first_bar=first, bars=end - first, eighths=eighths, start_tick=start))
    return found


def _stretches(piece: Piece, run: _Run, beside: float) -> list[ShiftedStretch]:
    """Those of one run.

    Args:
        piece: the piece.
        run: some of its bars.
        beside: quarters, 0..1, from the file's beats to those of the notes; where it is not 0 no phase is the file's own.
    """
    evidence = _evidence(piece, run, beside)
    begin = 0.0 if beside else _BEGIN
    path = _likeliest_path(evidence, begin=begin)
    telling = np.ptp(evidence, axis=1) > 0  # silent bars tell nothing
    edges = [0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), run.bars]
    found = []
    for first, end in zip(edges, edges[1:], strict=False):
        phase, bars = int(path[first]), int(telling[first:end].sum())
        for_each = evidence[first:end].sum(axis=0)
        lead = float(for_each[phase] - np.delete(for_each, phase).max())
        if bars < _FEWEST_BARS or not (phase or beside) or lead < max(_ENOUGH, _ENOUGH_A_BAR * bars):
            continue
        shift, length = phase / 2 + beside, run.eighths / 2
        found.append(
            ShiftedStretch(
                first_bar=run.first_bar + first,
                bars=end - first,
                shift=shift - length if shift > length / 2 else shift,
                sureness=float(1 / (1 + np.exp(-lead * _CALIBRATED_BARS / bars))),
            )
        )
    return found


def _evidence(piece: Piece, run: _Run, beside: float) -> Floats:
    """(bars, eighths) nats that speak for each eighth of each bar as the beginning of a bar."""
    count = run.bars * run.eighths
    accents = eighth_accents(
        piece.notes,
        np.array([p.is_drum for p in piece.parts])[piece.notes.part],
        start=run.start_tick + beside * piece.ticks_per_quarter,
        ticks_per_quarter=piece.ticks_per_quarter,
        count=count + _LOOK_AHEAD,
    )[:count]
    spread = accents.std(axis=0)
    weight = np.array([_WEIGHT[name] for name in ACCENTS]) / np.where(spread > 0, spread, 1)
    return np.asarray((accents @ weight).reshape(run.bars, run.eighths))


def _likeliest_path(evidence: Floats, *, begin: float) -> Ints:
    """(bars,) the eighth at which each bar begins, by the Viterbi algorithm.

    Args:
        evidence: (bars, eighths) nats for each.
        begin: nats against each eighth but the first, in the first bar.
    """
    bars, width = evidence.shape
    own = np.arange(width)
    came_from = np.empty((bars, width), dtype=np.int64)
    score = evidence[0] - begin * (own > 0)
    for b in range(1, bars):
        best = int(score.argmax())
        changed = score[best] - _CHANGE
        came_from[b] = np.where(changed > score, best, own)
        score = np.maximum(changed, score) + evidence[b]
    path = np.empty(bars, dtype=np.int64)
    path[-1] = score.argmax()
    for b in range(bars - 1, 0, -1):
        path[b - 1] = came_from[b, path[b]]
    return path
