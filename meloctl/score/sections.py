"""The form of a piece: its sections, with one letter for sections whose bars are similar.

A self-similarity matrix compares bars part by part. Bars that return k bars later are a stripe on its k-th diagonal; sections may
begin where a stripe begins or ends (after Serrà and others, Unsupervised Music Structure Annotation by Time Series Structure
Features and Segment Similarity, 2014). Of these boundaries the best are chosen with a cost of the section lengths that they make,
eight bars being the cheapest (after Sargent and others, A Regularity-Constrained Viterbi Algorithm and Its Application to the
Structural Segmentation of Songs, 2011).

Shape letters: B bars.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from analysis.arrays import Floats
from analysis.cells import cells_of
from analysis.piece import Piece
from analysis.similarity import NOTE_JACCARD, ONSET_JACCARD, Measure

_CONTEXT = 4
"""Bars before and after a boundary that are compared, and the fewest bars of a section."""

_MOST_BARS = 1000
"""A longer piece is one section: the matrix of its bars would be large, and a band of its sections no help."""

_DIFFERENT, _EQUAL = 0.4, 0.85
"""Similarities of two bars that are stretched to 0 and 1 before stripes are looked for; what lies beyond is clipped."""

_SAME_LETTER, _NO_VARIANT = 0.6, 0.8
"""Mean similarity of the bars of two sections from which they share a letter, and from which the later one has no prime."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """Consecutive bars."""

    first_bar: int
    """From 0; the section ends where the next one begins."""

    letter: str
    """ "A", "B", …; "A′" varies an earlier A."""


def sections_of(piece: Piece) -> tuple[Section, ...]:
    """The sections of a piece of one bar or more, in order; one section where no bars return.

    A piece of fewer than 8 bars has one section, and so has one of more than 1,000.
    """
    n = piece.n_bars
    if not 2 * _CONTEXT <= n <= _MOST_BARS:
        return (Section(first_bar=0, letter="A"),)
    similarity = bar_similarity(piece)
    stripes = np.clip((similarity - _DIFFERENT) / (_EQUAL - _DIFFERENT), 0, 1)
    strength = np.maximum(np.maximum(_changes(stripes), _returns(stripes)), _endings(stripes))
    starts = [0, *_boundaries(strength)]
    letters = _letters(similarity, [*starts, n])
    return tuple(Section(first_bar=bar, letter=letter) for bar, letter in zip(starts, letters, strict=True))


def bar_similarity(piece: Piece) -> Floats:
    """(B, B) similarity of each two bars, 0..1: the mean over parts of note-jaccard (not of drums) and onset-jaccard.

    A part that rests in both bars is left out, one that rests in one of them has similarity 0. Two empty bars have 1.
    """
    total = np.zeros((2, piece.n_bars, piece.n_bars))
    for measure in (NOTE_JACCARD, ONSET_JACCARD):
        total += _by_part(piece, measure)
    return np.divide(total[0], total[1], out=np.ones_like(total[0]), where=total[1] > 0)


def _by_part(piece: Piece, measure: Measure) -> Floats:
    """(2, B, B) of each two bars: the sum over parts of their similarity, and the number of parts that play in either."""
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
    """(B,) largest change of a stripe at each bar: over all offsets, mean of the bars from it on less that of those before it.

    Args:
        stripes: (B, B) similarity of bars, stretched to 0..1.
    """
    n = len(stripes)
    change = np.zeros(n)
    for offset in range(_CONTEXT, n - 2 * _CONTEXT + 1):  # nearer than that, a bar would be compared with itself
        sums = np.append(0, np.cumsum(np.diagonal(stripes, offset)))
        mean = (sums[_CONTEXT:] - sums[:-_CONTEXT]) / _CONTEXT
        step = np.abs(mean[_CONTEXT:] - mean[:-_CONTEXT])  # at bars _CONTEXT, _CONTEXT + 1, … of the diagonal
        for first in (_CONTEXT, _CONTEXT + offset):  # of either bar of the pair
            change[first : first + len(step)] = np.maximum(change[first : first + len(step)], step)
    return change


def _returns(stripes: Floats) -> Floats:
    """(B,) how much the opening bars return at each bar, less how much they do at any of the seven bars before and after it.

    `_changes` misses a stripe that begins with the piece, since there is nothing before it. A figure that is repeated all the
    time returns at every bar, so at none more than around it.

    Args:
        stripes: (B, B) similarity of bars, stretched to 0..1.
    """
    n = len(stripes)
    back = np.zeros(n)
    for bar in range(1, n - _CONTEXT + 1):
        back[bar] = np.diagonal(stripes[bar : bar + _CONTEXT, :_CONTEXT]).mean()
    around = np.array([np.delete(back[max(0, b - 7) : b + 8], min(b, 7)).max() for b in range(n)])
    back[:_CONTEXT] = 0
    return np.maximum(back - around, 0)


def _endings(stripes: Floats) -> Floats:
    """(B,) the same for the last bars: how much bars that end at each bar are those that end the piece; stripes (B, B)."""
    return np.append(0, _returns(stripes[::-1, ::-1])[:0:-1])


def _boundaries(strength: Floats) -> list[int]:
    """Bars at which sections begin, but for the first: those with the largest sum of strengths (B,) less costs of lengths."""
    n = len(strength)
    best, back = np.full(n + 1, -np.inf), np.zeros(n + 1, dtype=np.int64)
    best[0] = 0
    for end in range(_CONTEXT, n + 1):
        for start in range(end - _CONTEXT + 1):
            score = best[start] + (strength[start] if start else 0) - _cost(start, end, n)
            if score > best[end]:
                best[end], back[end] = score, start
    found, bar = [], int(back[n])
    while bar:
        found.append(bar)
        bar = int(back[bar])
    return found[::-1]


def _cost(start: int, end: int, n: int) -> float:
    """Cost of a section's length, on the scale of strengths, which are 1 at most; a piece of one section costs nothing."""
    length = end - start
    if length == n:
        return 0.0
    if length < 2 * _CONTEXT:
        return 0.9
    if length % 8 == 0:
        return 0.4
    return 0.45 if length % 4 == 0 else 0.55


