"""One `meloctl plans`: the plans and attributes of every bar of a corpus, pictures of them, and what they say."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from analysis.arrays import Floats32
from analysis.corpus import find_files, fingerprint
from analysis.errors import MeloError
from analysis.intervals import Estimate
from analysis.reading import AS_IT_STANDS, READER, Reading
from meloctl.dataset.corpus_rows import corpus_rows, encoded_files
from meloctl.dataset.store import Shard
from meloctl.model.checkpoint import load_model, read_description
from meloctl.plans.bar_course import LAGS, BarCourse, bar_course
from meloctl.plans.linear_probes import probe_scores
from meloctl.plans.plan_files import FILES, CorpusPlans, PlannedFile, PlansJson, Side, read_plans, write_plans
from meloctl.plans.planned_model import check_planned, plan_channel, plans_and_attributes
from meloctl.plans.principal_components import PrincipalComponents, principal_components
from meloctl.progress import ProgressReporter
from meloctl.rows.attribute_scale import AttributeScale, attribute_scale
from meloctl.rows.attributes import ATTRIBUTES, UNITS
from meloctl.weights.default_weights import chosen_model, model_label
from meloctl.workspace import Recipe, RunOutput, Workspace, file_hash

PICTURE = "components.png"


@dataclass(frozen=True, kw_only=True)
class PlansOptions:
    """What `meloctl plans` was given."""

    corpus: Path
    """A folder of MIDI files, one file, or a text file with a path a line."""

    reading: Reading = AS_IT_STANDS
    model: str | None = None
    """Its folder, or "default"; None: the workspace's latest, without one the weights that come with meloctl."""


@dataclass(frozen=True, kw_only=True)
class PlansPlan:
    """Whose plans of which files will be made."""

    recipe: Recipe
    files: list[Path]
    reading: Reading
    model_folder: Path
    model_name: str
    """For people."""


def plan_plans(space: Workspace, options: PlansOptions) -> PlansPlan:
    """Find the files and the model; nothing is written.

    Raises:
        MeloError: no such corpus or model, or one that was trained without plans.
    """
    files = find_files(options.corpus)
    model = chosen_model(space, options.model)
    check_planned(read_description(model), model, field=None if options.model is None else "model")
    corpus = options.corpus.resolve()
    return PlansPlan(
        recipe=Recipe(
            stage="plans",
            command="plans",
            inputs={
                "corpus": str(corpus),
                "fingerprint": fingerprint(files, options.corpus),
                "weights": file_hash(model / "model.safetensors"),
                "reader": READER,
                **options.reading.to_json(),
            },
            options={"seed": 0},
            label=corpus.name,
        ),
        files=files,
        reading=options.reading,
        model_folder=model,
        model_name=model_label(model),
    )


def write_corpus_plans(plan: PlansPlan, cache: Path, folder: Path, reporter: ProgressReporter) -> RunOutput:
    """Make the plans, measure what they say, and write all files into a folder.

    Args:
        plan: from `plan_plans`.
        cache: of rows; rows that training has cached are used again.
        folder: of the run.
        reporter: gets a stage for files and one for pieces.

    Raises:
        MeloError: no file could be read, or damaged weights.
    """
    model, _ = load_model(plan.model_folder)
    channel, inputs = plan_channel(model), plan.recipe.inputs
    shard = corpus_rows(
        cache,
        plan.files,
        model.vocabulary,
        reporter,
        corpus=inputs["corpus"],
        fingerprint=inputs["fingerprint"],
        reading=plan.reading,
    )
    reporter.stage("plans of pieces", len(shard))
    pieces = (shard.piece(i) for i in range(len(shard)))
    plans, measured = plans_and_attributes(pieces, channel, shard.vocabulary, reporter)
    attributes = [each.astype(np.float32) for each in measured]
    scale, lacking = _scale(attributes)
    about = PlansJson(
        weights=inputs["weights"],
        plan_width=model.config.plan_width,
        attributes=ATTRIBUTES,
        scale=scale,
        pieces=_planned_files(plan, shard, [len(x) for x in plans]),
    )
    write_plans(folder, np.concatenate(plans), np.concatenate(attributes), about)
    written = read_plans(folder)
    components = _draw(written, folder, title=f"Bars of {plan.recipe.label}: plans of {plan.model_name}")
    return RunOutput(
        files=[*FILES, PICTURE],
        results={"plans": _measured(written, components, plan.model_name), "messages": lacking},
    )


def _planned_files(plan: PlansPlan, shard: Shard, bars: list[int]) -> tuple[PlannedFile, ...]:
    """The pieces of a shard, and which rows of the arrays are their bars."""
    first = (np.cumsum(bars) - bars).tolist()
    return tuple(
        PlannedFile(file=name, split=cast(Side, side), first_bar=at, bars=n)
        for name, side, at, n in zip(_names(plan, shard), shard.split, first, bars, strict=True)
    )


def _names(plan: PlansPlan, shard: Shard) -> list[str]:
    """Paths of the shard's pieces below the corpus."""
    root = Path(plan.recipe.inputs["corpus"])
    root = root if root.is_dir() else root.parent
    paths = [path.resolve() for path in encoded_files(plan.files, shard, plan.reading)]
    return [str(p.relative_to(root)) if p.is_relative_to(root) else str(p) for p in paths]


def _scale(attributes: list[Floats32]) -> tuple[AttributeScale | None, list[str]]:
    """The scale of bars with attributes (T, A) a piece, and what to say where there is none."""
    try:
        return attribute_scale([each.astype(np.float64) for each in attributes]), []
    except MeloError as error:
        return None, [f"No scale of levels: {error}"]


def _draw(written: CorpusPlans, folder: Path, *, title: str) -> PrincipalComponents:
    from meloctl.plans.plan_pictures import draw_components

    components = principal_components(written.plans)
    random = np.random.default_rng(0)
    draw_components(components, written.attributes, folder / PICTURE, title=title, random=random)
    return components


def _measured(written: CorpusPlans, components: PrincipalComponents, model: str) -> dict[str, Any]:
    """What is measured of plans, as JSON values."""
    random = np.random.default_rng(0)
    every, training = written.of_split("train", "validation", "test"), written.of_split("train")
    held_out = written.of_split("validation", "test")
    scores = probe_scores(training, held_out, random) if training and held_out else []
    attributes = written.attributes.astype(np.float64)
    return {
        "model": model,
        "weights": written.about.weights,
        "pieces": {side: len(written.of_split(side)) for side in ("train", "validation", "test")},
        "bars": len(written.plans),
        "plan_width": written.about.plan_width,
        "component_shares": components.shares.round(5).tolist(),
        "attributes": {
            name: {
                "unit": UNITS[a],
                "mean": _known(column.mean()) if (column := _finite(attributes[:, a])).size else None,
                "deviation": _known(column.std()) if column.size else None,
                "probe": _estimate_json(scores[a]) if scores else None,
            }
            for a, name in enumerate(ATTRIBUTES)
        },
        "course": _course_json(bar_course([piece.plans for piece in every], random)),
    }


def _finite(column: np.ndarray) -> np.ndarray:
    return column[np.isfinite(column)]


def _course_json(course: BarCourse) -> dict[str, Any]:
    """A course as JSON values."""
    return {
        "variance": _estimate_json(course.variance),
        "autocorrelation": {str(k): _estimate_json(e) for k, e in zip(LAGS, course.autocorrelation, strict=True)},
    }


def _estimate_json(e: Estimate) -> dict[str, float | None]:
    """A number with its interval as JSON values; null where it is not known."""
    return {name: _known(value) for name, value in asdict(e).items()}


def _known(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
