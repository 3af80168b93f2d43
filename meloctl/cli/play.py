"""meloctl play: piano rolls and sound of pieces, on one HTML page."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from meloctl.cli.common import Json, Work, page_name, page_outcome, report, run_once, say, workspace
from meloctl.formatting import piece_line


def play(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE|RUN]",
            help="A MIDI file, or a run of meloctl generate or transcribe (default: the latest run of generate).",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Also write the page to this .html file.", show_default=False),
    ] = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Write a piece as one HTML file that shows its piano roll and plays it, offline; a transcription beside its recording.

    Example: meloctl play

    Example: meloctl play song.mid --out song.html
    """
    from meloctl.play.session import PAGE, plan_play, write_page

    page_name(out)
    space = workspace(work)
    plan = plan_play(space, source)
    for message in plan.messages:
        say(message)
    run = run_once(space, plan.recipe, partial(write_page, plan))
    pieces = run.manifest_value("results", "pieces")
    path, lines = page_outcome(run, PAGE, out)
    report([*map(piece_line, pieces), *lines], {"path": str(path), "pieces": pieces}, as_json=as_json)
