"""A mask as SVG: which cells of a small band attend to which, and which of the measured offsets it shows."""

from collections.abc import Mapping

from analysis.labels import RELATION_WORDS, offset_ticks
from analysis.offsets import MAX_OFFSET
from masks.small_band import PARTS, bars_to_draw, cell_kind, numbered_bars
from masks.spec import MaskSpec
from meloctl.formatting import number
from meloctl.html.axes import (
    LEFT,
    RIGHT,
    Frame,
    axes,
    name_across,
    name_up,
    readout_column,
    svg_chart,
    tick_step,
)
from meloctl.html.markup import Html, coordinate, tag

_LEAST_SCALE = 0.001
"""The axis of similarity reaches at least so high."""


def band_chart(spec: MaskSpec) -> Html:
    """The cells that each cell attends to; a row of the chart is the bar that attends. Bars count from 1, for musicians."""
    bars = bars_to_draw(spec)
    top, block = 6, (RIGHT - LEFT) / bars
    drawn = [tag("defs", *(_block(spec, k, block) for k in range(bars)))]
    for bar in range(bars):
        for earlier in range(bar + 1):
            x, y = LEFT + earlier * block, top + bar * block
            drawn.append(tag("use", href=f"#mask-{bar - earlier}", x=x, y=y))
    bottom = top + bars * block
    for bar in numbered_bars(bars):
        middle = (bar + 0.5) * block
        drawn.append(tag("text", str(bar + 1), x=LEFT + middle, y=bottom + 15, text_anchor="middle"))
        drawn.append(tag("text", str(bar + 1), x=LEFT - 6, y=top + middle + 4, text_anchor="end"))
    drawn.append(name_across("bar that is attended to", (LEFT + RIGHT) / 2, bottom))
    drawn.append(name_up("bar that attends", (top + bottom) / 2))
    drums = ", the first of them drums" if spec.drums == "exempt" else ""
    label = f"The mask among the cells of {bars} bars of {PARTS} parts{drums}: which earlier bars each bar attends to."
    return svg_chart(bottom + 38, *drawn, label=label)


def prior_chart(spec: MaskSpec) -> Html | None:
    """The similarities recorded in a mask, filled where it shows the offset; None where it records none."""
    priors = [(r, p) for r, p in (("same", spec.same_prior), ("cross", spec.cross_prior)) if p]
    if not priors:
        return None
    last = min(max(k for _, prior in priors for k in prior), 2 * MAX_OFFSET)
    highest = max(_LEAST_SCALE, *(v for _, prior in priors for v in prior.values()))
    step = tick_step(highest, most=4)
    drawn: list[Html] = []
    for i, (relation, prior) in enumerate(priors):
        top = 20 + 124 * i
        frame = Frame(left=LEFT, right=RIGHT, top=top, bottom=top + 96, offsets=(0, last), values=(0.0, 1.04 * highest))
        lowest = i == len(priors) - 1
        drawn += axes(frame, step=step, offsets=offset_ticks(last), across="bars back" if lowest else None, up=None)
        drawn.append(tag("text", RELATION_WORDS[relation], class_="name", x=LEFT, y=top - 6))
        drawn += _bars(spec, relation, prior, frame)
    label = "Bars: measured similarity by offset; filled where the mask shows the offset, hollow where it hides it."
    return svg_chart(20 + 124 * len(priors) + 12, *drawn, label=label)


def _block(spec: MaskSpec, offset: int, size: float) -> Html:
    """The cells of one bar that see those of another, `offset` bars earlier; drawn once, used in each place."""
    side = size * 0.88 / PARTS  # what is left is the gap between bars
    squares: dict[str, str] = {}
    for part in range(PARTS):
        for other in range(PARTS if offset else part + 1):
            kind = cell_kind(spec, part, other, offset)
            x, y, s = (coordinate(v) for v in (other * side, part * side, side))
            squares[kind] = squares.get(kind, "") + f"M{x} {y}h{s}v{s}h-{s}z"
    return tag("g", *(tag("path", class_=f"cell {k}", d=d) for k, d in squares.items()), id=f"mask-{offset}")


def _bars(spec: MaskSpec, relation: str, prior: Mapping[int, float], frame: Frame) -> list[Html]:
    drawn = []
    width = frame.column * 0.62
    for k, value in sorted(prior.items()):
        if k > frame.offsets[1]:
            break
        shown = spec.sees(relation, k)
        kind = f"{relation} bar" if shown else f"{relation} bar unsure"
        x, y = frame.x(k) - width / 2, frame.y(value)
        drawn.append(tag("rect", class_=kind, x=x, y=y, width=width, height=frame.bottom - y))
        drawn.append(readout_column(frame, k, f"{k} back: {number(value)}, {'shown' if shown else 'hidden'}"))
    return drawn
