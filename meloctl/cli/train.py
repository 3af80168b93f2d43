"""meloctl train: fit a model to the corpus under the mask."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meloctl.cli.common import Json, Work, following, progress, report, say, workspace, wrote

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from meloctl.training.plan import Estimate, Standing


def train(
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="tiny, small, base or large (default: tiny on a CPU, small on a GPU).", show_default=False
        ),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option("--mask", help="A mask file (default: the latest of meloctl derive-mask).", show_default=False),
    ] = None,
    minutes: Annotated[
        float, typer.Option("--minutes", help="Time budget; training ends sooner when it no longer helps.")
    ] = 30.0,
    seed: Annotated[
        int, typer.Option("--seed", help="Of the first weights, the order and the keys of the pieces.")
    ] = 0,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            "--learning-rate", help="Highest learning rate (default: by the model's width).", show_default=False
        ),
    ] = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Train a model on the corpus of the latest meloctl stats, under a mask. A stopped run goes on where it was.

    Example: meloctl train --minutes 10
    """
    from meloctl.training.session import plan_session, run_session

    space = workspace(work)
    session = plan_session(space, model=model, mask=mask, minutes=minutes, seed=seed, learning_rate=learning_rate)
    for note in session.notes:
        say(note)
    run = space.finished(session.recipe)
    if run:
        said = f"Unchanged since {run.time}, nothing redone: {run.folder}/"
    else:
        say(f"{session.preset} model on {session.device}; the run lies in {space.folder(session.recipe)}/")
        with progress("{task.fields[quality]}") as bar:
            run = run_session(space, session, _Screen(bar))
        said = wrote(run.folder, run.files)
    facts = run.told("results", "training")
    lines = [*_lines(facts), said, following("generate", "--bars", "32", work=work)]
    report(lines, {**facts, "path": str(run.folder)}, as_json=as_json)


class _Screen:
    """Shows what a session tells."""

    def __init__(self, bar: "Progress") -> None:
        self.bar = bar
        self.best = ""
        self.reading: TaskID | None = None
        self.training: TaskID | None = None

    def encoding(self, files: int) -> None:
        """Files are about to be encoded."""
        self.reading = self.bar.add_task("encoding", total=files, quality="")

    def encoded(self) -> None:
        """One more file is encoded."""
        if self.reading is not None:
            self.bar.advance(self.reading)

    def prepared(self, lines: list[str]) -> None:
        """The data and the baselines are known."""
        for line in lines:
            self.bar.console.print(line, markup=False, highlight=False)

    def estimated(self, estimate: "Estimate") -> None:
        """The plan is known."""
        minutes, gigabytes = estimate.seconds / 60, estimate.memory_bytes / 2**30
        self.prepared(
            [
                f"Estimate: about {estimate.steps - estimate.done} steps in {minutes:.1f} minutes "
                f"at {estimate.rows_per_second:,.0f} rows/s, {gigabytes:.1f} GB of memory"
            ]
        )
        self.training = self.bar.add_task("training", total=estimate.steps, completed=estimate.done, quality="")

    def stepped(self, step: int, bits_per_note: float, rows_per_second: float, notes_per_second: float) -> None:
        """One more step is done."""
        assert self.training is not None
        text = f"{bits_per_note:.2f} bits{self.best}, {rows_per_second:,.0f} rows/s, {notes_per_second:,.0f} notes/s"
        self.bar.update(self.training, completed=step, quality=text)

    def evaluated(self, standing: "Standing") -> None:
        """Validation was measured: bits a note, so far and at best, stand beside the bar."""
        assert self.training is not None
        self.best = f", best {standing.best:.2f}"
        self.bar.update(self.training, total=standing.steps)


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
        f"Validation: {best:.2f} bits a note (unigram {unigram:.2f}, bigram by field {bigram:.2f}: {verdict})",
        f"  by field: {fields}",
    ]
