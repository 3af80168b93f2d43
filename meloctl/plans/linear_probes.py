"""What plans say in so many words: ridge regression from the plan of a bar to each of its attributes, judged on pieces that
it has not seen.

Shape letters: P pieces, T bars, D width of a plan, A attributes.
"""

from collections.abc import Sequence

import numpy as np

from analysis.arrays import Floats
from analysis.intervals import Estimate, estimate, ratio_estimates, resample_counts
from meloctl.plans.plan_files import PiecePlans
from meloctl.rows.attributes import ATTRIBUTES

_RIDGE = 1.0
"""Penalty of a squared weight, plans and attributes being in units of their deviation: that of one bar among thousands."""


def probe_scores(
    training: Sequence[PiecePlans], held_out: Sequence[PiecePlans], random: np.random.Generator
) -> list[Estimate]:
    """R² of each attribute: the share of its variance around the training mean that a linear probe explains in held-out pieces,
    with 95 % bootstrap intervals over these pieces. NaN where an attribute never differs, in training or in the held-out pieces.

    Args:
        training: pieces that probes are fitted to.
        held_out: pieces that they are judged on.
        random: draws the resamples.
    """
    counts = resample_counts(len(held_out), random)
    return [_score(a, training, held_out, counts) for a in range(len(ATTRIBUTES))]


def _score(a: int, training: Sequence[PiecePlans], held_out: Sequence[PiecePlans], counts: Floats) -> Estimate:
    x, y = (np.concatenate(parts) for parts in zip(*(_known(piece, a) for piece in training), strict=True))
    if not len(y) or y.std() < 1e-6:
        return estimate(np.nan, np.zeros(0))
    centre, mean = x.mean(axis=0), y.mean()
    spread = np.maximum(x.std(axis=0), 1e-6)
    z = (x - centre) / spread
    weights = np.linalg.solve(z.T @ z + _RIDGE * np.eye(z.shape[1]), z.T @ (y - mean))
    missed, squares = np.zeros(len(held_out)), np.zeros(len(held_out))
    for i, piece in enumerate(held_out):
        x, y = _known(piece, a)
        missed[i] = ((y - mean - (x - centre) / spread @ weights) ** 2).sum()
        squares[i] = ((y - mean) ** 2).sum()
    (left,) = ratio_estimates(missed[:, None], squares, counts)
    return Estimate(value=1 - left.value, low=1 - left.high, high=1 - left.low)


def _known(piece: PiecePlans, a: int) -> tuple[Floats, Floats]:
    """(n, D) plans and (n,) values of an attribute, of the bars that have it."""
    known = np.isfinite(piece.attributes[:, a])
    return piece.plans[known].astype(np.float64), piece.attributes[known, a].astype(np.float64)
