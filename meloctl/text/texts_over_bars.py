"""Several texts over the bars of a piece: "calm" from bar 1 on, "17: storm" from bar 17 on.

Shape letters: T bars, A attributes, K texts, E numbers of an encoder's vector.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.arrays import Floats, Floats32, Ints
from analysis.errors import MeloError
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.text.encoders import Encoder
from meloctl.text.text_reading import TextReader, TextReading

_FROM_BAR = re.compile(r"\s*([0-9]{1,9})\s*[:\uff1a](.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadFrom:
    """A text's reading, and the bar from which on it holds."""

    bar: int
    """Counted from 1."""

    reading: TextReading


@dataclass(frozen=True, kw_only=True, eq=False)
class TextCourse:
    """What texts ask for, bar by bar."""

    wants: Floats
    """(T, A) levels, NaN where unsaid."""

    text_of_bars: Ints
    """(T,) which of the texts each bar lies under, from 0."""

    texts: tuple[ReadFrom, ...]
    """K of them, in order of their bars."""

    def vectors(self, encoder: Encoder) -> Floats32:
        """(K, E) an encoder's vector of each text."""
        return encoder.encode([text.reading.text for text in self.texts])

    @property
    def lines(self) -> list[str]:
        """What was understood of each text, a line each; with its first bar where there are several."""
        several = len(self.texts) > 1
        return [(f"from bar {text.bar}: " if several else "") + text.reading.line() for text in self.texts]


def course_of_texts(texts: Sequence[str], bars: int, reader: TextReader) -> TextCourse:
    """The course that texts ask for over a piece of `bars` bars.

    Args:
        texts: "calm" from the first bar on, "17: storm" from bar 17 on, in any order.
        bars: T, of the piece.
        reader: reads them.

    Raises:
        MeloError: a bar lies outside the piece or is named twice, no text says how the piece begins, or one is no text.
    """
    from_bars = dict(sorted(_from_bars(texts, bars).items()))
    wants = np.full((bars, len(ATTRIBUTES)), np.nan)
    text_of_bars = np.zeros(bars, dtype=np.int64)
    read: list[ReadFrom] = []
    for first, end in zip(from_bars, [*list(from_bars)[1:], bars + 1], strict=True):
        reading = reader.read(from_bars[first])
        wants[first - 1 : end - 1] = reading.over_bars(end - first)
        text_of_bars[first - 1 : end - 1] = len(read)
        read.append(ReadFrom(bar=first, reading=reading))
    return TextCourse(wants=wants, text_of_bars=text_of_bars, texts=tuple(read))


def _from_bars(texts: Sequence[str], bars: int) -> dict[int, str]:
    """{first bar: text}"""
    found: dict[int, str] = {}
    for given in texts:
        match = _FROM_BAR.fullmatch(given)
        bar, text = (int(match[1]), match[2]) if match else (1, given)
        if not 1 <= bar <= bars:
            raise MeloError(f"bar {bar} is not in the piece; give bars 1 to {bars}", field="text", given=given)
        if bar in found:
            raise MeloError(
                f"two texts begin at bar {bar}; give the second a bar of its own, as in '{min(bar + 8, bars)}: storm'",
                field="text",
                given=given,
            )
        found[bar] = text
    if 1 not in found:
        raise MeloError("no text says how the piece begins; give one without a bar too, as in 'calm'", field="text")
    return found
