"""A mask as SVG: who sees whom in a small band, and which of the measured offsets are shown."""

from collections.abc import Mapping

from analysis.offsets import MAX_OFFSET
from masks.spec import MaskSpec
from meloctl.formatting import number
from meloctl.html.axes import (
    LEFT,
    RIGHT,
    Frame,
    axes,
    name_across,
    name_up,
    offset_ticks,
    readout_column,
    svg_chart,
    tick_step,
)
from meloctl.html.markup import Html, coordinate, tag
from meloctl.report.report_text import RELATION_WORDS

_PARTS = 3
_MOST_BARS = 36


def band_chart(spec: MaskSpec) -> Html:
    """Cells that attend to cells: a row of the picture looks back along it. Bars count from 1, for musicians."""
    offsets = () if spec.same == "full" else spec.same
    bars = min(_MOST_BARS, max(12, spec.near + 4, *(k + 4 for k in (*spec.far, *offsets))))
    top, block = 6, (RIGHT - LEFT) / bars
    drawn = [tag("defs", *(_block(spec, k, block) for k in range(bars)))]
    for bar in range(bars):
        for heard in range(bar + 1):
            place = (LEFT + heard * block, top + bar * block)
            drawn.append(tag("use", href=f"#mask-{bar - heard}", x=place[0], y=place[1]))
    every = 1 if bars <= 16 else 4
    bottom = top + bars * block
    for bar in range(0, bars, every):
        middle = (bar + 0.5) * block
        drawn.append(tag("text", str(bar + 1), x=LEFT + middle, y=bottom + 15, text_anchor="middle"))
        drawn.append(tag("text", str(bar + 1), x=LEFT - 6, y=top + middle + 4, text_anchor="end"))
    drawn.append(name_across("bar that is attended to", (LEFT + RIGHT) / 2, bottom))
    drawn.append(name_up("bar that attends", (top + bottom) / 2))
    drums = ", the first of them drums" if spec.drums == "exempt" else ""
    label = f"The mask among the cells of {bars} bars of {_PARTS} parts{drums}: which earlier bar each bar listens to."
    return svg_chart(bottom + 38, *drawn, label=label)


def shown_chart(spec: MaskSpec) -> Html | None:
    """The similarities that the mask was made of: filled where it shows the offset. None where it records none."""
    priors = [(r, p) for r, p in (("same", spec.same_prior), ("cross", spec.cross_prior)) if p]
    if not priors:
        return None
    last = min(max(k for _, prior in priors for k in prior), 2 * MAX_OFFSET)
    highest = max(v for _, prior in priors for v in prior.values())
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
    """What the parts of one bar see of those of another, that many bars earlier; drawn once, used in each place."""
    side = size * 0.88 / _PARTS  # what is left is the gap between bars
    squares: dict[str, str] = {}
    for part in range(_PARTS):
        for other in range(_PARTS if offset else part + 1):
            drums = spec.drums == "exempt" and 0 in (part, other)
            relation = "same" if part == other else "drums" if drums else "cross"
            kind = relation if spec.sees(relation, offset) else "hidden"
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
