"""Texts of MIDI files for people: bytes → printable text on one line. The file keeps its bytes; only what is shown is made here.

The rule, for the names and other texts of one file together:
1. A text that opens with a byte order mark is UTF-16 or UTF-8, as the mark says; one whose every other byte is 0 is UTF-16.
2. Texts are UTF-8 where all of them are valid UTF-8. A last character that is cut off does not count against a text, and a
   text of 8 bytes or more above 127 that is valid UTF-8 is so even where others are not.
3. The rest is in one code page (`analysis.code_pages`), bytes without a meaning there become U+FFFD.
Control characters, line separators and what turns the direction of writing never come out.

A path is no such text: people must be able to tell which file it is, so its control characters are written out
(`escaped`, "\\x1b").
"""

import codecs
import re
from collections.abc import Iterable, Sequence

from analysis.code_pages import code_page

_ENCODINGS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
"""By byte order mark."""

_SURELY_UTF8 = 8
"""Bytes above 127 from which valid UTF-8 is none by chance."""

_BLANK = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""White space, control characters (C0, C1) and separators of lines and paragraphs."""

_INVISIBLE = re.compile("[\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
"""Marks and overrides of direction, and characters without a width; the joiners of emoji and of Persian stay."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]|" + _INVISIBLE.pattern)

_NONE = re.compile("[\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""Halves of characters, and what Unicode says is no character."""


def shown_line(text: str) -> str:
    """A text on one line, without control characters; runs of blanks are one space."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    return " ".join(_NONE.sub("\ufffd", _INVISIBLE.sub("", _BLANK.sub(" ", text))).split())


def escaped(text: str) -> str:
    """A text with control characters, line separators, marks of direction and halves of characters written out: "\\x1b"."""
    if text.isprintable():
        return text
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def json_escaped(text: str) -> str:
    """JSON text of the same meaning without such characters: "\\u202e"."""
    return _CONTROL.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)


def shown_texts(texts: Sequence[bytes], more: Iterable[bytes] = ()) -> list[str]:
    """Texts of one file, such as the names of its tracks, as `shown_line` has them.

    Args:
        texts: the bytes of each.
        more: other texts of the file (lyrics, markers), which help to tell its code page; looked at only where `texts` are
            not plain ASCII.
    """
    if all(text.isascii() and b"\0" not in text for text in texts):
        return [shown_line(text.decode("ascii")) for text in texts]
    unmarked = [text for text in (*texts, *more) if not text.isascii() and not _marked(text)[1]]
    page = "utf-8" if all(map(_is_utf8, unmarked)) else code_page(t for t in unmarked if not _surely_utf8(t))
    return [shown_line(_decoded(text, page)) for text in texts]


def _decoded(text: bytes, page: str) -> str:
    start, encoding = _marked(text)
    if encoding:
        return text[start:].decode(encoding, "replace")
    if page == "utf-8" or _surely_utf8(text):
        return codecs.getincrementaldecoder("utf-8")().decode(text)
    return text.decode(page, "replace")


def _marked(text: bytes) -> tuple[int, str]:
    """Length of the byte order mark of a text and the encoding that it names, or that zeros show; (0, "") where none does."""
    for mark, encoding in _ENCODINGS.items():
        if text.startswith(mark):
            return len(mark), encoding
    if b"\0" in text and len(text) % 2 == 0:
        for zero, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
            if not any(text[zero::2]) and all(text[1 - zero :: 2]):
                return 0, encoding
    return 0, ""


def _is_utf8(text: bytes) -> bool:
    """Whether a text is valid UTF-8, but for a last character that is cut off behind others that are whole."""
    try:
        return not codecs.getincrementaldecoder("utf-8")().decode(text).isascii()
    except UnicodeDecodeError:
        return False


def _surely_utf8(text: bytes) -> bool:
    return sum(byte > 0x7F for byte in text) >= _SURELY_UTF8 and _is_utf8(text)
