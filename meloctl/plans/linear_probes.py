"""What plans say in so many words: ridge regression from the plan of a bar to each of its attributes, judged on pieces that
it has not seen.

Shape letters: N bars, P pieces, T bars of a piece, D width of a plan, A attributes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.arrays import Floats, Floats32
from analysis.intervals import Estimate, ratio_estimates, resample_counts
from meloctl.plans.plan_files import PiecePlans

_RIDGE = 1.0
"""Penalty of a squared weight, plans and attributes being in units of their deviation: that of one bar among thousands."""

_SAME = 1e-6
"""Numbers of a smaller deviation are the same but for rounding."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearProbe:
    """A linear map from the plan of a bar to its attributes, or to their levels."""

    weights: Floats
    """(D, A)"""

    constant: Floats
    """(A,) NaN for an attribute that never differed in the bars that the probe was fitted to."""

    def read(self, plans: Floats | Floats32) -> Floats:
        """(…, D) plans → (…, A) what they say; NaN as in `constant`."""
        return np.asarray(plans @ self.weights + self.constant)


def fit_probe(plans: Floats32, attributes: Floats | Floats32) -> LinearProbe:
    """The probe of N bars: each attribute by ridge regression over the bars that have it.

    Args:
        plans: (N, D)
        attributes: (N, A) or their levels, NaN where a bar has none.
    """
    weights = np.zeros((plans.shape[1], attributes.shape[1]))
    constant = np.full(attributes.shape[1], np.nan)
    for a, column in enumerate(attributes.T.astype(np.float64)):
        known = np.isfinite(column)
        x, y = plans[known].astype(np.float64), column[known]
        if not len(y) or y.std() < _SAME:
            continue
        centre, spread = x.mean(axis=0), np.maximum(x.std(axis=0), _SAME)
        z = (x - centre) / spread
        weights[:, a] = np.linalg.solve(z.T @ z + _RIDGE * np.eye(z.shape[1]), z.T @ (y - y.mean())) / spread
        constant[a] = y.mean() - centre @ weights[:, a]
    return LinearProbe(weights=weights, constant=constant)


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
    plans, attributes = (np.concatenate(x) for x in zip(*((p.plans, p.attributes) for p in training), strict=True))
    probe, known = fit_probe(plans, attributes), np.isfinite(attributes)
    mean = np.where(known, attributes, 0).sum(axis=0, dtype=np.float64) / np.maximum(known.sum(axis=0), 1)
    missed = np.stack([_squares(p.attributes - probe.read(p.plans), p.attributes) for p in held_out])
    squares = np.stack([_squares(p.attributes - mean, p.attributes) for p in held_out])
    counts = resample_counts(len(held_out), random)
    left = [ratio_estimates(missed[:, [a]], squares[:, a], counts)[0] for a in range(attributes.shape[1])]
    return [Estimate(value=1 - e.value, low=1 - e.high, high=1 - e.low) for e in left]


def _squares(distance: Floats, attributes: Floats32) -> Floats:
    """(A,) sums of squares over the bars that have an attribute.

    Args:
        distance: (T, A)
        attributes: (T, A) NaN where a bar has none.
    """
    return np.asarray(np.where(np.isfinite(attributes), distance**2, 0).sum(axis=0))
