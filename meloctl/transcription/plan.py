"""What a `meloctl transcribe` will do: which recordings, how long they are, where their MIDI goes, what is done already."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from analysis.errors import MeloError
from meloctl.formatting import count, examples
from meloctl.transcription.options import TranscribeOptions
from meloctl.workspace import Recipe, Run, Workspace, file_hash

STAGE = "transcription"

LONGEST_S = 12 * 3600.0
"""Longest recording, in seconds."""

_MIDI = (".mid", ".midi")


@dataclass(frozen=True, kw_only=True)
class PlannedRecording:
    """A recording that can be opened."""

    path: Path
    recipe: Recipe
    seconds: float
    """Its length by its header."""

    out: Path | None
    """Where its MIDI file is copied to."""

    done: Run | None
    """Its finished run, if there is one."""


@dataclass(frozen=True, kw_only=True)
class UnreadRecording:
    """A recording without a transcription, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, kw_only=True)
class TranscriptionPlan:
    """Recordings to transcribe."""

    options: TranscribeOptions
    recordings: tuple[PlannedRecording | UnreadRecording, ...]

    @property
    def missing(self) -> list[list[PlannedRecording]]:
        """Those that are not done yet, copies of one recording together."""
        groups: dict[str, list[PlannedRecording]] = {}
        for recording in self.recordings:
            if isinstance(recording, PlannedRecording) and recording.done is None:
                groups.setdefault(recording.recipe.key, []).append(recording)
        return list(groups.values())


def plan_transcription(
    space: Workspace,
    source: Path,
    paths: list[Path],
    options: TranscribeOptions,
    *,
    weights: Path,
    out: Path | None = None,
) -> TranscriptionPlan:
    """Look at the headers of recordings and for what is done already; nothing is written.

    Args:
        space: the workspace.
        source: a recording, or a folder of them.
        paths: the recordings of `source` (`find_recordings`).
        options: how to transcribe.
        weights: the file of the network's weights.
        out: a MIDI file for one recording, or a folder; None for the workspace alone.

    Raises:
        MeloError: `out` is taken by other files. A recording that cannot be opened is planned as unread.
    """
    _check_out(out, source)
    weights_hash = file_hash(weights)
    targets = _targets(paths, source, out)
    recordings = [
        _planned(space, path, options, weights_hash, target) for path, target in zip(paths, targets, strict=True)
    ]
    _check_targets(recordings, out)
    return TranscriptionPlan(options=options, recordings=tuple(recordings))


def _planned(
    space: Workspace, path: Path, options: TranscribeOptions, weights: str, out: Path | None
) -> PlannedRecording | UnreadRecording:
    try:
        seconds = _header_seconds(path)
        recipe = Recipe(
            stage=STAGE,
            command="transcribe",
            inputs={"recording": file_hash(path), "name": path.name, "weights": weights},
            options={"parts": options.parts, "tempo": options.tempo, "meter": options.meter},
            label=path.stem,
        )
    except MeloError as error:
        return UnreadRecording(path=path, reason=str(error))
    except OSError as error:
        return UnreadRecording(path=path, reason=f"cannot be read: {(error.strerror or str(error)).lower()}")
    return PlannedRecording(path=path, recipe=recipe, seconds=seconds, out=out, done=space.finished(recipe))


def _header_seconds(path: Path) -> float:
    """The length of a recording by its header. Raises MeloError, without its path, for one that cannot be read or is too long."""
    import soundfile

    from meloctl.transcription.sequential_sound import SequentialSound

    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
    if not size:
        raise MeloError("the file is empty")
    try:
        with SequentialSound(path) as sound:
            frames, rate = sound.frames, sound.samplerate
    except soundfile.LibsndfileError as error:
        raise MeloError(f"no sound that can be read ({error.error_string.rstrip('.').lower()})") from error
    if rate <= 0 or frames < 0:
        raise MeloError("no sound that can be read (its header says no length)")
    if frames / rate > LONGEST_S:
        raise MeloError(f"{frames / rate / 3600:,.0f} hours of sound; at most {LONGEST_S / 3600:.0f} are transcribed")
    return float(frames / rate)


def _check_out(out: Path | None, source: Path) -> None:
    if out is None:
        return
    if source.is_dir() and out.suffix.lower() in _MIDI and not out.is_dir():
        raise MeloError(
            "names one MIDI file, but a folder of recordings was given; name a folder", field="out", given=out
        )
    if out.suffix.lower() not in _MIDI and out.exists() and not out.is_dir():
        raise MeloError("not a folder; name a folder, or a file that ends in .mid", field="out", given=out)


def _targets(paths: list[Path], source: Path, out: Path | None) -> list[Path | None]:
    """Where the MIDI file of each recording is copied to: in a folder under its own place, all names different."""
    if out is None:
        return [None] * len(paths)
    if out.suffix.lower() in _MIDI and not out.is_dir():
        return [out]
    places = [path.relative_to(source) if source.is_dir() else Path(path.name) for path in paths]
    taken = Counter(place.with_suffix("") for place in places)
    return [
        out / (place.with_suffix(".mid") if taken[place.with_suffix("")] == 1 else place.with_name(f"{place.name}.mid"))
        for place in places
    ]


def _check_targets(recordings: list[PlannedRecording | UnreadRecording], out: Path | None) -> None:
    """Raises MeloError where a file of `out` would be written over with another one."""
    taken = [
        recording.out
        for recording in recordings
        if isinstance(recording, PlannedRecording) and recording.out is not None and recording.out.exists()
        if not _is_copy(recording.out, recording.done)
    ]
    if len(taken) == 1:
        raise MeloError(f"{taken[0]}: exists already, and is other music; name another file or folder with `out`")
    if taken:
        names = examples((path.name for path in taken), of=len(taken))
        raise MeloError(
            f"holds {count(len(taken), 'file')} of other music ({names}); name another folder", field="out", given=out
        )


def _is_copy(path: Path, run: Run | None) -> bool:
    return run is not None and path.is_file() and file_hash(path) == file_hash(run.folder / midi_name(run))


def midi_name(run: Run) -> str:
    """Name of the MIDI file in a run's folder."""
    return str(run.manifest_value("results", "file"))
