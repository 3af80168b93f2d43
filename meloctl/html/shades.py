"""Heat maps as tables: every cell is a number too, and a reader without sight hears it with its row and column."""

import math
from collections.abc import Iterable, Sequence

from meloctl.formatting import number, whole
from meloctl.html.blocks import boxed
from meloctl.html.markup import Html, tag
from meloctl.report.family_maps import FEW_PAIRS, MOST_LINES, FamilyMap, MapCell, MapLine

STEPS = 16
"""Shades of a map."""

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

_LIGHT: tuple[Colour, ...] = ((250, 249, 246), (139, 186, 216), (18, 62, 99))
_DARK: tuple[Colour, ...] = ((28, 31, 35), (34, 92, 136), (165, 219, 250))
"""Least, middle and most, on a light and on a dark page."""

_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


def same_bar_map(found: FamilyMap, caption: str) -> Html:
    """Every pair of families that meets in one bar."""
    most = _scale(found.same_bar.values())
    head = tag("tr", tag("td"), *(tag("th", tag("span", f), scope="col", class_="turned") for f in found.families))
    rows = []
    for later in found.families:
        cells = (_cell(found.same_bar.get((later, f)), f"{later} and {f}", most) for f in found.families)
        rows.append(tag("tr", tag("th", later, scope="row"), *cells))
    body = tag("table", tag("thead", head), tag("tbody", *rows), class_="heat", aria_label=caption)
    return tag("div", boxed(body, caption), legend(most))


def by_offset_map(found: FamilyMap, caption: str) -> Html:
    """The commonest families by offset: within a part, then between two."""
    groups = [("own part", found.own[:MOST_LINES]), ("two parts", found.across[:MOST_LINES])]
    lines = [line for _, group in groups for line in group]
    most = _scale(cell for line in lines for cell in line.cells.values())
    offsets = range(max((k for line in lines for k in line.cells), default=0) + 1)
    head = tag("tr", tag("td"), *(tag("th", str(k), scope="col") for k in offsets))
    bodies = [_lines(name, group, offsets, most) for name, group in groups if group]
    body = tag("table", tag("thead", head), *bodies, class_="heat", aria_label=caption)
    return tag("div", boxed(body, caption), legend(most))


def legend(most: float) -> Html:
    """What the shades mean."""
    shades = [tag("span", class_=f"shade h{i}") for i in range(0, STEPS, 3)]
    return tag(
        "p",
        tag("span", "0 ", *shades, f" {most:.1f}", class_="scale"),
        tag("span", tag("span", class_="shade few"), f" hatched: fewer than {FEW_PAIRS} pairs, not to be relied on"),
        tag("span", tag("span", class_="shade none"), " blank: never compared"),
        class_="legend",
    )


def shades_css() -> str:
    """The shades as CSS, for a light and a dark page; text on each has the greater contrast of black and white."""
    light, dark = ("".join(_rule(i, stops) for i in range(STEPS)) for stops in (_LIGHT, _DARK))
    return f"{light}@media screen and (prefers-color-scheme:dark){{{dark}}}"


def shade(i: int, stops: Sequence[Colour]) -> Colour:
    """Colour of a step, the stops evenly apart."""
    at, share = divmod(i * (len(stops) - 1) / (STEPS - 1), 1)
    near, far = stops[int(at)], stops[min(int(at) + 1, len(stops) - 1)]
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(near, far, strict=True))
    return red, green, blue


def contrast(a: Colour, b: Colour) -> float:
    """WCAG 2.2's contrast ratio, 1 to 21."""
    bright, dim = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def _rule(i: int, stops: Sequence[Colour]) -> str:
    back = shade(i, stops)
    ink = max((_BLACK, _WHITE), key=lambda colour: contrast(colour, back))
    return f".h{i}{{background-color:{_hex(back)};color:{_hex(ink)}}}"


def _luminance(colour: Colour) -> float:
    linear = [(c / 255 / 12.92) if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{c:02x}" for c in colour)


def _scale(cells: Iterable[MapCell]) -> float:
    """The top of the scale: the highest mean that can be relied on, rounded up to a tenth."""
    means = [c.mean for c in cells if c.pairs >= FEW_PAIRS and math.isfinite(c.mean)]
    return min(max(math.ceil(round(max(means, default=1.0) * 10, 6)), 1), 10) / 10


def _cell(cell: MapCell | None, where: str, most: float) -> Html:
    if cell is None or not math.isfinite(cell.mean):
        return tag("td", class_="none")
    step = min(max(round(cell.mean / most * (STEPS - 1)), 0), STEPS - 1)
    few = " few" if cell.pairs < FEW_PAIRS else ""
    said = f"{cell.mean:.2f}".removeprefix("0")
    return tag("td", said, class_=f"h{step}{few}", title=f"{where}: {number(cell.mean)}, {whole(cell.pairs)} pairs")


def _lines(name: str, lines: Sequence[MapLine], offsets: range, most: float) -> Html:
    head = tag("tr", tag("th", name, scope="rowgroup", colspan=str(len(offsets) + 1)))
    rows = []
    for line in lines:
        cells = (_cell(line.cells.get(k), f"{line.name}, {k} back", most) for k in offsets)
        rows.append(tag("tr", tag("th", line.name, scope="row"), *cells))
    return tag("tbody", head, *rows)
