"""The phrases that a reader knows: those of the lexicon and of the table of scenes, and the small words around them.

    phrases                         phrase_table(("train", "test"))     {("very",): grade 1.4, ("暴", "风", "雨"): scene …}

A phrase is a tuple of tokens (`text_tokens`): words of alphabets, and single Chinese characters.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Literal

import msgspec

from analysis.json_spec import JsonSpec
from meloctl.text.lexicon import Language, Level, Shape, Split, all_words, lexicon
from meloctl.text.scenes import all_scenes
from meloctl.text.text_tokens import Tokens, tokens_of

Place = Literal["start", "next", "middle", "end"]
"""Where in a piece a clause speaks of: "at first", "then", "in the middle", "at the end"."""

PhraseKind = Literal[
    "word", "scene", "course", "grade", "suffix grade", "link", "grows", "break", "filler", "instrument"
]

_ARTICLES = {"a", "an", "the"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrase:
    """What one phrase means."""

    kind: PhraseKind
    levels: Mapping[str, float] = field(default_factory=dict)
    """Of a word or scene: the level of each attribute that it speaks of."""

    shape: Shape | None = None
    """Of a course: how its attributes, those of `levels`, move."""

    factor: float = 1.0
    """Of a grade: what the levels beside it are multiplied by; below 0 it negates."""

    place: Place | None = None
    """Of a link."""


class ReaderWords(
    JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="meloctl.reader_words/1"
):
    """reader_words.json: the words around what a text says."""

    noun = "table of reader's words"

    poles: dict[str, Annotated[tuple[str, ...], msgspec.Meta(min_length=3, max_length=3)]]
    """Of each attribute: its low end, its middle and its high end, as people are told."""

    grades: dict[str, Level]
    suffix_grades: dict[str, Level]
    links: dict[Place, tuple[str, ...]]
    grows: tuple[str, ...]
    soft_breaks: tuple[str, ...]
    instruments: tuple[str, ...]
    """A text does not choose instruments: they are named as not understood, and nothing is made of them."""

    fillers: dict[Language, tuple[str, ...]]


@cache
def reader_words() -> ReaderWords:
    """The words that are installed with the package."""
    return ReaderWords.installed("meloctl.text", "reader_words.json")


@cache
def phrase_table(splits: tuple[Split, ...]) -> Mapping[Tokens, Phrase]:
    """All phrases by their tokens; of lexicon and scenes those of some splits."""
    table = dict(_small_words())
    said: dict[Tokens, Phrase] = {}
    for text, phrase in _saying(splits):
        key = _without_article(tokens_of(text))
        before = said.get(key)
        if before is None or before.kind != phrase.kind or before.shape != phrase.shape:
            said.setdefault(key, phrase)
        else:
            said[key] = Phrase(kind=phrase.kind, levels={**phrase.levels, **before.levels}, shape=phrase.shape)
    return table | said


def _saying(splits: tuple[Split, ...]) -> Iterator[tuple[str, Phrase]]:
    for word in all_words():
        if word.split in splits:
            yield word.text, Phrase(kind="word", levels={word.attribute: word.level})
    for group in lexicon().courses:
        for split in splits:
            for text in group.texts(split):
                yield text, Phrase(kind="course", levels={group.attribute: 1.0}, shape=group.shape)
    for scene in all_scenes():
        if scene.split in splits:
            for text in (*scene.en, *scene.zh):
                yield text, Phrase(kind="scene", levels=scene.levels)


def _small_words() -> Iterator[tuple[Tokens, Phrase]]:
    words = reader_words()
    for lines in words.fillers.values():
        for filler in " ".join(lines).split():
            yield tokens_of(filler), Phrase(kind="filler")
    for text in words.soft_breaks:
        yield tokens_of(text), Phrase(kind="break")
    for place, texts in words.links.items():
        for text in texts:
            yield tokens_of(text), Phrase(kind="link", place=place)
    for text in words.instruments:
        yield tokens_of(text), Phrase(kind="instrument")
    for text in words.grows:
        yield tokens_of(text), Phrase(kind="grows")
    for text, factor in words.grades.items():
        yield tokens_of(text), Phrase(kind="grade", factor=factor)
    for text, factor in words.suffix_grades.items():
        yield tokens_of(text), Phrase(kind="suffix grade", factor=factor)
    for grader in lexicon().graders:
        before, _, behind = grader.text.partition("{}")
        if not behind.strip():
            yield tokens_of(before), Phrase(kind="grade", factor=grader.factor)
        elif not before.strip():
            yield tokens_of(behind), Phrase(kind="suffix grade", factor=grader.factor)


def _without_article(tokens: Tokens) -> Tokens:
    return tokens[1:] if len(tokens) > 1 and tokens[0] in _ARTICLES else tokens
