"""meloctl train: fit a model to the corpus under the mask."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meloctl.cli.common import Json, Work, command, following, progress, report, say, workspace, wrote

if TYPE_CHECKING:
    from meloctl.training.feasibility import Feasibility
    from meloctl.training.options import TrainOptions, TrainPlan
    from meloctl.workspace import Run, Workspace

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="A size: tiny, small, base or large (default: tiny on a CPU, small on a GPU); a model to compare with: museformer, "
        "dense, music-transformer or encoder-decoder; or both, as dense/small.",
        show_default=False,
    ),
]
Mask = Annotated[
    Path | None,
    typer.Option("--mask", help="A mask file (default: the latest of meloctl derive-mask).", show_default=False),
]
Gates = Annotated[
    bool,
    typer.Option(
        "--gates",
        help="Learn which bars back to hear, through gates that start from the mask's curves; meloctl derive-mask --from-model "
        "reads them out.",
    ),
]
GatePrice = Annotated[
    float | None,
    typer.Option(
        "--gate-price",
        help="With --gates: what it costs to leave all of them open, in nats a note (default: 0.02).",
        show_default=False,
    ),
]
Minutes = Annotated[float, typer.Option("--minutes", help="Time budget; training ends sooner when it no longer helps.")]
Epochs = Annotated[int, typer.Option("--epochs", help="Most passes over the pieces, should the time hold more.")]
Seed = Annotated[int, typer.Option("--seed", help="Of the first weights, and of the order and the keys of the pieces.")]
LearningRate = Annotated[
    float | None,
    typer.Option("--learning-rate", help="Highest learning rate (default: by the model's width).", show_default=False),
]
Packs = Annotated[
    int | None,
    typer.Option(
        "--packs",
        help="Packs of pieces that a step learns from, shared by all processes (default: one for each process).",
        show_default=False,
    ),
]
PackRows = Annotated[
    int | None,
    typer.Option("--pack-rows", help="Most rows of a pack (default: twice the model's context).", show_default=False),
]
Ema = Annotated[
    float | None,
    typer.Option(
        "--ema", help="Keep and measure a running mean of the weights, with this decay, as 0.999.", show_default=False
    ),
]
Infill = Annotated[
    float | None,
    typer.Option(
        "--infill",
        help="Share of the windows in which bars or parts are taken out and written last, which meloctl generate --infill needs "
        "(default: 0.25; 0 for a model to compare with that cannot).",
        show_default=False,
    ),
]
Checkpointing = Annotated[
    bool,
    typer.Option(
        "--checkpointing", help="Less memory, a third more time: compute what a layer did again when it is needed."
    ),
]
Compile = Annotated[
    bool,
    typer.Option("--compile", help="On a GPU: compile whole layers, which takes a minute."),
]
Shard = Annotated[
    bool | None,
    typer.Option(
        "--shard/--no-shard",
        help="Under torchrun: lay the model in pieces on all processes (default: for large, on several GPUs).",
        show_default=False,
    ),
]


def train(
    model: Model = None,
    mask: Mask = None,
    gates: Gates = False,
    gate_price: GatePrice = None,
    minutes: Minutes = 30.0,
    epochs: Epochs = 100,
    seed: Seed = 0,
    learning_rate: LearningRate = None,
    packs: Packs = None,
    pack_rows: PackRows = None,
    ema: Ema = None,
    infill: Infill = None,
    checkpointing: Checkpointing = False,
    compile_layers: Compile = False,
    shard: Shard = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Train a model on the corpus of the latest meloctl stats, under a mask. A stopped run goes on where it was.

    Example: meloctl train --minutes 10

    Example: torchrun --nproc-per-node 2 -m meloctl train --model small --packs 8
    """
    from meloctl.training.options import TrainOptions, plan_session

    space = workspace(work)
    asked = TrainOptions(
        model=model,
        mask=mask,
        gates=gates,
        gate_price=gate_price,
        minutes=minutes,
        epochs=epochs,
        seed=seed,
        learning_rate=learning_rate,
        packs=packs,
        pack_rows=pack_rows,
        ema=ema,
        infill=infill,
        checkpointing=checkpointing,
        compile=compile_layers,
        shard=shard,
    )
    session = plan_session(space, asked)
    first = os.environ.get("RANK", "0") == "0"  # torchrun's; the others work in silence
    for note in session.notes if first else ():
        say(note)
    run = space.finished(session.recipe)
    said = f"Unchanged since {run.time}, nothing redone: {run.folder}/" if run else ""
    if not run:
        run = _run(space, session, asked, work, first=first)
        said = wrote(run.folder, run.files) if run else ""
    if run and first:
        facts = run.manifest_value("results", "training")
        lines = [*_lines(facts), said, *_next(session, run.folder, work)]
        report(lines, {**facts, "path": str(run.folder)}, as_json=as_json)


