"""The texts of `meloctl evaluate --text`: pairs of opposites, scenes, courses over the bars; in text_cases.json, a data file.

None of their words stands in a training caption (the lexicon's `train` split), but for the two scenes, which a table knows.
"""

from functools import cache
from typing import Annotated, ClassVar

import msgspec
import numpy as np

from analysis.arrays import Floats
from analysis.errors import MeloError
from analysis.json_spec import JsonSpec
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.text.lexicon import Language

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class TextPair(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two texts that ask for the two ends of one attribute."""

    attribute: str
    language: Language
    high: Text
    low: Text

    @property
    def name(self) -> str:
        """ "tempo-en" """
        return f"{self.attribute}-{self.language}"


class SceneCase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scene, and the sides of the attributes that it implies."""

    language: Language
    text: Text
    high: tuple[str, ...]
    low: tuple[str, ...]

    def sides(self) -> dict[str, int]:
        """{attribute: 1 where it should be high, −1 where low}."""
        return dict.fromkeys(self.high, 1) | dict.fromkeys(self.low, -1)


class CourseCase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One text that asks for a course of an attribute over the bars, or two texts, one of each half."""

    attribute: str
    language: Language
    texts: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=2)]
    rises: bool

    def wanted(self, bars: int) -> Floats:
        """(T,) what is wanted of the attribute in each bar, from −1 to 1: a line, or a step at the second half."""
        line = np.linspace(-1, 1, bars) if len(self.texts) == 1 else np.where(np.arange(bars) < bars // 2, -1.0, 1.0)
        return line if self.rises else -line


class TextCases(
    JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="meloctl.text_cases/1"
):
    """All texts that are evaluated.

    Raises:
        MeloError: an attribute that there is not.
    """

    noun: ClassVar[str] = "list of texts"

    pairs: tuple[TextPair, ...]
    scenes: tuple[SceneCase, ...]
    courses: tuple[CourseCase, ...]

    def __post_init__(self) -> None:
        named = {pair.attribute for pair in self.pairs} | {course.attribute for course in self.courses}
        for attribute in sorted(named.union(*(scene.sides() for scene in self.scenes))):
            if attribute not in ATTRIBUTES:
                raise MeloError(f"attribute {attribute!r} is none of {', '.join(ATTRIBUTES)}")

    def opposites(self) -> list[tuple[str, ...]]:
        """The texts of pairs and courses, each once: a text, or two texts of the halves of a piece."""
        every: list[tuple[str, ...]] = [(text,) for pair in self.pairs for text in (pair.high, pair.low)]
        return list(dict.fromkeys([*every, *(course.texts for course in self.courses)]))

    def requests(self) -> list[tuple[str, ...]]:
        """Every text, in the same form."""
        return list(dict.fromkeys([*self.opposites(), *((scene.text,) for scene in self.scenes)]))

    def sides(self) -> list[tuple[str, int]]:
        """(attribute, 1 or −1) of every pair, whatever its words, each once."""
        return list(dict.fromkeys((pair.attribute, side) for pair in self.pairs for side in (1, -1)))


@cache
def text_cases() -> TextCases:
    """The texts that are installed with the package."""
    return TextCases.installed("meloctl.evaluation", "text_cases.json")
