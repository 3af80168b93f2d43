"""Pictures of what was measured. Drawn without a display, written whole."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.arrays import Floats
from analysis.atomic_write import atomic_write
from analysis.families import FAMILIES
from analysis.offsets import OFFSETS, UNIT
from analysis.significance import Evidence
from analysis.tables import OffsetTable

SAME, CROSS, INK, GRID = "#1f5f8b", "#c8553d", "#222222", "#dddddd"
"""Colours of the two relations, of text and of grid lines, in every picture."""

FEW_PAIRS = 50
"""Fewer pairs than this say little; they are drawn faintly."""

_MOST_LINES = 22
"""Lines of the heat map by offset: the pairs of families that are compared most often."""


def draw_offset_curves(table: OffsetTable, evidence: Evidence, path: Path, *, title: str) -> None:
    """Draw similarity against offset, a panel a measure: mean over all pairs with its interval, means of pieces, chance."""
    n = len(table.measures)
    figure = Figure(figsize=(13, 4.6 * -(-n // 2)) if n > 1 else (9, 5), layout="constrained")
    panels = figure.subplots(-(-n // 2), min(n, 2), squeeze=False).ravel()
    for m, axes in enumerate(panels):
        if m < n:
            _curves(axes, table, evidence, m)
        else:
            axes.axis("off")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, ncols=3, loc="outside lower center")
    figure.suptitle(title, parse_math=False)
    save(figure, path)


def _curves(axes: Axes, table: OffsetTable, evidence: Evidence, m: int) -> None:
    for r, (colour, label) in enumerate(((SAME, "same part"), (CROSS, "two different parts"))):
        k = np.flatnonzero(table.pairs[m, r] > 0)
        if not len(k):
            continue
        mean, piece_mean = _means(table, m, r, k)
        low, high = evidence.mean_interval[:, m, r, k]
        axes.fill_between(k, low, high, color=colour, alpha=0.18, lw=0)
        axes.plot(
            k, mean, "-o", color=colour, ms=3.2, lw=1.6, label=f"{label}: all pairs, with 95 % interval over pieces"
        )
        axes.plot(k, piece_mean, "o", mfc="none", color=colour, ms=5, alpha=0.6, label=f"{label}: mean of pieces")
        low, high = evidence.chance_interval[:, m, r, k]
        axes.fill_between(k, low, high, color=colour, alpha=0.12, lw=0)
        axes.plot(k, evidence.chance[m, r, k], ":", color=colour, lw=1.4, label=f"{label}: chance, bars shuffled")
    for period in range(4, OFFSETS, 4):
        axes.axvline(period, color=GRID, lw=0.8, zorder=0)
    axes.set(xlabel="offset (bars back)", ylabel="similarity", title=table.measures[m])
    axes.set_ylim(bottom=0)
    axes.set_xticks(range(0, OFFSETS, 4))
    axes.spines[["top", "right"]].set_visible(False)


def _means(table: OffsetTable, m: int, r: int, k: Any) -> tuple[Floats, Floats]:
    pairs, pieces = table.pairs[m, r, k].astype(float), table.pieces[m, r, k].astype(float)
    similarity, piece_mean = table.similarity[m, r, k].astype(float), table.piece_mean[m, r, k].astype(float)
    return similarity / pairs / UNIT, piece_mean / pieces / UNIT


def draw_families(table: OffsetTable, path: Path, *, title: str, measures: Sequence[str]) -> None:
    """Draw similarity by family for each of the measures: every pair of families in the same bar, and the commonest by offset."""
    figure = Figure(figsize=(15, 7.5 * len(measures)), layout="constrained")
    for name, row in zip(
        measures, figure.subplots(len(measures), 2, squeeze=False, width_ratios=(1, 1.25)), strict=True
    ):
        m = table.measures.index(name)
        _same_bar(figure, row[0], table, m)
        _by_offset(figure, row[1], table, m)
    figure.suptitle(title, parse_math=False)
    save(figure, path)


def _same_bar(figure: Figure, axes: Axes, table: OffsetTable, m: int) -> None:
    pairs = table.cross_pairs[m, 0].astype(float)
    there = np.flatnonzero(pairs.sum(axis=0))
    if not len(there):
        _nothing(axes, f"{table.measures[m]}: no two parts sound in one bar")
        return
    pairs_shown = pairs[np.ix_(there, there)]
    mean = _ratio(table.cross_similarity[m, 0].astype(float) / UNIT, pairs)[np.ix_(there, there)]
    names = [FAMILIES[f] for f in there]
    image = axes.imshow(mean, cmap="viridis", vmin=0, vmax=1, alpha=np.where(pairs_shown < FEW_PAIRS, 0.35, 1.0))
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    for (i, j), value in np.ndenumerate(mean):
        if np.isfinite(value):
            axes.text(
                j, i, f"{value:.2f}", ha="center", va="center", fontsize=6.5, color=_ink(value, pairs_shown[i, j])
            )
    few = f" (faint: fewer than {FEW_PAIRS} pairs)" if (pairs_shown[pairs_shown > 0] < FEW_PAIRS).any() else ""
    axes.set_title(f"{table.measures[m]}: two parts in the same bar{few}", fontsize=10)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.6, label="similarity")


def _ink(value: float, pairs: float) -> str:
    return "black" if value > 0.6 or pairs < FEW_PAIRS else "white"


def _nothing(axes: Axes, why: str) -> None:
    axes.axis("off")
    axes.text(0.5, 0.5, why, ha="center", va="center", color=INK, transform=axes.transAxes, parse_math=False)


def _by_offset(figure: Figure, axes: Axes, table: OffsetTable, m: int) -> None:
    lines = family_lines(table, m)[:_MOST_LINES]
    if not lines:
        _nothing(axes, f"{table.measures[m]}: no two bars to compare")
        return
    values = np.array([_ratio(similarity, pairs) for _, pairs, similarity in lines]).reshape(-1, OFFSETS)
    image = axes.imshow(values, cmap="viridis", aspect="auto", vmin=0)
    axes.set_yticks(range(len(lines)), [name for name, _, _ in lines], fontsize=8)
    axes.set_xticks(range(0, OFFSETS, 4))
    axes.set(xlabel="offset (bars back)")
    axes.set_title(f"{table.measures[m]}: by offset, the families compared most often", fontsize=10)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.6, label="similarity")


def family_lines(table: OffsetTable, m: int) -> list[tuple[str, Floats, Floats]]:
    """(name, pairs, sum of similarity) by offset: within each family's parts, then across; either order of two families.

    The most often compared come first, those within a part before those across. Shapes (OFFSETS,).
    """
    within, across = [], []
    for f in range(len(FAMILIES)):
        if table.same_pairs[m, :, f].any():
            columns = table.same_pairs[m, :, f].astype(float), table.same_similarity[m, :, f].astype(float) / UNIT
            within.append((f"{FAMILIES[f]}, own part", *columns))
        for g in range(f, len(FAMILIES)):
            pairs, total = (
                np.asarray(c[m, :, f, g] + (c[m, :, g, f] if g != f else 0)).astype(float)
                for c in (table.cross_pairs, table.cross_similarity)
            )
            if pairs.any():
                name = f"{FAMILIES[f]} – {FAMILIES[g]}" if f != g else f"{FAMILIES[f]}, two parts"
                across.append((name, pairs, total / UNIT))
    within.sort(key=lambda line: -line[1].sum())
    across.sort(key=lambda line: -line[1].sum())
    half = _MOST_LINES // 2
    return [*within[:half], *across, *within[half:]]


def _ratio(total: Floats, count: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / count, np.nan)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=130)
