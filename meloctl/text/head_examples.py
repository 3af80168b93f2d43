"""Texts that a text head learns from, with what they say: words, scenes and captions of the training half, and other texts."""

import string
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from analysis.arrays import Bools, Floats
from analysis.json_spec import JsonSpec
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.text.captions import caption
from meloctl.text.facts import random_facts
from meloctl.text.lexicon import (
    LANGUAGES,
    STRONGEST,
    Language,
    Split,
    all_words,
    graders,
    levels_array,
    limited,
    words_for,
)
from meloctl.text.sayings import pick
from meloctl.text.scenes import scenes_of

_SHARES = {"word": 0.4, "scene": 0.12, "caption": 0.23, "other": 0.25}
_FRAMES: Mapping[Language, tuple[str, ...]] = {
    "en": (
        "{}",
        "{}",
        "{}",
        "a {} piece",
        "{} music",
        "something {}",
        "the music is {}",
        "make it {}",
        "it should be {}",
    ),
    "zh": ("{}", "{}", "{}", "{}的音乐", "{}的曲子", "听起来{}", "一首{}的曲子", "音乐要{}"),
}
_SCENE_FRAMES: Mapping[Language, tuple[str, ...]] = {
    "en": ("{}", "{}", "music like {}", "{} in music", "a piece about {}", "it sounds like {}"),
    "zh": ("{}", "{}", "像{}一样", "描写{}的音乐", "关于{}的曲子", "{}的感觉"),
}
_Made = tuple[str, Floats, bool]
"""A text, its levels (A,), and whether it is held out."""

_GRADED = 0.25
_LETTERS = list(string.ascii_lowercase)
_MADE_UP = 0.06
"""The share of other texts that are random letters."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """Texts and what they say."""

    texts: list[str]

    levels: Floats
    """(n, A), NaN where a text says nothing of an attribute."""

    held_out: Bools
    """(n,) texts that say nothing and hold words set aside, by which the head's threshold is found."""


class OtherTexts(
    JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="meloctl.other_texts/1"
):
    """other_texts.json: words that say nothing of how music sounds, and sentences round them."""

    noun = "table of other texts"

    en: dict[Literal["words", "frames"], tuple[str, ...]]
    zh: dict[Literal["words", "frames"], tuple[str, ...]]


@cache
def _other(language: Language) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(words, sentences with places for them)"""
    table = OtherTexts.installed("meloctl.text", "other_texts.json")
    half = table.en if language == "en" else table.zh
    return tuple(" ".join(half["words"]).split()), half["frames"]


def plain_examples(split: Split) -> Examples:
    """Every word and every scene of a split alone, and every word for other things."""
    said = [
        (word.text, {word.attribute: word.level})
        for word in all_words()
        if word.split == split and word.side != "middle"
    ]
    said += [(text, scene.levels) for scene in scenes_of(split) for text in (*scene.en, *scene.zh)]
    other = [word for language in LANGUAGES for word in _other(language)[0]]
    return Examples(
        texts=[*(text for text, _ in said), *other],
        levels=np.array([levels_array(levels) for _, levels in said] + [levels_array({}) for _ in other]),
        held_out=np.array([False] * len(said) + [_set_aside(word) for word in other]),
    )


def head_examples(n: int, split: Split, random: np.random.Generator) -> Examples:
    """n examples of a split of the lexicon and of the scenes, in both languages."""
    kinds = random.choice(list(_SHARES), size=n, p=list(_SHARES.values()))
    made = [_MAKERS[str(kind)](pick(LANGUAGES, random), split, random) for kind in kinds]
    return Examples(
        texts=[text for text, _, _ in made],
        levels=np.array([levels for _, levels, _ in made]),
        held_out=np.array([held_out for _, _, held_out in made]),
    )


def _set_aside(word: str) -> bool:
    """Whether a word for other things finds the threshold: a fifth of them."""
    return zlib.crc32(word.encode()) % 5 == 0


def _word(language: Language, split: Split, random: np.random.Generator) -> _Made:
    attribute = pick(ATTRIBUTES, random)
    side = pick(("high", "low"), random)
    words = words_for(attribute, side, language, split)
    word = pick(words, random)
    text, level = word.text, word.level
    if word.kind == "gradable" and random.random() < _GRADED:
        grader = pick([g for g in graders(language) if g.factor > 0], random)
        text, level = grader.text.replace("{}", text), limited(level * grader.factor)
    framed = pick(_FRAMES[language], random).replace("{}", text) if word.kind in ("gradable", "adjective") else text
    return framed, levels_array({attribute: level}), False


def _scene(language: Language, split: Split, random: np.random.Generator) -> _Made:
    scene = pick(scenes_of(split), random)
    text = pick(scene.phrasings(language), random)
    return pick(_SCENE_FRAMES[language], random).replace("{}", text), levels_array(scene.levels), False


def _caption(language: Language, split: Split, random: np.random.Generator) -> _Made:
    levels = np.where(random.random(len(ATTRIBUTES)) < 0.3, random.normal(0, 1.2, len(ATTRIBUTES)), np.nan)
    if np.isnan(levels).all():
        levels[random.integers(len(levels))] = random.choice([-1.3, 1.3])
    facts = random_facts(random) if random.random() < 0.3 else None
    made = caption(levels.clip(-STRONGEST, STRONGEST), language=language, split=split, random=random, facts=facts)
    return (made.text, made.wants, False) if made.text else _word(language, split, random)


def _other_text(language: Language, _: Split, random: np.random.Generator) -> _Made:
    if random.random() < _MADE_UP:
        made_up = ["".join(random.choice(_LETTERS, size=random.integers(3, 10))) for _ in range(random.integers(1, 4))]
        return " ".join(made_up), levels_array({}), False
    words, frames = _other(language)
    held_out = bool(random.random() < 0.2)
    words = tuple(word for word in words if _set_aside(word) == held_out)
    text = "{}" if random.random() < 0.4 else pick(frames, random)
    while "{}" in text:
        text = text.replace("{}", pick(words, random), 1)
    return text, levels_array({}), held_out


_MAKERS = {"word": _word, "scene": _scene, "caption": _caption, "other": _other_text}
