"""What captions are made of: words, graded words, scenes and named facts, each with the levels that it implies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np

from analysis.arrays import Floats
from meloctl.text.lexicon import Kind, Language, Side, Split, graders, levels_array, limited, words_for
from meloctl.text.scenes import Scene

_T = TypeVar("_T")
_GRADED = 0.4
"""The share of gradable adjectives that get a grader."""

_DRAWS = 4
"""Words drawn for a level, of which the nearest stays: with more, texts are less varied and levels nearer."""

_NEAR_NOTHING = 0.35
"""Levels below this are called moderate, where there are words for it."""


@dataclass(frozen=True, kw_only=True)
class Saying:
    """A piece of a caption: its text, how it stands in a sentence, and the levels that it implies, none for a named fact."""

    text: str
    kind: Kind | Literal["predicative", "scene", "course", "fact"]
    """"predicative": a graded adjective that cannot stand before a noun, such as "not fast"."""

    levels: Mapping[str, float] = field(default_factory=dict)


def pick(choices: Sequence[_T], random: np.random.Generator) -> _T:
    """One of several, all equally likely."""
    return choices[int(random.integers(len(choices)))]


def word_for(
    attribute: str, level: float, language: Language, split: Split, random: np.random.Generator
) -> Saying | None:
    """A word for a level of an attribute, the nearest of a few draws; None for a small level that no word names."""
    if abs(level) < _NEAR_NOTHING:
        moderate = words_for(attribute, "middle", language, split)
        if not moderate:
            return None
        word = pick(moderate, random)
        return Saying(text=word.text, kind=word.kind, levels={attribute: word.level})
    drawn = [_draw(attribute, level, language, split, random) for _ in range(_DRAWS)]
    return min(drawn, key=lambda saying: abs(saying.levels[attribute] - level))


def _draw(attribute: str, level: float, language: Language, split: Split, random: np.random.Generator) -> Saying:
    side: Side = "high" if level > 0 else "low"
    other: Side = "low" if level > 0 else "high"
    if random.random() < _GRADED:
        grader = pick(graders(language), random)
        gradable = words_for(attribute, side if grader.factor > 0 else other, language, split)
        word = pick([w for w in gradable if w.kind == "gradable"], random)
        text, graded = grader.text.replace("{}", word.text), limited(word.level * grader.factor)
        return Saying(text=text, kind="adjective" if grader.attributive else "predicative", levels={attribute: graded})
    word = pick(words_for(attribute, side, language, split), random)
    return Saying(text=word.text, kind=word.kind, levels={attribute: word.level})


def pick_scene(scenes: Sequence[Scene], random: np.random.Generator) -> Scene:
    """One of several scenes; those that imply more are likelier, as they say more of the music."""
    weights = np.array([len(scene.levels) ** 2 for scene in scenes], dtype=np.float64)
    return scenes[int(random.choice(len(scenes), p=weights / weights.sum()))]


def scene_saying(scene: Scene, language: Language, random: np.random.Generator) -> Saying:
    """One phrasing of a scene."""
    return Saying(text=pick(scene.phrasings(language), random), kind="scene", levels=scene.levels)


def levels_of(sayings: Sequence[Saying]) -> Floats:
    """(A,) levels that sayings imply, NaN where they say nothing; no two may speak of one attribute."""
    said = [name for saying in sayings for name in saying.levels]
    assert len(said) == len(set(said)), said
    return levels_array({name: level for saying in sayings for name, level in saying.levels.items()})
