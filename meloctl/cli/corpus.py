"""meloctl corpus: check a corpus, mend one, or make one."""

from pathlib import Path
from typing import Annotated

import typer

from meloctl.cli import check
from meloctl.cli.common import Corpus, Json, Work, following, progress, report, workspace, wrote
from meloctl.formatting import count

app = typer.Typer(
    help="Check a corpus before training on it, mend one, or make one.", no_args_is_help=True, rich_markup_mode=None
)
app.command("check")(check.check)


@app.callback()
def _group() -> None:
    """Check a corpus before training on it, mend one, or make one."""


@app.command()
def chorales(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder to write to (default: corpus/chorales in the workspace).", show_default=False),
    ] = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Write Bach's four-part chorales as MIDI files, from the scores in the installed music21.

    Example: meloctl corpus chorales
    """
    import json
    from importlib.metadata import version

    from analysis.atomic_write import atomic_write_text
    from analysis.json_spec import read_json
    from meloctl.corpus.chorales import chorale_paths, write_chorales

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
        with progress() as reporter:
            reporter.stage("converting", len(paths))
            about = {**now, "pieces": write_chorales(folder, paths=paths, on_file=reporter.advance)}
        atomic_write_text(origin, json.dumps(about, indent=1) + "\n")
        said = f"Wrote {about['pieces']} four-part chorales"
    report(
        [f"{said}: {folder}/", following("stats", folder, work=work)],
        {"path": str(folder), "pieces": about["pieces"]},
        as_json=as_json,
    )


@app.command()
def compose(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder to write to (default: corpus/band in the workspace).", show_default=False),
    ] = None,
    pieces: Annotated[int, typer.Option(help="Number of pieces, 1 to 100000.")] = 100,
    seed: Annotated[int, typer.Option(help="Random seed; piece i of a seed does not depend on --pieces.")] = 0,
    form: Annotated[
        str | None,
        typer.Option(
            help="One letter per section of 8 bars (or the next multiple of --phrase); equal letters are equal music "
            "(default: AABA, or ABCD with --phrase 0, where no letter may repeat).",
            show_default=False,
        ),
    ] = None,
    phrase: Annotated[
        int,
        typer.Option(
            help="Period in bars after which the music of a section repeats, 2 to 31 (from 8 on it fills its section and repeats "
            "only with the letter); 0: nothing repeats."
        ),
    ] = 4,
    meter: Annotated[str, typer.Option(help="Time signature: 4/4, 3/4 or 6/8.")] = "4/4",
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Compose pieces of a known form for a band of four (drums, bass, chords, lead), as MIDI files.

    Example: meloctl corpus compose --pieces 500 --phrase 4
    """
    from analysis.json_spec import read_json
    from analysis.piece import meter as read_meter
    from meloctl.corpus.composer.compose import ORIGIN, compose_corpus, is_composed

    folder = folder or workspace(work).root / "corpus" / "band"
    form = form if form is not None else "AABA" if phrase else "ABCD"
    signature = read_meter(meter)
    there = is_composed(folder, pieces=pieces, seed=seed, form=form, phrase=phrase, meter=signature)
    if not there:
        with progress() as reporter:
            reporter.stage("composing", pieces)
            compose_corpus(
                folder,
                pieces=pieces,
                seed=seed,
                form=form,
                phrase=phrase,
                meter=signature,
                on_file=reporter.advance,
            )
    about = read_json(folder / ORIGIN, what="corpus origin")
    assert isinstance(about, dict)
    said = "Unchanged, nothing redone" if there else f"Wrote {count(pieces, 'piece')} of {count(about['bars'], 'bar')}"
    report(
        [f"{said}: {folder}/", following("stats", folder, work=work)], {"path": str(folder), **about}, as_json=as_json
    )


@app.command()
def fix(
    corpus: Corpus,
    out: Annotated[Path, typer.Argument(help="Folder for the mended copy: new, empty, or of an earlier fix.")],
    processes: Annotated[
        int | None,
        typer.Option(help="Number of worker processes (default: one per core).", show_default=False, min=1, max=1024),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a mended copy of a corpus: files that were played freely are put on the beats of their notes.

    Nothing sounds at another time than before; all other MIDI files are copied byte for byte. fix.csv and fix.json list what was
    done to which file. A fix that was interrupted goes on where it stopped.

    Example: meloctl corpus fix corpus/ mended/
    """
    from meloctl.corpus.fix_corpus import LIST, TABLE, fix_corpus, fix_lines, plan_fix

    plan = plan_fix(corpus, out)
    table, there = fix_corpus(plan, progress, processes=processes)
    ending = f"Unchanged, nothing redone: {out}/" if there else wrote(out, ["the copy", TABLE, LIST])
    report([*fix_lines(table), "", ending, following("stats", out, work=None)], table, as_json=as_json)
