"""The curves of one measure, and the test of its peaks, as SVG."""

import math
from collections.abc import Callable, Iterable

from analysis.offsets import RELATIONS
from analysis.significance import LEAST_PEAK, Peak
from meloctl.formatting import interval, number, one_decimal
from meloctl.html.axes import WIDTH, Frame, axes, column_of, offset_ticks, path_of, picture, step_for
from meloctl.html.markup import Html, tag
from meloctl.report.report_table import Curve, Interval, Point, Table
from meloctl.report.report_text import RELATION_WORDS, p_equals, period_in_short, title_of

_LEFT, _RIGHT = 44, WIDTH - 6


def curve_chart(table: Table, measure: str) -> Html:
    """Similarity by offset for both relations: means with intervals, means of pieces, and chance."""
    curves = _curves(table, measure)
    points = [p for c in curves for p in c.points]
    highest = max(v for p in points for v in _values(p))
    step = step_for(highest)
    last = max(p.offset for p in points)
    frame = Frame(
        left=_LEFT, right=_RIGHT, top=8, bottom=212, offsets=(0, last), values=(0.0, max(highest * 1.04, step))
    )
    drawn = [
        *axes(frame, step=step, ticks=offset_ticks(last), across="bars back", up="similarity"),
        *(mark for curve in curves for mark in _chance(frame, curve)),
        *(mark for curve in curves for mark in _means(frame, curve)),
        *(column_of(frame, k, _said(curves, k)) for k in sorted({p.offset for p in points})),
    ]
    return picture(250, *drawn, label=_label(curves, measure))


def peak_chart(table: Table, measure: str) -> Html | None:
    """How far each offset stands out from its neighbours, a lane with its own scale a relation; None where nothing was tested."""
    curves = [c for c in _curves(table, measure) if any(math.isfinite(p.height) for p in c.peaks)]
    if not curves:
        return None
    last = max(p.offset for c in curves for p in c.points)
    drawn: list[Html] = []
    for i, curve in enumerate(curves):
        lowest = i == len(curves) - 1
        top = 20 + 130 * i
        step, values = _span(curve)
        frame = Frame(left=_LEFT, right=_RIGHT, top=top, bottom=top + 104, offsets=(0, last), values=values)
        drawn += axes(frame, step=step, ticks=offset_ticks(last), across="bars back" if lowest else None, up=None)
        drawn.append(tag("text", RELATION_WORDS[curve.relation], class_="name", x=_LEFT, y=top - 6))
        drawn += [bar for p in curve.peaks for bar in _bar(frame, p)]
        drawn += [column_of(frame, p.offset, _peak_said(p)) for p in curve.peaks]
    found = "; ".join(f"{RELATION_WORDS[c.relation]}: period {period_in_short(c)}" for c in curves)
    label = f"Bars: {title_of(measure)}, how far each offset stands out from its neighbours. {found}."
    return picture(20 + 130 * len(curves) + 12, *drawn, label=label)


def _span(curve: Curve) -> tuple[float, tuple[float, float]]:
    """Distance of ticks, and least and highest value of a curve's peaks, 0 among them."""
    values = [v for p in curve.peaks for v in (p.height, *p.interval) if math.isfinite(v)]
    low, high = min(*values, 0.0), max(*values, LEAST_PEAK)
    return step_for(high - low, ticks=4), (1.04 * low, 1.04 * high)


def _curves(table: Table, measure: str) -> list[Curve]:
    return [c for relation in RELATIONS if (c := table.curve(measure, relation))]


def _values(p: Point) -> Iterable[float]:
    for value in (p.mean, p.piece_mean, p.chance):
        if value is not None:
            yield value
    for ends in (p.interval, p.chance_interval):
        if ends is not None:
            yield ends[1]


def _chance(frame: Frame, curve: Curve) -> list[Html]:
    drawn = []
    for run in _runs(curve, lambda p: p.chance is not None):
        drawn += _band(frame, run, lambda p: p.chance_interval, f"{curve.relation} band chance")
        line = path_of([(frame.x(p.offset), frame.y(p.chance or 0.0)) for p in run])
        drawn.append(tag("path", class_=f"{curve.relation} line chance", d=line))
    return drawn


