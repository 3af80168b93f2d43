"""Means over pieces, and how sure they are: pieces are drawn with replacement (Efron & Tibshirani 1993, chapter 13)."""

from dataclasses import dataclass

import numpy as np

from analysis.arrays import Floats

RESAMPLES = 1_000
_PERCENT = (2.5, 97.5)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval; NaN where nothing was measured."""

    value: float
    low: float
    high: float


def draws(pieces: int, random: np.random.Generator) -> Floats:
    """(RESAMPLES, pieces) how often each resample holds each piece."""
    return random.multinomial(pieces, np.full(pieces, 1 / pieces), RESAMPLES).astype(np.float64)


def means(values: Floats, weights: Floats) -> Floats:
    """(R, M) the mean over pieces in each resample; NaN where no piece of it has the number.

    Args:
        values: (P, M), NaN where a piece lacks a number.
        weights: (R, P) how often each piece counts.
    """
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(weights @ np.where(known, values, 0.0) / (weights @ known))


def estimate(value: float, resampled: Floats) -> Estimate:
    """A number with the interval that resamples (R,) of it give; those without it are left out."""
    resampled = resampled[np.isfinite(resampled)]
    low, high = np.percentile(resampled, _PERCENT) if len(resampled) and np.isfinite(value) else (np.nan, np.nan)
    return Estimate(value=float(value), low=float(low), high=float(high))


def mean_estimates(values: Floats, random: np.random.Generator) -> list[Estimate]:
    """Mean over pieces of each of M numbers, with its interval. `values`: (P, M), NaN where a piece lacks one."""
    return [estimate(c, column) for c, column in zip(_centre(values), _around(values, random).T, strict=True)]


def difference_estimates(values: Floats, reference: Floats, random: np.random.Generator) -> list[Estimate]:
    """Mean of `values` (P, M) less mean of `reference` (Q, M), with its interval: both sets are drawn anew, on their own."""
    difference = _around(values, random) - _around(reference, random)
    centre = _centre(values) - _centre(reference)
    return [estimate(c, column) for c, column in zip(centre, difference.T, strict=True)]


def ratio_estimates(totals: Floats, sizes: Floats, weights: Floats) -> list[Estimate]:
    """Of each of M numbers, its total over pieces divided by the pieces' size together: bits a note from bits and notes.

    The same weights for two totals pair them: each resample holds the same pieces for both.

    Args:
        totals: (P, M).
        sizes: (P,) 0 or more.
        weights: (R, P) from `draws`.

    Returns:
        NaN where no piece has a size, intervals of NaN where fewer than two have: nothing tells how they vary.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = totals.sum(axis=0) / sizes.sum()
        around = (weights @ totals) / (weights @ sizes)[:, None]
    if (sizes > 0).sum() < 2:
        around[:] = np.nan
    return [estimate(c, column) for c, column in zip(centre, around.T, strict=True)]


def _centre(values: Floats) -> Floats:
    return means(values, np.ones((1, len(values))))[0]


def _around(values: Floats, random: np.random.Generator) -> Floats:
    """(RESAMPLES, M) means of resamples; NaN for a number that fewer than two pieces have: nothing tells how they vary."""
    drawn = means(values, draws(len(values), random))
    return np.where(np.isfinite(values).sum(axis=0) > 1, drawn, np.nan)
