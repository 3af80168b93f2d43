"""One `meloctl compare`: which runs are compared, and the files of the comparison."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from analysis.atomic_write import atomic_write_text
from analysis.errors import MeloError
from analysis.reading import READER
from analysis.similarity import MEASURES
from meloctl.comparison.comparison_csv import comparison_csv
from meloctl.comparison.comparison_json import FORMAT
from meloctl.comparison.comparison_page import comparison_page
from meloctl.comparison.conclusions import conclusions, notes
from meloctl.comparison.measure_runs import measure_runs
from meloctl.comparison.options import CompareOptions
from meloctl.comparison.trained_runs import WEIGHTS, TrainedRun, find_runs
from meloctl.evaluation.held_out import held_out_pieces
from meloctl.formatting import byte_size
from meloctl.machine import free_memory
from meloctl.model.checkpoint import load_model
from meloctl.model.registry import Model
from meloctl.progress import ProgressReporter
from meloctl.workspace import Recipe, Run, RunOutput, Workspace

COMPARISON_JSON, COMPARISON_CSV, COMPARISON_HTML = "comparison.json", "comparison.csv", "comparison.html"
MUSIC = "music"
"""Folder of the generated MIDI files."""


@dataclass(frozen=True, kw_only=True)
class ComparisonPlan:
    """What will be compared, and the recipe of the run."""

    recipe: Recipe
    runs: list[TrainedRun]
    options: CompareOptions


def plan_comparison(space: Workspace, options: CompareOptions) -> ComparisonPlan:
    """Options → what `meloctl compare` will do; nothing is written.

    Raises:
        MeloError: an option out of range, fewer than two runs, runs that cannot be compared.
    """
    options.check()
    runs = find_runs(space, options.runs)
    recipe = Recipe(
        stage="compare",
        command="compare",
        inputs={
            "format": FORMAT,
            "reader": READER,
            "corpus": {"path": str(runs[0].on.corpus.resolve()), "fingerprint": runs[0].on.fingerprint},
            "runs": [{"path": str(run.folder.resolve()), "weights": run.weights} for run in runs],
        },
        options={
            "pieces": options.pieces,
            "bars": options.bars,
            "seed": options.seed,
            **({"measures": [m.name for m in MEASURES]} if options.pieces else {}),
        },
        label=f"{len(runs)}runs-{runs[0].name}",
    )
    return ComparisonPlan(recipe=recipe, runs=runs, options=options)


def run_comparison(space: Workspace, plan: ComparisonPlan, reporter: ProgressReporter) -> Run:
    """The finished run of a plan: the one that is there already, else a new one.

    Raises:
        MeloError: damaged weights or rows, too little memory; another command at work on the same comparison.
    """
    return space.once(plan.recipe, lambda folder: _compare(space, plan, folder, reporter))


def _compare(space: Workspace, plan: ComparisonPlan, folder: Path, reporter: ProgressReporter) -> RunOutput:
    """Compare, and write the files into the run's folder."""
    with _removed_on_error(folder):
        models = _load(plan.runs)
        pieces = held_out_pieces(space, plan.runs[0].on, plan.runs[0].about, reporter)
        comparison, music = measure_runs(plan.runs, models, pieces, plan.options, folder / MUSIC, reporter)
        comparison |= {"notes": notes(comparison), "conclusions": conclusions(comparison)}
        texts = {
            COMPARISON_JSON: json.dumps(comparison, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
            COMPARISON_CSV: comparison_csv(comparison),
            COMPARISON_HTML: comparison_page(comparison),
        }
        for name, text in texts.items():
            atomic_write_text(folder / name, text)
        return RunOutput(files=[*texts, *(str(path.relative_to(folder)) for path in music)], results={})


@contextmanager
def _removed_on_error(folder: Path) -> Iterator[None]:
    """Remove what was written so far where the work is stopped, by an interrupt too."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder / MUSIC, ignore_errors=True)
        for name in (COMPARISON_JSON, COMPARISON_CSV, COMPARISON_HTML):
            (folder / name).unlink(missing_ok=True)
        raise


def _load(runs: Sequence[TrainedRun]) -> list[Model]:
    """The models of all runs, in memory together, since they are measured in turns."""
    needed, free = sum((run.folder / WEIGHTS).stat().st_size for run in runs), free_memory()
    if needed > free:
        raise MeloError(
            f"the weights of {len(runs)} runs take {byte_size(needed)}, and {byte_size(free)} are free; compare fewer"
        )
    return [load_model(run.folder)[0] for run in runs]
