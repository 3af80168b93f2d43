"""How well music does what was asked: wanted levels and measured attributes → effect sizes, correlations, shares, with intervals.

Everything is a function of arrays. Shape letters: N pieces, T bars, A attributes, R resamples.
"""

from collections.abc import Mapping

import numpy as np

from analysis.arrays import Floats, Ints
from analysis.intervals import Estimate, estimate, mean_estimates, resample_counts

LEAST_DEVIATION = 0.1
"""Of pieces that are to be told apart, in levels: below it two sets of equal values have an effect size without bounds."""

_SAME = 1e-12
"""Numbers of a smaller variance are equal but for rounding."""

TEMPO_EDGES = (40.0, 60.0, 70.0, 90.0, 110.0, 140.0, 160.0, 210.0)
"""Quarter notes a minute between the bins of Text2midi's tempo accuracy (Bhandari et al., AAAI 2025, after Mustango)."""


def effect_size(high: Floats, low: Floats, random: np.random.Generator) -> Estimate:
    """Cohen's d of two sets of pieces, with its 95 % bootstrap interval; NaN where a set has fewer than two pieces.

    d = (mean of high − mean of low) / s, with s² the mean of both variances, weighted by their degrees of freedom (Cohen, 1988),
    and s at least LEAST_DEVIATION. Both sets are resampled independently.

    Args:
        high: (N,) levels of the pieces that should be higher; NaN is left out.
        low: (M,) of those that should be lower.
        random: draws the resamples.
    """
    high, low = high[np.isfinite(high)], low[np.isfinite(low)]
    if min(len(high), len(low)) < 2:
        return Estimate(value=np.nan, low=np.nan, high=np.nan)
    values = []
    for counts_high, counts_low in (
        (np.ones((1, len(high))), np.ones((1, len(low)))),
        (resample_counts(len(high), random), resample_counts(len(low), random)),
    ):
        (mean_high, squares_high), (mean_low, squares_low) = _spread(high, counts_high), _spread(low, counts_low)
        pooled = np.sqrt((squares_high + squares_low) / (len(high) + len(low) - 2))
        values.append((mean_high - mean_low) / np.maximum(pooled, LEAST_DEVIATION))
    return estimate(float(values[0][0]), values[1])


def _spread(x: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """(R,) means and sums of squared distances from them, of resamples."""
    n = counts.sum(axis=1)
    mean = counts @ x / n
    return mean, np.maximum(counts @ x**2 - n * mean**2, 0)


def clear_of(effect: Estimate, others: Mapping[str, Estimate]) -> bool:
    """Does an effect lie above 0 and above every other one, with its whole interval? Others that are unknown count as 0."""
    return bool(effect.low > max([0.0, *(o.value for o in others.values() if np.isfinite(o.value))]))


def correlation(wanted: Floats, measured: Floats, random: np.random.Generator) -> Estimate:
    """Pearson's correlation over pieces, with its 95 % bootstrap interval; NaN where one does not vary.

    Args:
        wanted: (N,)
        measured: (N,) NaN is left out.
        random: draws the resamples.
    """
    known = np.isfinite(wanted) & np.isfinite(measured)
    x, y = wanted[known], measured[known]
    if len(x) < 3:
        return Estimate(value=np.nan, low=np.nan, high=np.nan)
    values = [correlations(x, y, counts) for counts in (np.ones((1, len(x))), resample_counts(len(x), random))]
    return estimate(float(values[0][0]), values[1])


def correlations(x: Floats, y: Floats, counts: Floats) -> Floats:
    """(R,) Pearson's correlation in resamples; NaN where one does not vary.

    Args:
        x, y: (N,)
        counts: (R, N) how often each resample holds each piece.
    """
    share = counts / counts.sum(axis=1, keepdims=True)
    x, y = x - x.mean(), y - y.mean()
    mean_x, mean_y = share @ x, share @ y
    spread_x, spread_y = share @ x**2 - mean_x**2, share @ y**2 - mean_y**2
    varies = np.minimum(spread_x, spread_y) > _SAME
    product = np.where(varies, spread_x * spread_y, 1.0)
    return np.where(varies, (share @ (x * y) - mean_x * mean_y) / np.sqrt(product), np.nan)


def tempo_bin(quarters_a_minute: Floats) -> Ints:
    """(…) the bin of tempos (…)."""
    return np.searchsorted(np.array(TEMPO_EDGES), quarters_a_minute, side="right")


def tempo_agreement(wanted: Floats, measured: Floats, random: np.random.Generator) -> tuple[Estimate, Estimate]:
    """Share of pieces whose tempo lies in the wanted bin, and of those in it or beside it.

    Args:
        wanted: (N,) quarter notes a minute.
        measured: (N,)
        random: draws the resamples.
    """
    apart = np.abs(tempo_bin(wanted) - tempo_bin(measured))
    same, near = mean_estimates(np.stack([apart == 0, apart <= 1], axis=1).astype(np.float64), random)
    return same, near


def course_followed(wanted: Floats, bars: Floats, random: np.random.Generator) -> Estimate:
    """Correlation over the bars of what is wanted with what is measured, mean over pieces.

    Args:
        wanted: (T,) of each bar.
        bars: (N, T) measured; NaN where a bar says nothing. A piece that does not vary has correlation 0.
        random: draws the resamples.
    """
    found = np.full(len(bars), np.nan)
    for n, piece in enumerate(bars):
        known = np.isfinite(piece)
        if known.sum() >= 3:
            found[n] = np.nan_to_num(correlations(wanted[known], piece[known], np.ones((1, int(known.sum()))))[0])
    return mean_estimates(found[:, None], random)[0]
