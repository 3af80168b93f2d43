"""What a bar plan is made from: features of each bar, measured from its rows, each of a size of about 1.

Shape letters: L rows, F fields, T bars, K features, A attributes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.arrays import Floats, Floats32, Ints
from analysis.families import DRUMS, FAMILIES
from meloctl.rows.attributes import ATTRIBUTES, bar_sums
from meloctl.rows.codec import Rows
from meloctl.rows.vocabulary import DURATION, INSTRUMENT, PITCH, POSITION, VELOCITY, Vocabulary

_USUAL = np.array([6.85, 1.5, 0.0, 0.62, -0.3, 3.5, 0.0, 1.6])
_SPREAD = np.array([0.5, 1.2, 0.7, 0.15, 0.6, 2.5, 0.2, 0.9])
"""Of each attribute over bars of music of many kinds, roughly: what is usual, and how far others are from it."""

N_FEATURES = len(ATTRIBUTES) + 3 + len(FAMILIES) + 5 + 12 + 7
"""K."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BarFeatures:
    """Features of T bars."""

    values: Floats32
    """(T, K): attributes in units of their spread, 0 where there are none, then all others."""

    known: npt.NDArray[np.bool_]
    """(T, A) which attributes there are."""


def attributes_of_values(values: Floats) -> Floats:
    """(…, A) attributes, of the first A values (…, A) of features."""
    return values * _SPREAD + _USUAL


def piece_features(rows: Rows, vocabulary: Vocabulary) -> BarFeatures:
    """Features of each bar of a piece of rows (L, F) that opens with a header."""
    bar = np.cumsum(rows[:, INSTRUMENT] == vocabulary.bar) - 1
    return bar_features(rows, bar, int(bar[-1]) + 1, vocabulary)


def bar_features(rows: Rows, bar: Ints, n_bars: int, vocabulary: Vocabulary) -> BarFeatures:
    """Features of bars whose rows may stand in any order.

    Args:
        rows: (L, F) rows; those of no note and no header are left out.
        bar: (L,) the bar of each row.
        n_bars: T.
    """
    sums = bar_sums(rows, bar, n_bars, vocabulary)
    attributes = (sums.attributes() - _USUAL) / _SPREAD
    known = np.isfinite(attributes)
    notes, pitched = np.maximum(sums.notes, 1)[:, None], np.maximum(sums.pitched, 1)
    chosen = rows[:, PITCH] >= 0
    note, of_bar = rows[chosen].astype(np.int64), bar[chosen]

    def counts(kind: Ints, kinds: int) -> Floats:
        """(T, kinds) notes of each kind."""
        return np.bincount(of_bar * kinds + kind, minlength=n_bars * kinds).reshape(n_bars, kinds).astype(np.float64)

    def spread(values: Ints | Floats) -> Floats:
        """(T,) standard deviation over a bar's notes."""
        mean, square = (np.bincount(of_bar, values**n, minlength=n_bars) / notes[:, 0] for n in (1.0, 2.0))
        return np.sqrt(np.maximum(square - mean**2, 0))

    velocity = np.array(vocabulary.velocities)[note[:, VELOCITY]]
    length = np.log2(np.array(vocabulary.durations)[note[:, DURATION]] / vocabulary.steps_per_quarter)
    low, high = _range(note, of_bar, n_bars, vocabulary)
    position = np.unique(of_bar * vocabulary.positions + note[:, POSITION]) // vocabulary.positions
    columns = [
        np.clip(np.where(known, attributes, 0), -4, 4),
        np.stack([sums.notes > 0, sums.pitched > 0, sums.quarters / 4 - 1], axis=1),
        np.log2(1 + counts(_families(note[:, INSTRUMENT], vocabulary), len(FAMILIES))) / 3,
        counts(_beat_places(note[:, POSITION], vocabulary), 5) / notes,
        3 * sums.chroma / np.maximum(sums.chroma.sum(axis=1, keepdims=True), 1),
        np.stack(
            [
                np.where(sums.pitched > 0, low, 0),
                np.where(sums.pitched > 0, high, 0),
                spread(velocity) / 20,
                np.bincount(of_bar, length, minlength=n_bars) / notes[:, 0],
                spread(length),
                np.log2(1 + np.bincount(position, minlength=n_bars) / np.maximum(sums.quarters, 0.25)),
                np.log2(1 + pitched) / 4,
            ],
            axis=1,
        ),
    ]
    return BarFeatures(values=np.concatenate(columns, axis=1).astype(np.float32), known=known)


def _families(instrument: Ints, vocabulary: Vocabulary) -> Ints:
    """(N,) index into FAMILIES of each note's instrument."""
    family = np.full(len(vocabulary.instruments), DRUMS)
    for program in range(128):
        family[vocabulary.instrument_of(program, is_drum=False)] = program // 8
    return family[instrument]


def _beat_places(position: Ints, vocabulary: Vocabulary) -> Ints:
    """(N,) where in its quarter each note begins: 0 on it, 1 on its half, 2 on a fourth, 3 on a third, 4 elsewhere."""
    quarter = vocabulary.steps_per_quarter
    place = np.full(quarter, 4)
    place[:: quarter // 3], place[:: quarter // 4], place[:: quarter // 2], place[0] = 3, 2, 1, 0
    return place[position % quarter]


def _range(note: Ints, bar: Ints, n_bars: int, vocabulary: Vocabulary) -> tuple[Floats, Floats]:
    """(T,) lowest and highest pitch of each bar, in units of two octaves above middle C."""
    pitched = note[:, INSTRUMENT] != vocabulary.drums
    low, high = np.full(n_bars, 127), np.zeros(n_bars, dtype=np.int64)
    np.minimum.at(low, bar[pitched], note[pitched, PITCH])
    np.maximum.at(high, bar[pitched], note[pitched, PITCH])
    return (low - 60) / 24, (high - 60) / 24