def _run(
    space: "Workspace", session: "TrainPlan", asked: "TrainOptions", work: Path | None, *, first: bool
) -> "Run | None":
    """Train, or say why not; the finished run in the first process, None in the others."""
    from analysis.errors import MeloError
    from meloctl.progress import SilentReporter
    from meloctl.training.processes import end, first_says, start
    from meloctl.training.session import outlook_of, run_session

    accelerator = start()
    try:
        outlook = outlook_of(space, session, accelerator)
        for line in _outlook_lines(outlook, asked, work):
            say(line)
        if first_says(accelerator, outlook.refused):
            raise typer.Exit(1)
        if not first:
            return run_session(space, session, SilentReporter(), accelerator)
        with_others = f" in {accelerator.num_processes} processes" if accelerator.num_processes > 1 else ""
        device = accelerator.device.type
        say(f"{session.name} model on {device}{with_others}; the run lies in {space.folder(session.recipe)}/")
        with progress() as reporter:
            return run_session(space, session, reporter, accelerator)
    except MeloError:
        if first:
            raise
        raise typer.Exit(1) from None
    finally:
        end(accelerator)


def _outlook_lines(outlook: "Feasibility", asked: "TrainOptions", work: Path | None) -> list[str]:
    """Why a run is refused or doubtful, and what fits, as it can be pasted: all that was asked for, but for what must change."""
    from meloctl.training.options import options_of

    lines = [f"meloctl: {line}" if outlook.refused and n == 0 else line for n, line in enumerate(outlook.lines)]
    if outlook.instead is not None:
        options = options_of(replace(asked, **outlook.instead))
        lines.append(f"  What fits: {command('train', *options, work=work)} ({outlook.needs})")
    return lines


def _next(session: "TrainPlan", folder: Path, work: Path | None) -> list[str]:
    """What to do with the model."""
    lines = [following("generate", "--bars", "32", work=work)]
    if session.config.gates:
        lines.append(f"The mask that it learned: {command('derive-mask', '--from-model', folder, work=work)}")
    return lines


def _lines(results: dict[str, Any]) -> list[str]:
    """The result in words."""
    best, unigram, bigram = (results[k] for k in ("bits_per_note", "unigram_bits_per_note", "bigram_bits_per_note"))
    fields = ", ".join(f"{name} {bits:.2f}" for name, bits in results["fields"].items() if bits >= 0.005)
    verdict = (
        "better than both"
        if best < min(unigram, bigram)
        else "NOT better than counting: train longer, or on more pieces"
    )
    return [
        f"{results['why'].capitalize()}: best after step {results['step']}, {results['seconds'] / 60:.1f} minutes in all, "
        f"{results['parameters'] / 1e6:.1f}M parameters",
        f"{results['rows_per_second']:,.0f} rows and {results['notes_per_second']:,.0f} notes a second, "
        f"{results['peak_bytes'] / 1e9:.1f} GB of memory at most",
        f"Validation: {best:.2f} bits a note (unigram {unigram:.2f}, bigram by field {bigram:.2f}: {verdict})",
        f"  by field: {fields}",
    ]
