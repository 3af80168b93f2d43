"""meloctl compare: trained models and their masks, side by side."""

from pathlib import Path
from typing import Annotated

import typer

from meloctl.cli.common import Json, Threads, Work, command, outcome, progress, report, workspace


def compare(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN",
            help="Two or more runs of meloctl train: folders, or names in the workspace (default: all runs of the workspace). "
            "The first one is the baseline.",
            show_default=False,
        ),
    ] = None,
    pieces: Annotated[int, typer.Option("--pieces", help="Number of pieces that each model generates; 0: none.")] = 20,
    bars: Annotated[int, typer.Option("--bars", help="Length of each generated piece, in bars.")] = 32,
    seed: Annotated[
        int, typer.Option("--seed", help="Random seed of the first generated piece and of the bootstrap.", min=0)
    ] = 0,
    threads: Threads = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Compare trained models and their masks: bits per note with intervals, time, memory and generated music.

    Example: meloctl compare

    Example: meloctl compare melo/model/tiny-1c2d3e4f melo/model/dense-tiny-5a6b7c8d --pieces 0
    """
    from analysis.json_spec import read_json
    from meloctl.comparison.comparison_text import comparison_lines, runs_with_music
    from meloctl.comparison.options import CompareOptions
    from meloctl.comparison.session import COMPARISON_HTML, COMPARISON_JSON, MUSIC, plan_comparison, run_comparison

    space = workspace(work)
    options = CompareOptions(runs=tuple(runs or ()), pieces=pieces, bars=bars, seed=seed, threads=threads)
    plan = plan_comparison(space, options)
    with progress() as reporter:
        run = run_comparison(space, plan, reporter)
    comparison = read_json(run.folder / COMPARISON_JSON, what="comparison", max_bytes=1 << 30)
    assert isinstance(comparison, dict)  # its hash is in the manifest
    files = [name for name in run.files if not name.startswith(f"{MUSIC}/")]
    listen = []
    if with_music := runs_with_music(comparison):
        files.append(f"{MUSIC}/")
        folder = run.folder / with_music[0]["music"]["folder"]
        listen = [f"To listen: {command('play', folder, work=work)}"]
    opened = f"Open it in a browser: {(run.folder / COMPARISON_HTML).resolve().as_uri()}"
    report([*comparison_lines(comparison), "", outcome(run, files), *listen, opened], comparison, as_json=as_json)
