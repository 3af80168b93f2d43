"""Blocks of a page: sections, paragraphs, tables, figures, lists."""

from collections.abc import Iterable, Sequence

from meloctl.html.markup import Content, Html, tag


def section(name: str, heading: str, *content: Content) -> Html:
    """A section with its heading; a link to #`name` leads there."""
    return tag(
        "section", tag("h2", heading, id=f"{name}-heading"), *content, id=name, aria_labelledby=f"{name}-heading"
    )


def paragraph(*content: Content, class_: str | None = None) -> Html:
    """A paragraph."""
    return tag("p", *content, class_=class_)


def table(
    head: Sequence[str], rows: Iterable[Sequence[Content]], *, caption: str, words: int = 1, headed: bool = False
) -> Html:
    """A table under its caption.

    Args:
        head: the names of the columns.
        rows: cells; the first cell of a row names it.
        caption: over the table, and its name for screen readers.
        words: so many columns from the left hold words; the others hold numbers and are aligned to the right.
        headed: a heading stands above it already, so the caption is not shown.
    """
    top = tag("tr", *(tag("th", h, scope="col", class_=None if i < words else "n") for i, h in enumerate(head)))
    body = []
    for row in rows:
        cells = (tag("td", cell, class_=None if i < words else "n") for i, cell in enumerate(row[1:], 1))
        body.append(tag("tr", tag("th", row[0], scope="row"), *cells))
    element = tag("table", tag("thead", top), tag("tbody", *body), aria_label=caption)
    return scroll_box(element, caption, headed=headed)


def scroll_box(element: Html, caption: str, *, headed: bool = False) -> Html:
    """A table under its caption, in a box that scrolls by itself, by keyboard too."""
    box = tag("div", element, class_="box", role="region", aria_label=caption, tabindex="0")
    return tag("div", None if headed else tag("p", caption, class_="caption"), box)


def details(summary: str, *content: Content) -> Html:
    """Content that is folded away until one opens it."""
    return tag("details", tag("summary", summary), *content)


def figure(chart: Html, caption: Content, *, readout: bool = True) -> Html:
    """A chart with its caption; with `readout`, a line in which readout.js says what one points at."""
    line = tag("p", class_="readout", role="status") if readout else None
    return tag("figure", chart, line, tag("figcaption", caption))


def items(lines: Iterable[Content]) -> Html:
    """A list."""
    return tag("ul", *(tag("li", line) for line in lines))


def code(line: str) -> Html:
    """A command line, or the name of a file or a measure."""
    return tag("code", line)
