"""meloctl train-bridge: fit the bridge from texts to the bar plans of a music model."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from meloctl.cli.common import Json, PlannedModel, Work, following, importing, outcome, report, run_once, say, workspace


def train_bridge(
    model: PlannedModel = None,
    encoder: Annotated[
        str,
        typer.Option("--encoder", help="Text encoder: use, e5, or the folder of a sentence-transformers model."),
    ] = "use",
    captions: Annotated[
        Path | None,
        typer.Option(
            "--captions",
            help='JSON lines {"location": "a.mid", "caption": "…"}, as MidiCaps has them: captions that were written for files '
            "of the corpus, beside those that are made.",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[float, typer.Option("--minutes", help="Time of training, in minutes.")] = 10.0,
    seed: Annotated[int, typer.Option("--seed", help="Random seed of captions, weights and noise.")] = 0,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Train the bridge from texts to the bar plans of a model, on the corpus of the latest meloctl stats.

    A stopped run is resumed.

    Example: meloctl train-bridge --minutes 10
    """
    with importing():
        from meloctl.bridge.options import BridgeOptions
        from meloctl.bridge.plan import plan_bridge
        from meloctl.bridge.session import bridge_lines, write_bridge

    space = workspace(work)
    options = BridgeOptions(model=model, encoder=encoder, captions=captions, minutes=minutes, seed=seed)
    plan = plan_bridge(space, options)
    for note in plan.notes:
        say(note)
    run = run_once(space, plan.recipe, partial(write_bridge, plan, space.cache))
    results = run.manifest_value("results", "bridge")
    lines = [*bridge_lines(results), outcome(run), following("generate", "--bars", "32", "--text", "calm", work=work)]
    report(lines, {**results, "path": str(run.folder)}, as_json=as_json)
