"""Eight musical attributes measured from rows: by bar, and of any span of bars.

All are functions of sums over notes, so a span's attributes are those of its bars' sums added up. Shape letters: L rows,
F fields, T bars, A attributes.
"""

from dataclasses import dataclass, fields
from functools import cache

import numpy as np

from analysis.arrays import Bools, Floats, Ints
from meloctl.rows.codec import Rows
from meloctl.rows.parts import row_parts
from meloctl.rows.vocabulary import (
    DURATION,
    INSTRUMENT,
    PITCH,
    POSITION,
    TEMPO,
    TIME_SIGNATURE,
    VELOCITY,
    Vocabulary,
)

ATTRIBUTES = ("tempo", "density", "register", "loudness", "articulation", "leaps", "mode", "parts")
"""Columns of attributes (…, A)."""

UNITS = (
    "log2 of quarter notes a minute",
    "log2 of notes a quarter",
    "octaves above middle C",
    "MIDI velocity / 127",
    "log2 of a note's length over the time to its part's next onset",
    "semitones between a part's successive onsets",
    "how much better a major key fits than a minor one",
    "log2 of parts that play",
)
"""Of each attribute."""

_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
"""How well each pitch class from the tonic up fits a key (Krumhansl and Kessler, 1982)."""

_SHORTEST, _LONGEST = -4.0, 1.0
"""Bounds of one note's articulation: a sixteenth of the time to the next onset, and twice that time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BarSums:
    """What attributes are made of, summed over each of T bars."""

    bars: Floats
    """(T,) bars: 1 each, or as many as were added up."""

    quarters: Floats
    """(T,) length in quarter notes."""

    tempo: Floats
    """(T,) log2 of quarter notes a minute, a summand a bar."""

    notes: Floats
    """(T,) notes, those of drums too."""

    velocity: Floats
    """(T,) of all notes."""

    pitched: Floats
    """(T,) notes but those of drums."""

    pitch: Floats
    """(T,) of pitched notes."""

    onsets: Floats
    """(T,) onsets of pitched parts; notes that a part begins together are one."""

    articulation: Floats
    """(T,) log2 of length over time to the next onset or the bar's end, of each onset."""

    intervals: Floats
    """(T,) pairs of successive onsets of a part in one bar."""

    leaps: Floats
    """(T,) semitones between the highest notes of each pair."""

    sounding: Floats
    """(T,) bars with a note."""

    parts: Floats
    """(T,) log2 of parts that play, a summand a bar with a note."""

    chroma: Floats
    """(T, 12) steps for which each pitch class sounds."""

    def of(self, bars: slice) -> "BarSums":
        """Of a span of bars, added up: T = 1."""
        return BarSums(**{f.name: getattr(self, f.name)[bars].sum(axis=0, keepdims=True) for f in fields(self)})

    def attributes(self) -> Floats:
        """(T, A) attributes; NaN where no note says anything of one."""
        with np.errstate(divide="ignore", invalid="ignore"):
            columns = [
                self.tempo / self.bars,
                np.log2(np.where(self.notes > 0, self.notes, np.nan) / self.quarters),
                (self.pitch / self.pitched - 60) / 12,
                self.velocity / self.notes / 127,
                self.articulation / self.onsets,
                self.leaps / self.intervals,
                _mode(self.chroma),
                self.parts / self.sounding,
            ]
        return np.stack(columns, axis=-1)


def piece_attributes(rows: Rows, vocabulary: Vocabulary) -> Floats:
    """(A,) attributes of a piece of rows (L, F), all its bars together; NaN where no note says anything of one."""
    return np.asarray(piece_sums(rows, vocabulary).of(slice(None)).attributes()[0])


def bar_attributes(rows: Rows, vocabulary: Vocabulary) -> Floats:
    """(T, A) attributes of each bar of a piece of rows (L, F); NaN where no note says anything of one."""
    return piece_sums(rows, vocabulary).attributes()


def piece_sums(rows: Rows, vocabulary: Vocabulary) -> BarSums:
    """The sums of each bar of a piece of rows (L, F) that opens with a header."""
    bar = np.cumsum(rows[:, INSTRUMENT] == vocabulary.bar) - 1
    return bar_sums(rows, bar, int(bar[-1]) + 1, vocabulary)


