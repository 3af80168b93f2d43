"""Charts of runs as SVG: values with their intervals, and quality against cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from meloctl.html.axes import LEFT, WIDTH, name_across, name_up, readout_area, svg_chart, tick_step, ticks
from meloctl.html.markup import Html, tag

COLOURS = 6
"""Colours of runs in html/charts.css; the seventh run has the first one again, dashed."""

_ROW_HEIGHT = 26
_RIGHT, _TOP = WIDTH - 14, 12
_MOST_TICKS = 8


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A run in a chart."""

    letter: str
    value: float
    interval: tuple[float, float] | None
    """95 %; None where it is unknown."""

    readout: str
    """Shown to whoever points at it."""

    cost: float = 0.0
    """On the x axis of `cost_chart`."""


def run_css(letter: str) -> str:
    """CSS classes of a run's marks, from its letter."""
    index = ascii_uppercase.index(letter)
    return f"run run{index % COLOURS}{' again' if index >= COLOURS else ''}"


def interval_chart(marks: Sequence[Mark], *, across: str, zero: bool = False) -> Html:
    """A row a run: its value and 95 % interval.

    Args:
        marks: of the runs.
        across: name of the values.
        zero: the values are differences; a line marks 0.
    """
    bottom = _TOP + _ROW_HEIGHT * len(marks)
    low, high = _span([v for m in marks for v in (m.value, *(m.interval or ()))] + ([0.0] if zero else []))

    def x(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (_RIGHT - LEFT)

    drawn = []
    for value, text in ticks(low, high, step=tick_step(high - low, most=_MOST_TICKS)):
        drawn.append(
            tag("line", class_="axis" if zero and value == 0 else "grid", x1=x(value), x2=x(value), y1=_TOP, y2=bottom)
        )
        drawn.append(tag("text", text, x=x(value), y=bottom + 15, text_anchor="middle"))
    for row, m in enumerate(marks):
        y = _TOP + _ROW_HEIGHT * (row + 0.5)
        drawn.append(tag("text", m.letter, class_="name", x=LEFT - 14, y=y + 4, text_anchor="end"))
        if m.interval:
            drawn.append(
                tag("line", class_=f"reach {run_css(m.letter)}", x1=x(m.interval[0]), x2=x(m.interval[1]), y1=y, y2=y)
            )
        drawn.append(tag("circle", class_=f"dot {run_css(m.letter)}", cx=x(m.value), cy=y, r=4))
        drawn.append(readout_area(0, _TOP + _ROW_HEIGHT * row, WIDTH, _ROW_HEIGHT, m.readout))
    drawn.append(name_across(across, (LEFT + _RIGHT) / 2, bottom))
    label = f"Dots with 95 % intervals, {across}. {'; '.join(m.readout for m in marks)}."
    return svg_chart(bottom + 38, *drawn, label=label)


def cost_chart(marks: Sequence[Mark], *, across: str, up: str) -> Html:
    """Value against cost; low and to the left is good and cheap.

    Args:
        marks: of the runs.
        across: name of the cost.
        up: name of the values.
    """
    top, bottom = 8, 212
    low, high = _span([v for m in marks for v in (m.value, *(m.interval or ()))])
    most = 1.1 * max(m.cost for m in marks)

    def x(cost: float) -> float:
        return LEFT + cost / most * (_RIGHT - LEFT)

    def y(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - top)

    drawn = []
    for value, text in ticks(low, high, step=tick_step(high - low, most=_MOST_TICKS)):
        drawn.append(tag("line", class_="grid", x1=LEFT, x2=_RIGHT, y1=y(value), y2=y(value)))
        drawn.append(tag("text", text, x=LEFT - 6, y=y(value) + 4, text_anchor="end"))
    for cost, text in ticks(0.0, most, step=tick_step(most, most=_MOST_TICKS)):
        drawn.append(tag("line", class_="grid", x1=x(cost), x2=x(cost), y1=top, y2=bottom))
        drawn.append(tag("text", text, x=x(cost), y=bottom + 15, text_anchor="middle"))
    for m in marks:
        if m.interval:
            ends = {"y1": y(m.interval[0]), "y2": y(m.interval[1])}
            drawn.append(tag("line", class_=f"reach {run_css(m.letter)}", x1=x(m.cost), x2=x(m.cost), **ends))
        drawn.append(tag("circle", class_=f"dot {run_css(m.letter)}", cx=x(m.cost), cy=y(m.value), r=4))
        drawn.append(tag("text", m.letter, class_="name", x=x(m.cost) + 7, y=y(m.value) + 4))
        drawn.append(readout_area(x(m.cost) - 11, top, 22, bottom - top, m.readout))
    drawn.append(name_across(across, (LEFT + _RIGHT) / 2, bottom))
    drawn.append(name_up(up, (top + bottom) / 2))
    label = f"{up} against {across}. {'; '.join(m.readout for m in marks)}."
    return svg_chart(250, *drawn, label=label)


def _span(values: Sequence[float]) -> tuple[float, float]:
    """(least, most) of the values, with room at both ends."""
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    return low - room, high + room
