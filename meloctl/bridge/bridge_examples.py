"""What the bridge learns from: spans of real pieces, what a text would ask of them, and the plans that they have.

Shape letters: T bars, A attributes, D width of a plan, K texts, E width of an embedding.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from analysis.arrays import Floats32, Ints
from meloctl.bridge.bar_conditions import BarConditions
from meloctl.bridge.bridge_sampler import WINDOW

LEAST_BARS = 8
MOST_LEVEL = 2.0
"""Levels beyond are wanted as this."""

_SECTIONS, _COURSE = 0.25, 0.15
"""Shares of the spans of which two sections are wanted, or a course from one level to another."""

Captioner = Callable[[Floats32, np.random.Generator], str]
"""Words that ask for wants (T, A), NaN where nothing is to be said."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PlannedPiece:
    """A piece as the bridge learns from it."""

    plans: Floats32
    """(T, D)"""

    levels: Floats32
    """(T, A) of each bar, NaN where a bar has none."""

    def __len__(self) -> int:
        return len(self.plans)


class Wanted(NamedTuple):
    """What is wanted of a span, before it is put into words."""

    wants: Floats32
    """(T, A) levels, NaN where nothing is said."""

    section: Ints
    """(T,) the section of each bar, 0 or 1: each is asked for by a text of its own."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BridgeExample:
    """A span of a piece, and the words that ask for it."""

    piece: int
    first: int
    wanted: Wanted
    captions: tuple[str, ...]
    """One a section."""


def make_examples(
    pieces: Sequence[PlannedPiece], count: int, caption: Captioner, generator: np.random.Generator
) -> list[BridgeExample]:
    """Spans of pieces with captions, each piece as often as its number of bars says."""
    bars = np.array([len(piece) for piece in pieces])
    chosen = generator.choice(len(pieces), size=count, p=bars / bars.sum())
    return [_example(pieces[piece], int(piece), caption, generator) for piece in chosen]


def _example(piece: PlannedPiece, index: int, caption: Captioner, generator: np.random.Generator) -> BridgeExample:
    least, most = min(LEAST_BARS, len(piece)), min(WINDOW, len(piece))
    length = round(math.exp(generator.uniform(math.log(least), math.log(most))))
    first = int(generator.integers(len(piece) - length + 1)) if generator.random() < 0.75 else 0
    wanted = wanted_of(piece.levels[first : first + length], generator)
    captions = tuple(caption(wanted.wants[wanted.section == k], generator) for k in range(wanted.section[-1] + 1))
    return BridgeExample(piece=index, first=first, wanted=wanted, captions=captions)


def wanted_of(levels: Floats32, generator: np.random.Generator) -> Wanted:
    """What may be asked of a span with such levels: of some attributes their mean over the span, their means in two sections, or
    the line that they follow. A text asks for the mean, and bars differ around it: so must plans.

    Args:
        levels: (T, A) of each bar, NaN where a bar has none.
        generator: chooses.
    """
    bars, attributes = levels.shape
    section, kind = np.zeros(bars, dtype=np.int64), generator.random()
    if kind < _SECTIONS and bars >= 2 * LEAST_BARS:
        section[int(generator.integers(LEAST_BARS // 2, bars - LEAST_BARS // 2 + 1)) :] = 1
    straight = _SECTIONS <= kind < _SECTIONS + _COURSE
    wants = np.full((bars, attributes), np.nan)
    for part in range(section[-1] + 1):
        inside = section == part
        said = _said(levels[inside], generator)
        wants[np.ix_(inside, said)] = _trend(levels[inside][:, said], straight=straight)
    return Wanted(wants=np.clip(wants, -MOST_LEVEL, MOST_LEVEL).astype(np.float32), section=section)


def _said(levels: Floats32, generator: np.random.Generator) -> Ints:
    """The attributes that a text names: any number of them, and rather those that are far from usual."""
    known = np.flatnonzero(~np.isnan(levels).all(axis=0))
    if not len(known):
        return known
    far = np.abs(np.nanmean(levels[:, known], axis=0)) + 0.3
    count = int(generator.integers(1, len(known) + 1))
    return np.sort(generator.choice(known, size=count, replace=False, p=far / far.sum()))


def _trend(levels: Floats32, *, straight: bool) -> Floats32:
    """(T, n) the mean of each attribute over the bars, or the line through them by least squares."""
    bars = np.arange(len(levels)) - (len(levels) - 1) / 2
    out = np.empty(levels.shape, dtype=np.float32)
    for a, column in enumerate(levels.T):
        known = ~np.isnan(column)
        if straight and known.sum() >= LEAST_BARS // 2:
            slope, offset = np.polyfit(bars[known], column[known], 1)
            out[:, a] = offset + slope * bars
        else:
            out[:, a] = column[known].mean()
    return out


def distinct_captions(examples: Sequence[BridgeExample]) -> list[str]:
    """The captions of examples, each once, in order of first use."""
    return list(dict.fromkeys(caption for example in examples for caption in example.captions))


def conditions_of(
    example: BridgeExample, piece_bars: int, embeddings: Floats32, row_of: dict[str, int]
) -> BarConditions:
    """An example's condition.

    Args:
        example: a span.
        piece_bars: bars of its piece.
        embeddings: (K, E) of captions.
        row_of: {caption: its row among the embeddings}.
    """
    rows = [row_of[caption] for caption in example.captions]
    return BarConditions(
        wants=example.wanted.wants,
        texts=embeddings[rows],
        text=example.wanted.section,
        first_bar=example.first,
        piece_bars=piece_bars,
    )
