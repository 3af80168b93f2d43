"""Which files of a folder are recordings that can be read."""

import os
from pathlib import Path

from analysis.errors import MeloError
from meloctl.formatting import count, examples

READABLE = (
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3"),
    *(".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64"),
)
"""Endings of files that libsndfile reads."""

UNREADABLE = (".m4a", ".mp4", ".aac", ".wma", ".mka", ".mkv", ".webm", ".mov", ".wv", ".ape", ".ac3")
"""Endings of recordings that it does not read."""


def find_recordings(source: Path) -> list[Path]:
    """The file `source`, or the recordings in a folder and its subfolders, sorted; links to folders are not followed.

    Raises:
        MeloError: nothing there, no regular file, a format that cannot be read, or a folder without recordings.
    """
    if source.is_dir():
        return _in_folder(source)
    if not source.exists():
        raise MeloError(f"{source}: no such file or folder; give a recording, as a WAV, FLAC, OGG or MP3 file")
    if not source.is_file():
        raise MeloError(f"{source}: no regular file; give a recording, as a WAV, FLAC, OGG or MP3 file")
    if source.suffix.lower() in UNREADABLE:
        raise MeloError(f"{source}: {source.suffix} cannot be read; {_convert(source)}")
    return [source]


def _in_folder(folder: Path) -> list[Path]:
    found, other = [], []
    for at, _, names in os.walk(folder):
        for name in names:
            path = Path(at, name)
            if name.startswith(".") or not path.is_file():
                continue
            if path.suffix.lower() in READABLE:
                found.append(path)
            elif path.suffix.lower() in UNREADABLE:
                other.append(path)
    if found:
        return sorted(found)
    if other:
        shown = examples((path.name for path in sorted(other)), of=len(other))
        raise MeloError(
            f"{folder}: {count(len(other), 'recording')} of formats that cannot be read ({shown}); {_convert(min(other))}"
        )
    raise MeloError(f"{folder}: no recording in it; give a folder of WAV, FLAC, OGG or MP3 files")


def _convert(path: Path) -> str:
    return f"make a WAV file of it, as with ffmpeg -i {path.name} {path.stem}.wav"
