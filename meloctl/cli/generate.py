"""meloctl generate: write new music with a trained model."""

from pathlib import Path
from typing import Annotated

import typer

from meloctl.cli.common import Json, Work, progress, report, say, workspace, wrote
from meloctl.formatting import piece_line


def generate(
    bars: Annotated[
        int | None,
        typer.Option("--bars", help="How many bars to write, exactly (default: 32).", show_default=False),
    ] = None,
    instruments: Annotated[
        str | None,
        typer.Option(
            "--instruments",
            metavar="A,B,…",
            help="These and no others, each of them heard: General MIDI names, families or program numbers, drums.",
        ),
    ] = None,
    meter: Annotated[str | None, typer.Option("--meter", metavar="3/4", help="Time signature of every bar.")] = None,
    tempo: Annotated[float | None, typer.Option("--tempo", help="Quarter notes a minute, throughout.")] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="'F# minor'",
            help="New notes keep to its scale, begin and end on its tonic chord and lean to its tonic: C major, Bb, Am, ….",
        ),
    ] = None,
    prompt: Annotated[
        Path | None, typer.Option("--prompt", metavar="FILE", help="A MIDI file to go on from; --bars come behind it.")
    ] = None,
    keep_bars: Annotated[
        int | None, typer.Option("--keep-bars", help="Keep so many bars of the prompt instead of all.")
    ] = None,
    infill: Annotated[
        Path | None,
        typer.Option(
            "--infill",
            metavar="FILE",
            help="A MIDI file to write some bars or parts of anew; all else stays to the tick.",
        ),
    ] = None,
    bars_range: Annotated[
        str | None, typer.Option("--bars-range", metavar="9:16", help="With --infill: these bars, counted from 1.")
    ] = None,
    parts: Annotated[
        str | None,
        typer.Option(
            "--parts", metavar="A,B,…", help="With --infill: these parts, by name or instrument; one it lacks is added."
        ),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", help="How many pieces to write side by side; their seeds follow each other.")
    ] = 1,
    seed: Annotated[int, typer.Option("--seed", help="The same seed writes the same piece.")] = 0,
    temperature: Annotated[float, typer.Option("--temperature", help="Below 1 is safer, above 1 wilder.")] = 1.0,
    top_p: Annotated[
        float, typer.Option("--top-p", help="Draw from the likeliest values with this probability together.")
    ] = 0.95,
    top_k: Annotated[
        int | None, typer.Option("--top-k", help="Draw from so many of the likeliest values at most.")
    ] = None,
    sound: Annotated[
        str, typer.Option("--sound", metavar="wav|flac|none", help="What the piece's sound is written as.")
    ] = "wav",
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Write new music with the latest model: MIDI, a piano roll, and sound.

    Example: meloctl generate --bars 32 --instruments piano,bass,drums --tempo 120 --count 4

    Example: meloctl generate --prompt song.mid --keep-bars 8 --bars 24

    Example: meloctl generate --infill song.mid --bars-range 9:16 --parts bass,drums
    """
    from meloctl.generation.options import GenerateOptions, plan_piece
    from meloctl.generation.sampler import Sampling
    from meloctl.generation.session import write_pieces

    sampling = Sampling(temperature=temperature, top_p=top_p, top_k=top_k)
    asked = GenerateOptions(
        bars=bars,
        seed=seed,
        count=count,
        instruments=instruments,
        meter=meter,
        tempo=tempo,
        key=key,
        prompt=prompt,
        keep_bars=keep_bars,
        infill=infill,
        bars_range=bars_range,
        parts=parts,
    )
    space = workspace(work)
    plan = plan_piece(space, asked, sampling, sound=sound)
    for note in plan.notes:
        say(note)
    run = space.finished(plan.recipe)
    if run:
        said = f"Unchanged since {run.time}, nothing redone: {run.folder}/"
    else:
        try:
            with progress() as reporter:
                reporter.stage("writing bars", plan.new_bars * count)
                run = write_pieces(space, plan, on_bar=reporter.advance)
        except KeyboardInterrupt:
            say(f"Stopped; the bars that were complete are kept: {space.folder(plan.recipe)}/")
            raise
        said = wrote(run.folder, run.files)
    pieces = [{**facts, "path": str(run.folder / facts["file"])} for facts in run.manifest_value("results", "pieces")]
    taken = run.manifest_value("results", "cache_bytes")
    say(f"Cached keys and values took {taken / 1e6:.1f} MB at most")
    facts = {**(pieces[0] if count == 1 else {"pieces": pieces}), "cache_bytes": taken}
    report([*map(piece_line, pieces), said], facts, as_json=as_json)
