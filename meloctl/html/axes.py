"""Frames, axes and ticks of SVG charts.

Charts are drawn small (WIDTH units across) and scaled up, so that their text stays legible on a telephone.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from meloctl.html.markup import Content, Html, coordinate, tag

WIDTH = 380
"""Width of every chart, in units of its viewBox."""

LEFT, RIGHT = 44, WIDTH - 6
"""Where the frame of a chart begins and ends, unless its labels need more room."""

_LABEL_GAP = 6


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A rectangle of a chart in which x runs over offsets and y over values."""

    left: float
    right: float
    top: float
    bottom: float
    offsets: tuple[int, int]
    """First and last; each has a column of its own."""

    values: tuple[float, float]
    """At the bottom and at the top."""

    @property
    def column(self) -> float:
        """Width of one offset."""
        return (self.right - self.left) / (self.offsets[1] - self.offsets[0] + 1)

    def x(self, offset: float) -> float:
        """Middle of an offset's column."""
        return self.left + (offset - self.offsets[0] + 0.5) * self.column

    def y(self, value: float) -> float:
        """Height of a value."""
        low, high = self.values
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)


def svg_chart(height: float, *content: Content, label: str) -> Html:
    """An SVG of WIDTH by `height` units; `label` says in words what it shows."""
    box = f"0 0 {WIDTH} {coordinate(height)}"
    return tag("svg", *content, class_="chart", viewBox=box, role="img", aria_label=label)


def tick_step(span: float, *, most: int = 5) -> float:
    """The smallest of 1, 2, 2.5 and 5 times a power of ten that divides `span` (above 0) into at most `most` steps."""
    rough = span / most * (1 - 1e-9)
    size = 10.0 ** math.floor(math.log10(rough))
    return next(n * size for n in (1, 2, 2.5, 5, 10) if n * size >= rough)


def tick_decimals(step: float) -> int:
    """Decimals that the multiples of a step need."""
    return next((d for d in range(9) if abs(step * 10**d - round(step * 10**d)) < 1e-6), 9)


def ticks(low: float, high: float, *, step: float) -> list[tuple[float, str]]:
    """The multiples of a step from `low` to `high`, and how each is written."""
    decimals = tick_decimals(step)
    marks = range(math.ceil(round(low / step, 6)), math.floor(round(high / step, 6)) + 1)
    return [(n * step, f"{n * step:,.{decimals}f}".replace("-", "\N{MINUS SIGN}")) if n else (0.0, "0") for n in marks]


def axes(frame: Frame, *, step: float, offsets: Iterable[int], across: str | None, up: str | None) -> list[Html]:
    """Grid lines and their numbers, a line a `step` and one for each of the offsets that the frame has.

    Args:
        frame: what the axes belong to.
        step: between two values.
        offsets: those with a number.
        across: name of the horizontal axis; None where another chart below has the numbers.
        up: name of the vertical axis, if any.
    """
    drawn = []
    for value, text in ticks(*frame.values, step=step):
        y = frame.y(value)
        drawn.append(tag("line", class_="grid" if value else "axis", x1=frame.left, x2=frame.right, y1=y, y2=y))
        drawn.append(tag("text", text, x=frame.left - _LABEL_GAP, y=y + 4, text_anchor="end"))
    first, last = frame.offsets
    for k in offsets:
        if first <= k <= last:
            x = frame.x(k)
            drawn.append(tag("line", class_="grid", x1=x, x2=x, y1=frame.top, y2=frame.bottom))
            if across is not None:
                drawn.append(tag("text", str(k), x=x, y=frame.bottom + 15, text_anchor="middle"))
    if across:
        drawn.append(name_across(across, (frame.left + frame.right) / 2, frame.bottom))
    if up:
        drawn.append(name_up(up, (frame.top + frame.bottom) / 2))
    return drawn


def name_across(name: str, middle: float, bottom: float) -> Html:
    """The name of a horizontal axis, under its numbers."""
    return tag("text", name, class_="name", x=middle, y=bottom + 31, text_anchor="middle")


def name_up(name: str, middle: float) -> Html:
    """The name of a vertical axis, upright at the left edge."""
    turn = f"rotate(-90 11 {coordinate(middle)})"
    return tag("text", name, class_="name", x=11, y=middle, text_anchor="middle", transform=turn)


def path_of(points: Sequence[tuple[float, float]], *, closed: bool = False) -> str:
    """The `d` of a path through points."""
    line = "L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in points)
    return f"M{line}{'Z' if closed else ''}"


def readout_area(x: float, y: float, width: float, height: float, text: str) -> Html:
    """An invisible rectangle; its text is shown to whoever points at it."""
    return tag("g", tag("title", text), tag("rect", x=x, y=y, width=width, height=height), class_="column")


def readout_column(frame: Frame, offset: int, text: str) -> Html:
    """The readout area over one offset of a frame."""
    return readout_area(frame.x(offset) - frame.column / 2, frame.top, frame.column, frame.bottom - frame.top, text)
