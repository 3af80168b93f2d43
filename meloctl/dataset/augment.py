"""The same music in another key and at another tempo: windows are heard in many ways, drums always as drums."""

import numpy as np
import numpy.typing as npt

from analysis.arrays import Bools
from meloctl.rows.codec import Rows
from meloctl.rows.vocabulary import ABSENT, INSTRUMENT, PITCH, TEMPO, Vocabulary

TRANSPOSITIONS = range(-5, 7)
"""Semitones by which pitched parts are moved in training: every key once."""

TEMPO_MOVES = range(-3, 4)
"""Tempo levels by which a window is moved in training; 24 of them are twice as fast, so at most 9 % faster or slower."""


def augment(rows: Rows, vocabulary: Vocabulary, random: np.random.Generator) -> Rows:
    """(L, 8) rows in another key and tempo, each drawn evenly from the moves that fit; two draws, whatever the rows are."""
    semitones = _drawn(allowed_moves(rows[_pitched(rows, vocabulary), PITCH], 128, TRANSPOSITIONS), random)
    levels = _drawn(allowed_moves(rows[_timed(rows), TEMPO], len(vocabulary.tempos), TEMPO_MOVES), random)
    return shift_tempo(transpose(rows, semitones, vocabulary), levels, vocabulary)


def transpose(rows: Rows, semitones: int, vocabulary: Vocabulary) -> Rows:
    """Rows with every pitched part moved; drums stay drums. Unchanged where a pitch would leave 0..127."""
    return _moved(rows, _pitched(rows, vocabulary), PITCH, semitones, 128)


def shift_tempo(rows: Rows, levels: int, vocabulary: Vocabulary) -> Rows:
    """Rows with the tempo of every header moved; unchanged where one would leave the vocabulary's tempos."""
    return _moved(rows, _timed(rows), TEMPO, levels, len(vocabulary.tempos))


def allowed_moves(values: npt.NDArray[np.int16], size: int, moves: range) -> range:
    """Those of `moves` after which all values still lie in 0..size - 1; never empty, since 0 is one of them."""
    if not len(values):
        return moves
    low, high = int(values.min()), int(values.max())
    return range(max(moves.start, -low), min(moves.stop, size - high))


def _pitched(rows: Rows, vocabulary: Vocabulary) -> Bools:
    return (rows[:, PITCH] != ABSENT) & (rows[:, INSTRUMENT] != vocabulary.drums)


def _timed(rows: Rows) -> Bools:
    return rows[:, TEMPO] != ABSENT


def _moved(rows: Rows, chosen: Bools, field: int, move: int, size: int) -> Rows:
    values = rows[chosen, field]
    if move not in allowed_moves(values, size, range(move, move + 1)):
        return rows
    out = rows.copy()
    out[chosen, field] = values + np.int16(move)
    return out


def _drawn(moves: range, random: np.random.Generator) -> int:
    return moves[int(random.integers(len(moves)))]
