"""Pieces of a corpus, chosen by lot, as rows per cell: what masks are costed on. The one file of `masks` that reads a corpus."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from analysis.corpus import SkippedFile, read_files
from analysis.errors import MeloError
from masks.cost.row_pairs import PieceRows


def sample_files(paths: Sequence[Path], corpus: Path, most: int) -> list[Path]:
    """At most `most` files by the hash of their names below the corpus, so that a file more or less changes few of them."""

    def lot(path: Path) -> bytes:
        return hashlib.sha256(os.fsencode(os.path.relpath(path, corpus))).digest()

    return sorted(paths, key=lot)[:most]


def read_piece_rows(
    paths: Sequence[Path], *, meter: tuple[int, int] | None, on_file: Callable[[], None] = lambda: None
) -> list[PieceRows]:
    """Rows per cell of each file that can be read, in order. Raises MeloError when none can."""
    found = list(read_files(paths, meter=meter, on_file=on_file))
    rows = [PieceRows.of(read.piece) for read in found if not isinstance(read, SkippedFile)]
    if not rows:
        tried = next(read for read in found if isinstance(read, SkippedFile))
        raise MeloError(f"none of {len(found)} files could be read; the first, {tried.path.name}: {tried.reason}")
    return rows
