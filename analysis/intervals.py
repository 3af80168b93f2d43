"""Means over pieces with 95 % bootstrap intervals: pieces are drawn with replacement (Efron & Tibshirani 1993, chapter 13).

Letters: P pieces, R resamples, M numbers of each piece.
"""

from dataclasses import dataclass

import numpy as np

from analysis.arrays import Floats

RESAMPLES = 1_000
_PERCENT = (2.5, 97.5)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval; NaN where it is unknown."""

    value: float
    low: float
    high: float


def resample_counts(n_pieces: int, random: np.random.Generator) -> Floats:
    """(R, P) how often each of RESAMPLES resamples holds each piece."""
    return random.multinomial(n_pieces, np.full(n_pieces, 1 / n_pieces), RESAMPLES).astype(np.float64)


def resample_means(values: Floats, counts: Floats) -> Floats:
    """Mean over pieces in each resample → (R, M); NaN where no piece of the resample has the number.

    Args:
        values: (P, M), NaN where a piece lacks a number.
        counts: (R, P) from `resample_counts`.
    """
    finite = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(counts @ np.where(finite, values, 0.0) / (counts @ finite))


def estimate(value: float, resampled: Floats) -> Estimate:
    """A number with the interval of its resamples (R,); those that are NaN are left out."""
    resampled = resampled[np.isfinite(resampled)]
    low, high = np.percentile(resampled, _PERCENT) if len(resampled) and np.isfinite(value) else (np.nan, np.nan)
    return Estimate(value=float(value), low=float(low), high=float(high))


def mean_estimates(values: Floats, random: np.random.Generator) -> list[Estimate]:
    """Mean over pieces of each of M numbers, with its interval. `values`: (P, M), NaN where a piece lacks one."""
    return [estimate(c, column) for c, column in zip(_means(values), _resampled(values, random).T, strict=True)]


def difference_estimates(values: Floats, reference: Floats, random: np.random.Generator) -> list[Estimate]:
    """Mean of `values` minus mean of `reference`, of each of M numbers, with its interval; both sets are resampled independently.

    Args:
        values: (P, M), NaN where a piece lacks a number.
        reference: (Q, M) the same of the reference pieces.
        random: draws the resamples of both.
    """
    difference = _resampled(values, random) - _resampled(reference, random)
    centre = _means(values) - _means(reference)
    return [estimate(c, column) for c, column in zip(centre, difference.T, strict=True)]


def ratio_estimates(totals: Floats, sizes: Floats, counts: Floats) -> list[Estimate]:
    """Sum over pieces of each of M totals, divided by the sum of the pieces' sizes: bits a note from bits and notes.

    The same counts for two models pair them: each resample holds the same pieces for both.

    Args:
        totals: (P, M).
        sizes: (P,) 0 or more.
        counts: (R, P) from `resample_counts`.

    Returns:
        NaN where no piece has a size; intervals of NaN where fewer than two have, since one piece does not vary.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = totals.sum(axis=0) / sizes.sum()
        resampled = (counts @ totals) / (counts @ sizes)[:, None]
    if (sizes > 0).sum() < 2:
        resampled[:] = np.nan
    return [estimate(c, column) for c, column in zip(centre, resampled.T, strict=True)]


def _means(values: Floats) -> Floats:
    """(M,) means over pieces."""
    return np.asarray(resample_means(values, np.ones((1, len(values))))[0])


def _resampled(values: Floats, random: np.random.Generator) -> Floats:
    """(R, M) means of resamples; NaN for a number that fewer than two pieces have, since one piece does not vary."""
    means = resample_means(values, resample_counts(len(values), random))
    return np.asarray(np.where(np.isfinite(values).sum(axis=0) > 1, means, np.nan))
