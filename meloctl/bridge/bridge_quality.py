"""What a bridge can do, measured on spans of pieces that it was not trained on.

Levels are read off plans by a linear probe, fitted to the plans of the training pieces. Shape letters: T bars, D width of a plan,
A attributes, X examples.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from analysis.arrays import Floats, Floats32
from meloctl.bridge.bridge_examples import BridgeExamples
from meloctl.bridge.bridge_network import BridgeNetwork
from meloctl.bridge.bridge_sampler import sample_plans
from meloctl.plans.linear_probes import LinearProbe
from meloctl.progress import ProgressReporter

_LEAST_BARS = 8


class SpanCourse(NamedTuple):
    """How plans move within spans of bars. `meloctl plans` gives the same of whole pieces as a `BarCourse`, in other units: its
    variance is summed over the D numbers, its autocorrelation a mean over pairs of bars. Here it is a ratio of sums, which a span
    of T bars can bring to (T − 1) / T at most."""

    variance: float
    """Mean square distance of a number of a plan from its mean over the span."""

    autocorrelation: float
    """Sum of the products of such distances of successive bars, over the sum of their squares; 0 where nothing moves."""


def span_course(plans: Sequence[Floats32]) -> SpanCourse:
    """The course of plans (T, D) of several spans, with sums over all of them."""
    centred = [p - p.mean(axis=0) for p in plans]
    square = sum(float((c**2).sum()) for c in centred)
    successive = sum(float((c[1:] * c[:-1]).sum()) for c in centred)
    return SpanCourse(
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
    probe: LinearProbe,
    attributes: Sequence[str],
    reporter: ProgressReporter,
) -> dict[str, Any]:
    """What plans that are sampled for held-out spans have in common with what was asked for, and with the plans of the music.

    Returns:
        JSON values, by attribute `correlation` of what is wanted of a span with what its sampled plans say, and `of_music` of
        what is wanted with what the music's own plans say; of all spans `variance` and `autocorrelation` (`SpanCourse`) of both,
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
        np.array([probe.read(p).mean(axis=0) for p in plans]) for plans in ([s[0] for s in sampled], music)
    )
    ours, theirs = span_course([s[0] for s in sampled]), span_course(music)
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
