"""The picture of a judged set: curves of L_t for both sets, and every metric's spread beside the reference's."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.arrays import Floats
from analysis.plots import CROSS, GRID, SAME, save
from meloctl.evaluation.evaluation_json import curves_of
from meloctl.evaluation.metrics import METRICS
from meloctl.evaluation.music_metrics import MusicMetrics
from meloctl.evaluation.similarity_error import VARIANTS, T

_COLUMNS = 3


def draw_evaluation(mine: MusicMetrics, reference: MusicMetrics | None, path: Path, *, title: str) -> None:
    """Draw nine curves and nine spreads, the judged set in one colour and the reference in the other."""
    rows = -(-len(VARIANTS) // _COLUMNS) + -(-len(METRICS) // _COLUMNS)
    figure = Figure(figsize=(13, 2.7 * rows), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS).ravel()
    ours, theirs = curves_of(mine), curves_of(reference) if reference else None
    for v, (name, relation) in enumerate(VARIANTS):
        label = f"{name}, {'own part' if relation == 'same' else 'other parts'}"
        _draw_curves(panels[v], ours[v], None if theirs is None else theirs[v], label)
    for m, metric in enumerate(METRICS):
        held = None if reference is None else reference.measures[:, m]
        _draw_spread(panels[len(VARIANTS) + m], mine.measures[:, m], held, f"{metric.name} ({metric.unit})")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, ncols=2, loc="outside lower center")
    figure.suptitle(title, parse_math=False)
    save(figure, path)


def _draw_curves(axes: Axes, ours: Floats, theirs: Floats | None, label: str) -> None:
    if theirs is not None:
        axes.plot(np.arange(T + 1), theirs, "-", color=SAME, lw=1.4, label="reference")
    axes.plot(np.arange(T + 1), ours, "-o", color=CROSS, ms=2.5, lw=1.2, label="judged")
    for period in range(4, T + 1, 4):
        axes.axvline(period, color=GRID, lw=0.7, zorder=0)
    axes.set_title(label, fontsize=10)
    axes.set(xlabel="bars apart", ylabel="similarity", xlim=(0, T))
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_spread(axes: Axes, ours: Floats, theirs: Floats | None, label: str) -> None:
    """Histograms over pieces, as shares, on the same edges."""
    sets = [(ours[np.isfinite(ours)], CROSS)]
    if theirs is not None:
        sets.insert(0, (theirs[np.isfinite(theirs)], SAME))
    everything = np.concatenate([values for values, _ in sets])
    axes.set_title(label, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set(ylabel="share of pieces")
    if not len(everything):
        return
    low, high = float(everything.min()), float(everything.max())
    edges = np.linspace(low, high if high > low else low + 1, 21)
    for values, colour in sets:
        share = np.histogram(values, edges)[0] / max(len(values), 1)
        axes.stairs(share, edges, fill=True, color=colour, alpha=0.35)
        if len(values):
            axes.axvline(float(values.mean()), color=colour, lw=1.4)
