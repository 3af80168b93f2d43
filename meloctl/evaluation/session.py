"""One `meloctl evaluate`: which music and which model are evaluated, and the files of the run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.atomic_write import atomic_write_text
from analysis.corpus import find_files, fingerprint
from analysis.errors import MeloError
from analysis.reading import READER, Reading
from analysis.similarity import MEASURES
from meloctl.evaluation.evaluation_json import FORMAT, Shared, music_json, music_set_json, shared_with_reference
from meloctl.evaluation.evaluation_page import evaluation_page
from meloctl.evaluation.music_metrics import MusicMetrics, measure_files
from meloctl.evaluation.options import EvaluateOptions
from meloctl.evaluation.pieces_csv import pieces_csv
from meloctl.progress import ProgressReporter
from meloctl.threads import check_threads
from meloctl.workspace import LATEST, Recipe, Run, RunOutput, Workspace, file_hash

EVALUATION_JSON, EVALUATION_HTML, PIECES_CSV = "evaluation.json", "evaluation.html", "pieces.csv"


@dataclass(frozen=True, kw_only=True)
class MusicFolder:
    """MIDI files to be measured."""

    path: Path
    files: list[Path]
    reading: Reading

    def to_json(self) -> dict[str, Any]:
        """For the manifest: path, fingerprint of the files, reading."""
        return {
            "path": str(self.path.resolve()),
            "fingerprint": fingerprint(self.files, self.path),
            **self.reading.to_json(),
        }

    def measure(self, reporter: ProgressReporter, stage: str) -> MusicMetrics:
        """Every file, read and measured. Raises MeloError where none could be read."""
        reporter.stage(stage, len(self.files))
        return measure_files(self.files, reading=self.reading, on_file=reporter.advance)


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """What will be evaluated, and the recipe of the run."""

    recipe: Recipe
    folder: MusicFolder | None
    reference: MusicFolder | None
    model: Path | None
    seed: int
    threads: int | None


def plan_evaluation(space: Workspace, options: EvaluateOptions) -> EvaluationPlan:
    """Options → what `meloctl evaluate` will do; nothing is written.

    Raises:
        MeloError: a folder without MIDI, options that contradict, no model yet.
    """
    check_threads(options.threads)
    if options.folder is None and options.reference is not None:
        raise MeloError(
            "it is for a FOLDER of MIDI files, and none was given; give one", field="reference", given=options.reference
        )
    given = [(field, value) for field, value in options.reading.to_json().items() if value]
    if options.folder is None and given:
        field, value = given[0]
        raise MeloError(
            "it is for a FOLDER of MIDI files, and none was given; leave it out",
            field=field,
            given=None if value is True else value,
        )
    folder = _music_folder(options.folder, options.reading) if options.folder is not None else None
    reference = _reference(space, options.reference, options.reading) if folder else None
    model = options.model or (None if folder else space.latest("model").folder)
    named = options.folder or model
    assert named  # without a folder the latest model is evaluated
    recipe = Recipe(
        stage="eval",
        command="evaluate",
        inputs={
            "format": FORMAT,
            "reader": READER,
            "folder": folder.to_json() if folder else None,
            "reference": reference.to_json() if reference else None,
            **({"model": _model_json(model)} if model else {}),
        },
        options={"seed": options.seed, **({"measures": [m.name for m in MEASURES]} if folder else {})},
        label=named.resolve().name,
    )
    return EvaluationPlan(
        recipe=recipe,
        folder=folder,
        reference=reference,
        model=model,
        seed=options.seed,
        threads=options.threads,
    )


def _music_folder(path: Path, reading: Reading) -> MusicFolder:
    return MusicFolder(path=path, files=find_files(path), reading=reading)


def _reference(space: Workspace, given: Path | None, reading: Reading) -> MusicFolder | None:
    """The given reference, else the corpus of the latest `meloctl stats` as it was read there; None where there is neither."""
    if given is not None:
        return _music_folder(given, reading)
    if not (space.root / "stats" / LATEST).is_file():
        return None
    stats = space.latest("stats")
    path = Path(stats.manifest_value("inputs", "corpus"))
    return _music_folder(path, reading.or_else(Reading.from_json(stats.manifest.options, where=stats.folder.name)))


def _model_json(model: Path) -> dict[str, Any]:
    """For the manifest: path of the run, fingerprint of its corpus, hash of its weights."""
    from meloctl.evaluation.held_out import trained_on  # torch is needed for models alone

    corpus = trained_on(model, field="model").fingerprint
    weights = model / "model.safetensors"
    if not weights.is_file():
        raise MeloError(
            f"no {weights.name} in it; give a finished run of meloctl train, as melo/model/NAME",
            field="model",
            given=model,
        )
    return {"path": str(model.resolve()), "fingerprint": corpus, "weights": file_hash(weights)}


def run_evaluation(space: Workspace, plan: EvaluationPlan, reporter: ProgressReporter) -> Run:
    """The finished run of a plan: the one that is there already, else a new one.

    Raises:
        MeloError: no file of a folder could be read, a damaged model; another command at work on the same run.
    """
    return space.once(plan.recipe, lambda folder: _evaluate(space, plan, folder, reporter))


def _evaluate(space: Workspace, plan: EvaluationPlan, folder: Path, reporter: ProgressReporter) -> RunOutput:
    """Evaluate, and write the files into the run's folder once all is known."""
    evaluation: dict[str, Any] = {"format": FORMAT, "music": None, "reference": None, "model": None}
    texts = {}
    if plan.folder:
        music, reference, shared = _measure(plan.folder, plan.reference, reporter)
        evaluation["music"] = music_set_json(music, str(plan.folder.path), plan.folder.reading)
        if plan.reference and reference:
            evaluation["reference"] = music_set_json(reference, str(plan.reference.path), plan.reference.reading)
        evaluation |= music_json(music, reference, seed=plan.seed, shared=shared)
        texts[PIECES_CSV] = pieces_csv(music, reference, shared)
    if plan.model:
        from meloctl.evaluation.held_out import held_out_loss

        evaluation["model"] = held_out_loss(space, plan.model, reporter, threads=plan.threads)
    texts[EVALUATION_JSON] = json.dumps(evaluation, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    texts[EVALUATION_HTML] = evaluation_page(evaluation, plan.recipe.label)
    for name, text in texts.items():
        atomic_write_text(folder / name, text)
    return RunOutput(files=list(texts), results={})


def _measure(
    folder: MusicFolder, reference: MusicFolder | None, reporter: ProgressReporter
) -> tuple[MusicMetrics, MusicMetrics | None, Shared | None]:
    """What is measured of the music and of the reference, and what the music's pieces share with it."""
    music = folder.measure(reporter, "measuring")
    if reference is None:
        return music, None, None
    real = reference.measure(reporter, "measuring the reference")
    return music, real, shared_with_reference(music, real)
