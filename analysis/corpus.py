"""A corpus: a folder of MIDI files, or a text file that lists them. Every file is read, or skipped with a reason."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.errors import MeloError
from analysis.midi import read_midi
from analysis.midi_container import is_midi_name
from analysis.passed_over import how_to_read, passed_over, passed_over_line
from analysis.piece import Piece
from analysis.reading import AS_IT_STANDS, Reading
from analysis.shown_text import escaped


@dataclass(frozen=True, kw_only=True)
class SkippedFile:
    """A file that was not read, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, kw_only=True)
class ReadFile:
    """A file that was read."""

    path: Path
    piece: Piece


def find_files(corpus: Path) -> list[Path]:
    """The MIDI files of a corpus, sorted.

    A folder is searched with its subfolders for files with an ending of MIDI (`analysis.midi_container.ENDINGS`); links to
    folders are not followed, files whose names start with a dot are none of the music. A .txt file holds one path a line,
    relative to itself, blank lines and lines that start with # left out; a MIDI file is a corpus of one.

    Raises:
        MeloError: nothing there, or no MIDI file in it.
    """
    if corpus.is_dir():
        closed: list[str] = []  # folders that may not be read: listed, so that reading them gives the reason
        walk = os.walk(corpus, onerror=lambda error: closed.append(error.filename))
        names = [f"{at}{os.sep}{name}" for at, _, files in walk for name in files if _is_music(name)]
        paths = [Path(name) for name in sorted(names + closed, key=lambda name: name.replace(os.sep, "\0"))]
    elif corpus.is_file():
        paths = _listed(corpus)
    else:
        raise MeloError(f"{corpus}: no such folder or list of files; give a folder of .mid files")
    if not paths:
        other = passed_over_line(passed_over(corpus))
        raise MeloError(f"{corpus}: no MIDI file (.mid, .kar, .rmi, …) in it; {other or 'give a folder of MIDI files'}")
    return paths


def read_files(
    paths: Sequence[Path],
    *,
    reading: Reading = AS_IT_STANDS,
    on_file: Callable[[], None] = lambda: None,
) -> Iterator[ReadFile | SkippedFile]:
    """Read files one by one, in order; `on_file` is called after each."""
    for path in paths:
        try:
            yield ReadFile(path=path, piece=read_midi(path, reading=reading))
        except MeloError as error:
            yield SkippedFile(path=path, reason=str(error))
        on_file()


def group_of(piece: Piece) -> str:
    """A name for all files with exactly these notes in parts of these programs: 16 hex digits of a SHA-256.

    Titles, the order of the parts, the resolution in ticks and the tempo make no difference; another key does. The split
    into training, validation and test is a hash of the group, so equal files never lie on two sides.
    """
    notes, parts = piece.notes, []
    by_part = np.argsort(notes.part.astype(np.int16), kind="stable")
    columns = np.empty((4, len(notes)), dtype="<i8")
    for column, c in zip(columns, (notes.onset_tick, notes.duration_tick, notes.pitch, notes.velocity), strict=True):
        np.take(c, by_part, out=column)
    columns[:2] = ((columns[:2] << 20) + piece.ticks_per_quarter // 2) // piece.ticks_per_quarter
    ends = np.cumsum(np.bincount(notes.part, minlength=len(piece.parts))).tolist()
    for part, start, end in zip(piece.parts, [0, *ends], ends, strict=False):
        program = "drums" if part.is_drum else str(part.program)
        parts.append(hashlib.sha256(program.encode() + columns[:, start:end].tobytes()).hexdigest())
    return hashlib.sha256("".join(sorted(parts)).encode()).hexdigest()[:16]


def split_of(group: str) -> str:
    """Side of a group: "train" (80 %), "validation" (10 %) or "test" (10 %), from its name alone.

    So it never changes as files are added.
    """
    share = _hash_number(group) % 100
    return "train" if share < 80 else "validation" if share < 90 else "test"


def merged_groups(groups: Sequence[str], cluster: Iterable[int]) -> list[str]:
    """One name for all files of a cluster of near copies: of its files' own names, the one that lies nearest to training.

    Args:
        groups: each file's own name, which near copies may share (`analysis.near_duplicates.Sketch.key`, or `group_of`).
        cluster: a number for each file, equal for files of one cluster (`analysis.near_duplicates.clusters`).

    A file without near copies keeps its own name, whatever else is added. When a near copy is added, or a file that links two
    clusters, and its name differs, all of them go to the side that was nearest to training among them: what was trained on is
    never held out later; a piece can only leave the test side for validation, and validation for training. (`split_groups`
    has one exception, for corpora that would have nothing to validate on.)
    """
    nearest: dict[int, str] = {}
    members = list(zip(cluster, groups, strict=True))
    for label, group in members:
        nearest[label] = min(nearest.get(label, group), group, key=_from_training)
    return [nearest[label] for label, _ in members]


def split_groups(groups: Sequence[str]) -> list[str]:
    """Side of each piece by its group, as `split_of` says.

    In a corpus so small that no group falls on validation, the training group with the highest hash is moved there,
    provided that another stays to train on.
    """
    sides = {group: split_of(group) for group in groups}
    training = sorted((g for g, side in sides.items() if side == "train"), key=_hash_number)
    if "validation" not in sides.values() and len(training) > 1:
        sides[training[-1]] = "validation"
    return [sides[group] for group in groups]


def _from_training(group: str) -> tuple[int, str]:
    """Smaller for names that lie farther inside training."""
    return _hash_number(group) % 100, group


def _hash_number(group: str) -> int:
    return int(hashlib.sha256(group.encode()).hexdigest()[:8], 16)


def fingerprint(paths: Sequence[Path], corpus: Path) -> str:
    """16 hex digits that change when a file of a corpus is added, removed, or written to.

    Names below the corpus, sizes and times count; contents are not read.
    """
    digest = hashlib.sha256()
    for path in paths:
        digest.update(os.fsencode(os.path.relpath(path, corpus)))
        try:
            status = path.stat()
            digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        except (OSError, ValueError):
            digest.update(b"\0gone\n")
    return digest.hexdigest()[:16]


def printable(path: Path) -> str:
    """A path as printable text, whatever bytes its name has."""
    return escaped(os.fsencode(path).decode("utf-8", "backslashreplace"))


def _is_music(name: str) -> bool:
    return is_midi_name(name) and not name.startswith(".")


def _listed(manifest: Path) -> list[Path]:
    if is_midi_name(manifest.name):
        return [manifest]
    if manifest.suffix.lower() != ".txt":
        raise MeloError(
            f"{manifest}: neither a folder nor MIDI; "
            + (how_to_read(manifest.name) or "give a folder, a .mid file, or a .txt file with one path a line")
        )
    if manifest.stat().st_size > 256 << 20:
        raise MeloError(
            f"{manifest}: too large for a list of files; give a folder, or a text file with one path a line"
        )
    try:
        lines = manifest.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise MeloError(f"{manifest}: not a text file; give a folder, or a text file with one path a line") from error
    return sorted(manifest.parent / line.strip() for line in lines if line.strip() and not line.startswith("#"))
