"""The course of a piece in words: "getting louder", "calm at first, then a storm"."""

from dataclasses import dataclass

import numpy as np

from analysis.arrays import Floats
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.text.lexicon import Language, Shape, Split, course_phrases
from meloctl.text.sayings import Saying, pick, pick_scene, scene_saying, word_for
from meloctl.text.scenes import agreeing_scenes

_REACH = 1.2
"""The level at which a course that words describe begins or ends."""

_ALIKE = 0.9
"""A course whose levels are less correlated with a shape than this is told section by section."""

SHAPES: tuple[Shape, ...] = ("rising", "falling", "arch", "valley")
"""The first two are shapes of two sections too."""

_TOLD_WHOLE = 0.7
"""The share of courses with a shape that are told by one phrase."""

_WORDS = 2
"""A section is told in at most so many words."""

_SCENE = 0.3
"""The share of sections that are told by a scene where one agrees."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ToldCourse:
    """A phrase for a whole course, and the course that it implies."""

    saying: Saying
    course_SA: Floats
    """(S, A) levels in each section, NaN for all attributes but one."""


def shape_levels(shape: Shape, sections: int) -> Floats:
    """(S,) levels of a shape in each section. An arch and a valley need at least 3."""
    x = np.linspace(-1, 1, sections)
    line = {"rising": x, "falling": -x, "arch": 1 - 2 * np.abs(x), "valley": 2 * np.abs(x) - 1}[shape]
    low, high = line.min(), line.max()
    return _REACH * (2 * (line - low) / (high - low) - 1)


def course_saying(
    course_SA: Floats, language: Language, split: Split, random: np.random.Generator
) -> ToldCourse | None:
    """A phrase for a course (S, A) in which one attribute moves in a shape; None where no phrase fits."""
    moving = np.flatnonzero(~np.isnan(course_SA).all(axis=0))
    if len(moving) != 1 or np.isnan(course_SA[:, moving[0]]).any() or random.random() > _TOLD_WHOLE:
        return None
    sections, name = len(course_SA), ATTRIBUTES[moving[0]]
    for shape in SHAPES if sections > 2 else SHAPES[:2]:
        levels = shape_levels(shape, sections)
        phrases = course_phrases(name, shape, language, split)
        if phrases and _alike(course_SA[:, moving[0]], levels):
            told = np.full(course_SA.shape, np.nan)
            told[:, moving[0]] = levels
            return ToldCourse(saying=Saying(text=pick(phrases, random), kind="course"), course_SA=told)
    return None


def section_sayings(
    course_SA: Floats, music_SA: Floats, language: Language, split: Split, random: np.random.Generator
) -> list[list[Saying]]:
    """What is said of each section: a scene where one agrees with the music, else a word for each attribute that moves.

    Args:
        course_SA: (S, A) levels to be said, NaN where not.
        music_SA: (S, A) levels of the music, NaN where unknown.
        language: of the words.
        split: of the words.
        random: all that is drawn comes from it.
    """
    sections = []
    for wanted_A, music_A in zip(course_SA, music_SA, strict=True):
        named = [int(i) for i in random.permutation(np.flatnonzero(~np.isnan(wanted_A)))]
        scenes = agreeing_scenes(music_A, split) if len(named) and random.random() < _SCENE else []
        scenes = [scene for scene in scenes if any(ATTRIBUTES[i] in scene.levels for i in named)]
        if scenes:
            sections.append([scene_saying(pick_scene(scenes, random), language, random)])
            continue
        words = [word_for(ATTRIBUTES[i], float(wanted_A[i]), language, split, random) for i in named[:_WORDS]]
        sections.append([word for word in words if word is not None])
    return sections


def _alike(levels_S: Floats, shape_S: Floats) -> bool:
    """Whether levels of sections, (S,) both, move as a shape does."""
    centred, shape = levels_S - levels_S.mean(), shape_S - shape_S.mean()
    size = float(np.linalg.norm(centred) * np.linalg.norm(shape))
    return size > 0 and float(centred @ shape) / size >= _ALIKE
