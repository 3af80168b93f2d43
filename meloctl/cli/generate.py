"""meloctl generate: write new music with a trained model."""

from pathlib import Path
from typing import Annotated

import typer

from meloctl.cli.common import Json, Work, outcome, progress, report, say, workspace
from meloctl.formatting import byte_size, piece_line


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
            help="Parts of the new bars, all of them and no others: General MIDI names, families or program numbers, drums.",
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
            help="A MIDI file of which some bars or parts are replaced; all else stays to the tick.",
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
        float, typer.Option("--top-p", help="Sample from the likeliest values that together have this probability.")
    ] = 0.95,
    top_k: Annotated[
        int | None, typer.Option("--top-k", help="Sample from so many of the likeliest values at most.")
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
    from meloctl.generation.options import GenerateOptions, Sampling
    from meloctl.generation.plan import plan_generation
    from meloctl.generation.session import generate_pieces

    options = GenerateOptions(
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
        sampling=Sampling(temperature=temperature, top_p=top_p, top_k=top_k),
        sound=sound,
    )
    space = workspace(work)
    plan = plan_generation(space, options)
    for message in plan.messages:
        say(message)
    try:
        with progress() as reporter:
            run = generate_pieces(space, plan, reporter)
    except KeyboardInterrupt:
        say(f"Stopped; the bars that were complete are kept: {space.folder(plan.recipe)}/")
        raise
    pieces = [{**facts, "path": str(run.folder / facts["file"])} for facts in run.manifest_value("results", "pieces")]
    cache_bytes = run.manifest_value("results", "cache_bytes")
    say(f"Cached keys and values took {byte_size(cache_bytes)} at most")
    facts = {**(pieces[0] if count == 1 else {"pieces": pieces}), "cache_bytes": cache_bytes}
    report([*map(piece_line, pieces), outcome(run)], facts, as_json=as_json)