def bar_sums(rows: Rows, bar: Ints, n_bars: int, vocabulary: Vocabulary) -> BarSums:
    """The sums of bars whose rows may stand in any order.

    Args:
        rows: (L, F) rows; an infill header counts like the header of its bar.
        bar: (L,) the bar of each row.
        n_bars: T.
    """
    headed, quarters, tempo = _of_headers(rows, bar, n_bars, vocabulary)
    at, part = np.flatnonzero(rows[:, PITCH] >= 0), row_parts(rows, vocabulary)
    at = at[np.lexsort((rows[at, PITCH], rows[at, POSITION], part[at], bar[at]))]
    note, part, bar = rows[at].astype(np.int64), part[at], bar[at]
    drums = note[:, INSTRUMENT] == vocabulary.drums

    def per_bar(chosen: Bools, values: Floats | Ints | None = None) -> Floats:
        weights = None if values is None else values[chosen]
        return np.bincount(bar[chosen], weights=weights, minlength=n_bars).astype(np.float64)

    everything = np.ones(len(note), dtype=np.bool_)
    length = np.array(vocabulary.durations)[note[:, DURATION]]
    opens_part = np.append(True, (np.diff(part) != 0) | (np.diff(bar) != 0))[: len(note)]
    opens_onset = opens_part | np.append(True, np.diff(note[:, POSITION]) != 0)[: len(note)]
    onset = _onsets(note, bar, length, opens_part, opens_onset, quarters * vocabulary.steps_per_quarter)
    kept, follows = ~drums[opens_onset], ~drums[opens_onset] & ~opens_part[opens_onset]
    of_onset = bar[opens_onset]
    n_parts = per_bar(opens_part)
    chroma = np.bincount(
        (bar * 12 + note[:, PITCH] % 12)[~drums], weights=length[~drums], minlength=12 * n_bars
    ).reshape(n_bars, 12)

    def per_onset(chosen: Bools, values: Floats) -> Floats:
        return np.asarray(np.bincount(of_onset[chosen], values[chosen], minlength=n_bars), dtype=np.float64)

    return BarSums(
        bars=headed,
        quarters=quarters,
        tempo=tempo,
        notes=per_bar(everything),
        velocity=per_bar(everything, np.array(vocabulary.velocities)[note[:, VELOCITY]]),
        pitched=per_bar(~drums),
        pitch=per_bar(~drums, note[:, PITCH]),
        onsets=np.bincount(of_onset[kept], minlength=n_bars).astype(np.float64),
        articulation=per_onset(kept, onset.articulation),
        intervals=np.bincount(of_onset[follows], minlength=n_bars).astype(np.float64),
        leaps=per_onset(follows, onset.leap),
        sounding=(n_parts > 0).astype(np.float64),
        parts=np.log2(np.maximum(n_parts, 1)),
        chroma=chroma.astype(np.float64),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Onsets:
    """Of each onset of each part."""

    articulation: Floats
    leap: Floats
    """Semitones from the onset before; without meaning for a part's first in its bar."""


def _onsets(note: Ints, bar: Ints, length: Ints, opens_part: Bools, opens_onset: Bools, bar_steps: Floats) -> _Onsets:
    """Articulation and leap of each onset.

    Args:
        note: (N, F) notes, sorted by bar, part, position and pitch.
        bar: (N,) the bar of each note.
        length: (N,) in steps.
        opens_part: (N,) notes that are a part's first in their bar.
        opens_onset: (N,) notes that are an onset's first.
        bar_steps: (T,) length of each bar in steps.
    """
    first = np.flatnonzero(opens_onset)
    if not len(first):
        return _Onsets(articulation=np.zeros(0), leap=np.zeros(0))
    position, of_bar = note[first, POSITION], bar[first]
    longest = np.maximum.reduceat(length, first)
    highest = np.maximum.reduceat(note[:, PITCH], first)
    until = np.append(position[1:], 0).astype(np.float64)
    ends_part = np.append(opens_part[first][1:], True)
    until[ends_part] = bar_steps[of_bar[ends_part]]
    until = np.maximum(until - position, 1)  # a bar of an odd signature may end within a step
    return _Onsets(
        articulation=np.clip(np.log2(longest / until), _SHORTEST, _LONGEST),
        leap=np.abs(np.diff(highest, prepend=highest[0])).astype(np.float64),
    )


def _of_headers(rows: Rows, bar: Ints, n_bars: int, vocabulary: Vocabulary) -> tuple[Floats, Floats, Floats]:
    """(T,) whether a bar has a header, its quarters, and log2 of its tempo."""
    header = np.flatnonzero(rows[:, TIME_SIGNATURE] >= 0)
    quarters, tempo, headed = np.zeros(n_bars), np.zeros(n_bars), np.zeros(n_bars)
    signature = np.array([4 * n / d for n, d in vocabulary.signatures])
    quarters[bar[header]] = signature[rows[header, TIME_SIGNATURE]]
    tempo[bar[header]] = np.log2(vocabulary.tempos)[rows[header, TEMPO]]
    headed[bar[header]] = 1
    return headed, quarters, tempo


@cache
def _profiles() -> Floats:
    """(24, 12) how well each pitch class fits each major and each minor key, with mean 0 and norm 1."""
    rolled = np.array([np.roll(profile, tonic) for profile in (_MAJOR, _MINOR) for tonic in range(12)])
    rolled -= rolled.mean(axis=1, keepdims=True)
    return np.asarray(rolled / np.linalg.norm(rolled, axis=1, keepdims=True))


def _mode(chroma_T12: Floats) -> Floats:
    """(T,) correlation of sounding time by pitch class with the best major key, minus that with the best minor key."""
    centred = chroma_T12 - chroma_T12.mean(axis=1, keepdims=True)
    fit = (centred / np.linalg.norm(centred, axis=1, keepdims=True)) @ _profiles().T
    return np.asarray(fit[:, :12].max(axis=1) - fit[:, 12:].max(axis=1))