def _letters(similarity: Floats, edges: list[int]) -> list[str]:
    """A letter for each section: that of the most similar earlier section, else the next new one.

    Args:
        similarity: (B, B) of bars.
        edges: first bars of the sections, and the number of bars.
    """
    spans, letters = list(pairwise(edges)), list[str]()
    for i, span in enumerate(spans):
        similarities = [_section_similarity(similarity, span, earlier) for earlier in spans[:i]]
        nearest = int(np.argmax(similarities)) if similarities else 0
        if not similarities or similarities[nearest] < _SAME_LETTER:
            letters.append(_name(len({letter.rstrip("′") for letter in letters})))
            continue
        earlier = spans[nearest]
        equal = similarities[nearest] >= _NO_VARIANT and span[1] - span[0] == earlier[1] - earlier[0]
        letters.append(letters[nearest] if equal else letters[nearest].rstrip("′") + "′")
    return letters


def _section_similarity(similarity: Floats, one: tuple[int, int], other: tuple[int, int]) -> float:
    """Mean similarity of the bars of two sections, the shorter aligned with the longer where it fits best; matrix (B, B)."""
    (a, a_end), (b, b_end) = sorted((one, other), key=lambda span: span[1] - span[0])
    length = a_end - a
    return max(float(np.diagonal(similarity[a:a_end, at : at + length]).mean()) for at in range(b, b_end - length + 1))


def _name(index: int) -> str:
    """ "A" to "Z", then "AA", "AB", …"""
    head, last = divmod(index, 26)
    return (_name(head - 1) if head else "") + chr(ord("A") + last)
