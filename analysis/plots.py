"""Pictures of measured similarity as PNG: curves by offset, and heat maps by instrument family. No display is needed."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text

from analysis.arrays import Floats
from analysis.atomic_write import atomic_write
from analysis.family_map import FEW_PAIRS, MOST_LINES, FamilyMap, MapCell, family_map
from analysis.labels import RELATION_WORDS, offset_ticks
from analysis.offsets import MAX_OFFSET, OFFSETS, UNIT
from analysis.significance import Evidence
from analysis.tables import OffsetTable

SAME, CROSS, INK, GRID = "#1f5f8b", "#c8553d", "#222222", "#dddddd"
"""Colours of the two relations, of text and of grid lines, in every picture."""

_FIRST_EAST_ASIAN = "\u2e80"
_EAST_ASIAN_FONTS = frozenset(
    {
        "Noto Sans CJK JP",
        "Noto Sans CJK SC",
        "Hiragino Sans",
        "PingFang SC",
        "Yu Gothic",
        "Microsoft YaHei",
        "Malgun Gothic",
    }
)
"""Fonts with Japanese, Chinese or Korean characters on Linux, macOS and Windows."""

_NO_PAIRS = MapCell(mean=np.nan, pairs=0)


def draw_offset_curves(table: OffsetTable, evidence: Evidence, path: Path, *, title: str) -> None:
    """Draw similarity by offset, a panel for each measure: mean over all pairs with its interval, mean of pieces, chance."""
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
    for r, (colour, label) in enumerate(((SAME, RELATION_WORDS["same"]), (CROSS, RELATION_WORDS["cross"]))):
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
    for period in offset_ticks(MAX_OFFSET)[1:]:
        axes.axvline(period, color=GRID, lw=0.8, zorder=0)
    axes.set(xlabel="offset (bars back)", ylabel="similarity", title=table.measures[m])
    axes.set_ylim(bottom=0)
    axes.set_xticks(offset_ticks(MAX_OFFSET))
    axes.spines[["top", "right"]].set_visible(False)


def _means(table: OffsetTable, m: int, r: int, k: Any) -> tuple[Floats, Floats]:
    """Means over all pairs and over the pieces' own means, at the offsets `k`; shapes (len(k),)."""
    pairs, pieces = table.pairs[m, r, k].astype(float), table.pieces[m, r, k].astype(float)
    similarity, piece_mean = table.similarity[m, r, k].astype(float), table.piece_mean[m, r, k].astype(float)
    return similarity / pairs / UNIT, piece_mean / pieces / UNIT


def draw_families(table: OffsetTable, path: Path, *, title: str, measures: Sequence[str]) -> None:
    """Draw two heat maps for each of the measures: families in the same bar, and the families compared most often by offset."""
    figure = Figure(figsize=(15, 7.5 * len(measures)), layout="constrained")
    grid = figure.subplots(len(measures), 2, squeeze=False, width_ratios=(1, 1.25))
    rows = table.family_rows()
    for measure, (left, right) in zip(measures, grid, strict=True):
        families = family_map(row for row in rows if row.measure == measure)
        _same_bar(figure, left, families, measure)
        _by_offset(figure, right, families, measure)
    figure.suptitle(title, parse_math=False)
    save(figure, path)


def _same_bar(figure: Figure, axes: Axes, families: FamilyMap, measure: str) -> None:
    names = families.families
    if not names:
        _nothing(axes, f"{measure}: no two parts sound in one bar")
        return
    cells = [[families.same_bar.get((later, earlier), _NO_PAIRS) for earlier in names] for later in names]
    mean = np.array([[cell.mean for cell in row] for row in cells])
    pairs = np.array([[cell.pairs for cell in row] for row in cells])
    image = axes.imshow(mean, cmap="viridis", vmin=0, vmax=1, alpha=np.where(pairs < FEW_PAIRS, 0.35, 1.0))
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    for (i, j), value in np.ndenumerate(mean):
        if np.isfinite(value):
            ink = "black" if value > 0.6 or pairs[i, j] < FEW_PAIRS else "white"
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=6.5, color=ink)
    few = f" (faint: fewer than {FEW_PAIRS} pairs)" if (pairs[pairs > 0] < FEW_PAIRS).any() else ""
    axes.set_title(f"{measure}: two parts in the same bar{few}", fontsize=10)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.6, label="similarity")


def _by_offset(figure: Figure, axes: Axes, families: FamilyMap, measure: str) -> None:
    own, across = families.own[:MOST_LINES], families.across[:MOST_LINES]
    lines = [*((f"{line.name}, {RELATION_WORDS['same']}", line) for line in own), *((x.name, x) for x in across)]
    if not lines:
        _nothing(axes, f"{measure}: no two bars to compare")
        return
    values = [[line.cells.get(k, _NO_PAIRS).mean for k in range(OFFSETS)] for _, line in lines]
    image = axes.imshow(values, cmap="viridis", aspect="auto", vmin=0)
    axes.set_yticks(range(len(lines)), [name for name, _ in lines], fontsize=8)
    axes.set_xticks(offset_ticks(MAX_OFFSET))
    axes.set(xlabel="offset (bars back)")
    axes.set_title(f"{measure}: by offset, the families compared most often", fontsize=10)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.6, label="similarity")


def _nothing(axes: Axes, why: str) -> None:
    axes.axis("off")
    axes.text(0.5, 0.5, why, ha="center", va="center", color=INK, transform=axes.transAxes, parse_math=False)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; it appears when it is complete. Names in other scripts take a font of this machine, else boxes."""
    for text in figure.findobj(Text):
        if max(text.get_text(), default="") >= _FIRST_EAST_ASIAN:
            text.set_fontfamily(["DejaVu Sans", *sorted(_EAST_ASIAN_FONTS & set(fontManager.get_font_names()))])
    with atomic_write(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(temporary, dpi=130)
