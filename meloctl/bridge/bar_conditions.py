"""What is wanted of each bar: the condition under which the bridge makes plans.

Shape letters: B pieces, T bars, A attributes, K texts, E width of an embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from analysis.arrays import Floats32, Ints

PLACES = 13
"""Numbers that say where in the piece a bar is."""

_REACH = (1.0, 4.0, 16.0, 64.0)
"""Bars over which the nearness of the beginning and of the end fades."""

_PERIODS = (4, 8)
"""Bars of the phrases in which a bar has a place."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BarConditions:
    """What is wanted of bars in a row."""

    wants: Floats32
    """(T, A) levels, NaN where nothing is said."""

    texts: Floats32
    """(K, E) embeddings of the texts."""

    text: Ints
    """(T,) the text of each bar, as an index of `texts`; −1 for none."""

    first_bar: int = 0
    """The number of the first of these bars in its piece."""

    piece_bars: int
    """Bars of the whole piece."""

    def __len__(self) -> int:
        return len(self.wants)

    @classmethod
    def of_text(cls, wants: Floats32, embedding: Floats32) -> Self:
        """The conditions of a whole piece under one text.

        Args:
            wants: (T, A) levels, NaN where nothing is said.
            embedding: (E,) of the text.
        """
        return cls(wants=wants, texts=embedding[None], text=np.zeros(len(wants), dtype=np.int64), piece_bars=len(wants))

    def unsaid(self) -> Self:
        """The same bars with nothing wanted of them."""
        return type(self)(
            wants=np.full_like(self.wants, np.nan),
            texts=self.texts,
            text=np.full_like(self.text, -1),
            first_bar=self.first_bar,
            piece_bars=self.piece_bars,
        )


class ConditionBatch(NamedTuple):
    """The conditions of several pieces as the network reads them; bars behind a piece's last one are padding."""

    levels: Tensor
    """(B, T, A) wants, 0 where unsaid."""

    said: Tensor
    """(B, T, A) 1 where something is wanted, else 0."""

    text: Tensor
    """(B, T, E) embeddings, of mean 0 and variance 1 each; 0 where there is no text."""

    has_text: Tensor
    """(B, T, 1) 1 where there is a text, else 0."""

    place: Tensor
    """(B, T, PLACES) where in its piece each bar is."""

    real: Tensor
    """(B, T) bool, False for padding."""


def batch_of(conditions: Sequence[BarConditions]) -> ConditionBatch:
    """Conditions of pieces side by side, padded to the longest; all have texts of one width."""
    longest = max(len(c) for c in conditions)
    wants = np.full((len(conditions), longest, conditions[0].wants.shape[1]), np.nan, dtype=np.float32)
    text = np.zeros((len(conditions), longest, conditions[0].texts.shape[1]), dtype=np.float32)
    has_text, place = (np.zeros((len(conditions), longest, n), dtype=np.float32) for n in (1, PLACES))
    real = np.zeros((len(conditions), longest), dtype=bool)
    for i, c in enumerate(conditions):
        bars, having = len(c), np.flatnonzero(c.text >= 0)
        wants[i, :bars] = c.wants
        text[i, having] = _standardised(c.texts)[c.text[having]]
        has_text[i, having] = 1
        place[i, :bars] = places(c.first_bar, bars, c.piece_bars)
        real[i, :bars] = True
    said = ~np.isnan(wants)
    return ConditionBatch(
        levels=torch.from_numpy(np.where(said, wants, 0).astype(np.float32)),
        said=torch.from_numpy(said.astype(np.float32)),
        text=torch.from_numpy(text),
        has_text=torch.from_numpy(has_text),
        place=torch.from_numpy(place),
        real=torch.from_numpy(real),
    )


def places(first_bar: int, bars: int, piece_bars: int) -> Floats32:
    """(T, PLACES) where bars are: how near to the beginning and the end, the share of the piece before them, and the place in
    phrases of 4 and 8 bars."""
    bar = np.arange(first_bar, first_bar + bars)[:, None]
    to_come = piece_bars - 1 - bar
    near = [np.exp(-distance / np.array(_REACH)) for distance in (bar, to_come)]
    turn = 2 * np.pi * bar / np.array(_PERIODS)
    share = bar / max(piece_bars - 1, 1)
    return np.concatenate([*near, share, np.sin(turn), np.cos(turn)], axis=1).astype(np.float32)


def _standardised(texts: Floats32) -> Floats32:
    """(K, E) embeddings with mean 0 and variance 1 each."""
    centred = texts - texts.mean(axis=1, keepdims=True)
    scale: Floats32 = np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-12)
    return (centred / scale).astype(np.float32)
