"""Captions: levels of attributes, and their course over a piece → a text in English or Chinese that says them.

    caption(levels, language="zh", split="train", random=np.random.default_rng(0)) -> Caption(text, wants, course, sayings)

A caption's wants are what its words imply, which is near to the levels that were given but not the same: "fast" stands for 1.2
whatever the music's tempo is. Shape letters: A attributes, S sections, T bars.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.arrays import Bools, Floats
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.text.chinese_sentences import chinese_course, chinese_sentence
from meloctl.text.courses import course_saying, section_sayings
from meloctl.text.english_sentences import english_course, english_sentence
from meloctl.text.facts import NamedFacts, fact_sayings
from meloctl.text.lexicon import Language, Split
from meloctl.text.sayings import Saying, levels_of, pick, pick_scene, scene_saying, word_for
from meloctl.text.scenes import Scene, agreeing_scenes

_SCENE = 0.35
"""The share of captions that name a scene where one agrees with the music."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Caption:
    """A text, and what it asks for."""

    text: str
    language: Language

    wants: Floats
    """(A,) levels that the text implies for the whole piece, NaN where it says nothing."""

    course: Floats | None
    """(S, A) levels that it implies for each of S sections of equal length, NaN where it says nothing; None without a course."""

    sayings: tuple[Saying, ...]
    """The words of the whole piece, in no order."""

    section_sayings: tuple[tuple[Saying, ...], ...] = ()
    """The words of each section, where sections have words of their own."""

    def over_bars(self, bars: int) -> Floats:
        """(T, A) wants of each of `bars` bars: those of its section, else those of the whole piece."""
        if self.course is None:
            return np.tile(self.wants, (bars, 1))
        section = np.arange(bars) * len(self.course) // bars
        return np.where(np.isnan(self.course), self.wants, self.course)[section]


def caption(
    levels_A: Floats,
    *,
    language: Language,
    split: Split,
    random: np.random.Generator,
    course_SA: Floats | None = None,
    music_A: Floats | None = None,
    music_SA: Floats | None = None,
    scene: Scene | None = None,
    facts: NamedFacts | None = None,
) -> Caption:
    """A caption that mentions the attributes whose levels are given; its words, their order and its sentences are drawn.

    The text is empty where all levels are small and no word says so ("moderate" leaps are not worth a word).

    Args:
        levels_A: (A,) levels to be mentioned, NaN where not.
        language: of the text.
        split: whether words and scenes of training captions or of tests are used.
        random: all that is drawn comes from it.
        course_SA: (S, A) levels in each of 2 to 4 sections, NaN where not to be mentioned; None for no course.
        music_A: (A,) levels of the music, with which a scene must agree; those of `levels_A` where None.
        music_SA: (S, A) the same of each section; those of `course_SA` where None.
        scene: a scene to be named; one that agrees with the music may be where None.
        facts: named facts that may stand in the text.
    """
    music = levels_A if music_A is None else music_A
    course = None if course_SA is None or np.isnan(course_SA).all() else course_SA
    moving = _moving(course)
    if scene is None and random.random() < _SCENE:
        agreeing = agreeing_scenes(np.where(moving, np.nan, music), split)
        scene = pick_scene(agreeing, random) if agreeing else None
    sayings = _whole_sayings(np.where(moving, np.nan, levels_A), scene, language, split, random)
    sections: list[list[Saying]] = []
    course_wants: Floats | None = None
    if course is not None:
        told = course_saying(course, language, split, random)
        if told is not None:
            sayings, course_wants = [*sayings, told.saying], told.course_SA
        else:
            sections = section_sayings(course, course if music_SA is None else music_SA, language, split, random)
            sayings, course_wants = _without_repeats(sayings, sections), np.array([levels_of(s) for s in sections])
    if facts is not None:
        taken = {name for name, level in zip(ATTRIBUTES, levels_of(sayings), strict=True) if not np.isnan(level)}
        taken |= {name for name, moves in zip(ATTRIBUTES, moving, strict=True) if moves}
        sayings += fact_sayings(facts, language, taken, random)
    return Caption(
        text=_text(sayings, sections, language, random),
        language=language,
        wants=levels_of(sayings),
        course=course_wants,
        sayings=tuple(sayings),
        section_sayings=tuple(tuple(s) for s in sections),
    )


def _moving(course_SA: Floats | None) -> Bools:
    """(A,) attributes that a course speaks of."""
    if course_SA is None:
        return np.zeros(len(ATTRIBUTES), dtype=bool)
    return np.asarray(np.isfinite(course_SA).any(axis=0), dtype=bool)


def _whole_sayings(
    levels_A: Floats, scene: Scene | None, language: Language, split: Split, random: np.random.Generator
) -> list[Saying]:
    sayings = [] if scene is None else [scene_saying(scene, language, random)]
    covered = set() if scene is None else set(scene.levels)
    rest = [i for i in np.flatnonzero(~np.isnan(levels_A)) if ATTRIBUTES[i] not in covered]
    if covered and rest:
        rest = [i for i in rest if random.random() < 0.5]
    for i in random.permutation(rest).astype(int):
        saying = word_for(ATTRIBUTES[i], float(levels_A[i]), language, split, random)
        sayings += [] if saying is None else [saying]
    return sayings


def _without_repeats(sayings: Sequence[Saying], sections: Sequence[Sequence[Saying]]) -> list[Saying]:
    """The sayings of the whole piece but those of attributes that a section speaks of."""
    moving = {name for section in sections for saying in section for name in saying.levels}
    return [saying for saying in sayings if not moving & set(saying.levels)]


def _text(
    sayings: Sequence[Saying], sections: Sequence[Sequence[Saying]], language: Language, random: np.random.Generator
) -> str:
    whole = (english_sentence if language == "en" else chinese_sentence)(sayings, random) if sayings else ""
    if not any(sections):
        return whole
    course = (english_course if language == "en" else chinese_course)(sections, random)
    if not whole:
        return course
    if language == "zh":
        return f"{whole.removesuffix('。')},{course}"
    return f"{whole.rstrip('.?')}{pick((', ', '; ') if ':' in course else (', ', '; ', ': '), random)}{course}"
