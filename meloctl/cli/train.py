"""meloctl train: fit a model to the corpus under the mask."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meloctl.cli.common import (
    Json,
    Threads,
    Work,
    command,
    following,
    importing,
    progress,
    report,
    say,
    workspace,
    wrote,
)

if TYPE_CHECKING:
    from meloctl.training.feasibility import Feasibility
    from meloctl.training.options import TrainOptions
    from meloctl.training.plan import TrainPlan
    from meloctl.workspace import Run, Workspace


def train(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="A size: tiny, small, base or large (default: tiny on a CPU, small on a GPU); a baseline model: "
            "museformer, dense, music-transformer or encoder-decoder; or both, such as dense/small.",
            show_default=False,
        ),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="Start from the weights of a run, as melo/model/NAME, or default: those that came with meloctl "
            "(default: random weights).",
        ),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option("--mask", help="A mask file (default: the latest of meloctl derive-mask).", show_default=False),
    ] = None,
    gates: Annotated[
        bool,
        typer.Option(
            "--gates",
            help="Attend through learnable gates, one per relation and offset, that start from the mask's curves; "
            "meloctl derive-mask --from-model reads them out.",
        ),
    ] = False,
    gate_price: Annotated[
        float | None,
        typer.Option(
            "--gate-price",
            help="With --gates: the penalty of leaving all of them open, in nats per note (default: 0.02).",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        float,
        typer.Option(
            "--minutes", help="Time budget in minutes; training ends sooner when validation no longer improves."
        ),
    ] = 30.0,
    epochs: Annotated[int, typer.Option("--epochs", help="Most passes over the training pieces.")] = 100,
    seed: Annotated[
        int,
        typer.Option(
            "--seed", help="Random seed of the initial weights, the order of the pieces and their transpositions."
        ),
    ] = 0,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            "--learning-rate",
            help="Peak learning rate of the layers' matrices; that of other weights is a share of it "
            "(default: 0.03, with --from 0.01).",
            show_default=False,
        ),
    ] = None,
    packs: Annotated[
        int | None,
        typer.Option(
            "--packs",
            help="Number of packs per optimizer step, over all processes (default: one per process).",
            show_default=False,
        ),
    ] = None,
    pack_rows: Annotated[
        int | None,
        typer.Option(
            "--pack-rows", help="Length of a pack, in rows (default: twice the model's context).", show_default=False
        ),
    ] = None,
    infill: Annotated[
        float | None,
        typer.Option(
            "--infill",
            help="Share of training windows with infill, 0 to 0.9; meloctl generate --infill needs some (default: 0.25).",
            show_default=False,
        ),
    ] = None,
    plans: Annotated[
        float | None,
        typer.Option(
            "--plans",
            help="Share of training windows shown with plans of their bars, 0 to 0.9; meloctl generate --like and --text "
            "need some (default: 0, or 0.5 with --from a model that knows plans).",
            show_default=False,
        ),
    ] = None,
    checkpointing: Annotated[
        bool,
        typer.Option(
            "--checkpointing",
            help="Less memory, more time: recompute activations in the backward pass instead of keeping them.",
        ),
    ] = False,
    shard: Annotated[
        bool | None,
        typer.Option(
            "--shard/--no-shard",
            help="Under torchrun: shard the model over all processes, for less memory (default: only large, on several GPUs).",
            show_default=False,
        ),
    ] = None,
    threads: Threads = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Train a model on the corpus of the latest meloctl stats, under a mask. A stopped run is resumed.

    Example: meloctl train --minutes 10

    Example: meloctl train --from default --minutes 2

    Example: torchrun --nproc-per-node 2 -m meloctl train --model small --packs 8
    """
    given = {name: value for name, value in locals().items() if name not in ("work", "as_json")}
    with importing():
        from meloctl.training.options import TrainOptions
        from meloctl.training.plan import plan_training

    space, options = workspace(work), TrainOptions(**given)
    plan = plan_training(space, options)
    first = os.environ.get("RANK", "0") == "0"  # torchrun's; the other ranks print nothing
    for note in plan.notes if first else ():
        say(note)
    run = space.finished(plan.recipe)
    said = f"Unchanged since {run.time}, nothing redone: {run.folder}/" if run else ""
    if not run:
        run = _run(space, plan, options, work, first=first)
        said = wrote(run.folder, run.files) if run else ""
    if run and first:
        facts = run.manifest_value("results", "training")
        lines = [*_lines(facts), said, *_next(plan, run.folder, work)]
        report(lines, {**facts, "path": str(run.folder)}, as_json=as_json)


