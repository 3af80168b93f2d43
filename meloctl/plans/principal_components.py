"""Principal components of plans. Shape letters: N bars, D width of a plan."""

from dataclasses import dataclass

import numpy as np

from analysis.arrays import Floats, Floats32


@dataclass(frozen=True, kw_only=True, eq=False)
class PrincipalComponents:
    """Directions along which plans differ most."""

    places: Floats
    """(N, 2) of each bar, along the first two."""

    shares: Floats
    """(D,) of the variance, along each; the greatest first."""


def principal_components(plans: Floats32) -> PrincipalComponents:
    """Of plans (N, D); each component points where its greatest weight is positive, so that a picture never flips."""
    centred = plans - plans.mean(axis=0, dtype=np.float64)
    variance, directions = np.linalg.eigh(centred.T @ centred / len(plans))
    variance, directions = np.maximum(variance[::-1], 0), directions[:, ::-1]
    greatest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[greatest, np.arange(len(greatest))])
    return PrincipalComponents(places=centred @ directions[:, :2], shares=variance / max(variance.sum(), 1e-12))
