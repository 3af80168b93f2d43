"""The picture of a comparison: bits a note with intervals, cost against quality, and how bars come back in what runs wrote."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import GRID, INK, save
from meloctl.comparison.comparison_text import SHORT, named
from meloctl.evaluation.evaluation_text import RELATION

COLOURS = ("#1f5f8b", "#c8553d", "#8a6bb1", "#2f7d5b", "#96700f", "#5b5f63")
"""Of runs, as on the page."""


def draw_comparison(facts: dict[str, Any], path: Path) -> None:
    """Draw all panels that there are numbers for."""
    music = any(run["music"] for run in facts["runs"])
    rows = 2 if music else 1
    figure = Figure(figsize=(16, 4.4 * rows), layout="constrained")
    panels = figure.subplots(rows, 3).ravel()
    first = facts["runs"][0]["letter"]
    _draw_intervals(panels[0], facts, "bits_per_note", "interval")
    panels[0].set_title("Bits a note, with 95 % intervals over pieces (left is better)", fontsize=10)
    _draw_intervals(panels[1], facts, "difference", "difference_interval")
    panels[1].axvline(0, color=INK, lw=0.9)
    panels[1].set_title(f"Less {first}'s, on the same pieces (left of 0 is better)", fontsize=10)
    _draw_cost(panels[2], facts)
    if music:
        for axes, variant in zip(panels[3:], SHORT, strict=False):
            _draw_curves(axes, facts, variant)
        handles, labels = panels[3].get_legend_handles_labels()
        figure.legend(handles, labels, frameon=False, fontsize=9, ncols=6, loc="outside lower center")
    save(figure, path)


def _draw_intervals(axes: Axes, facts: dict[str, Any], value: str, ends: str) -> None:
    """A lane a run: a number on the side that counts, with its interval."""
    side, runs = facts["heard"]["side"], facts["runs"]
    for i, run in enumerate(runs):
        told = run["bits"][side]
        if told[value] is None:
            continue
        if told[ends][0] is not None:
            axes.plot(told[ends], [i, i], "-", color=_colour(i), lw=2)
        axes.plot([told[value]], [i], "o", color=_colour(i), ms=6)
    names = [named(run) if value == "bits_per_note" else run["letter"] for run in runs]
    axes.set_yticks(range(len(runs)), names, parse_math=False)
    axes.set_ylim(len(runs) - 0.5, -0.5)
    axes.set_xlabel(f"bits a note on {side} pieces")
    _tidy(axes)


def _draw_cost(axes: Axes, facts: dict[str, Any]) -> None:
    side = facts["heard"]["side"]
    for i, run in enumerate(facts["runs"]):
        told, seconds = run["bits"][side], run["forward"]["seconds_per_thousand_rows"]
        if told["bits_per_note"] is None:
            continue
        if told["interval"][0] is not None:
            axes.plot([seconds, seconds], told["interval"], "-", color=_colour(i), lw=2)
        axes.plot([seconds], [told["bits_per_note"]], "o", color=_colour(i), ms=6)
        at = (seconds, told["bits_per_note"])
        axes.annotate(run["letter"], at, textcoords="offset points", xytext=(7, -4), color=INK)
    axes.set_xlim(0, 1.1 * max(run["forward"]["seconds_per_thousand_rows"] for run in facts["runs"]))
    axes.set(xlabel="seconds for 1,000 rows", ylabel="bits a note")
    axes.set_title("Cost against quality (low and left is better)", fontsize=10)
    _tidy(axes)


def _draw_curves(axes: Axes, facts: dict[str, Any], variant: tuple[str, str]) -> None:
    """L_t of the corpus and of each run's music."""
    drawn = False
    for i, run in enumerate(facts["runs"]):
        for curve in run["music"]["curves"] if run["music"] else []:
            if (curve["similarity"], curve["relation"]) != variant:
                continue
            if not drawn:
                _line(axes, curve["reference_mean"], ":", INK, "corpus")
                drawn = True
            _line(axes, curve["mean"], "-" if i < len(COLOURS) else "--", _colour(i), named(run))
    axes.set(xlabel="bars back", ylabel="similarity")
    axes.set_title(f"{variant[0]}, {RELATION[variant[1]]}", fontsize=10)
    axes.set_ylim(bottom=0)
    _tidy(axes)


def _line(axes: Axes, values: list[float | None], style: str, colour: str, name: str) -> None:
    axes.plot(np.array(values, dtype=np.float64), style, color=colour, lw=1.5, label=name.replace("$", r"\$"))


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _tidy(axes: Axes) -> None:
    axes.grid(color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
