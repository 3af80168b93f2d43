"""What a bridge can do, measured on spans of pieces that it was not trained on.

Levels are read off plans by a linear probe, fitted to the plans of the training pieces. Shape letters: T bars, D width of a plan,
A attributes, X examples.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from analysis.arrays import Floats, Floats32
from meloctl.bridge.bridge_examples import BridgeExamples, PlannedPiece
from meloctl.bridge.bridge_network import BridgeNetwork
from meloctl.bridge.bridge_sampler import sample_plans
from meloctl.progress import ProgressReporter

_LEAST_BARS = 8
_RIDGE = 1e-3


class Probe(NamedTuple):
    """Reads levels off plans."""

    weights: Floats
    """(D + 1, A); the last row is the constant."""

    def levels(self, plans: Floats32) -> Floats:
        """(…, D) plans → (…, A) levels."""
        return np.asarray(plans @ self.weights[:-1] + self.weights[-1])


class Course(NamedTuple):
    """How plans of bars in a row move."""

    variance: float
    """Between bars, mean over the numbers of a plan."""

    autocorrelation: float
    """From a bar to the next, of what lies around the mean."""


def fit_probe(pieces: Sequence[PlannedPiece]) -> Probe:
    """A linear map from plans to levels by least squares, each attribute over the bars that have it."""
    plans = np.concatenate([piece.plans for piece in pieces]).astype(np.float64)
    levels = np.concatenate([piece.levels for piece in pieces])
    x = np.concatenate([plans, np.ones((len(plans), 1))], axis=1)
    weights = np.zeros((x.shape[1], levels.shape[1]))
    for a, column in enumerate(levels.T):
        known = ~np.isnan(column)  # of none, the weights are 0
        gram = x[known].T @ x[known] + _RIDGE * max(known.sum(), 1) * np.eye(x.shape[1])
        weights[:, a] = np.linalg.solve(gram, x[known].T @ column[known])
    return Probe(weights)


def course_of(plans: Sequence[Floats32]) -> Course:
    """How plans (T, D) of several spans move around their means, summed over all of them."""
    centred = [p - p.mean(axis=0) for p in plans]
    square = sum(float((c**2).sum()) for c in centred)
    successive = sum(float((c[1:] * c[:-1]).sum()) for c in centred)
    return Course(
        variance=square / sum(c.size for c in centred), autocorrelation=successive / square if square else 0.0
    )


def correlation(x: Floats, y: Floats) -> float | None:
    """The correlation of two rows of numbers (X,), where both are known; None where either never differs.

    Args:
        x: NaN where unknown.
        y: the same.
    """
    known = ~(np.isnan(x) | np.isnan(y))
    x, y = x[known], y[known]
    if len(x) < 3 or not x.std() or not y.std():
        return None
    return float(np.corrcoef(x, y)[0, 1])


def bridge_quality(
    network: BridgeNetwork,
    examples: BridgeExamples,
    probe: Probe,
    attributes: Sequence[str],
    reporter: ProgressReporter,
) -> dict[str, Any]:
    """What plans that are sampled for held-out spans have in common with what was asked for, and with the plans of the music.

    Returns:
        JSON values, by attribute `correlation` of what is wanted of a span with what its sampled plans say, and `of_music` of
        what is wanted with what the music's own plans say; of all spans the between-bar `variance` and `autocorrelation` of both,
        and `between_seeds`: how far two samples of one span lie apart, as a share of how far two spans of music do.
    """
    chosen = [i for i, plans in enumerate(examples.plans) if len(plans) >= _LEAST_BARS]
    reporter.stage("measuring the bridge", len(chosen))
    sampled: list[Floats32] = []
    for i in chosen:
        sampled.append(sample_plans(network, examples.conditions[i], [2 * i, 2 * i + 1]))
        reporter.advance()
    music = [examples.plans[i] for i in chosen]
    wanted = np.array([_mean_wants(examples.conditions[i].wants) for i in chosen])
    said, of_music = (
        np.array([probe.levels(p).mean(axis=0) for p in plans]) for plans in ([s[0] for s in sampled], music)
    )
    ours, theirs = course_of([s[0] for s in sampled]), course_of(music)
    apart = np.mean([((s[0] - s[1]) ** 2).mean() for s in sampled])
    spread = 2 * np.concatenate(music).var(axis=0).mean()
    return {
        "spans": len(chosen),
        "attributes": {
            name: {
                "correlation": correlation(wanted[:, a], said[:, a]),
                "of_music": correlation(wanted[:, a], of_music[:, a]),
            }
            for a, name in enumerate(attributes)
        },
        "variance": ours.variance,
        "variance_of_music": theirs.variance,
        "autocorrelation": ours.autocorrelation,
        "autocorrelation_of_music": theirs.autocorrelation,
        "between_seeds": float(np.sqrt(apart / spread)) if spread else 0.0,
    }


def _mean_wants(wants: Floats32) -> Floats:
    """(A,) the mean of wants (T, A) that hold for all bars; NaN where some bar's is unsaid."""
    return np.asarray(wants.mean(axis=0, dtype=np.float64))
