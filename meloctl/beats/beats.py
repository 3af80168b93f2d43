"""Beats of a performance: when each of them falls, and which begin bars."""

from dataclasses import dataclass

import numpy as np

from analysis.arrays import Bools, Floats


@dataclass(frozen=True, kw_only=True)
class Beats:
    """The beats of a performance, in order of time."""

    times_s: Floats
    """(B,) seconds, ascending, at least two."""

    downbeat: Bools
    """(B,) True where a bar begins."""

    metre: tuple[int, int]
    """Time signature of a whole bar, (numerator, denominator): a beat is 1/denominator, but of 6/8 a dotted quarter."""

    confidence: float = 1.0
    """0..1, the mean probability of a beat at these times."""

    @property
    def tempo(self) -> Floats:
        """(B − 1,) beats a minute from each beat to the next."""
        return 60.0 / np.diff(self.times_s)
