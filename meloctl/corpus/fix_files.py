"""Mends of files, one after another: what a file needs is done, a file without need is copied byte for byte."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.atomic_write import atomic_write
from analysis.chunked_map import ChunkResult
from analysis.corpus import printable
from analysis.errors import MeloError
from analysis.midi import MidiSource, parse_source, read_bytes
from meloctl.corpus.onto_beats import Mended, put_on_beats

Mend = Callable[[MidiSource], Mended | None]
"""A file → the mended one; None where it has no need. Raises MeloError where it has, and cannot be mended."""

MENDS: tuple[Mend, ...] = (put_on_beats,)
"""In the order in which they are tried, each on what the ones before it made."""

FORMAT = "meloctl.fix/1"
"""Of the mends, and of what is written about them."""

FIXED, COPIED, LEFT, SKIPPED = "fixed", "copied", "copied as it was, not mended", "skipped"
"""What may become of a file."""


@dataclass(frozen=True, kw_only=True)
class FixTask:
    """Mend the files of a chunk; sent to other processes."""

    base: str
    """Folder below which the files lie."""

    out: str
    """Folder that they are written to, under the same names."""

    def __call__(self, first: int, paths: Sequence[str], died: frozenset[int]) -> ChunkResult:
        """Mend files number `first`, `first` + 1, …; those in `died` are skipped."""
        lines = [
            {"path": printable(Path(os.path.relpath(path, self.base))), **self._fixed(Path(path), number in died)}
            for number, path in enumerate(paths, first)
        ]
        return ChunkResult(arrays={}, facts=lines)

    def _fixed(self, path: Path, died: bool) -> dict[str, str]:
        if died:
            return {"became": SKIPPED, "what": "reading it ended the process that read it"}
        try:
            data = read_bytes(path)
            mended, lines, refused = mended_file(data)
        except MeloError as error:
            return {"became": SKIPPED, "what": str(error)}
        with atomic_write(Path(self.out) / os.path.relpath(path, self.base)) as partial:
            partial.write_bytes(mended)
        became = FIXED if lines else LEFT if refused else COPIED
        return {"became": became, "what": "; ".join([*lines, *refused])}


def mended_file(data: bytes) -> tuple[bytes, list[str], list[str]]:
    """The bytes of a MIDI file, mended or the same; what was done; and what should have been done and could not.

    Raises:
        MeloError: it cannot be read.
    """
    source = parse_source(data)
    done: list[str] = []
    refused: list[str] = []
    for mend in MENDS:
        try:
            made = mend(source)
        except MeloError as error:
            refused.append(str(error))
            continue
        if made:
            data, source = made.data, parse_source(made.data)
            done.append(made.done)
    return data, done, refused
