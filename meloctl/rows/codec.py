"""Piece → rows → piece, exact on the grid.

The grid has 12 steps a quarter and restarts at every bar line.

Shape letters: N notes, L rows, F fields, T bars as rows count them.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from analysis.arrays import Floats, Ints
from analysis.grid import nearest_step
from analysis.piece import DENOMINATORS, Bars, Notes, Piece
from meloctl.rows.parts import general_midi_part, part_fields, row_parts
from meloctl.rows.vocabulary import (
    ABSENT,
    DURATION,
    FIELDS,
    INSTANCE,
    INSTRUMENT,
    PITCH,
    POSITION,
    TEMPO,
    TIME_SIGNATURE,
    VELOCITY,
    Vocabulary,
)

Rows = npt.NDArray[np.int16]
"""(L, F) rows in generation order, columns as in FIELDS, ABSENT where a row's kind lacks a field."""

TICKS_PER_QUARTER = 480
"""Of decoded pieces: every step, and every bar down to 1/64, is a whole number of ticks."""


@dataclass(frozen=True, kw_only=True)
class GridLoss:
    """How many notes the grid changed. Counts add with +."""

    notes: int = 0
    moved: int = 0
    """Notes whose onset lay off the grid."""

    resized: int = 0
    """Notes whose length changed by more than a hundredth of a quarter note (notation programs end notes a tick early)."""

    merged: int = 0
    """Notes that fell on another note of their part, with the same onset and pitch."""

    def __add__(self, other: "GridLoss") -> "GridLoss":
        return GridLoss(
            notes=self.notes + other.notes,
            moved=self.moved + other.moved,
            resized=self.resized + other.resized,
            merged=self.merged + other.merged,
        )


@dataclass(frozen=True, kw_only=True)
class GridBars:
    """Bars as rows count them: each has a time signature of the vocabulary."""

    start_tick: Ints
    """(T,) the tick of the piece on which each bar begins."""

    time_signature: Ints
    """(T,) index of each bar's time signature."""

    def bar_of(self, tick: Ints) -> Ints:
        """(…) number of the bar, of these, that holds each tick."""
        return np.searchsorted(self.start_tick, tick, side="right") - 1


def encode(piece: Piece, vocabulary: Vocabulary) -> tuple[Rows, GridLoss]:
    """(L, F) the rows of a piece, and what the grid changed.

    Every bar has its header, empty ones at the end too. Onsets go to the nearest step; a note that is struck a little before its
    bar opens it. Two notes of a part that meet in onset and pitch become one, with the longer length and the louder velocity. A
    bar that no signature of the vocabulary names (79/4, or one cut short by an odd length) is written as the signatures that add
    up to it.

    Args:
        piece: of one bar or more.
        vocabulary: what the values of rows mean.
    """
    notes, tpq, steps = piece.notes, piece.ticks_per_quarter, vocabulary.steps_per_quarter
    bars = grid_bars(piece, vocabulary)
    bar = bars.bar_of(notes.onset_tick + piece.bar_tolerance)
    within = notes.onset_tick - bars.start_tick[bar]
    last = np.array(vocabulary.bar_steps)[bars.time_signature[bar]] - 1
    position = np.minimum(nearest_step(within, tpq, steps_per_quarter=steps), last)
    length = np.maximum(nearest_step(notes.duration_tick, tpq, steps_per_quarter=steps), 1)
    duration = _closest(length, vocabulary.durations)
    change = np.array(vocabulary.durations)[duration] * (tpq / steps) - notes.duration_tick

    rows = np.full((len(notes), len(FIELDS)), ABSENT, dtype=np.int16)
    instrument, instance = part_fields(piece.parts, vocabulary)
    rows[:, INSTRUMENT], rows[:, INSTANCE] = instrument[notes.part], instance[notes.part]
    rows[:, POSITION], rows[:, PITCH], rows[:, DURATION] = position, notes.pitch, duration
    rows[:, VELOCITY] = _closest(notes.velocity, vocabulary.velocities)
    rows, bar = _merged(rows, bar)
    loss = GridLoss(
        notes=len(notes),
        moved=int((within * steps % tpq != 0).sum()),
        resized=int((np.abs(change) > tpq / 100).sum()),
        merged=len(notes) - len(rows),
    )
    headers = _headers(piece, bars, vocabulary)
    order = np.argsort(np.concatenate([np.arange(len(headers)), bar]), kind="stable")  # a header comes before its notes
    end = np.full((1, len(FIELDS)), ABSENT, dtype=np.int16)
    end[0, INSTRUMENT] = vocabulary.end
    return np.concatenate([np.concatenate([headers, rows])[order], end]), loss


