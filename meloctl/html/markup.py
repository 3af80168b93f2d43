"""HTML and SVG, escaped by construction.

Any text that was not made here is escaped when it is put into a tag.
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from html import escape
from typing import TypeAlias


class Html(str):
    """Markup, which `tag` and `text` leave unchanged."""

    __slots__ = ()


Content: TypeAlias = "str | int | Iterable[Content] | None"
"""What a tag may hold: None is nothing, an iterable is its items in a row."""

_EMPTY = frozenset({"input", "link", "meta"})
"""Tags without an end tag, of those that are used here."""

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""Characters that HTML forbids, what turns the direction of writing, and halves of characters that UTF-8 cannot hold."""


def tag(name: str, /, *content: Content, **attributes: str | float | bool | None) -> Html:
    """An element. `class_` is class, `stroke_width` is stroke-width; None and False leave an attribute out, True has no value."""
    written = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    if name in _EMPTY:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{text(content)}</{name}>")


def text(content: Content) -> Html:
    """Content as markup; text is escaped, and characters that HTML forbids become U+FFFD."""
    if content is None:
        return Html("")
    if isinstance(content, Html):
        return content
    if isinstance(content, str | int):
        return Html(_escaped(str(content)))
    return Html("".join(map(text, content)))


def coordinate(value: float) -> str:
    """A number of an SVG, with two decimals at most."""
    rounded = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if rounded == "-0" else rounded


def content_policy(style: str, script: str, *more: str) -> str:
    """A Content-Security-Policy: nothing is fetched, no style and no script runs but these two; `more` are further directives."""

    def source(content: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

    lines = ("default-src 'none'", "img-src data:", f"style-src {source(style)}", f"script-src {source(script)}", *more)
    return "; ".join(lines)


def _attribute(name: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    written = value if isinstance(value, str) else coordinate(value)
    return f' {name}="{_escaped(written)}"'


def _escaped(plain: str) -> str:
    return escape(_UNPRINTABLE.sub("\ufffd", plain))
