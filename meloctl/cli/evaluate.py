"""meloctl evaluate: judge music against a reference, and a model by what held-out music costs it."""

from pathlib import Path
from typing import Annotated

import typer

from meloctl.cli.common import Json, Meter, Work, progress, report, workspace, wrote


def evaluate(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="MIDI to judge, whoever wrote it: a folder, one file, or a .txt list. Without it the latest model is judged.",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference", help="MIDI to hold it against (default: what stats measured last).", show_default=False
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", help="A run of meloctl train: say too what held-out music costs it.", show_default=False
        ),
    ] = None,
    meter: Meter = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the lots for intervals.", min=0)] = 0,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Judge a folder of MIDI against real music: metrics, Similarity Error, copies; and a model by its cost.

    Example: meloctl evaluate melo/out --reference corpus/

    Example: meloctl evaluate
    """
    from analysis.errors import MeloError
    from analysis.json_file import read_json
    from meloctl.evaluation.evaluation_text import lines_of
    from meloctl.evaluation.session import FACTS, EvaluateOptions, plan_evaluation, run_evaluation

    space = workspace(work)
    plan = plan_evaluation(
        space, EvaluateOptions(folder=folder, reference=reference, model=model, meter=meter, seed=seed)
    )
    run = space.finished(plan.recipe)
    if run:
        said = f"Unchanged since {run.time}, nothing redone: {run.folder}/"
    else:
        try:
            with progress() as reporter:
                run = run_evaluation(space, plan, reporter)
        except MeloError:
            space.remove_empty(plan.recipe)
            raise
        said = wrote(run.folder, run.files)
    facts = read_json(run.folder / FACTS, what="evaluation", max_bytes=1 << 30)
    assert isinstance(facts, dict)  # its hash is in the manifest
    report([*lines_of(facts), "", said], facts, as_json=as_json)
