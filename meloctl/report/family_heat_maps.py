"""Heat maps by instrument family as tables: a cell is a number too, so a screen reader reads it with its row and column."""

import math
from collections.abc import Iterable, Sequence

from analysis.family_map import FEW_PAIRS, MOST_LINES, FamilyMap, MapCell, MapLine
from meloctl.formatting import number, whole
from meloctl.html.blocks import scroll_box
from meloctl.html.markup import Html, tag
from meloctl.html.shades import shade_class, shade_scale


def same_bar_map(families: FamilyMap, caption: str) -> Html:
    """Every pair of families that share a bar."""
    most = _scale(families.same_bar.values())
    heads = (tag("th", tag("span", f), scope="col", class_="turned") for f in families.families)
    rows = []
    for later in families.families:
        cells = (_cell(families.same_bar.get((later, f)), f"{later} and {f}", most) for f in families.families)
        rows.append(tag("tr", tag("th", later, scope="row"), *cells))
    return _heat_map(tag("tr", tag("td"), *heads), [tag("tbody", *rows)], most, caption)


def by_offset_map(families: FamilyMap, caption: str) -> Html:
    """The families compared most often, by offset: first within a part, then between two parts."""
    groups = [("own part", families.own[:MOST_LINES]), ("two parts", families.across[:MOST_LINES])]
    lines = [line for _, group in groups for line in group]
    most = _scale(cell for line in lines for cell in line.cells.values())
    offsets = range(max((k for line in lines for k in line.cells), default=0) + 1)
    head = tag("tr", tag("td"), *(tag("th", str(k), scope="col") for k in offsets))
    bodies = [_lines(name, group, offsets, most) for name, group in groups if group]
    return _heat_map(head, bodies, most, caption)


def _heat_map(head: Html, bodies: Sequence[Html], most: float, caption: str) -> Html:
    table = tag("table", tag("thead", head), *bodies, class_="heat", aria_label=caption)
    return tag("div", scroll_box(table, caption), _legend(most))


def _legend(most: float) -> Html:
    return tag(
        "p",
        shade_scale(most),
        tag("span", tag("span", class_="shade few"), f" hatched: fewer than {FEW_PAIRS} pairs, not to be relied on"),
        tag("span", tag("span", class_="shade none"), " blank: never compared"),
        class_="legend",
    )


def _scale(cells: Iterable[MapCell]) -> float:
    """The top of the scale: the highest mean of FEW_PAIRS pairs or more, rounded up to a tenth."""
    means = [c.mean for c in cells if c.pairs >= FEW_PAIRS and math.isfinite(c.mean)]
    return min(max(math.ceil(round(max(means, default=1.0) * 10, 6)), 1), 10) / 10


def _cell(cell: MapCell | None, where: str, most: float) -> Html:
    if cell is None or not math.isfinite(cell.mean):
        return tag("td", class_="none")
    few = " few" if cell.pairs < FEW_PAIRS else ""
    short = f"{cell.mean:.2f}".removeprefix("0")
    title = f"{where}: {number(cell.mean)}, {whole(cell.pairs)} pairs"
    return tag("td", short, class_=f"{shade_class(cell.mean, most)}{few}", title=title)


def _lines(name: str, lines: Sequence[MapLine], offsets: range, most: float) -> Html:
    head = tag("tr", tag("th", name, scope="rowgroup", colspan=str(len(offsets) + 1)))
    rows = []
    for line in lines:
        cells = (_cell(line.cells.get(k), f"{line.name}, {k} back", most) for k in offsets)
        rows.append(tag("tr", tag("th", line.name, scope="row"), *cells))
    return tag("tbody", head, *rows)
