"""One `meloctl transcribe`: recordings → MIDI files and pictures, one finished run each."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from analysis.atomic_write import atomic_write
from analysis.errors import MeloError
from analysis.midi_write import write_midi
from analysis.piece import Piece
from meloctl.progress import ProgressReporter
from meloctl.transcription.options import TranscribeOptions
from meloctl.transcription.plan import PlannedRecording, TranscriptionPlan, UnreadRecording, midi_name
from meloctl.transcription.sound_check import check_sound
from meloctl.transcription.transcription import Transcription
from meloctl.transcription.transcription_midi import transcribed_piece
from meloctl.transcription.transcription_picture import draw_transcription
from meloctl.transcription.velocity import velocities
from meloctl.transcription.worker_pool import run_works
from meloctl.workspace import Run, RunOutput, Workspace

TranscribeFunction = Callable[[Path, TranscribeOptions, Callable[[float], None]], Transcription]
"""(recording, options, called with so many more seconds that are done) → transcription; raises MeloError."""


@dataclass(frozen=True, kw_only=True)
class TranscribedRecording:
    """A recording with its finished run."""

    path: Path
    run: Run
    out: Path | None
    """Where a copy of its MIDI file lies."""


Outcome = TranscribedRecording | UnreadRecording


def transcribe_recordings(
    space: Workspace, plan: TranscriptionPlan, transcribe: TranscribeFunction, reporter: ProgressReporter, *, jobs: int
) -> Iterator[Outcome]:
    """Transcribe what is not done yet, and yield every recording as it is done; those of finished runs and unread ones first.

    One recording is transcribed in this process, several by `jobs` processes; one that ends its process is unread. What was
    yielded is on disk.

    Args:
        space: the workspace.
        plan: the recordings.
        transcribe: the engine; must pickle where there are several recordings.
        reporter: gets one stage, a step a second of sound.
        jobs: processes for several recordings, 1 or more.

    Raises:
        OSError: a file cannot be written.
    """
    for recording in plan.recordings:
        if isinstance(recording, UnreadRecording):
            yield recording
        elif recording.done is not None:
            yield _copied(recording, recording.done)
    groups = plan.missing
    first = [copies[0] for copies in groups]
    if not first:
        return
    reporter.stage("transcribing, seconds", max(1, round(sum(recording.seconds for recording in first))))
    progress = _Seconds(reporter, first)
    works = [partial(_write, space, recording, plan.options, transcribe) for recording in first]
    ended = _in_this_process(works[0], progress) if len(works) == 1 else run_works(works, jobs, progress.set)
    for index, error in ended:
        progress.finish(index)
        for recording in groups[index]:
            yield _outcome(space, recording, error)


def _in_this_process(
    work: Callable[[Callable[[float], None]], None], progress: "_Seconds"
) -> Iterator[tuple[int, MeloError | None]]:
    """(0, error) of the only work, as `run_works` yields it."""
    try:
        work(progress.add)
    except MeloError as error:
        yield 0, error
    else:
        yield 0, None


def _outcome(space: Workspace, recording: PlannedRecording, error: MeloError | None) -> Outcome:
    """What became of a recording whose work ended with an error, or None."""
    if error is not None:
        space.remove_empty(recording.recipe)
        return UnreadRecording(path=recording.path, reason=str(error).removeprefix(f"{recording.path}: "))
    run = space.finished(recording.recipe)
    assert run is not None  # it was just made
    return _copied(recording, replace(run, reused=False))


def _copied(recording: PlannedRecording, run: Run) -> TranscribedRecording:
    if recording.out is not None:
        with atomic_write(recording.out) as copy:
            shutil.copyfile(run.folder / midi_name(run), copy)
    return TranscribedRecording(path=recording.path, run=run, out=recording.out)


def _write(
    space: Workspace,
    recording: PlannedRecording,
    options: TranscribeOptions,
    transcribe: TranscribeFunction,
    on_seconds: Callable[[float], None],
) -> None:
    """Make the run of a recording."""

    def make(folder: Path) -> RunOutput:
        found = transcribe(recording.path, options, on_seconds)
        check_sound(found)
        piece = transcribed_piece(found, velocities(found.notes), options)
        midi = folder / f"{folder.name.rpartition('-')[0]}.mid"
        write_midi(piece, midi)
        draw_transcription(found, piece, midi.with_suffix(".png"))
        facts = {"file": midi.name, "sound": str(recording.path.resolve()), **transcription_facts(found, piece)}
        return RunOutput(files=[midi.name, midi.with_suffix(".png").name], results=facts)

    space.once(recording.recipe, make)


def transcription_facts(found: Transcription, piece: Piece) -> dict[str, Any]:
    """JSON values that say what was found, with an entry for each part."""
    steady = found.beats is not None
    return {
        "seconds": round(found.duration_s, 3),
        "notes": len(piece.notes),
        "bars": piece.n_bars if steady else None,
        "meter": "/".join(map(str, found.beats.metre)) if found.beats is not None else None,
        "tempo": round(float(np.median(piece.tempo_at(piece.notes.onset_tick))), 1) if steady else None,
        "tuning_cents": round(found.tuning_cents, 1),
        "peak_db": round(found.peak_db, 1),
        "parts": [_part_facts(found, piece, part) for part in range(len(found.parts))],
        "messages": list(found.messages),
    }


def _part_facts(found: Transcription, piece: Piece, part: int) -> dict[str, Any]:
    known, pitch = found.parts[part], piece.notes.pitch[piece.notes.part == part]
    sure = found.notes.confidence[found.part_notes(part)]
    return {
        "name": found.part_name(part),
        "confidence": round(known.confidence, 3) if len(found.parts) > 1 else None,
        "note_confidence": round(float(sure.mean()), 3) if len(sure) else None,
        "notes": len(pitch),
        "lowest": int(pitch.min()) if len(pitch) else None,
        "highest": int(pitch.max()) if len(pitch) else None,
    }


class _Seconds:
    """Reports seconds of sound as whole steps, of several recordings at once.

    Args:
        reporter: that gets the steps.
        recordings: their seconds; no recording counts for more.
    """

    def __init__(self, reporter: ProgressReporter, recordings: Sequence[PlannedRecording]) -> None:
        self._reporter, self._most = reporter, [recording.seconds for recording in recordings]
        self._done, self._steps = [0.0] * len(recordings), 0

    def add(self, seconds: float) -> None:
        """So many more seconds of the first recording are done."""
        self.set(0, self._done[0] + seconds)

    def set(self, index: int, seconds: float) -> None:
        """So many seconds of a recording are done."""
        self._done[index] = min(seconds, self._most[index])
        steps = int(sum(self._done)) - self._steps
        if steps > 0:
            self._steps += steps
            self._reporter.advance(steps)

    def finish(self, index: int) -> None:
        """A recording is done, or has failed."""
        self.set(index, self._most[index])
