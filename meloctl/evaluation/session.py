"""One `meloctl evaluate`: which music and which model are judged, and the files of the run."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.atomic_write import atomic_write_text
from analysis.corpus import find_files, fingerprint
from analysis.errors import MeloError
from analysis.piece import meter as parse_meter
from meloctl.evaluation.evaluation_json import FORMAT, Shared, judging, known, set_facts, shared_with
from meloctl.evaluation.evaluation_page import page
from meloctl.evaluation.evaluation_picture import draw_evaluation
from meloctl.evaluation.metrics import METRICS
from meloctl.evaluation.music_metrics import MusicMetrics, judged
from meloctl.progress import ProgressReporter
from meloctl.workspace import LATEST, Recipe, Run, Workspace, file_hash

METHOD = "meloctl.evaluation/1"
"""Names how it is judged; it changes with every change of a number, so that nothing of another method is taken for it."""

TABLE, FACTS, PICTURE, PAGE = "pieces.csv", "evaluation.json", "evaluation.png", "evaluation.html"


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What `meloctl evaluate` was told."""

    folder: Path | None
    reference: Path | None = None
    model: Path | None = None
    meter: str | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class MusicFolder:
    """Music to be read."""

    path: Path
    files: list[Path]
    meter: str | None

    def to_json(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "path": str(self.path.resolve()),
            "fingerprint": fingerprint(self.files, self.path),
            "meter": self.meter,
        }

    def read(self, reporter: ProgressReporter, what: str) -> MusicMetrics:
        """Every file, measured."""
        reporter.stage(what, len(self.files))
        return judged(self.files, meter=parse_meter(self.meter) if self.meter else None, on_file=reporter.advance)


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """What will be judged."""

    recipe: Recipe
    folder: MusicFolder | None
    reference: MusicFolder | None
    model: Path | None
    seed: int


def plan_evaluation(space: Workspace, asked: EvaluateOptions) -> EvaluationPlan:
    """What `meloctl evaluate` will do; nothing is written.

    Raises:
        MeloError: a folder without MIDI, options that contradict, no model yet.
    """
    if asked.folder is None and asked.reference is not None:
        raise MeloError(f"--reference {asked.reference}: nothing to hold against it; give a FOLDER of MIDI files first")
    if asked.folder is None and asked.meter is not None:
        raise MeloError(f"--meter {asked.meter}: it is for a FOLDER of MIDI files, and none was given; leave it out")
    meter = "{}/{}".format(*parse_meter(asked.meter)) if asked.meter is not None else None
    folder = (
        None if asked.folder is None else MusicFolder(path=asked.folder, files=find_files(asked.folder), meter=meter)
    )
    reference = _reference(space, asked.reference, meter) if folder else None
    model = asked.model or (None if folder else space.latest("model").folder)
    inputs: dict[str, Any] = {"method": METHOD}
    for name, it in (("folder", folder), ("reference", reference)):
        inputs[name] = it.to_json() if it else None
    if model:
        from meloctl.evaluation.held_out import trained_on  # torch is needed for models alone

        read = trained_on(model, field="model")
        inputs["model"] = {"path": str(model.resolve()), "fingerprint": read.fingerprint}
        inputs["model"]["weights"] = file_hash(_weights(model))
    named = asked.folder or model
    assert named
    recipe = Recipe(
        stage="eval",
        command="evaluate",
        inputs=inputs,
        options={"seed": asked.seed},
        label=named.resolve().name,
    )
    return EvaluationPlan(recipe=recipe, folder=folder, reference=reference, model=model, seed=asked.seed)


def _weights(run: Path) -> Path:
    path = run / "model.safetensors"
    if not path.is_file():
        raise MeloError(
            f"--model {run}: no {path.name} in it; give a finished run of meloctl train, as melo/model/NAME"
        )
    return path


def _reference(space: Workspace, given: Path | None, meter: str | None) -> MusicFolder | None:
    """The reference that was named, else what `meloctl stats` measured last, with its meter; None where there is neither."""
    if given is not None:
        return MusicFolder(path=given, files=find_files(given), meter=meter)
    if not (space.root / "stats" / LATEST).is_file():
        return None
    stats = space.latest("stats")
    path = Path(stats.manifest_value("inputs", "corpus"))
    return MusicFolder(path=path, files=find_files(path), meter=meter or stats.manifest_value("options", "meter"))


def run_evaluation(space: Workspace, plan: EvaluationPlan, reporter: ProgressReporter) -> Run:
    """Judge, and write the run.

    Raises:
        MeloError: no file of a folder could be read, a damaged model; another command at work on the same run.
    """
    with space.locked(plan.recipe):
        folder, files = space.folder(plan.recipe), [FACTS, PAGE]
        folder.mkdir(parents=True, exist_ok=True)  # so that giving up finds it
        facts: dict[str, Any] = {"format": FORMAT, "judged": None, "reference": None, "model": None}
        if plan.folder:
            mine = plan.folder.read(reporter, "judging")
            theirs = plan.reference.read(reporter, "reading the reference") if plan.reference else None
            shared = shared_with(mine, theirs) if theirs else None
            facts["judged"] = set_facts(mine, str(plan.folder.path), plan.folder.meter)
            if plan.reference and theirs:
                facts["reference"] = set_facts(theirs, str(plan.reference.path), plan.reference.meter)
            facts |= judging(mine, theirs, seed=plan.seed, shared=shared)
            atomic_write_text(folder / TABLE, table_of(mine, theirs, shared))
            title = f"{plan.folder.path.name} ({len(mine)} pieces)"
            if plan.reference and theirs:
                title += f" against {plan.reference.path.name} ({len(theirs)})"
            draw_evaluation(mine, theirs, folder / PICTURE, title=title)
            files += [TABLE, PICTURE]
        if plan.model:
            from meloctl.evaluation.held_out import held_out_loss

            facts["model"] = held_out_loss(space, plan.model, reporter)
        atomic_write_text(folder / FACTS, json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        atomic_write_text(folder / PAGE, page(facts, plan.recipe.label))
        return space.finish(plan.recipe, files=files, results={})


def table_of(mine: MusicMetrics, reference: MusicMetrics | None, shared: Shared | None) -> str:
    """pieces.csv: one line a piece."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    about = ["path", "bars", "notes", *(m.name.replace(" ", "_").replace("-", "_") for m in METRICS)]
    copies = ["longest_run", "longest_run_in", "copied_share", "nearest", "nearest_likeness"]
    writer.writerow([*about, *(copies if shared else [])])
    for i, name in enumerate(mine.names):
        row: list[Any] = [name, int(mine.bars[i]), int(mine.notes[i]), *(known(x) for x in mine.measures[i])]
        if reference and shared:
            run, (likeness, index) = shared[i]
            names = [reference.names[j] if j >= 0 else None for j in (run.source, index)]
            row += [run.longest, names[0], known(run.share), names[1], likeness]
        writer.writerow(["" if x is None else x for x in row])
    return out.getvalue()
