"""A sample of a corpus as rows per cell, on which masks are costed. The one file of `masks` that reads a corpus."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from analysis.corpus import SkippedFile, read_files
from analysis.errors import MeloError
from analysis.reading import AS_IT_STANDS, Reading
from masks.cost.row_pairs import PieceRows


def sample_files(paths: Sequence[Path], corpus: Path, max_files: int) -> list[Path]:
    """At most `max_files` files, by the hash of their paths relative to the corpus: one file more or less changes few of them."""

    def path_hash(path: Path) -> bytes:
        return hashlib.sha256(os.fsencode(os.path.relpath(path, corpus))).digest()

    return sorted(paths, key=path_hash)[:max_files]


def read_piece_rows(
    paths: Sequence[Path], *, reading: Reading = AS_IT_STANDS, on_file: Callable[[], None] = lambda: None
) -> list[PieceRows]:
    """Rows per cell of each file that can be read, in order.

    Args:
        paths: MIDI files, at least one.
        reading: how they are read.
        on_file: called after each file.

    Raises:
        MeloError: no file can be read.
    """
    found = list(read_files(paths, reading=reading, on_file=on_file))
    rows = [PieceRows.of(read.piece) for read in found if not isinstance(read, SkippedFile)]
    if not rows:
        tried = next(read for read in found if isinstance(read, SkippedFile))
        raise MeloError(f"none of {len(found)} files could be read; the first, {tried.path.name}: {tried.reason}")
    return rows
