"""The loss curve of a training run, beside the losses of baselines, as PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.plots import CROSS, GRID, INK, SAME, save


def draw_loss_curve(history: Sequence[Mapping[str, float]], levels: Mapping[str, float], path: Path) -> None:
    """Draw bits a note against steps, of training and validation, with the baselines as dotted lines.

    Args:
        history: one or more entries with "step", "train_bits_per_note" and "validation_bits_per_note".
        levels: {name: bits a note} of the baselines.
        path: of the PNG.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    steps = [h["step"] for h in history]
    validation = [h["validation_bits_per_note"] for h in history]
    training = [h["train_bits_per_note"] for h in history]
    axes.plot(steps, training, "-", color=CROSS, lw=1.4, label="training")
    axes.plot(steps, validation, "-o", color=SAME, ms=3.5, label="validation")
    best = min(range(len(validation)), key=validation.__getitem__)
    axes.annotate(
        f"{validation[best]:.2f}",
        (steps[best], validation[best]),
        textcoords="offset points",
        xytext=(7, 0),
        ha="left",
        va="center",
        fontsize=9,
        color=SAME,
    )
    axes.set(xlabel="step", ylabel="bits a note", title="Bits a note, all fields together (lower is better)")
    axes.margins(x=0.09)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, max([*levels.values()] or [*validation, *training]) * 1.15)
    _draw_levels(axes, levels)
    axes.grid(axis="y", color=GRID, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left", fontsize=9)
    save(figure, path)


def _draw_levels(axes: Axes, levels: Mapping[str, float]) -> None:
    """A dotted line for each baseline, its name at the right: above the line, or below where the next line is too near."""
    near = 0.05 * axes.get_ylim()[1]
    ascending = sorted(levels.items(), key=lambda level: level[1])
    shift = 0.0
    for n, (name, bits) in enumerate(ascending):
        axes.axhline(bits, color=INK, lw=0.9, ls=":")
        crowded = n + 1 < len(ascending) and ascending[n + 1][1] - bits < near
        # of three lines or more that lie together, those between have room neither above nor below: names stand side by side
        shift = shift + 0.3 if n and crowded and bits - ascending[n - 1][1] < near else 0.0
        axes.annotate(
            f"{name}, {bits:.2f}",
            (1 - shift, bits),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            xytext=(0, -2 if crowded else 1),
            va="top" if crowded else "bottom",
            ha="right",
            fontsize=8,
        )
