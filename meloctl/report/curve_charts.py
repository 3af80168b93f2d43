"""A measure's curves in the report, as SVG: similarity by offset, and the test of its peaks."""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from analysis.labels import RELATION_WORDS, offset_ticks
from analysis.offsets import RELATIONS
from analysis.significance import LEAST_PEAK, Peak
from meloctl.formatting import interval, number, one_decimal
from meloctl.html.axes import LEFT, RIGHT, Frame, axes, readout_column, svg_chart, tick_step
from meloctl.html.markup import Html, tag
from meloctl.html.offset_chart import OffsetLine, offset_chart
from meloctl.report.report_table import Point, ReportCurve, ReportTable
from meloctl.report.report_text import p_equals, period_in_short, title_of

_LANE, _TOP = 130, 20

_T = TypeVar("_T")


def curve_chart(table: ReportTable, measure: str) -> Html:
    """Similarity by offset of both relations: means with intervals, means of pieces, and chance."""
    curves = _curves(table, measure)
    offsets = sorted({p.offset for c in curves for p in c.points})
    lines = [*(_chance_line(c) for c in curves), *(_mean_line(c) for c in curves)]
    readouts = {k: _readout(curves, k) for k in offsets}
    return offset_chart(lines, last=offsets[-1], readouts=readouts, label=_label(curves, measure))


def peak_chart(table: ReportTable, measure: str) -> Html | None:
    """The height of each offset's peak, a lane with a scale of its own for each relation; None where nothing was tested."""
    curves = [c for c in _curves(table, measure) if any(math.isfinite(p.height) for p in c.peaks)]
    if not curves:
        return None
    last = max(p.offset for c in curves for p in c.points)
    drawn: list[Html] = []
    for i, curve in enumerate(curves):
        top = _TOP + _LANE * i
        step, values = _scale(curve)
        frame = Frame(left=LEFT, right=RIGHT, top=top, bottom=top + 104, offsets=(0, last), values=values)
        across = "bars back" if i == len(curves) - 1 else None
        drawn += axes(frame, step=step, offsets=offset_ticks(last), across=across, up=None)
        drawn.append(tag("text", RELATION_WORDS[curve.relation], class_="name", x=LEFT, y=top - 6))
        drawn += [mark for p in curve.peaks for mark in _bar(frame, p)]
        drawn += [readout_column(frame, p.offset, _peak_readout(p)) for p in curve.peaks]
    periods = "; ".join(f"{RELATION_WORDS[c.relation]}: period {period_in_short(c)}" for c in curves)
    label = f"Bars: {title_of(measure)}, how far each offset stands out from its neighbours. {periods}."
    return svg_chart(_TOP + _LANE * len(curves) + 12, *drawn, label=label)


def _curves(table: ReportTable, measure: str) -> list[ReportCurve]:
    return [c for relation in RELATIONS if (c := table.curve(measure, relation))]


def _mean_line(curve: ReportCurve) -> OffsetLine:
    return OffsetLine(
        style=curve.relation,
        values=_by_offset(curve, lambda p: p.mean),
        intervals=_by_offset(curve, lambda p: p.interval),
        rings=_by_offset(curve, lambda p: p.piece_mean),
        dots="round" if curve.relation == "same" else "square",
    )


def _chance_line(curve: ReportCurve) -> OffsetLine:
    return OffsetLine(
        style=f"{curve.relation} chance",
        values=_by_offset(curve, lambda p: p.chance),
        intervals=_by_offset(curve, lambda p: p.chance_interval),
    )


def _by_offset(curve: ReportCurve, value: Callable[[Point], _T | None]) -> dict[int, _T]:
    return {p.offset: v for p in curve.points if (v := value(p)) is not None}


def _readout(curves: Sequence[ReportCurve], offset: int) -> str:
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


def _label(curves: Sequence[ReportCurve], measure: str) -> str:
    extremes = []
    for curve in curves:
        high, low = max(curve.points, key=lambda p: p.mean), min(curve.points, key=lambda p: p.mean)
        extremes.append(
            f"{RELATION_WORDS[curve.relation]}: highest {number(high.mean)} at {high.offset} bars back, "
            f"lowest {number(low.mean)} at {low.offset}"
        )
    return f"Line chart: {title_of(measure)} ({measure}), similarity by offset. {'; '.join(extremes)}."


def _scale(curve: ReportCurve) -> tuple[float, tuple[float, float]]:
    """Step between ticks, and the ends of an axis that holds 0 and all heights with their intervals."""
    values = [v for p in curve.peaks for v in (p.height, *p.interval) if math.isfinite(v)]
    low, high = min(*values, 0.0), max(*values, LEAST_PEAK)
    return tick_step(high - low, most=4), (1.04 * low, 1.04 * high)


def _bar(frame: Frame, p: Peak) -> list[Html]:
    if not math.isfinite(p.height):
        return []
    x, width = frame.x(p.offset), frame.column * 0.62
    zero, end = frame.y(0), frame.y(p.height)
    style = f"{p.relation} bar" if p.real else f"{p.relation} bar unsure"
    drawn = [tag("rect", class_=style, x=x - width / 2, y=min(zero, end), width=width, height=abs(zero - end))]
    if all(map(math.isfinite, p.interval)):
        low, high = (frame.y(v) for v in p.interval)
        drawn.append(tag("line", class_="whisker", x1=x, x2=x, y1=low, y2=high))
    return drawn


def _peak_readout(p: Peak) -> str:
    test = f"effect size {one_decimal(p.effect)}, {p_equals(p.p)}: {'a real peak' if p.real else 'no peak'}"
    return f"{p.offset} back: {number(p.height)} ({interval(p.interval)})\n{test}"
