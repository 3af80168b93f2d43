"""How alike two cells are, 0 (nothing shared) to 1 (equal): the formulas, and the four measures made of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis import features
from analysis.arrays import Floats
from analysis.cells import Cells
from analysis.features import Contents

_EXACT = float(1 << 26)
"""Unit vectors are rounded to multiples of 1 / _EXACT: a product of two is then exact in any order of addition."""


def jaccard(a: Any, b: Any) -> Floats:
    """What share of all that lies in either lies in both?  |a ∩ b| / |a ∪ b|.

    Args:
        a, b: (A, items) and (B, items) sets as 1 and 0, dense or sparse, none of them empty.

    Returns:
        (A, B)
    """
    shared: Any = a @ b.T
    if not isinstance(shared, np.ndarray):
        shared = shared.toarray()
    return np.asarray(shared / (_size(a)[:, None] + _size(b)[None, :] - shared), dtype=np.float64)


def cosine(a: Floats, b: Floats) -> Floats:
    """How close are the directions of two histograms?  a · b / (|a| |b|), within 1e-7 and the same bits on any machine.

    Args:
        a, b: (A, items) and (B, items) weights ≥ 0, none of them all zero.

    Returns:
        (A, B)
    """
    return np.minimum(_unit(a) @ _unit(b).T / _EXACT**2, 1.0)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A named similarity: what is compared of each cell, and how."""

    name: str
    drums: bool
    """Whether drums take part; pitch means nothing there."""

    contents: Callable[[Cells], Contents]
    similarity: Callable[[Any, Any], Floats]


PC_JACCARD = Measure(
    name="pc-jaccard",
    drums=False,
    contents=features.pitch_classes,
    similarity=jaccard,
)
"""How many of their pitch classes two bars share."""

NOTE_JACCARD = Measure(
    name="note-jaccard",
    drums=False,
    contents=features.notes,
    similarity=jaccard,
)
"""How many of their notes are the same: pitch, place in the bar and length."""

PC_COSINE = Measure(
    name="pc-cosine",
    drums=False,
    contents=features.pitch_class_weights,
    similarity=cosine,
)
"""How alike the pitch classes are, weighed by how long they are held."""

ONSET_JACCARD = Measure(
    name="onset-jaccard",
    drums=True,
    contents=features.onsets,
    similarity=jaccard,
)
"""How alike the rhythm is: how many onsets fall on the same step, drums among them."""

MEASURES = (PC_JACCARD, NOTE_JACCARD, PC_COSINE, ONSET_JACCARD)
"""All measures, the default first."""


def _size(sets: Any) -> Floats:
    return np.asarray(sets.sum(axis=1), dtype=np.float64)


def _unit(weights: Floats) -> Floats:
    """Rows of length 1, rounded to whole multiples of 1 / _EXACT and scaled up by it."""
    square = np.zeros(len(weights))
    for column in weights.T:  # one by one, so that the order of addition is the same on any machine
        square += column * column
    return np.rint(weights * (_EXACT / np.sqrt(square))[:, None])
