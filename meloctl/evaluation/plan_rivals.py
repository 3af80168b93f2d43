"""Plans of wanted levels without a bridge: what a learned bridge must beat.

    nearest      the plans of those spans of real pieces whose levels are nearest to what is wanted
    difference   the usual plan, moved along the difference of the means of bars that are high and of those that are low
                 (difference-in-means steering; Marks and Tegmark, 2023)
    linear       a linear map from levels to plans, fitted by least squares: plain control by the attributes

Shape letters: M bars of P real pieces, T bars of a plan, D width of a plan, A attributes.
"""

from dataclasses import dataclass

import numpy as np

from analysis.arrays import Floats, Ints
from analysis.errors import MeloError
from meloctl.rows.attribute_scale import mean_levels

_APART = 0.5
"""Bars so many levels above and below the usual one are high and low."""

_RIDGE = 1e-3
"""Share of the levels' own variance that is added to it, so that attributes that go together can be told apart."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PlannedCorpus:
    """Real pieces: what their bars are like, and their plans."""

    plans: Floats
    """(M, D)"""

    levels: Floats
    """(M, A) NaN where a bar says nothing."""

    first: Ints
    """(P + 1,) where each piece begins; the last entry is M."""

    def spans(self, bars: int) -> Ints:
        """First bar of one span of so many bars of each piece that has as many: its middle.

        Raises:
            MeloError: no piece is so long.
        """
        length = np.diff(self.first)
        if not (length >= bars).any():
            raise MeloError(
                f"no piece of the reference has {bars} bars; give one with longer pieces", field="reference"
            )
        return (self.first[:-1] + (length - bars) // 2)[length >= bars]


def nearest_plans(corpus: PlannedCorpus, wants: Floats, bars: int, count: int) -> list[Floats]:
    """(T, D) plans of so many spans of as many pieces, nearest first; again from the first where there are fewer pieces.

    Args:
        wants: (A,) levels, NaN where nothing is said.
        bars: T.
        count: how many.
    """
    spans, said = corpus.spans(bars), np.flatnonzero(np.isfinite(wants))
    means = np.stack([mean_levels(corpus.levels[span : span + bars, said]) for span in spans])
    distance = np.nan_to_num(((means - wants[said]) ** 2).sum(axis=1), nan=np.inf)
    nearest = spans[np.argsort(distance, kind="stable")][np.arange(count) % len(spans)]
    return [corpus.plans[span : span + bars] for span in nearest]


def difference_plan(corpus: PlannedCorpus, wants: Floats) -> Floats:
    """(D,) the usual plan, moved for each wanted attribute as far as its level says.

    Args:
        wants: (A,) levels, NaN where nothing is said.
    """
    plan = corpus.plans.mean(axis=0)
    for a in np.flatnonzero(np.isfinite(wants)):
        level = corpus.levels[:, a]
        high, low = level > _APART, level < -_APART
        if not (high.any() and low.any()):
            continue
        across = corpus.plans[high].mean(axis=0) - corpus.plans[low].mean(axis=0)
        plan = plan + wants[a] / (level[high].mean() - level[low].mean()) * across
    return np.clip(plan, -1, 1)


def linear_plan(corpus: PlannedCorpus, wants: Floats) -> Floats:
    """(D,) the plan that a linear map makes of levels; those of which nothing is said are usual.

    Args:
        wants: (A,) levels, NaN where nothing is said.
    """
    usual = np.nan_to_num(mean_levels(corpus.levels))
    levels = np.where(np.isfinite(corpus.levels), corpus.levels, usual) - usual
    mean = corpus.plans.mean(axis=0)
    products = levels.T @ levels
    weights = np.linalg.solve(
        products + _RIDGE * np.diag(np.maximum(np.diag(products), 1e-9)), levels.T @ (corpus.plans - mean)
    )
    asked = np.where(np.isfinite(wants), wants - usual, 0.0)
    return np.clip(mean + asked @ weights, -1, 1)
