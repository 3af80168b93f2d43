"""Similarity by offset as SVG: curves with their intervals, of any corpora, relations or models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

from analysis.labels import offset_ticks
from meloctl.html.axes import (
    LEFT,
    RIGHT,
    Frame,
    axes,
    path_of,
    readout_column,
    svg_chart,
    tick_decimals,
    tick_step,
)
from meloctl.html.markup import Html, tag

_NARROW_LABELS = 2
"""Decimals of the labels that LEFT has room for."""

_LEAST_SCALE = 0.001
"""The axis reaches at least so high."""


@dataclass(frozen=True, kw_only=True)
class OffsetLine:
    """One curve of similarity by offset. Offsets are in bars; one without a pair of bars is missing in each mapping."""

    style: str
    """CSS classes: a relation, a run, `chance`, `corpus`."""

    values: Mapping[int, float]
    """Joined by a line, which never crosses a missing offset."""

    intervals: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    """Low and high, drawn as a band."""

    rings: Mapping[int, float] = field(default_factory=dict)
    """A second value of each offset, not joined."""

    dots: Literal["round", "square", None] = None
    """Shape at each value; colour alone must not tell curves apart."""


def offset_chart(lines: Sequence[OffsetLine], *, last: int, readouts: Mapping[int, str], label: str) -> Html:
    """Draw curves above the offsets 0 to `last`.

    Args:
        lines: those at the back first; at least one has a value.
        last: the last offset of the axis.
        readouts: {offset: text} for whoever points there.
        label: what the chart shows, in words.
    """
    highest = max(_LEAST_SCALE, *chain.from_iterable(_values(line) for line in lines))
    step = tick_step(highest)
    left = LEFT if tick_decimals(step) <= _NARROW_LABELS else LEFT + 8
    values = (0.0, max(highest * 1.04, step))
    frame = Frame(left=left, right=RIGHT, top=8, bottom=212, offsets=(0, last), values=values)
    drawn = [
        *axes(frame, step=step, offsets=offset_ticks(last), across="bars back", up="similarity"),
        *(mark for line in lines for mark in _line(frame, line)),
        *(readout_column(frame, k, readouts[k]) for k in sorted(readouts)),
    ]
    return svg_chart(250, *drawn, label=label)


def _values(line: OffsetLine) -> list[float]:
    return [*line.values.values(), *line.rings.values(), *(high for _, high in line.intervals.values())]


def _line(frame: Frame, line: OffsetLine) -> list[Html]:
    drawn = []
    for run in consecutive(line.values):
        ends = [(k, *line.intervals[k]) for k in run if k in line.intervals]
        if len(ends) > 1:
            edge = [(frame.x(k), frame.y(high)) for k, _, high in ends]
            edge += [(frame.x(k), frame.y(low)) for k, low, _ in reversed(ends)]
            drawn.append(tag("path", class_=f"band {line.style}", d=path_of(edge, closed=True)))
        points = [(frame.x(k), frame.y(line.values[k])) for k in run]
        drawn.append(tag("path", class_=f"line {line.style}", d=path_of(points)))
    for k, value in line.rings.items():
        drawn.append(tag("circle", class_=f"ring {line.style}", cx=frame.x(k), cy=frame.y(value), r=2.6))
    if line.dots:
        drawn += [_dot(line, frame.x(k), frame.y(value)) for k, value in line.values.items()]
    return drawn


def _dot(line: OffsetLine, x: float, y: float) -> Html:
    if line.dots == "round":
        return tag("circle", class_=f"dot {line.style}", cx=x, cy=y, r=2)
    return tag("rect", class_=f"dot {line.style}", x=x - 1.8, y=y - 1.8, width=3.6, height=3.6)


def consecutive(offsets: Mapping[int, float]) -> list[list[int]]:
    """Offsets, ascending, in runs without a gap between them."""
    runs: list[list[int]] = []
    for k in sorted(offsets):
        if runs and k == runs[-1][-1] + 1:
            runs[-1].append(k)
        else:
            runs.append([k])
    return runs
