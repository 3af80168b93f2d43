"""What was asked of a piece, and how its bars came out: the words, and a small chart of each attribute of which something was
said."""

from collections.abc import Sequence

from meloctl.formatting import capitalised, number
from meloctl.html.axes import LEFT, RIGHT, Frame, path_of, svg_chart
from meloctl.html.markup import Html, tag
from meloctl.html.offset_chart import consecutive
from meloctl.play.asked import AskedPiece
from meloctl.rows.attributes import ATTRIBUTES

_SHOWN = {
    "tempo": ("quarter notes a minute", lambda x: f"{2**x:.0f}"),
    "density": ("notes a quarter", lambda x: f"{2**x:.1f}"),
    "register": ("octaves above middle C", number),
    "loudness": ("velocity", lambda x: f"{127 * x:.0f}"),
    "articulation": ("length, as a share of the time to the next note", lambda x: f"{2**x:.2f}"),
    "leaps": ("semitones", lambda x: f"{x:.1f}"),
    "mode": ("major above 0, minor below", number),
    "parts": ("how many play", lambda x: f"{2**x:.1f}"),
}
"""What each chart shows, and how its values are written."""

_HEIGHT = 74
_LEAST_SPAN = {"tempo": 0.4, "density": 1.0, "register": 0.5, "loudness": 0.1, "leaps": 2.0, "mode": 0.2, "parts": 1.0}
_SPAN = 0.5
"""Differences that are smaller do not fill a chart."""


def asked_section(index: int, piece: AskedPiece) -> Html:
    """The part of the page that says what was asked of a piece; it is hidden but for the first piece.

    Args:
        index: of the piece on the page.
        piece: what was asked, and what was measured.
    """
    asked = piece.asked
    named = [a for a in range(len(ATTRIBUTES)) if any(bar[a] is not None for bar in asked.wanted)]
    charts = [_chart(a, piece) for a in named]
    key = "Dashes: what was asked of each new bar. Line: what it came to."
    return tag(
        "section",
        *(tag("p", line) for line in _words(piece)),
        tag("div", *charts, class_="lanes"),
        tag("p", key, class_="hint") if charts else None,
        class_="asked",
        aria_label="What was asked, and what came of it",
        data_piece=str(index),
        hidden=index > 0,
    )


def _words(piece: AskedPiece) -> list[str]:
    """What was asked, and what was understood of it."""
    asked = piece.asked
    if asked.like is not None:
        return [f"Asked to be like {asked.like}, bar by bar"]
    quoted = [f"“{text.text}”" + (f" from new bar {text.bar} on" if text.bar > 1 else "") for text in asked.texts]
    return [f"Asked: {', '.join(quoted)}", *map(capitalised, asked.understood)]


def _chart(a: int, piece: AskedPiece) -> Html:
    """A small chart of one attribute by bar."""
    name, first = ATTRIBUTES[a], piece.asked.first_bar
    unit, written = _SHOWN[name]
    wanted = {first + b: bar[a] for b, bar in enumerate(piece.asked.wanted)}
    measured = {first + b: bar[a] for b, bar in enumerate(piece.measured)}
    lines = {
        kind: {b: x for b, x in line.items() if x is not None}
        for kind, line in (("wanted", wanted), ("measured", measured))
    }
    every = [x for line in lines.values() for x in line.values()]
    middle, span = (min(every) + max(every)) / 2, max(max(every) - min(every), _LEAST_SPAN.get(name, _SPAN))
    low, high = middle - span / 2, middle + span / 2
    frame = Frame(
        left=LEFT,
        right=RIGHT,
        top=8,
        bottom=_HEIGHT - 18,
        offsets=(first, max(max(wanted), first)),
        values=(low - 0.06 * span, high + 0.06 * span),
    )
    marks = [
        tag("line", class_="grid", x1=frame.left, x2=frame.right, y1=frame.y(x), y2=frame.y(x)) for x in (low, high)
    ]
    labels = [tag("text", written(x), x=frame.left - 5, y=frame.y(x) + 4, text_anchor="end") for x in (low, high)]
    ends = [
        tag("text", f"bar {first}", x=frame.left, y=_HEIGHT - 4),
        tag("text", str(max(wanted)), x=frame.right, y=_HEIGHT - 4, text_anchor="end"),
    ]
    label = f"{name}, {unit}: asked and measured by bar"
    drawn = [*_steps(frame, lines["wanted"]), *_line(frame, lines["measured"])]
    return tag(
        "figure",
        tag("figcaption", tag("strong", name), f", {unit}"),
        svg_chart(_HEIGHT, *marks, *labels, *ends, *drawn, label=label),
    )


def _steps(frame: Frame, values: dict[int, float]) -> list[Html]:
    """A dash as wide as the bar at each value, joined where bars follow each other."""
    half = frame.column / 2
    return [
        tag("path", class_="line wanted", d=path_of([p for b in run for p in _dash(frame, b, values[b], half)]))
        for run in consecutive(values)
    ]


def _dash(frame: Frame, bar: int, value: float, half: float) -> Sequence[tuple[float, float]]:
    return (frame.x(bar) - half, frame.y(value)), (frame.x(bar) + half, frame.y(value))


def _line(frame: Frame, values: dict[int, float]) -> list[Html]:
    """A line through the values of bars that follow each other; a dot where a bar stands alone."""
    drawn = []
    for run in consecutive(values):
        if len(run) > 1:
            drawn.append(
                tag("path", class_="line measured", d=path_of([(frame.x(b), frame.y(values[b])) for b in run]))
            )
        else:
            drawn.append(tag("circle", class_="dot measured", cx=frame.x(run[0]), cy=frame.y(values[run[0]]), r=2))
    return drawn
