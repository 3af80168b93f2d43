"""Accents: how strongly the notes mark each place of a regular grid, whatever bar lines a file has.

Beats serve to tell threes from fours; eighths, to tell where bars begin.
"""

import numpy as np

from analysis.arrays import Floats, Ints
from analysis.piece import Notes, Piece

_PLACES = 96
"""Places distinguished in a quarter note."""

SCATTERED = 0.3
"""Share of notes outside the 16 commonest places in a quarter from which a piece was played freely; chance gives 0.8."""

_BEAT_ROOM = 2
"""Places to either side that still count as on the beat: 1/48 of a quarter."""

_MOST_BEATS = 4096
"""Beats that are searched for accents."""

_FEWEST_BEATS = 48
_SURE = 0.15
"""By how much one autocorrelation must exceed the other; 1,083 files of known metre: 13 wrong, 191 undecided."""

_ON_PLACE = 1 / 8
"""A note marks a beat, or an eighth, from which it lies less than so many quarters; triplets lie farther."""

_LONGEST = 4
"""Quarters beyond which a longer note weighs no more."""

ACCENTS = ("count", "length", "quarter_newness", "half_newness", "held", "bass", "kick", "crash")
"""What is measured of each eighth (`eighth_accents`)."""

_KICKS = (35, 36)
_CRASHES = (49, 52, 55, 57)
"""General MIDI's bass drums and crash cymbals."""

_BASS_REACH = 8
"""Eighths to either side among whose lowest notes a note counts as low."""

_BASS_ROOM = 5.0
"""Semitones above the lowest at which a note is a bass by 1/e."""


def accents(piece: Piece) -> int:
    """3 where every third quarter is marked, 4 where every second or fourth is, 0 where the notes leave it open.

    Each beat's weight is measured three ways: how long its notes last, how many there are, and how new its pitch classes are
    after the beat before. The autocorrelations of the three at 3 and 6 beats are compared with those at 4 and 8.
    """
    tpq, notes = piece.ticks_per_quarter, piece.notes
    at = (notes.onset_tick - round(beat_shift(notes.onset_tick % tpq / tpq) * tpq)) / tpq
    beat = np.maximum(np.rint(at).astype(np.int64), 0)
    beat -= beat[0]
    on_beat = (np.abs(at - np.rint(at)) < _ON_PLACE) & (beat < _MOST_BEATS)
    n = int(min(beat[-1] + 1, _MOST_BEATS))
    if n < _FEWEST_BEATS:
        return 0
    length = np.minimum(notes.duration_tick / tpq, _LONGEST)
    inside = beat < n
    classes = _pitch_classes(beat[inside], notes.pitch[inside], None, n)
    weights = (
        np.sqrt(np.bincount(beat[on_beat], weights=length[on_beat], minlength=n)),
        np.sqrt(np.bincount(beat[on_beat], minlength=n)),
        _newness(classes, 1, silent=1),
    )
    three, four = (sum(_autocorrelation(w, k) + _autocorrelation(w, 2 * k) for w in weights) / 3 for k in (3, 4))
    return 3 if three > four + _SURE else 4 if four > three + _SURE else 0


