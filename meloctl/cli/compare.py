"""meloctl compare: several trained models, and so masks, side by side."""

from pathlib import Path
from typing import Annotated

import typer

from meloctl.cli.common import Json, Work, command, progress, report, workspace, wrote


def compare(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN",
            help="Two runs of meloctl train or more: folders, or names in the workspace (default: all of the workspace). "
            "The others are held against the first.",
            show_default=False,
        ),
    ] = None,
    pieces: Annotated[
        int, typer.Option("--pieces", help="How many pieces each model writes; 0 leaves music out.")
    ] = 20,
    bars: Annotated[int, typer.Option("--bars", help="How many bars each piece has.")] = 32,
    seed: Annotated[int, typer.Option("--seed", help="Of the first piece, and of the lots for intervals.", min=0)] = 0,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Put trained models and their masks side by side: bits a note with intervals, cost, music, pictures.

    Example: meloctl compare

    Example: meloctl compare melo/model/tiny-1c2d3e4f melo/model/dense-tiny-5a6b7c8d --pieces 0
    """
    from analysis.json_file import read_json
    from meloctl.comparison.comparison_text import lines_of
    from meloctl.comparison.measure_runs import SampleRequest
    from meloctl.comparison.session import FACTS, MUSIC, PAGE, PICTURE, TABLE, plan_comparison, run_comparison

    space = workspace(work)
    plan = plan_comparison(space, runs or [], SampleRequest(pieces=pieces, bars=bars, seed=seed))
    run = space.finished(plan.recipe)
    if run:
        said = f"Unchanged since {run.time}, nothing redone: {run.folder}/"
    else:
        try:
            with progress() as reporter:
                run = run_comparison(space, plan, reporter)
        except BaseException:
            space.remove_empty(plan.recipe)
            raise
        files = [FACTS, TABLE, PICTURE, PAGE]
        said = wrote(run.folder, [*files, f"{MUSIC}/"] if len(run.files) > len(files) else files)
    facts = read_json(run.folder / FACTS, what="comparison", max_bytes=1 << 30)
    assert isinstance(facts, dict)  # its hash is in the manifest
    heard = next((told["music"]["folder"] for told in facts["runs"] if told["music"]), None)
    listen = [f"To listen: {command('play', run.folder / heard, work=work)}"] if heard else []
    opened = f"Open it in a browser: {(run.folder / PAGE).resolve().as_uri()}"
    report([*lines_of(facts), "", said, *listen, opened], facts, as_json=as_json)
