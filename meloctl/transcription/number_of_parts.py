"""How many parts there are: log odds of each number from what a division into so many parts looks like.

Silhouettes cannot say "one", so the rule compares all numbers by the same features, whose weights are fitted on validation mixes
of one to some parts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analysis.arrays import Floats
from meloctl.transcription.clustering import divided_by_timbre
from meloctl.transcription.notes import NoteTable
from meloctl.transcription.part_refinement import note_weights, overlap_shares, part_directions
from meloctl.transcription.part_weights import COUNT_FEATURES, CostWeights, PartWeights

MOST_FOUND = 8
"""No more parts than this are found by themselves."""

_GIVEN_UP = 2

_NOTES_A_PART = 3
"""A number of parts for which there are not so many notes a part is not considered."""

_SAMPLED = 1500
"""Notes at most that are looked at: those of a stretch, or of three, of a long recording."""


@dataclass(frozen=True)
class _Division:
    """What a division into some parts looks like."""

    spread: float
    """Mean of 1 − the cosine of a note's timbre and its part's."""

    nearest: float
    """The cosine of the two parts of most similar timbre; 0 for one part."""

    overlap: float
    """Mean share in which notes sound together with others of their part."""

    smallest: float
    """The weight of the smallest part, times the number of parts, of all."""

    clear: float
    """Mean difference of the cosines of a note to its own and to the next part; 0 for one part."""


def number_of_parts(notes: NoteTable, weights: PartWeights) -> int:
    """The most likely number of parts, 1 to `MOST_FOUND`; where `_GIVEN_UP` numbers in a row are less likely, no more are tried.

    Args:
        notes: with embeddings (N, D).
        weights: of the cost of a division, and of its features.
    """
    best, most = 1, -np.inf
    for parts, features in enumerate(_count_features(notes, weights.cost), 1):
        odds = float(np.dot(features, weights.count.weights))
        if odds > most:
            best, most = parts, odds
        elif parts - best >= _GIVEN_UP:
            break
    return best


def count_features(notes: NoteTable, weights: CostWeights) -> Floats:
    """(K, `COUNT_FEATURES`) features of a division into 1 to K parts; K is at most `MOST_FOUND`, and as the notes allow.

    Args:
        notes: with embeddings (N, D).
        weights: of the cost of a division.
    """
    return np.array(list(_count_features(notes, weights))).reshape(-1, COUNT_FEATURES)


def _count_features(notes: NoteTable, weights: CostWeights) -> Iterator[list[float]]:
    """The features of each number of parts, from 1 up."""
    notes = _sample(notes)
    most = min(MOST_FOUND, max(len(notes) // _NOTES_A_PART, min(len(notes), 1)))
    divisions = [_division(notes, 1, weights)] if most else []
    for parts in range(1, most + 1):
        divisions.append(_division(notes, parts + 1, weights))
        yield _features(divisions, parts)


def _sample(notes: NoteTable) -> NoteTable:
    """A long recording's notes from its beginning, middle and end."""
    if len(notes) <= _SAMPLED:
        return notes
    third = _SAMPLED // 3
    starts = (0, (len(notes) - third) // 2, len(notes) - third)
    return notes.take(np.concatenate([np.arange(start, start + third) for start in starts]))


def _division(notes: NoteTable, parts: int, weights: CostWeights) -> _Division:
    part = divided_by_timbre(notes, parts, weights)
    used = int(part.max()) + 1
    counted = note_weights(notes) + 1e-6
    counted = counted / counted.sum()
    directions = part_directions(notes, part, used)
    cosine = notes.embedding @ directions.T
    own = cosine[np.arange(len(notes)), part]
    share = np.bincount(part, counted, used)
    others = np.where(np.eye(used, dtype=bool), -1.0, directions @ directions.T)
    cosine[np.arange(len(notes)), part] = -1.0
    return _Division(
        spread=float((1 - own) @ counted),
        nearest=float(others.max()) if used > 1 else 0.0,
        overlap=float(overlap_shares(notes, part) @ counted),
        smallest=float(share.min() * parts) if used == parts else 0.0,
        clear=float((own - cosine.max(1)) @ counted) if used > 1 else 0.0,
    )


def _features(divisions: list[_Division], parts: int) -> list[float]:
    here, more = divisions[parts - 1], divisions[parts]
    fewer = divisions[parts - 2] if parts > 1 else here
    return [
        float(parts == 1),
        parts / MOST_FOUND,
        float(np.log(fewer.spread + 0.01) - np.log(here.spread + 0.01)),
        float(np.log(here.spread + 0.01) - np.log(more.spread + 0.01)),
        here.nearest,
        here.overlap,
        fewer.overlap - here.overlap,
        here.smallest,
        here.clear,
    ]
