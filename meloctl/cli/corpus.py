"""meloctl corpus: corpora that come with the program."""

from pathlib import Path
from typing import Annotated

import typer

from meloctl.cli.common import Json, Work, progress, report, workspace

app = typer.Typer(help="Corpora that come with the program.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Corpora that come with the program."""


@app.command()
def chorales(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Where to write (default: corpus/chorales in the workspace).", show_default=False),
    ] = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Write Bach's four-part chorales as MIDI files, from the scores in the installed music21.

    Example: meloctl corpus chorales
    """
    import json
    from importlib.metadata import version

    from analysis.atomic import write_text
    from analysis.chorales import chorale_paths, write_chorales
    from analysis.json_file import read_json

    folder = folder or workspace(work).root / "corpus" / "chorales"
    origin = folder / "ORIGIN.json"
    about = read_json(origin, what="corpus origin") if origin.is_file() else None
    now = {"source": "music21 corpus, Bach chorales", "music21": version("music21")}
    if (
        isinstance(about, dict)
        and {k: about.get(k) for k in now} == now
        and len(list(folder.glob("*.mid"))) == about.get("pieces")
    ):
        said = "Unchanged, nothing redone"
    else:
        paths = chorale_paths()
        with progress() as bar:
            task = bar.add_task("converting", total=len(paths))
            about = {**now, "pieces": write_chorales(folder, paths=paths, on_file=lambda: bar.advance(task))}
        write_text(origin, json.dumps(about, indent=1) + "\n")
        said = f"Wrote {about['pieces']} four-part chorales"
    report(
        [f"{said}: {folder}/", f"Next: meloctl stats {folder}"],
        {"path": str(folder), "pieces": about["pieces"]},
        as_json=as_json,
    )
