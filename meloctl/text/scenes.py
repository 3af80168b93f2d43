"""Scenes and moods: a table of ours, from "a thunderstorm" or 暴风雨 to the levels of attributes that it implies.

No encoder's geometry knows what a storm sounds like; this table says it, and only for attributes that a scene really implies.
"""

from functools import cache
from typing import Annotated

import msgspec
import numpy as np

from analysis.arrays import Floats
from analysis.errors import MeloError
from analysis.json_spec import JsonSpec
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.text.lexicon import Language, Level, Split, Text, levels_array

_FAINT = 0.3
"""A level below this agrees with no scene."""


class Scene(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scene or mood: its phrasings in both languages, and the levels of the attributes that it implies."""

    split: Split
    en: Annotated[tuple[Text, ...], msgspec.Meta(min_length=2)]
    zh: Annotated[tuple[Text, ...], msgspec.Meta(min_length=2)]
    levels: Annotated[dict[str, Level], msgspec.Meta(min_length=1)]

    def phrasings(self, language: Language) -> tuple[str, ...]:
        """Its names in a language."""
        return self.en if language == "en" else self.zh


class SceneTable(
    JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="meloctl.scenes/1"
):
    """All scenes of scenes.json."""

    noun = "table of scenes"

    scenes: tuple[Scene, ...]

    def __post_init__(self) -> None:
        for scene in self.scenes:
            if unknown := sorted(set(scene.levels) - set(ATTRIBUTES)):
                raise MeloError(f"scene {scene.en[0]!r}: attribute {unknown[0]!r} is none of {', '.join(ATTRIBUTES)}")


@cache
def all_scenes() -> tuple[Scene, ...]:
    """Every scene that is installed with the package, in the table's order."""
    return SceneTable.installed("meloctl.text", "scenes.json").scenes


@cache
def scenes_of(split: Split) -> tuple[Scene, ...]:
    """The scenes of training captions, or of tests."""
    return tuple(scene for scene in all_scenes() if scene.split == split)


@cache
def scene_levels(split: Split) -> Floats:
    """(N, A) levels of the scenes of a split, NaN where a scene says nothing."""
    return np.array([levels_array(scene.levels) for scene in scenes_of(split)])


def agreeing_scenes(levels_A: Floats, split: Split) -> list[Scene]:
    """The scenes all of whose levels lie on the side on which the music's levels (A,) lie clearly."""
    table = scene_levels(split)
    with np.errstate(invalid="ignore"):
        agrees = np.isnan(table) | ((np.sign(table) == np.sign(levels_A)) & (np.abs(levels_A) >= _FAINT))
    return [scene for scene, whole in zip(scenes_of(split), agrees.all(axis=1), strict=True) if whole]
