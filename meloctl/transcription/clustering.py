"""Notes divided among parts: clusters of timbre and pitch, refined by what else a part has."""

import warnings

import numpy as np

from analysis.arrays import Floats, Ints
from meloctl.transcription.notes import NoteTable
from meloctl.transcription.part_refinement import note_costs, note_weights, own_costs, refined
from meloctl.transcription.part_weights import CostWeights

_STARTS = 4
_SAMPLED = 3000
"""Notes at most from which clusters are first sought."""


def divided(notes: NoteTable, parts: int, weights: CostWeights) -> Ints:
    """(N,) the part of each note, 0 to `parts` − 1, the part of the highest mean pitch first.

    The cheaper of two divisions is taken: from clusters of timbre alone, and of timbre and pitch, each refined.

    Args:
        notes: with embeddings (N, D).
        parts: how many; no more are used than there are notes.
        weights: of the cost.
    """
    tried = [_division(notes, parts, octaves, weights) for octaves in (0.0, weights.start_octave)]
    counted = note_weights(notes)
    costs = [float(own_costs(notes, part, parts, weights) @ counted) for part in tried]
    return tried[int(np.argmin(costs))]


def divided_by_timbre(notes: NoteTable, parts: int, weights: CostWeights) -> Ints:
    """(N,) the same in a third of the time, from clusters of timbre alone.

    Args:
        notes: with embeddings (N, D).
        parts: how many; no more are used than there are notes.
        weights: of the cost.
    """
    return _division(notes, parts, 0.0, weights, starts=1)


def margins(notes: NoteTable, part: Ints, weights: CostWeights) -> Floats:
    """(N,) by how much the next best part costs a note more than its own; infinite where there is one part.

    Args:
        notes: with embeddings (N, D).
        part: (N,) from 0.
        weights: of the cost.
    """
    parts, rows = int(part.max(initial=-1)) + 1, np.arange(len(notes))
    if parts < 2:
        return np.full(len(notes), np.inf)
    costs = note_costs(notes, part, parts, weights)
    own = costs[rows, part]
    costs[rows, part] = np.inf
    return np.asarray(costs.min(1) - own)


def _division(notes: NoteTable, parts: int, octaves: float, weights: CostWeights, starts: int = _STARTS) -> Ints:
    parts = min(parts, len(notes))
    if parts <= 1:
        return np.zeros(len(notes), np.int64)
    start = _clusters(np.column_stack([notes.embedding, octaves * notes.pitch / 12.0]), parts, starts)
    return _highest_first(notes, refined(notes, start, parts, weights), parts)


def _clusters(points: Floats, parts: int, starts: int) -> Ints:
    """(N,) clusters of points (N, D) by k-means, the best of some starts; some of many points stand for all."""
    from scipy.cluster.vq import vq

    rng = np.random.default_rng(0)
    sample = points if len(points) <= _SAMPLED else points[rng.choice(len(points), _SAMPLED, replace=False)]
    tried = [_centres(sample, parts, rng) for _ in range(starts)]
    best = min(tried, key=lambda centres: float(np.square(vq(sample, centres)[1]).sum()))
    return np.asarray(vq(points, best)[0], np.int64)


def _centres(points: Floats, parts: int, rng: np.random.Generator) -> Floats:
    """(parts, D) centres of clusters of points (N, D) from one random start; a cluster that loses its points keeps its centre."""
    from scipy.cluster.vq import kmeans2

    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.filterwarnings("ignore", "One of the clusters is empty", UserWarning)
        return np.asarray(kmeans2(points, parts, minit="++", rng=rng)[0])


def _highest_first(notes: NoteTable, part: Ints, parts: int) -> Ints:
    """(N,) the same parts, those without notes left out, numbered by falling mean pitch."""
    count = np.bincount(part, minlength=parts)
    mean = np.where(count > 0, np.bincount(part, notes.pitch, parts) / np.maximum(count, 1), -1.0)
    place = np.empty(parts, np.int64)
    place[np.argsort(-mean, kind="stable")] = np.arange(parts)
    return place[part]
