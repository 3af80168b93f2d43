"""The picture of a transcription: the spectrum of the recording in grey, its notes in the colours of their parts.

Drawn with Pillow: matplotlib takes 1.4 s of CPU time for a minute of music, more than all the rest of a transcription.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageDraw, ImageFont

from analysis.arrays import Floats
from analysis.atomic_write import atomic_write
from analysis.piece import Piece
from meloctl.formatting import clock, count
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

_RANGE_DB, _DARKEST = 60.0, 145
"""Levels so far below the loudest one are white; the loudest one has this grey."""

_WIDTH, _LEFT, _RIGHT = 1600, 44, 12
_HEAD, _ABOVE, _BELOW, _LEGEND = 40, 18, 22, 34
"""Pixels: of the title, of the bar numbers above a row and the seconds below it, of a line of the legend."""

_SEMITONE, _NOTE = 6, 4
"""Pixels: of a semitone, of a note's height."""

_INK, _QUIET, _BAR = (34, 34, 34), (110, 110, 110), (150, 150, 150)

Pixels = npt.NDArray[np.uint8]
"""(height, width, 3) red, green, blue."""


def draw_transcription(transcription: Transcription, piece: Piece, path: Path) -> None:
    """Write the picture as PNG: rows of equal time, above them numbers of bars, below them seconds.

    Args:
        transcription: with at least one note; without an overview the background is white.
        piece: its piece of MIDI, for the bars.
        path: where to write it.
    """
    end_s = max(transcription.duration_s, float(transcription.notes.offset.max()), 1.0)
    rows = int(np.clip(np.ceil(end_s / _ROW_S - 0.25), 1, _MOST_ROWS))
    low, high = _pitch_range(transcription)
    tall = (high - low + 1) * _SEMITONE
    legend = -(-len(transcription.parts) // 5) * _LEGEND
    paper = np.full((_HEAD + rows * (_ABOVE + tall + _BELOW) + legend, _WIDTH, 3), 255, np.uint8)
    tops = [_HEAD + _ABOVE + row * (_ABOVE + tall + _BELOW) for row in range(rows)]
    bar_s = piece.seconds_at(piece.bars.start_tick(range(piece.n_bars + 1)))
    for row, top in enumerate(tops):
        start, stop = row * end_s / rows, (row + 1) * end_s / rows
        panel = paper[top : top + tall, _LEFT : _WIDTH - _RIGHT]
        if transcription.overview is not None:
            _draw_spectrum(panel, transcription.overview, start, stop, high)
        panel[:, _places(bar_s[(bar_s >= start) & (bar_s < stop)], start, stop, panel)] = _BAR
        _draw_notes(panel, transcription, start, stop, high)
    image = Image.fromarray(paper)
    draw = ImageDraw.Draw(image)
    for row, top in enumerate(tops):
        _label_row(draw, bar_s, row * end_s / rows, (row + 1) * end_s / rows, top, top + tall, (low, high))
    _label_parts(draw, transcription, piece, len(paper) - legend)
    with atomic_write(path) as partial:
        image.save(partial, format="PNG", compress_level=1)


def _pitch_range(transcription: Transcription) -> tuple[int, int]:
    """Lowest and highest pitch of the picture: some more than the notes, and at least 18 semitones."""
    low, high = int(transcription.notes.pitch.min()), int(transcription.notes.pitch.max())
    missing = max(0, 14 - (high - low))
    return max(0, low - 2 - missing // 2), min(127, high + 2 + missing // 2)


def _places(seconds: Floats, start: float, stop: float, panel: Pixels) -> npt.NDArray[np.intp]:
    """(…) columns of seconds (…) in a panel of a row from `start` to `stop`, inside it."""
    width = panel.shape[1]
    return np.clip(((seconds - start) / (stop - start) * width).astype(np.intp), 0, width - 1)


def _draw_spectrum(panel: Pixels, overview: Overview, start: float, stop: float, high: int) -> None:
    """Fill the pixels of the pitches with greys, dark where it is loud; `high` is the pitch at the top."""
    loudest = float(overview.magnitude.max(initial=0.0))
    if loudest <= 0:
        return
    height, width = panel.shape[:2]
    seconds = start + (np.arange(width) + 0.5) / width * (stop - start)
    columns = (seconds / overview.step_s).astype(np.intp)
    rows_a_bin = _SEMITONE // BINS_PER_SEMITONE
    bins = (high + 1 - LOWEST_PITCH) * BINS_PER_SEMITONE - 1 - np.arange(height) // rows_a_bin
    there = np.ix_((bins >= 0) & (bins < len(overview.magnitude)), columns < overview.magnitude.shape[1])
    level = overview.magnitude[np.ix_(bins[there[0][:, 0]], columns[there[1][0]])]
    decibels = 20 * np.log10(np.maximum(level / loudest, 10 ** (-_RANGE_DB / 20)))
    grey = 255 - (255 - _DARKEST) * (1 + decibels / _RANGE_DB)
    panel[there] = grey.astype(np.uint8)[..., None]


def _draw_notes(panel: Pixels, transcription: Transcription, start: float, stop: float, high: int) -> None:
    """Draw the notes that sound between two seconds."""
    notes = transcription.notes
    seen = np.flatnonzero((notes.offset > start) & (notes.onset < stop))
    left, right = (_places(side[seen], start, stop, panel) for side in (notes.onset, notes.offset))
    tops = (high - notes.pitch[seen]) * _SEMITONE + (_SEMITONE - _NOTE) // 2
    columns = (left, np.maximum(right, left + 2), tops, notes.part[seen])
    for x, end, y, part in zip(*(column.tolist() for column in columns), strict=True):
        colour = ImageColor.getrgb(COLOURS[part % len(COLOURS)])
        panel[y : y + _NOTE, x:end] = colour


def _label_row(
    draw: ImageDraw.ImageDraw, bar_s: Floats, start: float, stop: float, top: int, bottom: int, pitches: tuple[int, int]
) -> None:
    """Write numbers of bars above a row, seconds below it, and octaves to its left.

    Args:
        draw: on the picture.
        bar_s: (n_bars + 1,) seconds at which bars begin.
        start: seconds at the left end.
        stop: seconds at the right end.
        top: pixel row of its upper edge.
        bottom: pixel row below it.
        pitches: lowest and highest pitch.
    """
    font = ImageFont.load_default(13)
    scale = (_WIDTH - _LEFT - _RIGHT) / (stop - start)
    inside = np.flatnonzero((bar_s[:-1] >= start) & (bar_s[:-1] < stop)).tolist()
    every = next(n for n in (1, 2, 4, 8, 16, 32, 64, 10_000) if n * 48 >= len(inside))
    for bar in inside:
        if bar % every == 0:
            draw.text((_LEFT + (bar_s[bar] - start) * scale, top - 2), str(bar + 1), _INK, font, anchor="lb")
    step = next(s for s in (1, 2, 5, 10, 30, 60, 120, 300, 600, 3600) if s * 24 >= stop - start)
    for second in range(int(np.ceil(start / step)) * step, int(stop) + 1, step):
        x = _LEFT + (second - start) * scale
        draw.line((x, bottom, x, bottom + 3), _QUIET)
        draw.text((x, bottom + 5), clock(second) if stop > 100 else f"{second} s", _QUIET, font, anchor="mt")
    for pitch in range(-(-pitches[0] // 12) * 12, pitches[1] + 1, 12):
        y = top + (pitches[1] - pitch + 0.5) * _SEMITONE
        draw.text((_LEFT - 6, y), f"C{pitch // 12 - 1}", _QUIET, font, anchor="rm")


def _label_parts(draw: ImageDraw.ImageDraw, transcription: Transcription, piece: Piece, top: int) -> None:
    """Write what it is above, and the parts in their colours from pixel row `top` on, five a line."""
    font = ImageFont.load_default(15)
    parts = len(transcription.parts)
    words = f"{count(len(piece.notes), 'note')} in {count(parts, 'part')}, {clock(transcription.duration_s)}"
    draw.text((_LEFT, 10), f"{words}; above each row the bars", _INK, font)
    for part in range(parts):
        x, y = _LEFT + part % 5 * ((_WIDTH - _LEFT) // 5), top + part // 5 * _LEGEND + 8
        draw.rectangle((x, y + 2, x + 13, y + 15), COLOURS[part % len(COLOURS)])
        draw.text((x + 20, y), transcription.part_name(part), _INK, font)
