"""Charts of runs as SVG: values with their intervals, and quality against cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from meloctl.html.axes import WIDTH, picture, round_ticks
from meloctl.html.markup import Html, tag

COLOURS = 6
"""Colours of runs in html/base.css; the seventh run has the first one again, dashed."""

_ROW_HEIGHT = 26
_LEFT, _RIGHT, _TOP = 44, WIDTH - 14, 12


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A run in a chart."""

    letter: str
    value: float
    interval: tuple[float, float] | None
    """95 %; None where it is unknown."""

    tooltip: str
    cost: float = 0.0
    """On the x axis of `cost_chart`."""


def run_css(letter: str) -> str:
    """CSS classes of a run's marks, from its letter."""
    index = ascii_uppercase.index(letter)
    return f"run run{index % COLOURS}{' again' if index >= COLOURS else ''}"


def interval_chart(marks: Sequence[Mark], *, across: str, zero: bool = False) -> Html:
    """A row a run: its value and 95 % interval. `zero`: the values are differences, and a line marks 0."""
    bottom = _TOP + _ROW_HEIGHT * len(marks)
    low, high = _span([v for m in marks for v in (m.value, *(m.interval or ()))] + ([0.0] if zero else []))

    def x(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (_RIGHT - _LEFT)

    drawn = []
    for value, label in round_ticks(low, high):
        drawn.append(
            tag("line", class_="axis" if zero and value == 0 else "grid", x1=x(value), x2=x(value), y1=_TOP, y2=bottom)
        )
        drawn.append(tag("text", label, x=x(value), y=bottom + 15, text_anchor="middle"))
    for row, m in enumerate(marks):
        y = _TOP + _ROW_HEIGHT * (row + 0.5)
        drawn.append(tag("text", m.letter, class_="name", x=_LEFT - 14, y=y + 4, text_anchor="end"))
        if m.interval:
            drawn.append(
                tag("line", class_=f"reach {run_css(m.letter)}", x1=x(m.interval[0]), x2=x(m.interval[1]), y1=y, y2=y)
            )
        drawn.append(tag("circle", class_=f"dot {run_css(m.letter)}", cx=x(m.value), cy=y, r=4))
        drawn.append(_target(m, 0, _TOP + _ROW_HEIGHT * row, WIDTH, _ROW_HEIGHT))
    drawn.append(tag("text", across, class_="name", x=(_LEFT + _RIGHT) / 2, y=bottom + 31, text_anchor="middle"))
    described = f"Dots with 95 % intervals, {across}. {'; '.join(m.tooltip for m in marks)}."
    return picture(bottom + 38, *drawn, label=described)


def cost_chart(marks: Sequence[Mark], *, across: str, up: str) -> Html:
    """Value against cost: low and to the left is good and cheap. `across` and `up` name the axes."""
    top, bottom = 8, 212
    low, high = _span([v for m in marks for v in (m.value, *(m.interval or ()))])
    most = 1.1 * max(m.cost for m in marks)

    def x(cost: float) -> float:
        return _LEFT + cost / most * (_RIGHT - _LEFT)

    def y(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - top)

    drawn = []
    for value, label in round_ticks(low, high):
        drawn.append(tag("line", class_="grid", x1=_LEFT, x2=_RIGHT, y1=y(value), y2=y(value)))
        drawn.append(tag("text", label, x=_LEFT - 6, y=y(value) + 4, text_anchor="end"))
    for cost, label in round_ticks(0.0, most):
        drawn.append(tag("line", class_="grid", x1=x(cost), x2=x(cost), y1=top, y2=bottom))
        drawn.append(tag("text", label, x=x(cost), y=bottom + 15, text_anchor="middle"))
    for m in marks:
        if m.interval:
            ends = {"y1": y(m.interval[0]), "y2": y(m.interval[1])}
            drawn.append(tag("line", class_=f"reach {run_css(m.letter)}", x1=x(m.cost), x2=x(m.cost), **ends))
        drawn.append(tag("circle", class_=f"dot {run_css(m.letter)}", cx=x(m.cost), cy=y(m.value), r=4))
        drawn.append(tag("text", m.letter, class_="name", x=x(m.cost) + 7, y=y(m.value) + 4))
        drawn.append(_target(m, x(m.cost) - 11, top, 22, bottom - top))
    drawn.append(tag("text", across, class_="name", x=(_LEFT + _RIGHT) / 2, y=bottom + 31, text_anchor="middle"))
    middle = (top + bottom) / 2
    drawn.append(
        tag("text", up, class_="name", x=11, y=middle, text_anchor="middle", transform=f"rotate(-90 11 {middle:g})")
    )
    described = f"{up} against {across}. {'; '.join(m.tooltip for m in marks)}."
    return picture(250, *drawn, label=described)


def _span(values: Sequence[float]) -> tuple[float, float]:
    """(least, most) of the values, with room at both ends."""
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    return low - room, high + room


def _target(m: Mark, x: float, y: float, width: float, height: float) -> Html:
    """An invisible rectangle with a mark's tooltip."""
    area = tag("rect", x=x, y=y, width=width, height=height)
    return tag("g", tag("title", m.tooltip), area, class_="column")
