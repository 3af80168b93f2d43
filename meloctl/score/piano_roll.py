"""The piano roll of a piece, as a picture."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.piece import Piece
from analysis.plots import GRID, save
from meloctl.rows.parts import part_names
from meloctl.score.sections import Section, sections_of

_HEIGHT = 0.85
"""Of a note, in semitones."""


def draw_piano_roll(piece: Piece, path: Path, *, title: str, new: range | None = None) -> None:
    """Draw every note against bars, parts in colours, drums on an axis of their own below, sections in a band above.

    Args:
        new: bars that get a tinted background; None, or all bars, for none.
    """
    sections, n_bars = sections_of(piece), piece.n_bars
    pitched = [i for i, p in enumerate(piece.parts) if not p.is_drum]
    drums = [i for i, p in enumerate(piece.parts) if p.is_drum]
    ratios = [r for r, some in ((0.13, len(sections) > 1), (3, pitched), (1, drums)) if some]
    figure = Figure(figsize=(min(40, max(10, 0.55 * n_bars)), 1.6 + 1.4 * sum(ratios)), layout="constrained")
    panels = figure.subplots(len(ratios), 1, sharex=True, height_ratios=ratios, squeeze=False)[:, 0]
    colours = colormaps["tab10" if len(piece.parts) <= 10 else "tab20"]
    if len(sections) > 1:
        _draw_sections(panels[0], piece, sections)
    members = [m for m in (pitched, drums) if m]
    for axes, some in zip(panels[-len(members) :], members, strict=True):
        _draw_notes(axes, piece, {i: colours(i % colours.N) for i in some})
        if new and len(new) < n_bars:
            axes.axvspan(*piece.bars.start_tick([new.start, new.stop]).tolist(), color="#fff3d6", zorder=0)
        axes.set_ylabel("drum" if some is drums else "pitch (60 = middle C)")
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(0, int(piece.bars.start_tick(n_bars)))
    step = max(1, n_bars // 32)
    panels[-1].set_xticks(piece.bars.start_tick(range(0, n_bars, step)), range(1, n_bars + 1, step))
    panels[-1].set_xlabel("bar")
    panels[0].set_title(title, parse_math=False)
    handles = [Patch(color=colours(i % colours.N)) for i in range(len(piece.parts))]
    columns = min(6, len(handles))
    legend = figure.legend(handles, part_names(piece), loc="outside lower center", ncols=columns, frameon=False)
    for label in legend.get_texts():
        label.set_parse_math(False)
    save(figure, path)


def _draw_notes(axes: Axes, piece: Piece, colours: dict[int, Any]) -> None:
    """Draw the notes of some parts, {part: colour}, over a line for each bar."""
    n_bars, notes = piece.n_bars, piece.notes
    axes.vlines(
        piece.bars.start_tick(range(n_bars + 1)),
        0,
        1,
        transform=axes.get_xaxis_transform(),
        color=GRID,
        lw=[1.6 if b % 4 == 0 else 0.6 for b in range(n_bars + 1)],
    )
    for i, colour in colours.items():
        mine = notes.part == i
        left, low = notes.onset_tick[mine], notes.pitch[mine] - _HEIGHT / 2
        right, high = left + notes.duration_tick[mine], low + _HEIGHT
        corners = np.array([[left, low], [left, high], [right, high], [right, low]]).transpose(2, 0, 1)  # (N, 4, 2)
        axes.add_collection(PolyCollection(list(corners), facecolor=colour, edgecolor="none", alpha=0.85))
    axes.autoscale_view()


def _draw_sections(axes: Axes, piece: Piece, sections: tuple[Section, ...]) -> None:
    """Draw a band with the letter of each section, those of one letter in one shade."""
    starts = piece.bars.start_tick([s.first_bar for s in sections] + [piece.n_bars]).tolist()
    letters = [section.letter.rstrip("′") for section in sections]
    shade = {letter: f"{0.88 - 0.1 * (i % 4):.2f}" for i, letter in enumerate(dict.fromkeys(letters))}
    for section, letter, (start, end) in zip(sections, letters, pairwise(starts), strict=True):
        axes.barh(0, end - start, left=start, height=1, color=shade[letter], edgecolor="white", linewidth=1.5)
        axes.text((start + end) / 2, 0, section.letter, ha="center", va="center", clip_on=True)
    axes.set_ylim(-0.5, 0.5)
    axes.axis("off")
