"""meloctl generate: write new music with a trained model."""

from typing import Annotated

import typer

from meloctl.cli.common import Json, Work, progress, report, workspace, wrote


def generate(
    bars: Annotated[int, typer.Option("--bars", help="How many bars to write, exactly.")] = 32,
    seed: Annotated[int, typer.Option("--seed", help="The same seed writes the same piece.")] = 0,
    temperature: Annotated[float, typer.Option("--temperature", help="Below 1 is safer, above 1 wilder.")] = 1.0,
    top_p: Annotated[
        float, typer.Option("--top-p", help="Draw from the likeliest values with this probability together.")
    ] = 0.95,
    wav: Annotated[bool, typer.Option("--wav/--no-wav", help="Also render the piece to a WAV file.")] = True,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Write new music with the latest model: MIDI, a piano roll, and sound.

    Example: meloctl generate --bars 32 --seed 7
    """
    from meloctl.generation.sampler import Sampling
    from meloctl.generation.session import plan_piece, write_piece

    sampling = Sampling(bars=bars, seed=seed, temperature=temperature, top_p=top_p)
    space = workspace(work)
    plan = plan_piece(space, sampling, wav=wav)
    run = space.finished(plan.recipe)
    if run:
        said = f"Unchanged since {run.time}, nothing redone: {run.folder}/"
    else:
        with progress() as bar:
            task = bar.add_task("writing bars", total=bars)
            run = write_piece(space, plan, on_bar=lambda: bar.advance(task))
        said = wrote(run.folder, run.files)
    facts, names = {**run.told("results", "piece"), "path": str(run.folder / "piece.mid")}, run.told("results", "parts")
    minutes, seconds = divmod(round(facts["seconds"]), 60)
    lines = [
        f"{facts['bars']} bars, {facts['notes']} notes in {facts['parts']} parts ({', '.join(names)}), {minutes}:{seconds:02d}",
        said,
    ]
    report(lines, {k: facts[k] for k in ("path", "bars", "parts", "notes", "seconds")}, as_json=as_json)
