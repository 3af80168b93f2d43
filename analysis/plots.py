"""Pictures of what was measured. Drawn without a display, written whole."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from analysis.atomic import whole_file
from analysis.offsets import OffsetRow

SAME, CROSS, INK, GRID = "#1f5f8b", "#c8553d", "#222222", "#dddddd"
"""Colours of the two relations, of text and of grid lines, in every picture."""


def draw_offset_curves(rows: Sequence[OffsetRow], path: Path, *, title: str) -> None:
    """Draw similarity against offset, both relations: pooled mean as a line, mean of piece means as open circles."""
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for relation, colour, label in (("same", SAME, "same part"), ("cross", CROSS, "two different parts")):
        mine = [r for r in rows if r.relation == relation]
        offsets = [r.offset for r in mine]
        axes.plot(offsets, [r.mean for r in mine], "-o", color=colour, ms=3.5, lw=1.6, label=f"{label}, all pairs")
        axes.plot(
            offsets,
            [r.piece_mean for r in mine],
            "o",
            mfc="none",
            color=colour,
            ms=5,
            alpha=0.6,
            label=f"{label}, mean of pieces",
        )
    for period in range(4, max((r.offset for r in rows), default=4) + 1, 4):
        axes.axvline(period, color=GRID, lw=0.8, zorder=0)
    axes.set(xlabel="offset (bars back)", ylabel=f"similarity ({rows[0].measure})" if rows else "similarity")
    axes.set_title(title, parse_math=False)
    axes.set_ylim(bottom=0)
    axes.set_xticks(range(0, max((r.offset for r in rows), default=0) + 1, 4))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncols=2)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=130)
