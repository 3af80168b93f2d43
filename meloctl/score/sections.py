"""Sections of a piece: where something else begins, and what comes back.

Bars are compared part by part. A stretch of bars that comes back k bars later is a stripe beside the diagonal of that matrix;
where a stripe begins or ends, a section may (after Serrà and others, Unsupervised Music Structure Annotation by Time Series
Structure Features and Segment Similarity, 2014). Of the borders the best are taken by the lengths that they make, since music
likes eight bars (after Sargent and others, A Regularity-Constrained Viterbi Algorithm and Its Application to the Structural
Segmentation of Songs, 2011). Sections whose bars are alike share a letter.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from analysis.arrays import Floats
from analysis.cells import cells_of
from analysis.piece import Piece
from analysis.similarity import NOTE_JACCARD, ONSET_JACCARD, Measure

_HALF = 4
"""Bars before and after a border that are looked at, and the least that a section has."""

_MOST_BARS = 1000
"""Of a longer piece nothing is said: a matrix of its bars is large, and a band of its sections is no help."""

_STRANGE, _EQUAL = 0.4, 0.85
"""Bars no more alike than the first are not alike at all, bars as alike as the second are equal."""

_ALIKE, _SAME = 0.6, 0.8
"""Mean similarity of the bars of two sections from which they share a letter, and from which the later is no variant."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A stretch of bars."""

    first_bar: int
    """From 0; the section ends where the next one begins."""

    letter: str
    """ "A", "B", …; "A′" varies an earlier A."""


def sections_of(piece: Piece) -> tuple[Section, ...]:
    """The sections of a piece of one bar or more, in order; one alone where nothing begins anew and nothing comes back.

    A piece of fewer than 8 bars has one section, and so has one of more than 1,000.
    """
    n = piece.n_bars
    if not 2 * _HALF <= n <= _MOST_BARS:
        return (Section(first_bar=0, letter="A"),)
    alike = bars_alike(piece)
    stripes = np.clip((alike - _STRANGE) / (_EQUAL - _STRANGE), 0, 1)
    strength = np.maximum(np.maximum(_changes(stripes), _returns(stripes)), _endings(stripes))
    starts = [0, *_borders(strength)]
    letters = _letters(alike, [*starts, n])
    return tuple(Section(first_bar=bar, letter=letter) for bar, letter in zip(starts, letters, strict=True))


def bars_alike(piece: Piece) -> Floats:
    """(B, B) how alike two bars of a piece are: the mean over its parts of note-jaccard (not of drums) and onset-jaccard.

    A part that rests in both bars says nothing, one that rests in one of them is not alike. Two empty bars are equal.
    """
    total = np.zeros((2, piece.n_bars, piece.n_bars))
    for measure in (NOTE_JACCARD, ONSET_JACCARD):
        total += _by_part(piece, measure)
    return np.divide(total[0], total[1], out=np.ones_like(total[0]), where=total[1] > 0)


def _by_part(piece: Piece, measure: Measure) -> Floats:
    """(2, B, B) sums over parts of the similarity of bars, and of parts that play in one bar or both."""
    sums = np.zeros((2, piece.n_bars, piece.n_bars))
    cells = cells_of(piece, drums=measure.drums)
    if not len(cells):
        return sums
    contents = measure.contents(cells)
    similarity = measure.similarity(contents.items, contents.items)
    for part in range(cells.n_parts):
        mine = cells.part == part
        bar, of_cell = cells.bar[mine], contents.of_cell[mine]
        plays = np.zeros(piece.n_bars, dtype=np.bool_)
        plays[bar] = True
        sums[0][np.ix_(bar, bar)] += similarity[np.ix_(of_cell, of_cell)]
        sums[1] += plays[:, None] | plays[None, :]
    return sums


