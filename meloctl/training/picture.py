"""The loss curve of a run, against what counting alone achieves."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.plots import CROSS, GRID, INK, SAME, save


def draw_loss_curve(history: Sequence[dict[str, float]], unigram: float, bigram: float, path: Path) -> None:
    """Draw bits a note against steps, training and validation, with the two counting baselines as lines."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    steps = [h["step"] for h in history]
    axes.plot(
        steps, [h["train_bits_per_note"] for h in history], "-", color=CROSS, lw=1.4, label="training (with dropout)"
    )
    axes.plot(steps, [h["validation_bits_per_note"] for h in history], "-o", color=SAME, ms=3.5, label="validation")
    for bits, name in ((unigram, "unigram"), (bigram, "bigram by field")):
        axes.axhline(bits, color=INK, lw=0.9, ls=":")
        axes.annotate(
            f"{name}, {bits:.2f}", (1, bits), xycoords=("axes fraction", "data"), va="bottom", ha="right", fontsize=8
        )
    best = min(history, key=lambda h: h["validation_bits_per_note"])
    axes.annotate(
        f"{best['validation_bits_per_note']:.2f}",
        (best["step"], best["validation_bits_per_note"]),
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
    axes.set_ylim(0, max(unigram, bigram) * 1.15)
    axes.grid(axis="y", color=GRID, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left", fontsize=9)
    save(figure, path)
