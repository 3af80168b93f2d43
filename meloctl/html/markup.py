"""HTML and SVG that cannot be broken by a text: everything is escaped unless it was made here."""

import base64
import hashlib
import re
from collections.abc import Iterable
from html import escape
from typing import TypeAlias


class Html(str):
    """Markup; any other text is escaped when it is put into a tag."""

    __slots__ = ()


Content: TypeAlias = "str | int | Iterable[Content] | None"
"""What a tag may hold. None is nothing; what iterables hold comes one after the other."""

_EMPTY = frozenset({"input", "link", "meta"})
"""Tags without an end, of those that are used here."""

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Characters that HTML forbids, and halves of characters that UTF-8 cannot hold."""


def tag(name: str, /, *content: Content, **attributes: str | float | bool | None) -> Html:
    """An element. Attributes: `class_` is class, `stroke_width` is stroke-width; None and False are left out, True is bare."""
    told = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    if name in _EMPTY:
        return Html(f"<{name}{told}>")
    return Html(f"<{name}{told}>{text(content)}</{name}>")


def text(content: Content) -> Html:
    """Content as markup; what is not markup yet is escaped."""
    if content is None:
        return Html("")
    if isinstance(content, Html):
        return content
    if isinstance(content, str | int):
        return Html(escape(_UNPRINTABLE.sub("\ufffd", str(content))))
    return Html("".join(map(text, content)))


def coordinate(value: float) -> str:
    """A coordinate: two decimals at most."""
    said = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if said == "-0" else said


def policy(style: str, script: str, *more: str) -> str:
    """A Content-Security-Policy: nothing is fetched, no style or script runs but these two; `more` are further directives."""

    def source(content: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

    lines = ("default-src 'none'", "img-src data:", f"style-src {source(style)}", f"script-src {source(script)}", *more)
    return "; ".join(lines)


def _attribute(name: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    said = value if isinstance(value, str) else coordinate(value)
    return f' {name}="{escape(_UNPRINTABLE.sub(chr(0xFFFD), said))}"'
