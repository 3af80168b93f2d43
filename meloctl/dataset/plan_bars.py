"""Which bars of training windows are shown with their plan, so that a model learns to write with all, some and none of them."""

from collections.abc import Sequence

import numpy as np

from analysis.arrays import Bools
from meloctl.dataset.windows import Window
from meloctl.rows.vocabulary import INSTRUMENT, Vocabulary


def random_plan_bars(
    windows: Sequence[Window], share: float, vocabulary: Vocabulary, random: np.random.Generator
) -> Bools:
    """(T,) which bars of windows, one after the other, are shown with their plan.

    A share of the windows is shown with plans: half of these with all, a quarter without some bars here and there, a quarter
    without all bars from some bar on.

    Args:
        windows: they may be infill windows, whose masked bars count once.
        share: 0 to 1.
    """
    return np.concatenate([_of_window(_count_bars(window, vocabulary), share, random) for window in windows])


def _of_window(bars: int, share: float, random: np.random.Generator) -> Bools:
    kind, left_out = random.random(2)
    if kind >= share:
        return np.zeros(bars, dtype=np.bool_)
    if kind < share / 2:
        return np.ones(bars, dtype=np.bool_)
    if kind < share * 3 / 4:
        return random.random(bars) >= left_out
    return np.arange(bars) < left_out * bars


def _count_bars(window: Window, vocabulary: Vocabulary) -> int:
    return int(np.isin(window.rows[:, INSTRUMENT], (vocabulary.bar, vocabulary.masked_bar)).sum())
