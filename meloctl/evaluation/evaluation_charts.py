"""Charts of music as SVG: similarity by bars back, and histograms of metrics over pieces, of several sets in one chart."""

from collections.abc import Sequence
from dataclasses import dataclass

from meloctl.formatting import number, percent
from meloctl.html.axes import LEFT, RIGHT, Frame, axes, path_of, readout_column, svg_chart, tick_step, ticks
from meloctl.html.markup import Html, tag
from meloctl.html.offset_chart import OffsetLine, offset_chart

_TOP, _BOTTOM = 8, 212
_MOST_TICKS = 6


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Similarity by offset of one set of music."""

    name: str
    style: str
    """CSS classes of its line; colour alone must not tell two sets apart."""

    values: list[float | None]
    """Similarity at offsets 0, 1, …; None where no pair of bars is so far apart."""


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Values of a metric in one set of music."""

    name: str
    style: str
    """CSS classes of its area and lines; colour alone must not tell two sets apart."""

    shares: list[float]
    """Share of the pieces in each bin, 0..1."""

    mean: float | None


def curve_chart(curves: Sequence[Curve], variant: str) -> Html:
    """Similarity by bars back of several sets of music; `variant` names the similarity."""
    last = len(curves[0].values) - 1
    known = {c.name: {t: x for t, x in enumerate(c.values) if x is not None} for c in curves}
    readouts = {}
    for t in range(last + 1):
        values = [f"{name} {number(points[t])}" for name, points in known.items() if t in points]
        if values:
            readouts[t] = "; ".join([f"{t} back", *values])
    lines = [OffsetLine(style=c.style, values=known[c.name]) for c in curves]
    return offset_chart(lines, last=last, readouts=readouts, label=f"Similarity by bars back: {variant}")


def histogram_chart(sets: Sequence[Histogram], edges: Sequence[float], *, across: str) -> Html:
    """Shares of pieces by the value of a metric: an outlined area a set, and a line at its mean.

    Args:
        sets: with B bins each.
        edges: (B + 1) ends of the bins, ascending.
        across: the metric and its unit.
    """
    low, high = edges[0], edges[-1]
    highest = max(share for s in sets for share in s.shares)
    bins = (0, len(edges) - 2)
    frame = Frame(left=LEFT, right=RIGHT, top=_TOP, bottom=_BOTTOM, offsets=bins, values=(0.0, highest * 1.04))
    drawn = axes(frame, step=tick_step(highest), offsets=(), across=across, up="share of pieces")

    def x(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (RIGHT - LEFT)

    for value, text in ticks(low, high, step=tick_step(high - low, most=_MOST_TICKS)):
        drawn.append(tag("text", text, x=x(value), y=_BOTTOM + 15, text_anchor="middle"))
    for s in sets:
        steps = [(x(edge), frame.y(share)) for b, share in enumerate(s.shares) for edge in edges[b : b + 2]]
        area = [(x(low), frame.y(0)), *steps, (x(high), frame.y(0))]
        drawn.append(tag("path", class_=f"band {s.style}", d=path_of(area, closed=True)))
        drawn.append(tag("path", class_=f"line {s.style}", d=path_of(area)))
        if s.mean is not None:
            drawn.append(tag("path", class_=f"line {s.style}", d=path_of([(x(s.mean), _TOP), (x(s.mean), _BOTTOM)])))
    for b in range(len(edges) - 1):
        shares = [f"{s.name} {percent(s.shares[b])}" for s in sets]
        drawn.append(readout_column(frame, b, "; ".join([f"{number(edges[b])} to {number(edges[b + 1])}", *shares])))
    means = "; ".join(f"{s.name}: mean {number(s.mean)}" for s in sets)
    return svg_chart(_BOTTOM + 38, *drawn, label=f"Histogram over pieces: {across}. {means}.")
