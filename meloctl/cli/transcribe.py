"""meloctl transcribe: from recordings to MIDI with a track for each part."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meloctl.cli.common import Work, following, importing, progress, report, say, workspace
from meloctl.cli.common import outcome as run_outcome

if TYPE_CHECKING:
    from meloctl.transcription.options import TranscribeOptions
    from meloctl.transcription.session import Outcome
    from meloctl.workspace import Workspace


def transcribe(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|FOLDER",
            help="A recording as a WAV, FLAC, OGG or MP3 file, or a folder of them (searched with its subfolders).",
        ),
    ],
    parts: Annotated[
        int | None,
        typer.Option(
            "--parts", help="Number of pitched parts, 1 to 16 (default: found from the sound).", show_default=False
        ),
    ] = None,
    tempo: Annotated[
        float | None,
        typer.Option(
            "--tempo",
            help="About how many quarter notes a minute there are (default: found from the onsets).",
            show_default=False,
        ),
    ] = None,
    meter: Annotated[
        str | None,
        typer.Option(
            "--meter", metavar="3/4", help="Time signature (default: found from the accents).", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR|FILE.mid",
            help="Also copy the MIDI to this folder, or that of one recording to this file; no other music is overwritten.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            metavar="RUN",
            help="A run of meloctl train-transcriber (default: the weights that came with meloctl).",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            help="Recordings to transcribe at a time, a process each (default: one a core).",
            show_default=False,
        ),
    ] = None,
    work: Work = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result to stdout, one JSON object a recording and line.")
    ] = False,
) -> None:
    """Transcribe recordings to MIDI: notes, a part for each instrument, beats and bars; with a picture of each.

    Nothing has to be said of the instruments. The MIDI keeps the recording's own time: its first tick is the first sample.
    A command that was stopped goes on with the recordings that are not done; those of unchanged options are not done again.

    Example: meloctl transcribe song.wav

    Example: meloctl transcribe quartet.flac --parts 4 --out quartet.mid

    Example: meloctl transcribe recordings/ --out midi/ --jobs 2
    """
    with importing():
        from meloctl.transcription.options import TranscribeOptions

    options = TranscribeOptions(parts=parts, tempo=tempo, meter=meter, model=model)
    if jobs is not None and jobs < 1:
        from analysis.errors import MeloError

        raise MeloError("give how many recordings to transcribe at a time, 1 or more", field="jobs", given=jobs)
    space = workspace(work)
    outcomes = _transcribe(space, source, options, out, jobs)
    if as_json:
        _print_json(outcomes)
    else:
        _print_lines(space, outcomes, out, work)


def _transcribe(
    space: "Workspace", source: Path, options: "TranscribeOptions", out: Path | None, jobs: int | None
) -> list["Outcome"]:
    """The outcome of every recording, in their order; lines about each of several as it is done."""
    with importing():
        from analysis.cores import usable_cores
        from analysis.errors import MeloError
        from meloctl.transcription.find_recordings import find_recordings
        from meloctl.transcription.plan import plan_transcription

    paths = find_recordings(source)
    with importing():
        from meloctl.transcription.engine import transcribe_audio, weights_file
        from meloctl.transcription.session import transcribe_recordings
        from meloctl.transcription.transcriber_file import load_transcriber
        from meloctl.transcription.transcription_text import outcome_line, summary_line

    weights = weights_file(options.model)
    load_transcriber(weights)  # what is wrong with it is said once, not of each recording
    plan = plan_transcription(space, source, paths, options, weights=weights, out=out)
    outcomes: dict[Path, Outcome] = {}
    several, missing = len(paths) > 1, {recording.path for copies in plan.missing for recording in copies}
    try:
        with progress() as reporter:
            for outcome in transcribe_recordings(space, plan, transcribe_audio, reporter, jobs=jobs or usable_cores()):
                outcomes[outcome.path] = outcome
                if several and outcome.path in missing:
                    reporter.message(outcome_line(outcome))
    except KeyboardInterrupt:
        if several:
            say(f"Stopped: {summary_line([*outcomes.values()], of=len(paths))}; what is done is kept")
        raise
    except OSError as error:
        if error.filename:
            raise
        reason = (error.strerror or str(error)).lower()
        raise MeloError(f"{space.root}: {reason}; what is done is kept, the same command goes on") from error
    return [outcomes[path] for path in paths]


def _print_json(outcomes: list["Outcome"]) -> None:
    """An object a recording; status 1 where one was not transcribed."""
    from meloctl.transcription.transcription_text import is_unread, outcome_json

    for outcome in outcomes:
        report([], outcome_json(outcome), as_json=True)
    if any(map(is_unread, outcomes)):
        raise typer.Exit(1)


def _print_lines(space: "Workspace", outcomes: list["Outcome"], out: Path | None, work: Path | None) -> None:
    """What became of the recordings and what to do next; status 1 where one was not transcribed."""
    from analysis.errors import MeloError
    from meloctl.transcription.plan import STAGE
    from meloctl.transcription.session import TranscribedRecording
    from meloctl.transcription.transcription_text import outcome_line, outcome_lines, summary_line

    done = [outcome for outcome in outcomes if isinstance(outcome, TranscribedRecording)]
    if len(outcomes) == 1 and done:
        lines = [*outcome_lines(done[0]), run_outcome(done[0].run), *([f"Wrote {done[0].out}"] if done[0].out else [])]
        midi = done[0].out or done[0].run.folder
    elif len(outcomes) == 1:
        raise MeloError(outcome_line(outcomes[0]))
    else:
        midi = out or space.root / STAGE
        found = [line for outcome in outcomes for line in outcome_lines(outcome, table=False)]
        lines = [*found, f"{summary_line(outcomes, of=len(outcomes))}: {midi}/"]
    if done:
        lines += [following("play", done[0].run.folder, work=work), following("stats", midi, work=work)]
    report(lines, {}, as_json=False)
    if len(done) < len(outcomes):
        raise typer.Exit(1)
