"""What a caption says of music: the attributes that are remarkable, and their course over a span of bars; and captions drawn
at random for texts that belong to no music. Shape letters: A attributes, T bars, S sections."""

import numpy as np

from analysis.arrays import Floats
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.text.captions import Caption, caption
from meloctl.text.courses import SHAPES, shape_levels
from meloctl.text.facts import random_facts
from meloctl.text.lexicon import STRONGEST, Language, Split, lexicon
from meloctl.text.sayings import pick
from meloctl.text.scenes import scene_levels, scenes_of

_REMARKABLE = 0.5
"""Levels beyond this on either side are mentioned more often than others."""

_MENTIONED, _MENTIONED_SMALL = 0.65, 0.1
"""The shares of remarkable and of other attributes that a caption mentions."""

_MOVES = 0.8
"""A course is told of attributes whose sections differ by at least this."""

_COURSE = 0.35
"""The share of captions that tell a course where there is one."""


def remarkable(levels_A: Floats, random: np.random.Generator) -> Floats:
    """(A,) levels with NaN where a caption will not mention them; at least one stays, the strongest, if any is known."""
    size = np.abs(levels_A)
    share = np.where(size > _REMARKABLE, _MENTIONED, _MENTIONED_SMALL)
    chosen = random.random(len(levels_A)) < share
    if not (chosen & ~np.isnan(levels_A)).any() and not np.isnan(size).all():
        chosen[np.nanargmax(size)] = True
    return np.where(chosen, levels_A, np.nan)


def section_means(levels_TA: Floats, sections: int) -> Floats:
    """(S, A) mean levels of S equal sections of bars (T, A), T ≥ S; NaN where a section has none."""
    known = ~np.isnan(levels_TA)
    starts = np.arange(sections) * len(levels_TA) // sections
    counts = np.add.reduceat(known, starts, axis=0, dtype=np.int64)
    sums = np.add.reduceat(np.where(known, levels_TA, 0.0), starts, axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def told_course(sections_SA: Floats, random: np.random.Generator) -> Floats | None:
    """(S, A) levels of the one or two attributes that move most between sections, NaN for the others; None where none moves."""
    span = np.ptp(sections_SA, axis=0)
    order = [int(i) for i in np.argsort(-np.nan_to_num(span)) if span[i] >= _MOVES]
    if not order:
        return None
    moving = order[: 2 if random.random() < 0.3 else 1]
    told = np.full(sections_SA.shape, np.nan)
    told[:, moving] = np.clip(sections_SA[:, moving], -STRONGEST, STRONGEST)
    return told


def music_caption(
    levels_A: Floats,
    levels_TA: Floats | None,
    *,
    language: Language,
    split: Split,
    random: np.random.Generator,
) -> Caption:
    """A caption of measured music, which may mention but some of what is measured.

    Args:
        levels_A: (A,) levels of the whole span, NaN where unknown.
        levels_TA: (T, A) levels of its bars, NaN where a bar has none; None to tell no course.
        language: of the text.
        split: whether words of training captions or of tests are used.
        random: all that is drawn comes from it.
    """
    music_A = np.clip(levels_A, -STRONGEST, STRONGEST)
    music_SA = course = None
    if levels_TA is not None and len(levels_TA) >= 4 and random.random() < _COURSE:
        music_SA = np.clip(section_means(levels_TA, int(random.integers(2, 5))), -STRONGEST, STRONGEST)
        course = told_course(music_SA, random)
    return caption(
        remarkable(music_A, random),
        language=language,
        split=split,
        random=random,
        course_SA=course,
        music_A=music_A,
        music_SA=music_SA,
    )


def random_caption(language: Language, split: Split, random: np.random.Generator) -> Caption:
    """A caption of no music: one to four attributes at random levels, a scene, or a course; some with named facts."""
    levels = np.full(len(ATTRIBUTES), np.nan)
    named = random.choice(len(ATTRIBUTES), size=pick((1, 1, 2, 2, 3, 4), random), replace=False)
    levels[named] = random.choice([-1.0, 1.0], size=len(named)) * random.uniform(0.35, STRONGEST, size=len(named))
    draw, course, scene = random.random(), None, None
    if draw < 0.15:
        levels = scene_levels(split)[random.integers(len(scenes_of(split)))].copy()
    elif draw < 0.3:
        scene = pick(scenes_of(split), random)
        levels = levels if random.random() < 0.3 else np.full(len(ATTRIBUTES), np.nan)
    elif draw < 0.45:
        course = _random_course(split, random)
    elif draw < 0.5:
        levels[named[0]] = 0.0
    if course is not None and random.random() < 0.5:
        levels[:] = np.nan
    facts = random_facts(random) if random.random() < 0.3 else None
    drawn = caption(levels, language=language, split=split, random=random, course_SA=course, scene=scene, facts=facts)
    return drawn if drawn.text else random_caption(language, split, random)


def _random_course(split: Split, random: np.random.Generator) -> Floats:
    """(S, A): a shape of one attribute, levels that jump, or scenes that follow each other."""
    sections, draw = int(random.integers(2, 5)), random.random()
    told = {group.attribute for group in lexicon().courses}
    course = np.full((sections, len(ATTRIBUTES)), np.nan)
    if draw < 0.5:
        name = pick([name for name in ATTRIBUTES if name in told], random)
        shape = pick(SHAPES if sections > 2 else SHAPES[:2], random)
        course[:, ATTRIBUTES.index(name)] = shape_levels(shape, sections)
    elif draw < 0.8:
        column = int(random.integers(len(ATTRIBUTES)))
        signs = random.choice([-1.0, 1.0]) * (-1.0) ** np.arange(sections)
        course[:, column] = signs * random.uniform(0.5, STRONGEST, size=sections)
    else:
        chosen = random.choice(len(scenes_of(split)), size=sections, replace=False)
        course = scene_levels(split)[chosen]
    return course
