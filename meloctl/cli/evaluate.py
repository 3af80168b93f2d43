"""meloctl evaluate: compare music with a reference, and compute a model's loss on held-out music."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from meloctl.evaluation.options import EvaluateOptions
    from meloctl.workspace import Workspace


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
            help="A run of meloctl train whose loss on held-out pieces to compute (default: none if MIDI is given); with --text "
            "also default: the weights that came with meloctl.",
            show_default=False,
        ),
    ] = None,
    text: Annotated[
        bool,
        typer.Option(
            "--text", help="Judge how well music does what words ask for: --model, its bridge, and built-in texts."
        ),
    ] = False,
    bridge: Annotated[
        Path | None,
        typer.Option(
            "--bridge",
            help="With --text: a run of meloctl train-bridge (default: the latest, else the one that came with meloctl).",
            show_default=False,
        ),
    ] = None,
    pieces: Annotated[
        int | None,
        typer.Option("--pieces", help="With --text: number of pieces per text (default: 20).", show_default=False),
    ] = None,
    bars: Annotated[
        int | None, typer.Option("--bars", help="With --text: bars of each piece (default: 16).", show_default=False)
    ] = None,
    meter: Meter = None,
    pedal: Pedal = False,
    fix_bars: FixBars = False,
    seed: Annotated[
        int, typer.Option("--seed", help="Random seed of the bootstrap; with --text also of the pieces.", min=0)
    ] = 0,
    threads: Threads = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Evaluate generated MIDI against real music (metrics, Similarity Error, copying), and a model on held-out pieces.

    With --text: how well music does what words ask for, with nulls, and, given a reference, with rivals. A run that was stopped
    goes on where it was.

    Example: meloctl evaluate melo/out --reference corpus/

    Example: meloctl evaluate

    Example: meloctl evaluate --text --pieces 8 --reference corpus/
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
        folder=folder,
        reference=reference,
        model=model,
        text=text,
        bridge=bridge,
        pieces=pieces,
        bars=bars,
        reading=reading,
        seed=seed,
        threads=threads,
    )
    if text:
        _evaluate_texts(space, options, as_json=as_json)
        return
    plan = plan_evaluation(space, options)
    with progress() as reporter:
        run = run_evaluation(space, plan, reporter)
    evaluation = read_json(run.folder / EVALUATION_JSON, what="evaluation", max_bytes=1 << 30)
    assert isinstance(evaluation, dict)  # its hash is in the manifest
    report([*evaluation_lines(evaluation), "", outcome(run)], evaluation, as_json=as_json)


def _evaluate_texts(space: "Workspace", options: "EvaluateOptions", *, as_json: bool) -> None:
    with importing():
        from analysis.json_spec import read_json
        from meloctl.evaluation.text_evaluation import TEXT_EVALUATION_JSON, evaluate_texts
        from meloctl.evaluation.text_evaluation_tables import text_evaluation_lines

    with progress() as reporter:
        run = evaluate_texts(space, options, reporter)
    found = read_json(run.folder / TEXT_EVALUATION_JSON, what="evaluation of texts", max_bytes=1 << 26)
    assert isinstance(found, dict)  # its hash is in the manifest
    report([*text_evaluation_lines(found), "", outcome(run)], found, as_json=as_json)
