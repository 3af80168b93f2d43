"""Where numbers stand in a picture: a frame with two axes, and the marks that every chart shares.

Charts are drawn small (WIDTH units across) and scaled up, so that their text stays legible on a telephone.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from meloctl.html.markup import Content, Html, coordinate, tag

WIDTH = 380
_LABEL_GAP = 6
_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A rectangle of the picture in which x runs over offsets and y over values."""

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


def picture(height: float, *content: Content, label: str, name: str = "chart") -> Html:
    """An SVG that says in words what it shows."""
    return tag("svg", *content, class_=name, viewBox=f"0 0 {WIDTH} {coordinate(height)}", role="img", aria_label=label)


def step_for(most: float, *, ticks: int = 5) -> float:
    """A round distance of ticks, at most so many up to `most`."""
    return next((s for s in _STEPS if most / s <= ticks), _STEPS[-1])


def offset_ticks(last: int) -> range:
    """Every fourth offset; fewer where there are many."""
    return range(0, last + 1, 4 * (1 + last // 64))


def axes(frame: Frame, *, step: float, ticks: Iterable[int], across: str | None, up: str | None) -> list[Html]:
    """Grid lines, their numbers, and what the axes are."""
    low, high = frame.values
    marks = [n * step for n in range(math.ceil(round(low / step, 6)), math.floor(round(high / step, 6)) + 1)]
    decimals = 0 if step >= 1 else 1 if round(step * 10, 6) % 1 == 0 else 2 if round(step * 100, 6) % 1 == 0 else 3
    drawn = []
    for value in marks:
        y = frame.y(value)
        zero = abs(value) < step / 2
        drawn.append(tag("line", class_="axis" if zero else "grid", x1=frame.left, x2=frame.right, y1=y, y2=y))
        said = f"{abs(value):.{decimals}f}" if not zero else "0"
        said = f"\N{MINUS SIGN}{said}" if value < 0 and not zero else said
        drawn.append(tag("text", said, x=frame.left - _LABEL_GAP, y=y + 4, text_anchor="end"))
    first, last = frame.offsets
    for k in ticks:
        if first <= k <= last:
            x = frame.x(k)
            drawn.append(tag("line", class_="grid", x1=x, x2=x, y1=frame.top, y2=frame.bottom))
            if across is not None:
                drawn.append(tag("text", str(k), x=x, y=frame.bottom + 15, text_anchor="middle"))
    if across:
        middle = (frame.left + frame.right) / 2
        drawn.append(tag("text", across, class_="name", x=middle, y=frame.bottom + 31, text_anchor="middle"))
    if up:
        middle = (frame.top + frame.bottom) / 2
        turned = f"rotate(-90 11 {coordinate(middle)})"
        drawn.append(tag("text", up, class_="name", x=11, y=middle, text_anchor="middle", transform=turned))
    return drawn


def path_of(points: Sequence[tuple[float, float]], *, closed: bool = False) -> str:
    """A path through points."""
    said = "L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in points)
    return f"M{said}{'Z' if closed else ''}"


def column_of(frame: Frame, offset: int, said: str) -> Html:
    """An invisible column over one offset that says its values to whoever points at it."""
    x = frame.x(offset) - frame.column / 2
    area = tag("rect", x=x, y=frame.top, width=frame.column, height=frame.bottom - frame.top)
    return tag("g", tag("title", said), area, class_="column")
