"""How bars of a piece differ: the variance of vectors between them, and how alike vectors some bars apart are.

Plans that a model makes up should differ as real ones do; both numbers are compared (`bar_course` of each).

Shape letters: P pieces, T bars, D width, K lags.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.arrays import Floats, Floats32
from analysis.intervals import Estimate, estimate, ratio_estimates, resample_counts

LAGS = (1, 2, 4, 8, 16)
"""Bars apart."""


@dataclass(frozen=True, kw_only=True)
class BarCourse:
    """How the bars of pieces differ, with 95 % bootstrap intervals over pieces."""

    variance: Estimate
    """Mean square distance of a bar's vector from the mean of its piece, summed over the D numbers."""

    autocorrelation: tuple[Estimate, ...]
    """(K,) at LAGS: mean product of the distances of two bars so far apart, over the variance; NaN where pieces are shorter."""


def bar_course(pieces: Sequence[Floats32], random: np.random.Generator) -> BarCourse:
    """How bars differ in pieces of vectors (T, D) each. Bars count the same, whichever piece they are of; numbers of pieces of
    one length can be compared with each other, since a short piece's own mean follows its bars.

    Args:
        pieces: vectors.
        random: draws the resamples.
    """
    counts = resample_counts(len(pieces), random)
    squares, products, pairs = (
        np.zeros(len(pieces)),
        np.zeros((len(pieces), len(LAGS))),
        np.zeros((len(pieces), len(LAGS))),
    )
    bars = np.array([len(x) for x in pieces], dtype=np.float64)
    for i, vectors in enumerate(pieces):
        distance = vectors - vectors.mean(axis=0, dtype=np.float64)
        squares[i] = (distance**2).sum()
        for k, lag in enumerate(LAGS):
            products[i, k] = (distance[lag:] * distance[:-lag]).sum()
            pairs[i, k] = max(0, len(vectors) - lag)
    return BarCourse(
        variance=ratio_estimates(squares[:, None], bars, counts)[0],
        autocorrelation=tuple(
            _correlation(products[:, k], pairs[:, k], squares, bars, counts) for k in range(len(LAGS))
        ),
    )


def _correlation(products: Floats, pairs: Floats, squares: Floats, bars: Floats, counts: Floats) -> Estimate:
    """Mean product over mean square, each over all pieces.

    Args:
        products: (P,) sum over pairs of bars.
        pairs: (P,) how many.
        squares: (P,) sum over bars.
        bars: (P,) how many.
        counts: (R, P) of resamples.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (products.sum() / pairs.sum()) / (squares.sum() / bars.sum())
        resampled = ((counts @ products) / (counts @ pairs)) / ((counts @ squares) / (counts @ bars))
    return estimate(centre, resampled)
