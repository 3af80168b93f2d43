"""Pictures of plans: every bar as a dot along the first two principal components, coloured by an attribute."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from analysis.arrays import Floats32
from analysis.plots import save
from meloctl.plans.principal_components import PrincipalComponents
from meloctl.rows.attributes import ATTRIBUTES, UNITS

COLOURED = ("tempo", "density", "register", "loudness")
MOST_DOTS = 6_000
"""Bars in a picture; of more, so many are drawn."""

_ENDS = (2, 98)
"""Percentiles between which colours run."""


def draw_components(
    components: PrincipalComponents, attributes: Floats32, path: Path, *, title: str, random: np.random.Generator
) -> None:
    """Draw a panel for each of COLOURED.

    Args:
        components: of N bars.
        attributes: (N, A) of the same bars.
        path: of the PNG.
        title: above all panels.
        random: chooses the bars that are drawn where there are too many.
    """
    chosen = random.permutation(len(attributes))[:MOST_DOTS]
    figure = Figure(figsize=(12, 9.5), layout="constrained")
    for axes, name in zip(figure.subplots(2, 2, sharex=True, sharey=True).flat, COLOURED, strict=True):
        a = ATTRIBUTES.index(name)
        known = chosen[np.isfinite(attributes[chosen, a])]
        values = attributes[known, a]
        low, high = np.percentile(values, _ENDS) if len(values) else (0.0, 1.0)
        dots = axes.scatter(
            *components.places[known].T, c=values, s=4, lw=0, alpha=0.7, cmap="viridis", vmin=low, vmax=high
        )
        figure.colorbar(dots, ax=axes, label=UNITS[a])
        axes.set_title(name)
        axes.spines[["top", "right"]].set_visible(False)
    first, second = components.shares[:2]
    figure.supxlabel(f"first principal component, {100 * first:.0f} % of the variance")
    figure.supylabel(f"second, {100 * second:.0f} %")
    figure.suptitle(title, parse_math=False)
    save(figure, path)
