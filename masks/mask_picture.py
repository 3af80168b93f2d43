"""Pictures of a mask (the cells of a small band, the offsets with their similarity, the reasons) and of learned gates."""

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from analysis.labels import RELATION_WORDS, offset_ticks
from analysis.offsets import MAX_OFFSET
from analysis.plots import CROSS, GRID, INK, SAME, save
from masks.rules.learned import HALF, LearnedGates
from masks.small_band import PARTS, bars_to_draw, cell_kind, numbered_bars
from masks.spec import MaskSpec

_COLOURS = {"hidden": "#ffffff", "same": SAME, "cross": CROSS, "drums": "#8a6bb1"}
_LATER = "#ececec"
"""Colours of pairs of cells by `CellKind`, and of those that are later than the cell that attends."""


def draw_mask(spec: MaskSpec, path: Path) -> None:
    """Write a PNG of a mask: the matrix of cells (3 parts), similarity by offset with what is shown of it, and the reasons."""
    figure = Figure(figsize=(13, 7), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 1.15), height_ratios=(1.2, 1))
    _cells(figure.add_subplot(grid[:, 0]), spec)
    _offsets(figure.add_subplot(grid[0, 1]), spec)
    _reasons(figure.add_subplot(grid[1, 1]), spec)
    save(figure, path)


def draw_gates(gates: LearnedGates, path: Path) -> None:
    """Write a PNG of learned gates: how open each was at the start and at the end, own part above other parts."""
    figure = Figure(figsize=(10, 6.5), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    for axes, curve, name, colour in (
        (panels[0], gates.same, RELATION_WORDS["same"], SAME),
        (panels[1], gates.cross, RELATION_WORDS["cross"], CROSS),
    ):
        offsets = sorted(curve.offsets)
        used = [k for k in offsets if curve.offsets[k].density]
        axes.bar(used, [curve.offsets[k].learned for k in used], width=0.6, color=colour, alpha=0.85, label="learned")
        began = [curve.offsets[k].prior for k in offsets]
        axes.plot(offsets, began, "o-", color=INK, mfc="white", ms=4, lw=0.8, label="prior")
        axes.axhline(HALF, color=INK, lw=0.8, ls=":")
        for k in curve.shown:
            at = (k, curve.offsets[k].learned)
            axes.annotate(str(k), at, textcoords="offset points", xytext=(0, 2), ha="center", fontsize=8)
        axes.set(ylim=(0, 1.08), ylabel="open", title=f"Gates of {name} (shown from the dotted line on)")
        axes.grid(axis="y", color=GRID, lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9, loc="upper right", ncols=2)
    panels[1].set_xlabel("offset (bars back)")
    panels[1].set_xticks(offset_ticks(max(gates.same.offsets)))
    save(figure, path)


def _cells(axes: Axes, spec: MaskSpec) -> None:
    bars = bars_to_draw(spec)
    bar, part = np.repeat(np.arange(bars), PARTS).tolist(), np.tile(np.arange(PARTS), bars).tolist()
    kinds = list(_COLOURS)
    colour = np.full((len(bar), len(bar)), len(kinds))
    for q in range(len(bar)):
        for k in range(q + 1):
            colour[q, k] = kinds.index(cell_kind(spec, part[q], part[k], bar[q] - bar[k]))
    colours = ListedColormap([*_COLOURS.values(), _LATER])
    axes.imshow(colour, cmap=colours, vmin=0, vmax=len(kinds), interpolation="nearest")
    edges = np.arange(bars + 1) * PARTS - 0.5
    axes.hlines(edges, -0.5, len(bar) - 0.5, color="white", lw=14 / bars)
    axes.vlines(edges, -0.5, len(bar) - 0.5, color="white", lw=14 / bars)
    numbered = numbered_bars(bars)
    middle = [edges[b] + PARTS / 2 for b in numbered]
    names = [str(b + 1) for b in numbered]  # musicians count from 1
    axes.set_xticks(middle, names)
    axes.set_yticks(middle, names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="bar that is attended to", ylabel="bar that attends")
    parts = f"{PARTS} parts in each bar" + (", the first of them drums" if spec.drums == "exempt" else "")
    drums = ", violet: drums and another" if spec.drums == "exempt" else ""
    axes.set_title(f"{parts}\nblue: own part, red: another{drums}, white: hidden, grey: later", fontsize=10)


def _offsets(axes: Axes, spec: MaskSpec) -> None:
    measured = bool(spec.same_prior or spec.cross_prior)
    every = range(MAX_OFFSET + 1)
    curves = (
        (spec.same_prior if measured else dict.fromkeys(every, 1.0), "same", SAME),
        (spec.cross_prior if measured else dict.fromkeys(every, 0.0), "cross", CROSS),
    )
    for values, relation, colour in curves:
        if measured:
            axes.plot(sorted(values), [values[k] for k in sorted(values)], "-", color=colour, lw=0.8, alpha=0.5)
        for shown in (True, False):
            offsets = [k for k in sorted(values) if spec.sees(relation, k) is shown]
            label = f"{RELATION_WORDS[relation]}, {'shown' if shown else 'hidden'}"
            fill = colour if shown else "white"
            if offsets:
                axes.plot(offsets, [values[k] for k in offsets], "o", ms=6, color=colour, mfc=fill, label=label)
    most = max(max(values, default=0) for values, *_ in curves)
    axes.set_xticks(offset_ticks(most))
    axes.set_xlabel("offset (bars back)")
    axes.spines[["top", "right"]].set_visible(False)
    if measured:
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color=GRID, lw=0.6)
        axes.set(ylabel="similarity", title="Measured similarity, and what the mask shows")
    else:
        axes.set_ylim(-1.5, 2)
        axes.set_yticks([0, 1], [RELATION_WORDS["cross"], RELATION_WORDS["same"]])
        axes.set_title("What the mask shows; no similarity is recorded in it")
    axes.legend(frameon=False, fontsize=8, ncols=4, loc="lower center")


def _reasons(axes: Axes, spec: MaskSpec) -> None:
    axes.axis("off")
    text = "\n\n".join(textwrap.fill(reason, 88) for reason in spec.reasons)
    axes.text(0, 1, text, va="top", ha="left", fontsize=9.5, color=INK, transform=axes.transAxes, parse_math=False)