def beat_shift(phase: Floats) -> float:
    """Where in the quarter the notes' own beat lies, 0..1; 0 unless three in ten lie there and under one in ten at 0.

    Args:
        phase: (N,) where each note begins in its quarter, 0..1.
    """
    place = _place_in_quarter(phase)
    places = np.bincount(place, minlength=_PLACES) / len(phase)
    near = np.sum([np.roll(places, k) for k in range(-_BEAT_ROOM, _BEAT_ROOM + 1)], axis=0)
    best = int(np.argmax(near))
    if near[best] < 0.3 or near[0] >= 0.1:
        return 0.0
    around = (phase - best / _PLACES + 0.5) % 1 - 0.5
    apart = np.abs((place - best + _PLACES // 2) % _PLACES - _PLACES // 2)
    return float((best / _PLACES + np.median(around[apart <= _BEAT_ROOM])) % 1)


def scattered(phase: Floats) -> float:
    """Share of notes outside the 16 commonest of 96 places in the quarter, of (N,) phases 0..1."""
    return float(1 - np.sort(np.bincount(_place_in_quarter(phase), minlength=_PLACES))[-16:].sum() / len(phase))


def _place_in_quarter(phase: Floats) -> Ints:
    """(N,) which of 96 places in the quarter each note begins at, of (N,) phases 0..1."""
    return np.rint(phase * _PLACES).astype(np.int64) % _PLACES


def eighth_accents(notes: Notes, drums: Ints, *, start: float, ticks_per_quarter: int, count: int) -> Floats:
    """(count, 8) the `ACCENTS` of each of so many eighths from the tick `start` on.

    Notes struck, and the length of those; how new the pitch classes of the next quarter, and half note, are after as much
    before; which share of the notes sounding there is held from before; how low and long the lowest note struck is; whether a
    bass drum, and a crash cymbal, are struck.

    Args:
        notes: N notes, those before `start` or behind the last eighth left out of account.
        drums: (N,) True for notes of drums.
        start: tick of the first eighth; need not be whole.
        ticks_per_quarter: ticks a quarter.
        count: eighths.
    """
    eighth = ticks_per_quarter / 2
    exact: Floats = np.asarray((notes.onset_tick - start) / eighth, dtype=np.float64)
    at = np.rint(exact).astype(np.int64)
    inside = (at >= 0) & (at < count)
    on = inside & (np.abs(exact - at) < 2 * _ON_PLACE)
    pitched, struck = ~drums, on & ~drums
    length = np.minimum(notes.duration_tick / ticks_per_quarter, _LONGEST)
    begun = np.bincount(at[struck], minlength=count)
    some = inside & pitched
    classes = _pitch_classes(at[some], notes.pitch[some], np.sqrt(length[some]), count)
    end: Floats = exact + notes.duration_tick / eighth
    held = _held(exact[pitched], end[pitched], count)
    columns = [
        np.sqrt(begun),
        np.sqrt(np.bincount(at[struck], weights=length[struck], minlength=count)),
        _newness(classes, 2, silent=0),
        _newness(classes, 4, silent=0),
        np.where(begun + held > 0, held / np.maximum(begun + held, 1), 0.5),
        _bass(at[struck], notes.pitch[struck], length[struck], count),
    ]
    for kind in (_KICKS, _CRASHES):
        hit = at[on & drums & np.isin(notes.pitch, kind)]
        columns.append(np.minimum(np.bincount(hit, minlength=count), 1))
    return np.stack(columns, axis=1)


def _pitch_classes(at: Ints, pitch: Ints, weight: Floats | None, count: int) -> Floats:
    """(count, 12) weight of the notes of each pitch class at each place; without weights, their number."""
    return np.bincount(at * 12 + pitch % 12, weights=weight, minlength=12 * count).reshape(count, 12).astype(np.float64)


def _newness(classes: Floats, reach: int, *, silent: float) -> Floats:
    """(n,) 1 − the cosine of the pitch classes of the `reach` places from each on and of as many before; 0 at the first place.

    Args:
        classes: (n, 12) weight of each pitch class at each place.
        reach: places.
        silent: the newness where either is silent.
    """
    n = len(classes)
    total = np.concatenate([np.zeros((1, 12)), np.cumsum(classes, axis=0)])
    place = np.arange(n)
    after = total[np.minimum(place + reach, n)] - total[:-1]
    before = total[:-1] - total[np.maximum(place - reach, 0)]
    norms = np.linalg.norm(after, axis=1) * np.linalg.norm(before, axis=1)
    known = norms > 0
    newness = np.where(known, 1 - (after * before).sum(axis=1) / np.where(known, norms, 1), silent)
    newness[0] = 0
    return newness


def _held(exact: Floats, end: Floats, count: int) -> Ints:
    """(count,) notes that sound on through each place, from their exact begin and end in places."""
    first = np.clip(np.floor(exact + 2 * _ON_PLACE).astype(np.int64) + 1, 0, count)
    last = np.maximum(np.clip(np.ceil(end - 2 * _ON_PLACE).astype(np.int64), 0, count), first)
    change = np.bincount(first, minlength=count + 1) - np.bincount(last, minlength=count + 1)
    return np.cumsum(change)[:count]


def _bass(at: Ints, pitch: Ints, length: Floats, count: int) -> Floats:
    """(count,) √(quarters) of the longest lowest note struck at each place, less where it lies above its surroundings."""
    above = 1 << 8
    lowest = np.full(count, above)
    np.minimum.at(lowest, at, pitch)
    padded = np.pad(lowest, _BASS_REACH, constant_values=above)
    floor = np.lib.stride_tricks.sliding_window_view(padded, 2 * _BASS_REACH + 1).min(axis=1)
    mine = pitch == lowest[at]
    longest = np.zeros(count)
    np.maximum.at(longest, at[mine], length[mine])
    return np.asarray(np.sqrt(longest) * np.exp((floor - lowest) / _BASS_ROOM))


def _autocorrelation(x: Floats, lag: int) -> float:
    """Of a series about its mean, -1..1; 0 for a flat one."""
    x = x - x.mean()
    power = float(x @ x)
    return float(x[lag:] @ x[:-lag]) / power if power > 0 else 0.0
