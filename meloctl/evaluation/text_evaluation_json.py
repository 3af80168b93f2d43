"""Measured cells → the object of text_evaluation.json; see `meloctl.text_evaluation/1` in docs/formats.md."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.arrays import Floats
from analysis.intervals import Estimate, difference_estimates
from meloctl.evaluation.evaluation_json import estimate_json
from meloctl.evaluation.text_cases import CourseCase, SceneCase, TextCases, TextPair
from meloctl.evaluation.text_cells import NULLS, RANDOM_WANTED, RIVALS, CellMeasures, TextCell
from meloctl.evaluation.text_control import (
    clear_of,
    correlation,
    course_followed,
    effect_size,
    tempo_agreement,
)
from meloctl.plans.bar_course import LAGS, bar_course
from meloctl.rows.attribute_scale import AttributeScale
from meloctl.rows.attributes import ATTRIBUTES

FORMAT = "meloctl.text_evaluation/1"

_OTHER = 3
"""How many pairs further on the pair of other texts stands, in the same language."""

_WANTED = ("captions", "unseen captions", "random")
"""Cells whose pieces are each wanted otherwise."""

Cells = Mapping[TextCell, CellMeasures]


class TextResults:
    """Results of the cases, from the cells of one run."""

    def __init__(self, cases: TextCases, cells: Cells, scale: AttributeScale, seed: int) -> None:
        """Results of measured cells.

        Args:
            scale: from attributes to levels.
            seed: of the resamples.
        """
        self._cases, self._cells, self._scale, self._seed = cases, cells, scale, seed

    def to_json(self, real_plans: Floats | None) -> dict[str, Any]:
        """All results.

        Args:
            real_plans: (N, T, D) plans of spans of real pieces; None where there are none.
        """
        pairs = [self._pair(pair) for pair in self._cases.pairs]
        scenes = [self._scene(scene) for scene in self._cases.scenes]
        effects = {
            key: [pair[key]["value"] for pair in pairs if pair[key]["value"] is not None]
            for key in ("effect", "unseen")
        }
        return {
            "pairs": pairs,
            "scenes": scenes,
            "courses": [self._course(course) for course in self._cases.courses],
            "correlations": self._correlations(),
            "tempo": {condition: self._tempo(condition) for condition in _WANTED},
            "plans": self._plans(real_plans),
            "summary": {
                "pairs": len(pairs),
                "clear": sum(pair["clear"] for pair in pairs),
                "median_effect": float(np.median(effects["effect"])) if effects["effect"] else None,
                "unseen_clear": sum(pair["unseen_clear"] for pair in pairs),
                "unseen_median_effect": float(np.median(effects["unseen"])) if effects["unseen"] else None,
                "scene_sides": sum(len(scene["attributes"]) for scene in scenes),
                "scene_sides_right": sum(side["right"] for scene in scenes for side in scene["attributes"]),
            },
        }

    def _random(self) -> np.random.Generator:
        return np.random.default_rng(self._seed)

    def _levels(self, cell: TextCell) -> Floats | None:
        """(N, A) levels of a cell's pieces; None where it was not made."""
        return self._scale.levels(self._cells[cell].pieces) if cell in self._cells else None

    def _effect(self, high: TextCell, low: TextCell, attribute: str) -> Estimate:
        """Effect size of an attribute between two cells; of a cell with itself, between its halves."""
        above, below = self._levels(high), self._levels(low)
        if above is None or below is None:
            return Estimate(value=np.nan, low=np.nan, high=np.nan)
        if high == low:
            above, below = np.array_split(above, 2)
        column = ATTRIBUTES.index(attribute)
        return effect_size(above[:, column], below[:, column], self._random())

    def _pair(self, pair: TextPair) -> dict[str, Any]:
        def cells(condition: str, texts: TextPair = pair) -> tuple[TextCell, TextCell]:
            if condition in ("none", "zero"):
                return TextCell(condition=condition), TextCell(condition=condition)
            if condition in RIVALS:
                high, low = (TextCell(condition=condition, side=(pair.attribute, side)) for side in (1, -1))
                return high, low
            return (
                TextCell(condition=condition, texts=(texts.high,)),
                TextCell(condition=condition, texts=(texts.low,)),
            )

        effect, unseen = (self._effect(*cells(name), pair.attribute) for name in ("text", "unseen"))
        nulls = {name: self._effect(*cells(name), pair.attribute) for name in NULLS if name != "other"}
        nulls["other"] = self._effect(*cells("text", self._other(pair)), pair.attribute)
        rivals = {name: self._effect(*cells(name), pair.attribute) for name in RIVALS}
        return {
            "attribute": pair.attribute,
            "language": pair.language,
            "high": pair.high,
            "low": pair.low,
            "effect": _json(effect),
            "unseen": _json(unseen),
            "nulls": {name: _json(one) for name, one in nulls.items()},
            "rivals": {name: _json(one) for name, one in rivals.items()},
            "clear": clear_of(effect, nulls),
            "unseen_clear": clear_of(unseen, nulls),
            "best": clear_of(effect, rivals) if all(np.isfinite(one.value) for one in rivals.values()) else None,
        }

    def _other(self, pair: TextPair) -> TextPair:
        """A pair about something else, in the same language."""
        same = [other for other in self._cases.pairs if other.language == pair.language]
        return same[(same.index(pair) + _OTHER) % len(same)]

    def _scene(self, scene: SceneCase) -> dict[str, Any]:
        """Levels of a scene's pieces less those of pieces without a plan."""
        levels, usual = (
            self._levels(cell) for cell in (TextCell(condition="text", texts=(scene.text,)), TextCell(condition="none"))
        )
        assert levels is not None
        assert usual is not None
        differences = difference_estimates(levels, usual, self._random())
        attributes = []
        for attribute, side in scene.sides().items():
            moved = differences[ATTRIBUTES.index(attribute)]
            ends = (moved.low, moved.high) if side > 0 else (-moved.high, -moved.low)
            attributes.append(
                {
                    "attribute": attribute,
                    "side": side,
                    "moved": _json(moved),
                    "right": bool(side * moved.value > 0),
                    "clear": bool(ends[0] > 0),
                }
            )
        return {"text": scene.text, "language": scene.language, "attributes": attributes}

    def _course(self, course: CourseCase) -> dict[str, Any]:
        column = ATTRIBUTES.index(course.attribute)

        def followed(cell: TextCell) -> Estimate:
            bars = self._cells[cell].bars[:, :, column]
            return course_followed(course.wanted(bars.shape[1]), bars, self._random())

        nulls = {name: followed(TextCell(condition=name)) for name in ("none", "zero")}
        nulls["shuffled"] = followed(TextCell(condition="shuffled", texts=course.texts))
        courses = self._cases.courses
        other = courses[(courses.index(course) + 1) % len(courses)]
        nulls["other"] = followed(TextCell(condition="text", texts=other.texts))
        effect = followed(TextCell(condition="text", texts=course.texts))
        return {
            "attribute": course.attribute,
            "language": course.language,
            "texts": list(course.texts),
            "rises": course.rises,
            "followed": _json(effect),
            "nulls": {name: _json(one) for name, one in nulls.items()},
            "clear": clear_of(effect, nulls),
        }

    def _correlations(self) -> list[dict[str, Any]]:
        """Correlation of wanted with measured levels, in words and as levels; and with the pieces of other wants."""
        out = []
        for attribute in RANDOM_WANTED:
            column, entry = ATTRIBUTES.index(attribute), dict[str, Any](attribute=attribute)
            for condition in _WANTED:
                cell = TextCell(condition=condition)
                wanted, levels = self._cells[cell].wanted[:, column], self._levels(cell)
                assert levels is not None
                entry[condition] = _json(correlation(wanted, levels[:, column], self._random()))
                others = np.roll(levels[:, column], 1)
                entry[f"{condition}_other"] = _json(correlation(wanted, others, self._random()))
            out.append(entry)
        return out

    def _tempo(self, condition: str) -> dict[str, Any]:
        """Shares of pieces whose tempo lies in the wanted bin, and in it or beside it."""
        cell, column = TextCell(condition=condition), ATTRIBUTES.index("tempo")
        wanted = self._scale.attributes(self._cells[cell].wanted)[:, column]
        measured = self._cells[cell].pieces[:, column]
        same, near = tempo_agreement(2**wanted, 2**measured, self._random())
        other_same, other_near = tempo_agreement(2**wanted, 2 ** np.roll(measured, 1), self._random())
        return {
            "same": _json(same),
            "near": _json(near),
            "other_same": _json(other_same),
            "other_near": _json(other_near),
        }

    def _plans(self, real: Floats | None) -> dict[str, Any]:
        """Variance between bars and correlation by bars apart, of the plans of texts, of levels and of real pieces."""
        texts = [measures.plans for cell, measures in self._cells.items() if cell.condition == "text"]
        sets = {"text": np.concatenate(texts), "random": self._cells[TextCell(condition="random")].plans, "real": real}
        out: dict[str, Any] = {}
        for name, plans in sets.items():
            if plans is None:
                out[name] = None
                continue
            course = bar_course(list(plans), self._random())
            lags = {str(lag): _json(one) for lag, one in zip(LAGS, course.autocorrelation, strict=True)}
            out[name] = {"variance": _json(course.variance), "autocorrelation": lags}
        return out


def _json(found: Estimate) -> dict[str, Any]:
    """{"value", "interval"}, None where unknown."""
    value, ends = estimate_json(found)
    return {"value": value, "interval": ends}
