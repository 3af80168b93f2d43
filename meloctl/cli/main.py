"""The command line program: its commands, and its error messages. Heavy imports wait until a command runs."""

import atexit
import gc
import io
import sys
from typing import Any

import typer

from analysis.errors import MeloError
from analysis.shown_text import escaped
from meloctl import __version__
from meloctl.cli import (
    compare,
    corpus,
    evaluate,
    generate,
    mask,
    plans,
    play,
    report,
    stats,
    train,
    train_bridge,
    train_transcriber,
    transcribe,
)
from meloctl.openmp import limit_spinning

UsageError: Any = typer.BadParameter.__mro__[1]
"""click's exception of wrong usage; Typer exports only this child of it."""

_INTERRUPTED = 130
"""Status after Ctrl-C, which Typer turns into this number."""

app = typer.Typer(
    name="meloctl",
    help="Measure how similar bars of your MIDI are, derive an attention mask, train a music Transformer, generate music.",
    epilog="Start: meloctl generate --bars 32. With your own music: meloctl stats FOLDER; meloctl derive-mask; meloctl train",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("stats")(stats.stats)
app.command("derive-mask")(mask.derive_mask)
app.command("train")(train.train)
app.command("plans")(plans.plans)
app.command("train-bridge")(train_bridge.train_bridge)
app.command("train-transcriber")(train_transcriber.train_transcriber)
app.command("generate")(generate.generate)
app.command("transcribe")(transcribe.transcribe)
app.command("play")(play.play)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.add_typer(mask.app, name="mask")
app.add_typer(corpus.app, name="corpus")


@app.callback(invoke_without_command=True)
def _version(show: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if show:
        print(__version__)
        raise typer.Exit


def run() -> None:
    """Run the program. A user's mistake is one line on stderr: status 2 for wrong usage, 1 for anything else."""
    limit_spinning()
    atexit.register(gc.freeze)  # else Python walks over all that was imported once more, 0.4 s with torch
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may be any bytes
    try:
        status = app(prog_name="meloctl", standalone_mode=False)
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help text
            print(error.format_message(), file=sys.stderr)
            sys.exit(2)
        command = error.ctx.command_path if error.ctx else "meloctl"
        _fail(f"{command}: {error.format_message().rstrip('.')}. See: {command} --help", 2)
    except (typer.Abort, KeyboardInterrupt):
        status = _INTERRUPTED
    except MeloError as error:
        _fail(f"meloctl: {error.for_command_line()}", 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"meloctl: {where}{(error.strerror or str(error)).lower()}", 1)
    if status == _INTERRUPTED:
        _fail(
            "meloctl: stopped. Give the command again: stats, train, train-bridge, train-transcriber, transcribe and "
            "evaluate --text resume where they were, others start over",
            status,
        )
    sys.exit(status if isinstance(status, int) else 0)


def _fail(line: str, status: int) -> None:
    print(escaped(" ".join(line.split())), file=sys.stderr)
    sys.exit(status)
