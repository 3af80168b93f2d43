"""The picture of a transcription: the spectrum of the recording in grey, its notes in the colours of their parts."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.arrays import Bools, Floats
from analysis.piece import Piece
from analysis.plots import INK, save
from meloctl.transcription.overview import Overview
from meloctl.transcription.transcription import Transcription

COLOURS = (
    *("#2f6fb0", "#cf6a1f", "#2f8f4e", "#8b55ad", "#b8860b", "#17929b"),
    *("#c64f87", "#6b7a1e", "#8a5a44", "#5560c0", "#65717b", "#b8433a"),
)
"""Of parts, in the order of `meloctl play`; the 13th part has the first one again."""

BINS_PER_SEMITONE, LOWEST_PITCH = 3, 21
"""Of the spectrum: bin 1 is the centre of pitch 21."""

_ROW_S, _MOST_ROWS = 20.0, 12
"""Seconds in a row of the picture, and its most rows: longer recordings have longer rows."""

_RANGE_DB = 60.0
"""Levels so far below the loudest one are white."""

_HEIGHT = 0.6
"""Of a note, in semitones."""


def draw_transcription(transcription: Transcription, piece: Piece, path: Path, *, title: str) -> None:
    """Write the picture as PNG: rows of equal time, below them seconds, above them numbers of bars.

    Args:
        transcription: with at least one note; without an overview the background is white.
        piece: its piece of MIDI, for the bars.
        path: where to write it.
        title: of the picture.
    """
    end_s = max(transcription.duration_s, float(transcription.notes.offset.max()))
    rows = int(np.clip(np.ceil(end_s / _ROW_S - 0.25), 1, _MOST_ROWS))
    row_s = max(end_s / rows, 1.0)
    low, high = _pitch_range(transcription)
    height = rows * (0.5 + 0.045 * (high - low)) + 1.2
    figure = Figure(figsize=(15, height), layout="constrained")
    panels = figure.subplots(rows, 1, squeeze=False)[:, 0]
    bar_s = piece.seconds_at(piece.bars.start_tick(range(piece.n_bars + 1)))
    for row, axes in enumerate(panels):
        start, stop = row * row_s, (row + 1) * row_s
        if transcription.overview is not None:
            _draw_spectrum(axes, transcription.overview, start, stop)
        _draw_bars(axes, bar_s, start, stop)
        _draw_notes(axes, transcription, low, start, stop)
        axes.set(xlim=(start, stop), ylim=(low, high))
        octaves = [pitch for pitch in range(0, 128, 12) if low <= pitch <= high]
        axes.set_yticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves])
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("seconds")
    panels[0].set_title(title, parse_math=False, color=INK, pad=18)
    names = [transcription.part_name(part) for part in range(len(transcription.parts))]
    handles = [Patch(color=_colour(part)) for part in range(len(names))]
    legend = figure.legend(handles, names, loc="outside lower center", ncols=min(5, len(names)), frameon=False)
    for label in legend.get_texts():
        label.set_parse_math(False)
    save(figure, path)


def _colour(part: int) -> str:
    return COLOURS[part % len(COLOURS)]


def _drum_parts(transcription: Transcription) -> list[int]:
    return [i for i, part in enumerate(transcription.parts) if part.is_drum]


def _pitch_range(transcription: Transcription) -> tuple[float, float]:
    """Lowest and highest pitch of the picture; drums have a lane of three semitones below the pitched notes."""
    pitched = transcription.notes.pitch[~np.isin(transcription.notes.part, _drum_parts(transcription))]
    low, high = (int(pitched.min()), int(pitched.max())) if len(pitched) else (48, 60)
    middle = (low + high) / 2
    low, high = min(low - 2, int(middle - 9)), max(high + 2, int(middle + 9))
    return low - 0.5 - 3 * bool(_drum_parts(transcription)), high + 0.5


def _draw_spectrum(axes: Axes, overview: Overview, start: float, stop: float) -> None:
    """Draw the columns from second `start` to `stop` in grey, dark where it is loud."""
    first, last = int(start / overview.step_s), int(np.ceil(stop / overview.step_s))
    level = overview.magnitude[:, first:last]
    loudest = float(overview.magnitude.max(initial=0.0))
    if not level.size or loudest <= 0:
        return
    decibels = 20 * np.log10(np.maximum(level / loudest, 10 ** (-_RANGE_DB / 20)))
    bottom = LOWEST_PITCH - 1.5 / BINS_PER_SEMITONE
    extent = (
        first * overview.step_s,
        (first + level.shape[1]) * overview.step_s,
        bottom,
        bottom + len(level) / BINS_PER_SEMITONE,
    )
    axes.imshow(
        decibels, cmap="Greys", vmin=-_RANGE_DB, vmax=25, origin="lower", aspect="auto", extent=extent, rasterized=True
    )


def _draw_bars(axes: Axes, bar_s: Floats, start: float, stop: float) -> None:
    """Draw a line at each of the bars (n_bars + 1,), which begin at these seconds, with numbers where there is room."""
    inside = np.flatnonzero((bar_s >= start - 1e-6) & (bar_s < stop))
    if len(inside) > 200:
        return
    axes.vlines(bar_s[inside], 0, 1, transform=axes.get_xaxis_transform(), color="#7a7a7a", lw=0.6)
    every = next(n for n in (1, 2, 4, 8, 16) if n * 30 >= len(inside))
    for bar in inside[inside % every == 0].tolist():
        axes.text(
            bar_s[bar], 1.01, str(bar + 1), transform=axes.get_xaxis_transform(), fontsize=7, color=INK, va="bottom"
        )


def _draw_notes(axes: Axes, transcription: Transcription, low: float, start: float, stop: float) -> None:
    """Draw the notes that sound between two seconds; drums as strokes in the lane that begins at pitch `low`."""
    notes = transcription.notes
    seen = (notes.offset > start) & (notes.onset < stop)
    for part, known in enumerate(transcription.parts):
        mine = seen & transcription.part_notes(part)
        if not mine.any():
            continue
        if known.is_drum:
            axes.vlines(notes.onset[mine], low + 0.4, low + 2.6, color=_colour(part), lw=1.2)
        else:
            _draw_boxes(axes, transcription, mine, _colour(part))


def _draw_boxes(axes: Axes, transcription: Transcription, chosen: Bools, colour: Any) -> None:
    notes = transcription.notes
    left, right, bottom = notes.onset[chosen], notes.offset[chosen], notes.pitch[chosen] - _HEIGHT / 2
    top = bottom + _HEIGHT
    corners = np.array([[left, bottom], [left, top], [right, top], [right, bottom]]).transpose(2, 0, 1)  # (N, 4, 2)
    axes.add_collection(PolyCollection(list(corners), facecolor=colour, edgecolor="white", lw=0.3, alpha=0.85))