def _run(
    space: "Workspace", plan: "TrainPlan", options: "TrainOptions", work: Path | None, *, first: bool
) -> "Run | None":
    """Train, or say why not; the finished run on the first rank, None on the others."""
    with importing():
        from analysis.errors import MeloError
        from meloctl.progress import SilentReporter
        from meloctl.training.processes import broadcast_first, end_processes, start_accelerator
        from meloctl.training.session import run_session, session_feasibility

    accelerator = start_accelerator()
    try:
        feasibility = session_feasibility(space, plan, accelerator)
        for line in _feasibility_lines(feasibility, options, work):
            say(line)
        if broadcast_first(accelerator, feasibility.refused):
            raise typer.Exit(1)
        if not first:
            return run_session(space, plan, SilentReporter(), accelerator)
        ranks = f" in {accelerator.num_processes} processes" if accelerator.num_processes > 1 else ""
        say(f"{plan.name} model on {accelerator.device.type}{ranks}; the run is in {space.folder(plan.recipe)}/")
        with progress() as reporter:
            return run_session(space, plan, reporter, accelerator)
    except MeloError:
        if first:
            raise
        raise typer.Exit(1) from None
    finally:
        end_processes(accelerator)


def _feasibility_lines(feasibility: "Feasibility", options: "TrainOptions", work: Path | None) -> list[str]:
    """Why a run is refused or doubtful, and the command of one that fits: the same options but for those that must change."""
    from meloctl.training.options import to_command_line

    lines = [f"meloctl: {line}" if feasibility.refused and n == 0 else line for n, line in enumerate(feasibility.lines)]
    if feasibility.alternative is not None:
        words = to_command_line(replace(options, **feasibility.alternative))
        lines.append(f"  What fits: {command('train', *words, work=work)} ({feasibility.alternative_needs})")
    return lines


def _next(plan: "TrainPlan", folder: Path, work: Path | None) -> list[str]:
    """The commands that use the model."""
    lines = [following("generate", "--bars", "32", work=work)]
    if plan.config.gates:
        lines.append(f"The mask that it learned: {command('derive-mask', '--from-model', folder, work=work)}")
    return lines


def _lines(results: dict[str, Any]) -> list[str]:
    """The result in words."""
    best, unigram, bigram = (results[k] for k in ("bits_per_note", "unigram_bits_per_note", "bigram_bits_per_note"))
    fields = ", ".join(f"{name} {bits:.2f}" for name, bits in results["fields"].items() if bits >= 0.005)
    conclusion = (
        "better than both"
        if best < min(unigram, bigram)
        else "NOT better than n-grams: train longer, or on more pieces"
    )
    return [
        f"{results['why'].capitalize()}: best after step {results['step']}, {results['seconds'] / 60:.1f} of "
        f"{results['minutes']:g} minutes, "
        f"{results['parameters'] / 1e6:.1f}M parameters",
        f"{results['rows_per_second']:,.0f} rows and {results['notes_per_second']:,.0f} notes a second, "
        f"{results['peak_bytes'] / 1e9:.1f} GB of memory at most",
        f"Validation: {best:.2f} bits a note (unigram {unigram:.2f}, bigram by field {bigram:.2f}: {conclusion})",
        f"  by field: {fields}",
    ]
