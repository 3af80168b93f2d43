"""What every command shares: the options, one-line errors, progress bars. Results go to stdout, talk to stderr."""

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

    from meloctl.workspace import Run, Workspace

Work = Annotated[
    Path | None,
    typer.Option("--work", help="Workspace folder (default: $MELOCTL_WORK, else ./melo).", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout and nothing else there.")]
Meter = Annotated[
    str | None,
    typer.Option("--meter", help="Time signature that overrides the files' own, as 4/4.", show_default=False),
]
Corpus = Annotated[
    Path,
    typer.Argument(
        help="A folder of .mid files (searched with its subfolders), one .mid file, or a .txt file with one path a line."
    ),
]


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
    print(text, file=sys.stderr, flush=True)


def report(lines: list[str], data: dict[str, Any], *, as_json: bool) -> None:
    """The result on stdout: lines for people, or one JSON object."""
    print(json.dumps(data, ensure_ascii=False, allow_nan=False) if as_json else "\n".join(lines), flush=True)


@contextmanager
def progress(*columns: str) -> Iterator["Progress"]:
    """A progress bar on stderr with the remaining time, at the end the elapsed one.

    `columns` are further texts, such as "{task.fields[best]}".
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        console.width = 120  # a log file has no width; lines must not be cut
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        *(TextColumn(c) for c in columns),
        console=console,
    ) as bar:
        yield bar


class Stretches:
    """A bar for each stretch of work; hears what reading a corpus tells, too."""

    def __init__(self, bar: "Progress") -> None:
        self.bar = bar

    def begun(self, what: str, steps: int) -> None:
        """A stretch of so many steps begins."""
        self.task = self.bar.add_task(what, total=steps)

    def advanced(self) -> None:
        """One step more is done."""
        self.bar.advance(self.task)

    def encoding(self, files: int) -> None:
        """So many files are about to be encoded as rows."""
        self.begun("encoding", files)

    def encoded(self) -> None:
        """One more file is encoded."""
        self.advanced()


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
