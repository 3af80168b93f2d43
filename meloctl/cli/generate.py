"""meloctl generate: write new music with a trained model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meloctl.cli.common import Json, Work, importing, outcome, progress, report, say, workspace
from meloctl.formatting import byte_size, piece_line

if TYPE_CHECKING:
    from meloctl.generation.options import GenerateOptions
    from meloctl.workspace import Workspace


def generate(
    bars: Annotated[
        int | None,
        typer.Option("--bars", help="Number of new bars (default: 32).", show_default=False),
    ] = None,
    instruments: Annotated[
        str | None,
        typer.Option(
            "--instruments",
            metavar="A,B,…",
            help="Parts of the new bars: General MIDI names, families or program numbers, drums (default: the model chooses).",
        ),
    ] = None,
    meter: Annotated[
        str | None,
        typer.Option("--meter", metavar="3/4", help="Time signature of all new bars (default: the model chooses)."),
    ] = None,
    tempo: Annotated[
        float | None,
        typer.Option(
            "--tempo",
            help="Tempo of all new bars, in quarter notes per minute (default: by --like or --text, else the model chooses).",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="'F# minor'",
            help="Keep new notes to the scale of a key, such as C major, Bb or Am; its tonic chord begins and ends the new bars "
            "(default: the model chooses).",
        ),
    ] = None,
    prompt: Annotated[
        Path | None,
        typer.Option(
            "--prompt",
            metavar="FILE",
            help="A MIDI file to continue; the new bars follow its last one, rests at its end too.",
        ),
    ] = None,
    keep_bars: Annotated[
        int | None, typer.Option("--keep-bars", help="Number of bars of the prompt to keep (default: all).")
    ] = None,
    infill: Annotated[
        Path | None,
        typer.Option(
            "--infill",
            metavar="FILE",
            help="A MIDI file in which to replace bars (--bars-range), parts (--parts) or both; the rest stays as it is.",
        ),
    ] = None,
    bars_range: Annotated[
        str | None,
        typer.Option(
            "--bars-range",
            metavar="9:16",
            help="With --infill: first and last bar to replace, counted from 1 (default: all).",
        ),
    ] = None,
    parts: Annotated[
        str | None,
        typer.Option(
            "--parts",
            metavar="A,B,…",
            help="With --infill: parts to replace, by name or instrument; one that the file lacks is added (default: all).",
        ),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(
            "--like",
            metavar="FILE",
            help="A MIDI file whose course of tempo, density, register, loudness and more the new bars follow, bar by bar, with "
            "notes of their own; bars behind its last one are free (default for --bars: its number of bars).",
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            "--text",
            metavar="TEXT",
            help="What the new bars should be like, in English or Chinese; '17: storm' speaks of bars from the 17th new one on. "
            "May be given several times.",
        ),
    ] = None,
    text_strength: Annotated[
        float | None,
        typer.Option(
            "--text-strength",
            help="How far texts are followed: 0 (ignores them) to 5; above 1 mostly the tempo goes further (default: 1).",
            show_default=False,
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            metavar="use|e5|DIR",
            help="Text encoder of the bridge, by its name or its folder (default: use).",
            show_default=False,
        ),
    ] = None,
    count: Annotated[int, typer.Option("--count", help="Number of pieces, with seeds from --seed on.")] = 1,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="RUN",
            help="A run of meloctl train, as melo/model/NAME, or default: the weights that came with meloctl "
            "(default: the latest run; without one, these weights).",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Random seed; the same seed gives the same piece.")] = 0,
    temperature: Annotated[
        float, typer.Option("--temperature", help="Sampling temperature; below 1 more predictable, above 1 less.")
    ] = 1.0,
    top_p: Annotated[
        float,
        typer.Option("--top-p", help="Sample from the most likely values that together have this probability, 0 to 1."),
    ] = 0.95,
    top_k: Annotated[
        int | None,
        typer.Option("--top-k", help="Sample from this many of the most likely values at most (default: no limit)."),
    ] = None,
    sound: Annotated[str, typer.Option("--sound", metavar="wav|flac|none", help="Format of the audio file.")] = "wav",
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            help="Number of threads that read a prompt and write rows (default: 1; the products of a row are small).",
            show_default=False,
        ),
    ] = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Generate music with the latest model, or with the weights that came with meloctl: MIDI, a piano roll and audio.

    With --prompt and --infill the file's own events stay as they are: channels, programs, pedals, bends, lyrics, markers. Only
    the note-on and note-off events of replaced notes go. Controllers, bends and pressure in replaced bars stay and act on the new
    notes. A note that is held from a replaced bar into a kept one is struck again at the bar line, unless a kept note plays its
    key there. --keep-bars drops all that stands behind the bars that it keeps, and releases pedals and bends there. New notes
    play on their part's track, channel and port; where its program has changed by then, and for new parts, a free channel is set
    up.

    Example: meloctl generate --bars 32 --instruments piano,bass,drums --tempo 120 --count 4

    Example: meloctl generate --prompt song.mid --keep-bars 8 --bars 24

    Example: meloctl generate --infill song.mid --bars-range 9:16 --parts bass,drums

    Example: meloctl generate --like song.mid --instruments piano

    Example: meloctl generate --bars 32 --text "calm" --text "17: thunderstorm"
    """
    with importing():
        from meloctl.generation.options import GenerateOptions, Sampling

    options = GenerateOptions(
        model=model,
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
        like=like,
        text=tuple(text or ()),
        text_strength=text_strength,
        encoder=encoder,
        sampling=Sampling(temperature=temperature, top_p=top_p, top_k=top_k),
        sound=sound,
        threads=threads,
    )
    _write_pieces(workspace(work), options, as_json=as_json)


def _write_pieces(space: "Workspace", options: "GenerateOptions", *, as_json: bool) -> None:
    with importing():
        from meloctl.generation.plan import plan_generation
        from meloctl.generation.session import generate_pieces

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
    for piece in pieces:
        for message in piece.get("messages", []):
            say(f"{piece['file']}: {message}")
    cache_bytes = run.manifest_value("results", "cache_bytes")
    say(f"Cached keys and values took {byte_size(cache_bytes)} at most")
    facts = {**(pieces[0] if options.count == 1 else {"pieces": pieces}), "cache_bytes": cache_bytes}
    report([*map(piece_line, pieces), outcome(run)], facts, as_json=as_json)
