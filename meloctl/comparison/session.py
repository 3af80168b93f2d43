"""One `meloctl compare`: which runs are put side by side, and the files of the comparison."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from analysis.atomic_write import atomic_write_text
from analysis.errors import MeloError
from meloctl.comparison.comparison_csv import table_of
from meloctl.comparison.comparison_page import page
from meloctl.comparison.comparison_picture import draw_comparison
from meloctl.comparison.conclusions import notes_of, verdict_of
from meloctl.comparison.measure_runs import SampleRequest, measured
from meloctl.comparison.trained_runs import WEIGHTS, TrainedRun, find_runs
from meloctl.evaluation.held_out import held_out_pieces
from meloctl.generation.options import MOST_PIECES
from meloctl.generation.piece_writer import MOST_BARS
from meloctl.machine import free_memory
from meloctl.model.checkpoint import load_model
from meloctl.model.registry import Model
from meloctl.progress import ProgressReporter
from meloctl.workspace import Recipe, Run, Workspace

METHOD = "meloctl.comparison/1"
"""Names how it is compared; it changes with every change of a number, so that nothing of another method is taken for it."""

FACTS, TABLE, PICTURE, PAGE = "comparison.json", "comparison.csv", "comparison.png", "comparison.html"
MUSIC = "music"


@dataclass(frozen=True, kw_only=True)
class ComparisonPlan:
    """What will be compared."""

    recipe: Recipe
    runs: list[TrainedRun]
    music: SampleRequest


def plan_comparison(space: Workspace, given: Sequence[Path], music: SampleRequest) -> ComparisonPlan:
    """What `meloctl compare` will do; nothing is written.

    Args:
        given: runs by folder or name; without any, all of the workspace.

    Raises:
        MeloError: an option out of range, fewer than two runs, runs that cannot be compared.
    """
    if not 0 <= music.pieces <= MOST_PIECES:
        raise MeloError(f"--pieces {music.pieces}: give how many pieces each model writes, 0 to {MOST_PIECES}")
    if not 1 <= music.bars <= MOST_BARS:
        raise MeloError(f"--bars {music.bars}: give how many bars each piece has, 1 to {MOST_BARS}")
    runs = find_runs(space, given)
    recipe = Recipe(
        stage="compare",
        command="compare",
        inputs={
            "method": METHOD,
            "corpus": {"path": str(runs[0].on.corpus.resolve()), "fingerprint": runs[0].on.fingerprint},
            "runs": [{"path": str(run.folder.resolve()), "weights": run.weights} for run in runs],
        },
        options=asdict(music),
        label=f"{len(runs)}runs-{runs[0].name}",
    )
    return ComparisonPlan(recipe=recipe, runs=runs, music=music)


def run_comparison(space: Workspace, plan: ComparisonPlan, reporter: ProgressReporter) -> Run:
    """Compare, and write the run; whatever stops it leaves nothing half.

    Raises:
        MeloError: damaged weights or rows, too little memory; another command at work on the same comparison.
    """
    folder = space.folder(plan.recipe)
    with space.locked(plan.recipe), _nothing_half(folder):
        models = _load(plan.runs)
        pieces = held_out_pieces(space, plan.runs[0].on, plan.runs[0].about, reporter)
        facts, music = measured(plan.runs, models, pieces, plan.music, folder / MUSIC, reporter)
        facts |= {"notes": notes_of(facts), "verdict": verdict_of(facts)}
        atomic_write_text(folder / FACTS, json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        atomic_write_text(folder / TABLE, table_of(facts))
        atomic_write_text(folder / PAGE, page(facts))
        draw_comparison(facts, folder / PICTURE)
        files = [FACTS, TABLE, PAGE, PICTURE, *(str(path.relative_to(folder)) for path in music)]
        return space.finish(plan.recipe, files=files, results={})


@contextmanager
def _nothing_half(folder: Path) -> Iterator[None]:
    """Whatever stops the work, an interrupt too, takes along what it has written so far."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder / MUSIC, ignore_errors=True)
        for name in (FACTS, TABLE, PICTURE, PAGE):
            (folder / name).unlink(missing_ok=True)
        raise


def _load(runs: Sequence[TrainedRun]) -> list[Model]:
    """All models at once, for they take turns."""
    needed, free = sum((run.folder / WEIGHTS).stat().st_size for run in runs), free_memory()
    if needed > free:
        raise MeloError(
            f"the weights of {len(runs)} runs take {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free; compare fewer"
        )
    return [load_model(run.folder)[0] for run in runs]
