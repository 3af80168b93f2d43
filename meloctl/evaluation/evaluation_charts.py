"""Charts of music as SVG: similarity by bars back, and histograms of metrics over pieces, of several sets in one chart."""

from collections.abc import Sequence
from dataclasses import dataclass

from meloctl.formatting import number, percent
from meloctl.html.axes import WIDTH, Frame, axes, column_of, offset_ticks, path_of, picture, round_ticks, step_for
from meloctl.html.markup import Html, tag

_LEFT, _RIGHT, _TOP, _BOTTOM = 52, WIDTH - 6, 8, 212
_HEIGHT = _BOTTOM + 38


@dataclass(frozen=True, kw_only=True)
class CurveLine:
    """A set of music in a chart of similarity by bars back."""

    name: str
    css: str
    """Classes of its line; colour alone must not tell two sets apart."""

    values: list[float | None]
    """Similarity at offsets 0, 1, …; None where no pair of bars is so far apart."""


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """A set of music in a histogram."""

    name: str
    css: str
    """Colour class of its area, and of its line."""

    shares: list[float]
    """Share of the pieces in each bin, 0..1."""

    mean: float | None


def curve_chart(sets: Sequence[CurveLine], variant: str) -> Html:
    """Similarity by bars back, a line a set; `variant` names the similarity."""
    last = len(sets[0].values) - 1
    highest = max(0.001, *(x for s in sets for x in s.values if x is not None))
    frame = Frame(left=_LEFT, right=_RIGHT, top=_TOP, bottom=_BOTTOM, offsets=(0, last), values=(0.0, highest * 1.04))
    drawn = axes(frame, step=step_for(highest), ticks=offset_ticks(last), across="bars back", up="similarity")
    for s in sets:
        for span in _spans(s.values):
            line = path_of([(frame.x(t), frame.y(x)) for t, x in span])
            drawn.append(tag("path", class_=f"line {s.css}", d=line))
    for t in range(last + 1):
        values = [f"{s.name} {number(s.values[t])}" for s in sets if s.values[t] is not None]
        if values:
            drawn.append(column_of(frame, t, "; ".join([f"{t} back", *values])))
    return picture(_HEIGHT, *drawn, label=f"Similarity by bars back: {variant}")


def histogram_chart(sets: Sequence[Histogram], edges: Sequence[float], *, across: str) -> Html:
    """Shares of pieces by the value of a metric, an outlined area a set, with a line at its mean.

    Args:
        sets: with B bins each.
        edges: (B + 1) ends of the bins, ascending.
        across: the metric and its unit.
    """
    low, high = edges[0], edges[-1]
    highest = max(0.001, *(share for s in sets for share in s.shares))
    bins = (0, len(edges) - 2)
    frame = Frame(left=_LEFT, right=_RIGHT, top=_TOP, bottom=_BOTTOM, offsets=bins, values=(0.0, highest * 1.04))
    drawn = axes(frame, step=step_for(highest), ticks=(), across=across, up="share of pieces")

    def x(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (_RIGHT - _LEFT)

    for value, label in round_ticks(low, high, most=6):
        drawn.append(tag("text", label, x=x(value), y=_BOTTOM + 15, text_anchor="middle"))
    for s in sets:
        steps = [(x(edge), frame.y(share)) for b, share in enumerate(s.shares) for edge in edges[b : b + 2]]
        area = [(x(low), frame.y(0)), *steps, (x(high), frame.y(0))]
        drawn.append(tag("path", class_=f"band {s.css}", d=path_of(area, closed=True)))
        drawn.append(tag("path", class_=f"line {s.css}", d=path_of(area)))
        if s.mean is not None:
            drawn.append(tag("path", class_=f"line {s.css}", d=path_of([(x(s.mean), _TOP), (x(s.mean), _BOTTOM)])))
    for b in range(len(edges) - 1):
        shares = [f"{s.name} {percent(s.shares[b])}" for s in sets]
        drawn.append(column_of(frame, b, "; ".join([f"{number(edges[b])} to {number(edges[b + 1])}", *shares])))
    means = "; ".join(f"{s.name}: mean {number(s.mean)}" for s in sets)
    return picture(_HEIGHT, *drawn, label=f"Histogram over pieces: {across}. {means}.")


def _spans(values: list[float | None]) -> list[list[tuple[int, float]]]:
    """Neighbouring (offset, value)s: a line never crosses an offset without a value."""
    spans: list[list[tuple[int, float]]] = [[]]
    for t, x in enumerate(values):
        if x is not None:
            spans[-1].append((t, x))
        elif spans[-1]:
            spans.append([])
    return [span for span in spans if span]
