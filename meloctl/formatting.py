"""Numbers as text for people: one form a kind of number, on every page and every screen."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

NOTHING = "–"
"""Stands for a number that is not known."""

_MINUS = "\N{MINUS SIGN}"
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def number(value: float | None, *, sign: bool = False) -> str:
    """A measured value: three decimals below 10, one from there on, with a true minus sign.

    Args:
        value: None and what is not finite become NOTHING.
        sign: write a plus sign too; a value that is shown as 0 has neither.
    """
    if not _known(value):
        return NOTHING
    text = f"{value:{'+' if sign else ''},.{3 if abs(value) < 10 else 1}f}"
    return text.replace("-", _MINUS) if text.strip("+-0.") else text.lstrip("+-")


def one_decimal(value: float | None) -> str:
    """A value whose second decimal says nothing, such as an effect size or minutes: "1.5"."""
    return f"{value:,.1f}".replace("-", _MINUS) if _known(value) else NOTHING


def interval(ends: Sequence[float | None] | None, *, sign: bool = False) -> str:
    """ "0.211 to 0.269"; NOTHING where an end is not known. `sign` as in `number`."""
    if ends is None or not all(map(_known, ends)):
        return NOTHING
    low, high = ends
    return f"{number(low, sign=sign)} to {number(high, sign=sign)}"


def with_interval(value: float | None, ends: Sequence[float | None] | None, *, sign: bool = False) -> str:
    """ "0.240 (0.211 to 0.269)"; the value alone where an end of the interval is not known."""
    spread = interval(ends, sign=sign)
    return number(value, sign=sign) + ("" if spread == NOTHING else f" ({spread})")


def percent(share: float | None, *, decimals: int = 0) -> str:
    """A share, 0 to 1, as "83 %"."""
    return f"{100 * share:,.{decimals}f} %" if _known(share) else NOTHING


def whole(n: float | None) -> str:
    """A whole number: "1,200", "−90"."""
    return f"{n:,.0f}".replace("-", _MINUS) if _known(n) else NOTHING


def count(n: int, one: str, many: str | None = None) -> str:
    """ "1 piece", "1,200 pieces"; `many` is the plural where it is not `one` with an s."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def count_range(least: int, most: int, one: str) -> str:
    """ "2 to 5 parts", "1 part"."""
    return count(most, one) if least == most else f"{least:,} to {count(most, one)}"


def millions(n: float) -> str:
    """A number of parameters: "16.9M"."""
    return f"{n / 1e6:,.1f}M"


def byte_size(n: float | None) -> str:
    """Bytes as "512 bytes", "1.4 kB", "2.5 MB", "3.0 GB" (powers of 1,000)."""
    if not _known(n):
        return NOTHING
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= size:
            return f"{n / size:,.1f} {unit}"
    return f"{n:.0f} bytes"


def duration(seconds: float) -> str:
    """How long a computer takes: "0.31 s", "42 s", "7.5 minutes", "5.2 hours", "12 days"."""
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    for unit, size, most in (("minutes", _MINUTE, 100), ("hours", _HOUR, 48)):
        if seconds < most * size:
            return f"{seconds / size:.1f} {unit}" if seconds < 10 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds / _DAY:,.0f} days"


def clock(seconds: float) -> str:
    """How long music lasts, in minutes and seconds: "1:33"."""
    minutes, rest = divmod(round(seconds), _MINUTE)
    return f"{minutes}:{rest:02d}"


def piece_line(facts: Mapping[str, Any]) -> str:
    """A piece in one line, from its entry in a manifest: "32 bars, 563 notes in 2 parts (piano, drums), 1:33"."""
    bars, notes, parts = count(facts["bars"], "bar"), count(facts["notes"], "note"), count(facts["parts"], "part")
    return f"{bars}, {notes} in {parts} ({', '.join(facts['instruments'])}), {clock(facts['seconds'])}"


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def examples(names: Iterable[str], *, of: int, most: int = 3) -> str:
    """The first names of `of` in all: "a.mid, b.mid, c.mid, …"."""
    return ", ".join([*names][:most]) + (", …" if of > most else "")


def capitalised(text: str) -> str:
    """A sentence with a capital at its start, the rest unchanged."""
    return text[:1].upper() + text[1:]


def text_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines of a terminal: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = (c.rjust(w) for c, w in zip(others, widths[1:], strict=True))
        lines.append(f"  {first.ljust(widths[0])}  {'  '.join(cells)}".rstrip())
    return lines


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
