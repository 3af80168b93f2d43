"""The recordings that MIDI files of `meloctl transcribe` were made from, as long as they are where they were."""

from collections.abc import Iterable
from pathlib import Path

from meloctl.workspace import file_hash, manifest_beside


def originals_of(files: Iterable[Path]) -> tuple[dict[Path, Path], list[str]]:
    """{MIDI file: its recording}, and a line for each file whose recording is gone or has changed.

    Files that lie elsewhere than in the run that wrote them, or were changed, have none.
    """
    found, lines = {}, []
    for path in files:
        manifest = manifest_beside(path, command="transcribe")
        if manifest is None:
            continue
        recording = Path(str(manifest.results.get("sound", "")))
        if recording.is_file() and file_hash(recording) == manifest.inputs.get("recording"):
            found[path] = recording
        else:
            lines.append(
                f"{recording}: not the recording that {path.name} was transcribed from; the page plays the MIDI alone"
            )
    return found, lines
