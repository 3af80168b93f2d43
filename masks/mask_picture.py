"""A mask, drawn: who sees whom among the cells of a small band, the measured curves behind it, and the reasons; gates, drawn."""

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from analysis.offsets import MAX_OFFSET
from analysis.plots import CROSS, GRID, INK, SAME, save
from masks.rules.learned import HALF, LearnedGates
from masks.spec import MASK_RELATIONS, MaskSpec

_PARTS = 3
_DRUMS = "#8a6bb1"
"""Colour of what drums see of other parts, and others of them, where that is not masked."""


def draw_mask(spec: MaskSpec, path: Path) -> None:
    """Write a PNG: cells that attend to cells (3 parts), offsets shown with their similarity, and the reasons."""
    figure = Figure(figsize=(13, 7), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 1.15), height_ratios=(1.2, 1))
    _cells(figure.add_subplot(grid[:, 0]), spec)
    _offsets(figure.add_subplot(grid[0, 1]), spec)
    _reasons(figure.add_subplot(grid[1, 1]), spec)
    save(figure, path)


def draw_gates(gates: LearnedGates, path: Path) -> None:
    """Write a PNG: how open each gate was at the start and at the end, own part above other parts."""
    figure = Figure(figsize=(10, 6.5), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    for axes, curve, name, colour in (
        (panels[0], gates.same, "own part", SAME),
        (panels[1], gates.cross, "other parts", CROSS),
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
    panels[1].set_xticks(range(0, max(gates.same.offsets) + 1, 4))
    save(figure, path)


def _cells(axes: Axes, spec: MaskSpec) -> None:
    offsets = () if spec.same == "full" else spec.same
    bars = min(36, max(12, spec.near + 4, *(k + 4 for k in (*spec.far, *offsets))))
    bar, part = np.repeat(np.arange(bars), _PARTS), np.tile(np.arange(_PARTS), bars)
    exempt = spec.drums == "exempt"
    colour = np.triu(np.full((len(bar), len(bar)), 4.0), k=1)
    for q in range(len(bar)):
        for k in range(q + 1):
            drummed = exempt and 0 in (part[q], part[k])
            relation = "same" if part[q] == part[k] else "drums" if drummed else "cross"
            if spec.sees(relation, int(bar[q] - bar[k])):
                colour[q, k] = 1 + MASK_RELATIONS.index(relation)
    axes.imshow(
        colour,
        cmap=ListedColormap(["#ffffff", SAME, CROSS, _DRUMS, "#ececec"]),
        vmin=0,
        vmax=4,
        interpolation="nearest",
    )
    edges = np.arange(bars + 1) * _PARTS - 0.5
    axes.hlines(edges, -0.5, len(bar) - 0.5, color="white", lw=14 / bars)
    axes.vlines(edges, -0.5, len(bar) - 0.5, color="white", lw=14 / bars)
    every = 1 if bars <= 16 else 4
    middle = (edges[:-1] + _PARTS / 2)[::every]
    names = [str(b) for b in range(1, bars + 1, every)]  # musicians count from 1
    axes.set_xticks(middle, names)
    axes.set_yticks(middle, names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="may attend to: bar", ylabel="bar of the row")
    parts = f"{_PARTS} parts in each bar" + (", the first of them drums" if exempt else "")
    drums = ", violet: drums and another" if exempt else ""
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
            mine = [k for k in sorted(values) if spec.sees(relation, k) is shown]
            label = f"{'own part' if relation == 'same' else 'other parts'}, {'shown' if shown else 'hidden'}"
            fill = colour if shown else "white"
            if mine:
                axes.plot(mine, [values[k] for k in mine], "o", ms=6, color=colour, mfc=fill, label=label)
    most = max(max(values, default=0) for values, *_ in curves)
    axes.set_xticks(range(0, most + 1, 4 * (1 + most // 64)))
    axes.set_xlabel("offset (bars back)")
    axes.spines[["top", "right"]].set_visible(False)
    if measured:
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color=GRID, lw=0.6)
        axes.set(ylabel="similarity", title="What was measured, and what the mask shows")
    else:
        axes.set_ylim(-1.5, 2)
        axes.set_yticks([0, 1], ["other parts", "own part"])
        axes.set_title("What the mask shows; no similarity is recorded in it")
    axes.legend(frameon=False, fontsize=8, ncols=4, loc="lower center")


def _reasons(axes: Axes, spec: MaskSpec) -> None:
    axes.axis("off")
    text = "\n\n".join(textwrap.fill(reason, 88) for reason in spec.reasons)
    axes.text(0, 1, text, va="top", ha="left", fontsize=9.5, color=INK, transform=axes.transAxes, parse_math=False)
