"""What every command shares: common options, output, progress bars. Results go to stdout, all other messages to stderr."""

import gc
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analysis.shown_text import escaped, json_escaped

if TYPE_CHECKING:
    from rich.progress import Progress

    from meloctl.progress import ProgressReporter
    from meloctl.workspace import Recipe, Run, RunOutput, Workspace

Work = Annotated[
    Path | None,
    typer.Option("--work", help="Workspace folder (default: $MELOCTL_WORK, else ./melo).", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result to stdout as one JSON object.")]
Meter = Annotated[
    str | None,
    typer.Option(
        "--meter", help="Time signature of every file, such as 4/4 (default: the files' own).", show_default=False
    ),
]
Pedal = Annotated[bool, typer.Option("--pedal", help="Notes last as long as the sustain pedal holds them.")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        help="Number of threads that compute (default: measured, at most OMP_NUM_THREADS).",
        show_default=False,
    ),
]
PlannedModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="RUN",
        help="A run of meloctl train with --plans, as melo/model/NAME, or default: the weights that came with meloctl "
        "(default: the latest run; without one, these weights).",
        show_default=False,
    ),
]
FixBars = Annotated[
    bool,
    typer.Option(
        "--fix-bars", help="Move bar lines that lie beside the accents, where these are sure (see corpus check)."
    ),
]
Corpus = Annotated[
    Path,
    typer.Argument(
        help="A folder of MIDI files (searched with its subfolders), one MIDI file, or a .txt file with one path per line."
    ),
]


@contextmanager
def importing() -> Iterator[None]:
    """Around imports: no garbage is collected meanwhile, since each collection would walk over all that is imported so far."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def workspace(work: Path | None) -> "Workspace":
    """The workspace that --work or MELOCTL_WORK names, ./melo otherwise."""
    from meloctl.workspace import Workspace

    root = work or Path(os.environ.get("MELOCTL_WORK") or "melo")
    if root.exists() and not root.is_dir():
        from analysis.errors import MeloError

        raise MeloError(f"{root}: not a folder; name a workspace folder with --work")
    return Workspace(root)


def page_name(out: Path | None) -> None:
    """Raises MeloError where --out does not name a page."""
    if out is not None and (out.suffix.lower() not in (".html", ".htm") or out.is_dir()):
        from analysis.errors import MeloError

        raise MeloError(f"--out {out}: not the name of a page; give one that ends in .html")


def say(text: str) -> None:
    """A line for people, on stderr."""
    print(escaped(text), file=sys.stderr, flush=True)


def report(lines: list[str], data: dict[str, Any], *, as_json: bool) -> None:
    """The result on stdout: lines for people, or one JSON object."""
    if as_json:
        print(json_escaped(json.dumps(data, ensure_ascii=False, allow_nan=False)), flush=True)
    else:
        print("\n".join(escaped(row) for line in lines for row in line.split("\n")), flush=True)


class TerminalReporter:
    """Shows progress on stderr: a bar for each stage, and messages above it; see `meloctl.progress`."""

    def __init__(self, bars: "Progress") -> None:
        self._bars = bars

    def stage(self, name: str, steps: int, *, done: int = 0) -> None:
        """Add a bar; the first one starts the display."""
        self._bars.start()
        self._task = self._bars.add_task(name, total=steps, completed=done, status="")

    def advance(self, steps: int = 1, *, status: object = "") -> None:
        """Move the newest bar, and show the status beside it."""
        self._bars.update(self._task, advance=steps, status=str(status))

    def resize(self, steps: int) -> None:
        """Change the total of the newest bar."""
        self._bars.update(self._task, total=steps)

    def message(self, text: object) -> None:
        """Print a line above the bars."""
        self._bars.console.print(escaped(str(text)), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress() -> Iterator[TerminalReporter]:
    """Progress bars on stderr with the remaining time, at the end the elapsed one."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        console.width = 120  # a log file has no width; lines must not be cut
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[status]}"),
        console=console,
    )
    try:
        yield TerminalReporter(bars)
    finally:
        if bars.live.is_started:  # else it would print an empty line
            bars.stop()


def run_once(space: "Workspace", recipe: "Recipe", write: "Callable[[Path, ProgressReporter], RunOutput]") -> "Run":
    """The finished run of a recipe, written with progress bars unless it is there; `write` gets the run's folder."""

    def make(folder: Path) -> "RunOutput":
        with progress() as reporter:
            return write(folder, reporter)

    return space.once(recipe, make)


def command(name: str, *words: str | Path, work: Path | None) -> str:
    """ "meloctl NAME …", as it can be pasted: quoted, and in the same workspace."""
    more = ["--work", str(work)] if work else []
    return f"meloctl {name} {shlex.join([*map(str, words), *more])}".rstrip()


def following(name: str, *words: str | Path, work: Path | None) -> str:
    """ "Next: meloctl NAME …"."""
    return f"Next: {command(name, *words, work=work)}"


def wrote(folder: Path, files: list[str]) -> str:
    """ "Wrote FOLDER/: a, b"."""
    return f"Wrote {folder}/: {', '.join(files)}"


def outcome(run: "Run", files: list[str] | None = None) -> str:
    """What became of a run: "Wrote FOLDER/: a, b", or that a finished one of the same inputs and options was there.

    Args:
        run: as `Workspace.once` returns it.
        files: to name instead of all files of the run.
    """
    if run.reused:
        return f"Unchanged since {run.time}, nothing redone: {run.folder}/"
    return wrote(run.folder, files or run.files)


def page_outcome(run: "Run", page: str, out: Path | None) -> tuple[Path, list[str]]:
    """Copy a run's page to where --out says, if it says so.

    Returns:
        The page to open, and lines for people on what was written and how to open it.
    """
    from analysis.atomic_write import atomic_write_text

    lines = [outcome(run)]
    if out is not None:
        atomic_write_text(out, (run.folder / page).read_text(encoding="utf-8"))
        lines.append(f"Wrote {out}")
    path = out or run.folder / page
    return path, [*lines, f"Open it in a browser: {path.resolve().as_uri()}"]
