"""The lexicon: words and phrases in English and Chinese for each attribute of music, with the levels that they imply.

Half of the work of understanding a text is done by variety here, not by an encoder. Every entry stands for training captions
(`train`) or for tests alone (`test`), so that a test can ask for words that no training caption holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal

import msgspec
import numpy as np

from analysis.arrays import Floats
from analysis.errors import MeloError
from analysis.json_spec import JsonSpec
from meloctl.rows.attributes import ATTRIBUTES

Language = Literal["en", "zh"]
Split = Literal["train", "test"]
Side = Literal["high", "middle", "low"]
Kind = Literal["gradable", "adjective", "phrase", "term"]
"""How a word stands in a sentence: an adjective that "very" fits, another adjective, a phrase that follows a noun, or a term
that stands alone between commas."""

Shape = Literal["rising", "falling", "arch", "valley"]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Level = Annotated[float, msgspec.Meta(ge=-2, le=2)]

LANGUAGES: tuple[Language, ...] = ("en", "zh")
SPLITS: tuple[Split, ...] = ("train", "test")
STRONGEST = 2.0
"""Levels end here on both sides: two standard deviations."""


class _Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Texts of one meaning in one language."""

    attribute: str
    language: Language
    train: tuple[Text, ...]
    test: tuple[Text, ...]

    def texts(self, split: Split) -> tuple[str, ...]:
        """Those of a split."""
        return self.train if split == "train" else self.test


class WordGroup(_Group, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Words for one level of an attribute, all of one kind."""

    side: Side
    kind: Kind
    level: Level


class Grader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A word that scales or negates a gradable adjective: "very {}" by 1.4, "not {}" by -0.5."""

    language: Language
    text: Text
    factor: Level
    attributive: bool
    """Whether the graded adjective may stand before a noun."""


class CourseGroup(_Group, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Phrases for a course of one attribute over a piece, such as "getting faster"."""

    shape: Shape


class Lexicon(
    JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="meloctl.lexicon/1"
):
    """All words of lexicon.json."""

    noun = "lexicon"

    words: tuple[WordGroup, ...]
    graders: tuple[Grader, ...]
    courses: tuple[CourseGroup, ...]

    def __post_init__(self) -> None:
        for name in [*(group.attribute for group in self.words), *(group.attribute for group in self.courses)]:
            if name not in ATTRIBUTES:
                raise MeloError(f"attribute {name!r} is none of {', '.join(ATTRIBUTES)}")


@dataclass(frozen=True, kw_only=True)
class Word:
    """One entry of the lexicon."""

    text: str
    language: Language
    split: Split
    attribute: str
    side: Side
    kind: Kind
    level: float


@cache
def lexicon() -> Lexicon:
    """The lexicon that is installed with the package."""
    return Lexicon.installed("meloctl.text", "lexicon.json")


@cache
def all_words() -> tuple[Word, ...]:
    """Every entry of the lexicon, in its order."""
    return tuple(
        Word(
            text=text,
            language=group.language,
            split=split,
            attribute=group.attribute,
            side=group.side,
            kind=group.kind,
            level=group.level,
        )
        for group in lexicon().words
        for split in SPLITS
        for text in group.texts(split)
    )


@cache
def words_for(attribute: str, side: Side, language: Language, split: Split) -> tuple[Word, ...]:
    """The words of one side of an attribute; few or none for "middle"."""
    wanted = (attribute, side, language, split)
    return tuple(word for word in all_words() if (word.attribute, word.side, word.language, word.split) == wanted)


@cache
def graders(language: Language) -> tuple[Grader, ...]:
    """The graders of a language."""
    return tuple(grader for grader in lexicon().graders if grader.language == language)


@cache
def course_phrases(attribute: str, shape: Shape, language: Language, split: Split) -> tuple[str, ...]:
    """Phrases for a course of an attribute; () where there are none."""
    groups = (g for g in lexicon().courses if (g.attribute, g.shape, g.language) == (attribute, shape, language))
    return tuple(text for group in groups for text in group.texts(split))


def limited(level: float) -> float:
    """A level within the strongest ones."""
    return min(max(level, -STRONGEST), STRONGEST)


def levels_array(levels: Mapping[str, float]) -> Floats:
    """(A,) levels by attribute, NaN for those that `levels` says nothing of."""
    return np.array([levels.get(name, np.nan) for name in ATTRIBUTES])