def _means(frame: Frame, curve: Curve) -> list[Html]:
    drawn = []
    for run in _runs(curve, lambda p: math.isfinite(p.mean)):
        drawn += _band(frame, run, lambda p: p.interval, f"{curve.relation} band")
        line = path_of([(frame.x(p.offset), frame.y(p.mean)) for p in run])
        drawn.append(tag("path", class_=f"{curve.relation} line", d=line))
    for p in curve.points:
        x = frame.x(p.offset)
        if p.piece_mean is not None:
            drawn.append(tag("circle", class_=f"{curve.relation} ring", cx=x, cy=frame.y(p.piece_mean), r=2.6))
        drawn.append(_dot(curve.relation, x, frame.y(p.mean)))
    return drawn


def _dot(relation: str, x: float, y: float) -> Html:
    """Round for one's own part, square for others: colour alone must not tell them apart."""
    if relation == "same":
        return tag("circle", class_="same dot", cx=x, cy=y, r=2)
    return tag("rect", class_="cross dot", x=x - 1.8, y=y - 1.8, width=3.6, height=3.6)


def _band(frame: Frame, run: list[Point], interval: Callable[[Point], Interval | None], name: str) -> list[Html]:
    ends = [(frame.x(p.offset), *i) for p in run if (i := interval(p)) is not None]
    if len(ends) < 2:
        return []
    edge = [(x, frame.y(high)) for x, _, high in ends] + [(x, frame.y(low)) for x, low, _ in reversed(ends)]
    return [tag("path", class_=name, d=path_of(edge, closed=True))]


def _runs(curve: Curve, known: Callable[[Point], bool]) -> list[list[Point]]:
    """Points in a row: a line never crosses an offset that was not measured."""
    runs: list[list[Point]] = []
    for p in filter(known, curve.points):
        if runs and p.offset == runs[-1][-1].offset + 1:
            runs[-1].append(p)
        else:
            runs.append([p])
    return runs


def _said(curves: list[Curve], offset: int) -> str:
    lines = [f"{offset} back" if offset else "same bar"]
    for curve in curves:
        p = curve.at(offset)
        if p is None:
            continue
        line = f"{RELATION_WORDS[curve.relation]} {number(p.mean)}"
        line += f" ({interval(p.interval)})" if p.interval else ""
        line += f", mean of pieces {number(p.piece_mean)}" if p.piece_mean is not None else ""
        line += f", by chance {number(p.chance)}" if p.chance is not None else ""
        lines.append(line)
    return "\n".join(lines)


def _label(curves: list[Curve], measure: str) -> str:
    said = []
    for curve in curves:
        high, low = max(curve.points, key=lambda p: p.mean), min(curve.points, key=lambda p: p.mean)
        said.append(
            f"{RELATION_WORDS[curve.relation]}: highest {number(high.mean)} at {high.offset} bars back, "
            f"lowest {number(low.mean)} at {low.offset}"
        )
    return f"Line chart: {title_of(measure)} ({measure}), similarity by offset. {'; '.join(said)}."


def _bar(frame: Frame, p: Peak) -> list[Html]:
    if not math.isfinite(p.height):
        return []
    x, width = frame.x(p.offset), frame.column * 0.62
    zero, end = frame.y(0), frame.y(p.height)
    kind = f"{p.relation} bar" if p.real else f"{p.relation} bar unsure"
    drawn = [tag("rect", class_=kind, x=x - width / 2, y=min(zero, end), width=width, height=abs(zero - end))]
    if all(map(math.isfinite, p.interval)):
        low, high = (frame.y(v) for v in p.interval)
        drawn.append(tag("line", class_="whisker", x1=x, x2=x, y1=low, y2=high))
    return drawn


def _peak_said(p: Peak) -> str:
    certain = f"effect size {one_decimal(p.effect)}, {p_equals(p.p)}: {'a real peak' if p.real else 'no peak'}"
    return f"{p.offset} back: {number(p.height)} ({interval(p.interval)})\n{certain}"
