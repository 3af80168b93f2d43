"""Augmentation: windows transposed and at another tempo; drums keep their pitches. Letters: L rows, F fields."""

import numpy as np
import numpy.typing as npt

from analysis.arrays import Bools
from meloctl.rows.codec import Rows
from meloctl.rows.vocabulary import ABSENT, INSTRUMENT, PITCH, TEMPO, Vocabulary

TRANSPOSITIONS = range(-5, 7)
"""Semitones by which pitched parts are transposed in training: every key once."""

TEMPO_MOVES = range(-3, 4)
"""Tempo levels by which a window is shifted in training; 24 levels double the tempo, so at most 9 % faster or slower."""


def augment(rows: Rows, vocabulary: Vocabulary, random: np.random.Generator) -> Rows:
    """(L, F) rows → rows transposed and at another tempo, each uniform over the moves that fit; always two random numbers."""
    semitones = _sample(allowed_moves(rows[_is_pitched(rows, vocabulary), PITCH], 128, TRANSPOSITIONS), random)
    levels = _sample(allowed_moves(rows[_has_tempo(rows), TEMPO], len(vocabulary.tempos), TEMPO_MOVES), random)
    return shift_tempo(transpose(rows, semitones, vocabulary), levels, vocabulary)


def transpose(rows: Rows, semitones: int, vocabulary: Vocabulary) -> Rows:
    """(L, F) rows with every pitched part moved by `semitones`, drums excepted; unchanged where a pitch would leave 0..127."""
    return _shifted(rows, _is_pitched(rows, vocabulary), PITCH, semitones, 128)


def shift_tempo(rows: Rows, levels: int, vocabulary: Vocabulary) -> Rows:
    """(L, F) rows with the tempo of every header moved by `levels`; unchanged where one would leave the vocabulary's tempos."""
    return _shifted(rows, _has_tempo(rows), TEMPO, levels, len(vocabulary.tempos))


def allowed_moves(values: npt.NDArray[np.int16], size: int, moves: range) -> range:
    """The range of `moves` after which all (N,) values are in 0..size - 1; never empty, since 0 is one of them."""
    if not len(values):
        return moves
    low, high = int(values.min()), int(values.max())
    return range(max(moves.start, -low), min(moves.stop, size - high))


def _is_pitched(rows: Rows, vocabulary: Vocabulary) -> Bools:
    return (rows[:, PITCH] != ABSENT) & (rows[:, INSTRUMENT] != vocabulary.drums)


def _has_tempo(rows: Rows) -> Bools:
    return rows[:, TEMPO] != ABSENT


def _shifted(rows: Rows, chosen: Bools, field: int, move: int, size: int) -> Rows:
    values = rows[chosen, field]
    if move not in allowed_moves(values, size, range(move, move + 1)):
        return rows
    out = rows.copy()
    out[chosen, field] = values + np.int16(move)
    return out


def _sample(moves: range, random: np.random.Generator) -> int:
    return moves[int(random.integers(len(moves)))]
