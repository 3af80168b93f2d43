"""How alike two cells are, 0 (nothing shared) to 1 (equal): the formulas, and the measures made of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from analysis import features
from analysis.arrays import Floats
from analysis.cells import Cells
from analysis.features import Contents, Sets

_EXACT = float(1 << 26)
"""Unit vectors are rounded to multiples of 1 / _EXACT: a product of two is then exact in any order of addition."""


def jaccard(a: Sets, b: Sets) -> Floats:
    """What share of all that lies in either lies in both?  |a ∩ b| / |a ∪ b|.

    Args:
        a, b: A and B sets of items of one kind.

    Returns:
        (A, B)
    """
    from analysis.pair_loops import jaccard_of_sets

    return jaccard_of_sets(a.first, a.item, b.first, b.item, a.n_items)


def cosine(a: Floats, b: Floats) -> Floats:
    """How close are the directions of two histograms?  a · b / (|a| |b|), within 1e-7 and the same bits on any machine.

    Args:
        a, b: (A, items) and (B, items) weights ≥ 0, none of them all zero.

    Returns:
        (A, B)
    """
    from analysis.pair_loops import cosine_of_rows

    return cosine_of_rows(a, b, _EXACT)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A named similarity of two cells: what is compared, how, and the words for it. Nothing else in the code lists measures."""

    name: str
    """In tables, files and options."""

    title: str
    """In headings."""

    definition: str
    """What the number means, for readers of a report."""

    shared: str | None
    """What a value of 0.5 is a half of, as in "a bar shares 0.5 of its notes"; None for a measure that is no share."""

    drums: bool
    """Whether drums take part; pitch means nothing there."""

    contents: Callable[[Cells], Contents]
    """What is compared of each cell, from `analysis.features`."""

    similarity: Callable[[Any, Any], Floats]
    """(A, items) and (B, items) contents → (A, B) similarities, 0 to 1."""


PC_JACCARD = Measure(
    name="pc-jaccard",
    title="Pitch classes",
    definition="Of the pitch classes (C, C sharp, … B; the octave does not matter) that start in either of two bars, "
    "the share that starts in both. Drums are left out.",
    shared="of its pitch classes",
    drums=False,
    contents=features.pitch_classes,
    similarity=jaccard,
)

NOTE_JACCARD = Measure(
    name="note-jaccard",
    title="Exact notes",
    definition="Of the notes in either of two bars, the share that stands in both with the same pitch, place in the bar "
    "and length (Museformer's similarity). Drums are left out.",
    shared="of its notes",
    drums=False,
    contents=features.notes,
    similarity=jaccard,
)

PC_COSINE = Measure(
    name="pc-cosine",
    title="Pitch classes, weighed by length",
    definition="The cosine of two bars' histograms of pitch classes, each note weighed by how long it is held. "
    "Drums are left out.",
    shared=None,
    drums=False,
    contents=features.pitch_class_weights,
    similarity=cosine,
)

ONSET_JACCARD = Measure(
    name="onset-jaccard",
    title="Rhythm, drums too",
    definition="Of the steps of the bar on which a note starts in either of two bars, the share on which one starts in "
    "both. Pitch plays no part, so drums are compared too.",
    shared="of its onsets",
    drums=True,
    contents=features.onsets,
    similarity=jaccard,
)

MEASURES = (PC_JACCARD, NOTE_JACCARD, PC_COSINE, ONSET_JACCARD)
"""All measures, the default first."""

BRIEF = (PC_JACCARD, ONSET_JACCARD)
"""Those that short accounts show, pitch and rhythm; the others stand in every table."""