def decode(rows: Rows, vocabulary: Vocabulary) -> Piece:
    """The piece of rows (L, F) at 480 ticks a quarter; an end row may be missing.

    Parts come in the order of (instrument, instance). It ends at the bar line of its last bar, an empty one too.
    """
    rows = rows.astype(np.int64)
    rows = rows[rows[:, INSTRUMENT] != vocabulary.end]
    header = rows[:, INSTRUMENT] == vocabulary.bar
    bar = np.cumsum(header) - 1
    signatures = [vocabulary.signatures[t] for t in rows[header, TIME_SIGNATURE]]
    ticks = [4 * TICKS_PER_QUARTER * n // d for n, d in signatures]
    start = np.concatenate([[0], np.cumsum(ticks, dtype=np.int64)])
    note, note_bar = rows[~header], bar[~header]
    ids, part = np.unique(row_parts(note, vocabulary), return_inverse=True)
    step = TICKS_PER_QUARTER // vocabulary.steps_per_quarter
    onset, duration = step * note[:, POSITION], step * np.array(vocabulary.durations)[note[:, DURATION]]
    tempo = np.array(vocabulary.tempos)[rows[header, TEMPO]]
    changes = np.flatnonzero(np.diff(tempo, prepend=0.0))
    new_signature = [b for b in range(len(signatures)) if b == 0 or signatures[b] != signatures[b - 1]]
    return Piece(
        parts=tuple(general_midi_part(divmod(i, vocabulary.instances), vocabulary) for i in ids.tolist()),
        notes=Notes.of(
            start[note_bar] + onset, duration, note[:, PITCH], np.array(vocabulary.velocities)[note[:, VELOCITY]], part
        ),
        bars=Bars.of([(int(start[b]), *signatures[b]) for b in new_signature], TICKS_PER_QUARTER),
        tempo_tick=start[changes],
        tempo=tempo[changes],
        end_tick=int(start[-1]),
    )


def _headers(piece: Piece, bars: GridBars, vocabulary: Vocabulary) -> Rows:
    """(T, F) header rows of bars."""
    rows = np.full((len(bars.start_tick), len(FIELDS)), ABSENT, dtype=np.int16)
    rows[:, INSTRUMENT] = vocabulary.bar
    rows[:, TIME_SIGNATURE] = bars.time_signature
    rows[:, TEMPO] = nearest_tempo(piece.tempo_at(bars.start_tick), vocabulary)
    return rows


def nearest_tempo(tempo: Floats, vocabulary: Vocabulary) -> Ints:
    """(…) index of the vocabulary's tempo that is nearest, by ratio, to each tempo (…) in quarter notes a minute, above 0."""
    return _closest(np.log(tempo), tuple(np.log(vocabulary.tempos)))


def grid_bars(piece: Piece, vocabulary: Vocabulary) -> GridBars:
    """The bars of a piece as rows count them: each with a time signature of the vocabulary that has its true length."""
    index = {s: i for i, s in enumerate(vocabulary.signatures)}
    start = piece.bars.start_tick(range(piece.n_bars + 1))
    ticks, signature = [], []
    for b in range(piece.n_bars):
        at = int(start[b])
        for n, d in _named(piece.bars.signature(b), int(start[b + 1]) - at, piece.ticks_per_quarter, index):
            ticks.append(at)
            signature.append(index[n, d])
            at += 4 * piece.ticks_per_quarter * n // d
    return GridBars(start_tick=np.array(ticks, dtype=np.int64), time_signature=np.array(signature, dtype=np.int64))


def _named(
    nominal: tuple[int, int], ticks: int, ticks_per_quarter: int, index: dict[tuple[int, int], int]
) -> list[tuple[int, int]]:
    """Signatures of the vocabulary that add up to a bar.

    Args:
        nominal: the bar's own signature, which is taken where the bar is full and the vocabulary has it.
        ticks: length of the bar.
        index: {(numerator, denominator): index} of the vocabulary.
    """
    n, d = nominal
    cut_short = abs(Fraction(4 * ticks_per_quarter * n, d) - ticks) >= 1
    if cut_short or all(d != e for _, e in index):
        whole = Fraction(ticks, ticks_per_quarter)
        d = next((d for d in DENOMINATORS if d >= 4 and (whole * d / 4).denominator == 1), 64)
        n = max(1, math.ceil(whole * d / 4))
    most = max(m for m, e in index if e == d)
    return [(min(most, n - done), d) for done in range(0, n, most)]


def _merged(rows: Rows, bar: Ints) -> tuple[Rows, Ints]:
    """Note rows sorted by (bar, instrument, instance, position, pitch), those equal in all five merged; and the bar of each.

    Args:
        rows: (N, F) note rows.
        bar: (N,) of each.

    Returns:
        (M, F) rows with the longest duration and the highest velocity of those merged, and (M,) their bars.
    """
    order = np.lexsort((rows[:, PITCH], rows[:, POSITION], rows[:, INSTANCE], rows[:, INSTRUMENT], bar))
    rows, bar = rows[order], bar[order]
    key = np.column_stack([bar, rows[:, [INSTRUMENT, INSTANCE, POSITION, PITCH]]])
    first = np.flatnonzero(np.any(np.diff(key, axis=0, prepend=-1) != 0, axis=1))
    kept = rows[first].copy()
    for field in (DURATION, VELOCITY):
        kept[:, field] = np.maximum.reduceat(rows[:, field], first)
    return kept, bar[first]


def _closest(values: Ints | Floats, levels: tuple[float, ...]) -> Ints:
    """(…) index of the ascending level that is nearest to each value (…), the lower of two."""
    table = np.asarray(levels)
    right = np.clip(np.searchsorted(table, values), 1, len(table) - 1)
    return np.where(values - table[right - 1] <= table[right] - values, right - 1, right)
