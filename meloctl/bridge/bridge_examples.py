"""What the bridge learns from: spans of real pieces, what a text would ask of them, and the plans that they have.

Shape letters: T bars, A attributes, D width of a plan, K texts, E width of an embedding.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from analysis.arrays import Floats32, Ints
from meloctl.bridge.bar_conditions import BarConditions
from meloctl.bridge.bridge_sampler import WINDOW

LEAST_BARS = 8
MOST_LEVEL = 2.0
"""Levels beyond are wanted as this."""

_SECTIONS, _COURSE = 0.25, 0.15
"""Shares of the spans that two texts ask for, one a section, and of the wants that go straight from one level to another."""

_WRITTEN = 0.5
"""Share of the spans of a piece with captions of its own that have one of these."""


class SpanText(NamedTuple):
    """A text that asks for bars, and what it asks of each."""

    text: str
    """Empty where nothing is said."""

    wants: Floats32
    """(T, A) levels, NaN where nothing is said."""


Captioner = Callable[[Floats32, np.random.Generator], SpanText]
"""Bars as music has them, their levels (T, A) with NaN where they have none → a text that may ask for them."""

CaptionReader = Callable[[str, Floats32], SpanText]
"""A caption that was written for a piece, and the levels (T, A) of bars of it → the caption, and what it asks of these bars."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PlannedPiece:
    """A piece as the bridge learns from it."""

    plans: Floats32
    """(T, D)"""

    levels: Floats32
    """(T, A) of each bar, NaN where a bar has none."""

    captions: tuple[str, ...] = ()
    """That were written for it."""

    def __len__(self) -> int:
        return len(self.plans)


@dataclass(frozen=True, kw_only=True, eq=False)
class BridgeExample:
    """A span of a piece, and the texts that ask for it."""

    piece: int
    first: int
    wants: Floats32
    """(T, A) levels, NaN where nothing is said."""

    section: Ints
    """(T,) the section of each bar: each section has a text of its own."""

    texts: tuple[str, ...]
    """One a section; empty where nothing is said."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BridgeExamples:
    """Conditions and the plans that belong to them."""

    conditions: Sequence[BarConditions]
    plans: Sequence[Floats32]
    """(T, D) each."""

    @cached_property
    def by_length(self) -> Ints:
        """Indices, shortest first."""
        return np.argsort([len(plans) for plans in self.plans], kind="stable")

    def __len__(self) -> int:
        return len(self.plans)


def make_examples(
    pieces: Sequence[PlannedPiece],
    count: int,
    caption: Captioner,
    generator: np.random.Generator,
    *,
    read: CaptionReader,
) -> list[BridgeExample]:
    """Spans of pieces with captions, each piece as often as its number of bars says.

    Args:
        pieces: to take spans of.
        count: number of spans.
        caption: makes a text for bars.
        generator: draws all of it.
        read: says what captions that pieces have of their own ask for.
    """
    bars = np.array([len(piece) for piece in pieces])
    chosen = generator.choice(len(pieces), size=count, p=bars / bars.sum())
    return [_example(pieces[piece], int(piece), caption, generator, read) for piece in chosen]


def _example(
    piece: PlannedPiece, index: int, caption: Captioner, generator: np.random.Generator, read: CaptionReader
) -> BridgeExample:
    least, most = min(LEAST_BARS, len(piece)), min(WINDOW, len(piece))
    length = round(math.exp(generator.uniform(math.log(least), math.log(most))))
    first = int(generator.integers(len(piece) - length + 1)) if generator.random() < 0.75 else 0
    levels, section = piece.levels[first : first + length], np.zeros(length, dtype=np.int64)
    if piece.captions and generator.random() < _WRITTEN:
        asked = [read(piece.captions[int(generator.integers(len(piece.captions)))], levels)]
    else:
        if length >= 2 * LEAST_BARS and generator.random() < _SECTIONS:
            section[int(generator.integers(LEAST_BARS // 2, length - LEAST_BARS // 2 + 1)) :] = 1
        asked = [caption(levels[section == k], generator) for k in range(section[-1] + 1)]
    wants = np.concatenate([np.clip(a.wants, -MOST_LEVEL, MOST_LEVEL) for a in asked])
    return BridgeExample(
        piece=index, first=first, wants=wants.astype(np.float32), section=section, texts=tuple(a.text for a in asked)
    )


def measured_wants(levels: Floats32, generator: np.random.Generator) -> Floats32:
    """(T, A) what may be asked of bars: of some attributes their mean over the bars, or the line that they follow. A text asks
    for the mean, and bars differ around it: so must plans.

    Args:
        levels: (T, A) of each bar, NaN where a bar has none.
        generator: chooses.
    """
    wants = np.full(levels.shape, np.nan, dtype=np.float32)
    said = _said(levels, generator)
    wants[:, said] = _trend(levels[:, said], straight=generator.random() < _COURSE)
    return wants


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


def distinct_texts(examples: Sequence[BridgeExample]) -> list[str]:
    """The texts of examples, each once, in order of first use; without the empty one."""
    return [text for text in dict.fromkeys(text for example in examples for text in example.texts) if text]


def bridge_examples(
    pieces: Sequence[PlannedPiece], examples: Sequence[BridgeExample], texts: Sequence[str], embeddings: Floats32
) -> BridgeExamples:
    """Examples as conditions and plans.

    Args:
        pieces: that the examples are spans of.
        examples: the spans.
        texts: K texts, all of the examples' among them.
        embeddings: (K, E) of them.
    """
    row_of = {text: row for row, text in enumerate(texts)}
    return BridgeExamples(
        conditions=[_conditions(example, len(pieces[example.piece]), embeddings, row_of) for example in examples],
        plans=[pieces[e.piece].plans[e.first : e.first + len(e.wants)] for e in examples],
    )


def _conditions(example: BridgeExample, piece_bars: int, embeddings: Floats32, row_of: dict[str, int]) -> BarConditions:
    rows = np.array([row_of.get(text, -1) for text in example.texts])  # the empty text is none
    return BarConditions(
        wants=example.wants,
        texts=embeddings[np.maximum(rows, 0)],
        text=np.where(rows[example.section] >= 0, example.section, -1),
        first_bar=example.first,
        piece_bars=piece_bars,
    )
