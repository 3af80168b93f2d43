"""meloctl evaluate: compare music with a reference, and compute a model's loss on held-out music."""

from pathlib import Path
from typing import Annotated

import typer

from meloctl.cli.common import (
    FixBars,
    Json,
    Meter,
    Pedal,
    Threads,
    Work,
    importing,
    outcome,
    progress,
    report,
    workspace,
)


def evaluate(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="MIDI to evaluate: a folder, one file, or a .txt list of files (default: none; the latest model is evaluated).",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            help="Real music to compare it with (default: the corpus of the latest meloctl stats).",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            help="A run of meloctl train whose loss on held-out pieces to compute (default: none if MIDI is given).",
            show_default=False,
        ),
    ] = None,
    meter: Meter = None,
    pedal: Pedal = False,
    fix_bars: FixBars = False,
    seed: Annotated[int, typer.Option("--seed", help="Random seed of the bootstrap.", min=0)] = 0,
    threads: Threads = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Evaluate generated MIDI against real music (metrics, Similarity Error, copying), and a model on held-out pieces.

    Example: meloctl evaluate melo/out --reference corpus/

    Example: meloctl evaluate
    """
    with importing():
        from analysis.json_spec import read_json
        from analysis.reading import Reading
        from meloctl.evaluation.evaluation_text import evaluation_lines
        from meloctl.evaluation.options import EvaluateOptions
        from meloctl.evaluation.session import EVALUATION_JSON, plan_evaluation, run_evaluation

    space = workspace(work)
    reading = Reading.of(meter, pedal=pedal, fix_bars=fix_bars)
    options = EvaluateOptions(
        folder=folder, reference=reference, model=model, reading=reading, seed=seed, threads=threads
    )
    plan = plan_evaluation(space, options)
    with progress() as reporter:
        run = run_evaluation(space, plan, reporter)
    evaluation = read_json(run.folder / EVALUATION_JSON, what="evaluation", max_bytes=1 << 30)
    assert isinstance(evaluation, dict)  # its hash is in the manifest
    report([*evaluation_lines(evaluation), "", outcome(run)], evaluation, as_json=as_json)
