"""meloctl play: a piece to look at and listen to, in a browser."""

from pathlib import Path
from typing import Annotated

import typer

from meloctl.cli.common import Json, Work, page_name, progress, report, workspace
from meloctl.formatting import piece_line


def play(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE|RUN]",
            help="A MIDI file, or a folder that meloctl generate wrote (default: the latest).",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write a copy of the page here, a .html file.", show_default=False),
    ] = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Write a piece as one HTML file that shows its piano roll and plays it, without a network.

    Example: meloctl play

    Example: meloctl play song.mid --out song.html
    """
    from analysis.atomic_write import atomic_write_text
    from meloctl.play.session import PAGE, plan_play, write_page

    page_name(out)
    space = workspace(work)
    plan = plan_play(space, source)
    run = space.finished(plan.recipe)
    path = space.folder(plan.recipe) / PAGE
    if run:
        said = [f"Unchanged since {run.time}, nothing redone: {path}"]
    else:
        with progress() as reporter:
            reporter.stage("rendering pieces", len(plan.pieces))
            run = write_page(space, plan, on_piece=reporter.advance)
        said = [f"Wrote {path}"]
    if out is not None:
        atomic_write_text(out, path.read_text(encoding="utf-8"))
        said.append(f"Wrote {out}")
    shown, pieces = out or path, run.manifest_value("results", "pieces")
    said.append(f"Open it in a browser: {shown.resolve().as_uri()}")
    report([*map(piece_line, pieces), *said], {"path": str(shown), "pieces": pieces}, as_json=as_json)
