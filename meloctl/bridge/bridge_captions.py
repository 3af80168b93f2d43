"""Captions of spans for the bridge, in English and Chinese, from the words of training captions alone.

Shape letters: T bars, A attributes.
"""

import numpy as np

from analysis.arrays import Floats, Floats32
from meloctl.bridge.bridge_examples import SpanText, measured_wants
from meloctl.rows.attribute_scale import mean_levels
from meloctl.text.captions import caption
from meloctl.text.described_music import music_caption
from meloctl.text.lexicon import LANGUAGES
from meloctl.text.text_reading import reader

_REMARKS = 0.5
"""Share of the captions that say what is remarkable of the bars, as captions of music do; the others say any of it."""


def span_caption(levels: Floats32, generator: np.random.Generator) -> SpanText:
    """A text that asks for bars with such levels, and what it asks of each bar: what is measured, where the text tells no course.
    With the levels that words imply, which stand for many, plans would follow wants by half.

    Args:
        levels: (T, A) of each bar, NaN where a bar has none.
        generator: draws the language, what is said, and the words.
    """
    language = LANGUAGES[int(generator.integers(len(LANGUAGES)))]
    if generator.random() < _REMARKS:
        mean = mean_levels(levels)
        said = music_caption(mean, levels.astype(np.float64), language=language, split="train", random=generator)
        implied = said.over_bars(len(levels))
        measured = np.where(np.isnan(implied), np.nan, mean)
        return SpanText(said.text, (measured if said.course is None else implied).astype(np.float32))
    wants = measured_wants(levels, generator)
    said = caption(
        mean_levels(wants),
        language=language,
        split="train",
        random=generator,
        course_SA=_course(wants),
        music_A=mean_levels(levels),
    )
    return SpanText(said.text, wants)


def written_caption(text: str, levels: Floats32) -> SpanText:
    """A caption that was written for a piece, and what it asks of bars of it: where the reader understands it, what is measured.
    Words that it does not understand reach the bridge by their embedding alone.

    Args:
        text: the caption.
        levels: (T, A) of each bar, NaN where a bar has none.
    """
    read = reader().read(text).over_bars(len(levels))
    return SpanText(text, np.where(np.isnan(read), np.nan, mean_levels(levels)).astype(np.float32))


def _course(wants: Floats32) -> Floats | None:
    """(S, A) levels at the beginning and the end of wants that move; None where none does."""
    moving = np.abs(wants[-1] - wants[0]) > 0.5
    if not moving.any():
        return None
    halves = np.array([mean_levels(half) for half in np.array_split(wants, 2)])
    return np.where(moving, halves, np.nan)
