"""A whole page: one HTML file that needs nothing else, on any screen, in a light and a dark room."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from meloctl.html.markup import Html, content_policy, tag
from meloctl.html.shades import shades_css


def document(
    title: str,
    *body: Html,
    style: str = "",
    script: str = "",
    data: Mapping[str, Any] | None = None,
    allow: Sequence[str] = (),
) -> str:
    """A whole HTML file. Style and script stand in it, and its Content-Security-Policy lets it fetch nothing else.

    Args:
        title: what the browser shows for the page.
        body: a header and a main part.
        style: CSS behind base.css, which has the colours and the type.
        script: JavaScript that runs once the body is there.
        data: {id: JSON value} that the script reads, each in an element of its own.
        allow: more directives of the policy, such as "media-src data:".
    """
    css, code = Html(resource("meloctl.html", "base.css") + style), Html(script)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=content_policy(css, code, *allow)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("link", rel="icon", href="data:,"),
        tag("style", css),
    )
    values = [tag("script", json_in_html(v), type="application/json", id=k) for k, v in (data or {}).items()]
    return f"<!DOCTYPE html>\n{tag('html', head, tag('body', *body, *values, tag('script', code)), lang='en')}\n"


def chart_document(title: str, *body: Html) -> str:
    """A whole HTML file of sections with tables, charts and heat maps; a script says under each chart what one points at."""
    style = resource("meloctl.html", "charts.css") + shades_css()
    return document(title, *body, style=style, script=resource("meloctl.html", "readout.js"))


def resource(package: str, name: str) -> str:
    """The text of a style sheet or a script that is installed beside a package's modules."""
    return (files(package) / name).read_text(encoding="utf-8")


def json_in_html(data: Any) -> Html:
    """JSON that may stand in a <script>: nothing in it can close that tag or open a comment."""
    return Html(json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"))
