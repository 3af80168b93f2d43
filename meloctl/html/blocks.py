"""Pieces of the page that several sections share."""

from collections.abc import Iterable, Sequence

from meloctl.html.markup import Content, Html, tag


def section(name: str, heading: str, *content: Content) -> Html:
    """A section that the contents at the top lead to."""
    return tag(
        "section", tag("h2", heading, id=f"{name}-heading"), *content, id=name, aria_labelledby=f"{name}-heading"
    )


def paragraph(*content: Content, name: str | None = None) -> Html:
    """A paragraph."""
    return tag("p", *content, class_=name)


def table(
    head: Sequence[str], rows: Iterable[Sequence[Content]], *, caption: str, words: int = 1, headed: bool = False
) -> Html:
    """A table; where `headed`, a heading stands for its caption.

    The first cell of a row names it; the first `words` columns are left-aligned.
    """
    top = tag("tr", *(tag("th", h, scope="col", class_=None if i < words else "n") for i, h in enumerate(head)))
    body = []
    for row in rows:
        cells = (tag("td", cell, class_=None if i < words else "n") for i, cell in enumerate(row[1:], 1))
        body.append(tag("tr", tag("th", row[0], scope="row"), *cells))
    made = tag("table", tag("thead", top), tag("tbody", *body), aria_label=caption)
    return boxed(made, caption, headed=headed)


def boxed(made: Html, caption: str, *, headed: bool = False) -> Html:
    """A table under its caption, in a box that scrolls by itself, by keyboard too."""
    box = tag("div", made, class_="box", role="region", aria_label=caption, tabindex="0")
    return tag("div", None if headed else tag("p", caption, class_="caption"), box)


def details(summary: str, *content: Content) -> Html:
    """Folded away until asked for."""
    return tag("details", tag("summary", summary), *content)


def figure(chart: Html, caption: Content, *, readout: bool = True) -> Html:
    """A chart with its caption, and a line where a script says what one points at."""
    line = tag("p", class_="readout", role="status") if readout else None
    return tag("figure", chart, line, tag("figcaption", caption))


def items(lines: Iterable[Content]) -> Html:
    """A list."""
    return tag("ul", *(tag("li", line) for line in lines))


def code(line: str) -> Html:
    """A command or a file's name."""
    return tag("code", line)