def _changes(stripes: Floats) -> Floats:
    """(B,) how much a stripe begins or ends at each bar: at some offset, the bars from it on against those before it."""
    n = len(stripes)
    change = np.zeros(n)
    for offset in range(_HALF, n - 2 * _HALF + 1):  # nearer than that, a bar would be compared with itself
        sums = np.append(0, np.cumsum(np.diagonal(stripes, offset)))
        mean = (sums[_HALF:] - sums[:-_HALF]) / _HALF
        step = np.abs(mean[_HALF:] - mean[:-_HALF])  # at bars _HALF, _HALF + 1, … of the diagonal
        for first in (_HALF, _HALF + offset):  # of either bar of the pair
            change[first : first + len(step)] = np.maximum(change[first : first + len(step)], step)
    return change


def _returns(stripes: Floats) -> Floats:
    """(B,) how much the opening bars come back from each bar on, less than they do from any of the seven before and after.

    A stripe that begins with the piece has nothing before it that it could differ from; a figure that is repeated all the time
    comes back everywhere.
    """
    n = len(stripes)
    back = np.zeros(n)
    for bar in range(1, n - _HALF + 1):
        back[bar] = np.diagonal(stripes[bar : bar + _HALF, :_HALF]).mean()
    around = np.array([np.delete(back[max(0, b - 7) : b + 8], min(b, 7)).max() for b in range(n)])
    back[:_HALF] = 0
    return np.maximum(back - around, 0)


def _endings(stripes: Floats) -> Floats:
    """(B,) the same of the last bars: how much they were heard before, up to each bar."""
    return np.append(0, _returns(stripes[::-1, ::-1])[:0:-1])


def _borders(strength: Floats) -> list[int]:
    """The bars at which sections begin, the first apart: those whose strengths, less what lengths cost, add up to the most."""
    n = len(strength)
    best, back = np.full(n + 1, -np.inf), np.zeros(n + 1, dtype=np.int64)
    best[0] = 0
    for end in range(_HALF, n + 1):
        for start in range(end - _HALF + 1):
            worth = best[start] + (strength[start] if start else 0) - _cost(start, end, n)
            if worth > best[end]:
                best[end], back[end] = worth, start
    found, bar = [], int(back[n])
    while bar:
        found.append(bar)
        bar = int(back[bar])
    return found[::-1]


def _cost(start: int, end: int, n: int) -> float:
    """What a section of this length costs, where a border is worth 1 at most; a piece of one section costs nothing."""
    length = end - start
    if length == n:
        return 0.0
    if length < 2 * _HALF:
        return 0.9
    if length % 8 == 0:
        return 0.4
    return 0.45 if length % 4 == 0 else 0.55


def _letters(alike: Floats, edges: list[int]) -> list[str]:
    """A letter for each section between two edges: that of the earlier section that it is most alike, else the next new one."""
    spans, letters = list(pairwise(edges)), list[str]()
    for i, span in enumerate(spans):
        likeness = [_likeness(alike, span, earlier) for earlier in spans[:i]]
        nearest = int(np.argmax(likeness)) if likeness else 0
        if not likeness or likeness[nearest] < _ALIKE:
            letters.append(_name(len({letter.rstrip("′") for letter in letters})))
            continue
        earlier = spans[nearest]
        equal = likeness[nearest] >= _SAME and span[1] - span[0] == earlier[1] - earlier[0]
        letters.append(letters[nearest] if equal else letters[nearest].rstrip("′") + "′")
    return letters


def _likeness(alike: Floats, one: tuple[int, int], other: tuple[int, int]) -> float:
    """Mean similarity of the bars of two spans, the shorter laid where it fits the longer best."""
    (a, a_end), (b, b_end) = sorted((one, other), key=lambda span: span[1] - span[0])
    length = a_end - a
    return max(float(np.diagonal(alike[a:a_end, at : at + length]).mean()) for at in range(b, b_end - length + 1))


def _name(index: int) -> str:
    """ "A" to "Z", then "AA", "AB", …"""
    head, last = divmod(index, 26)
    return (_name(head - 1) if head else "") + chr(ord("A") + last)
