"""A set of pieces, as judging sees it: read once, file by file; what is kept of each is small."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.arrays import Floats, Ints
from analysis.corpus import SkippedFile, printable, read_files
from analysis.errors import MeloError
from analysis.near_duplicates import Hashes, shingles
from meloctl.evaluation.copying import steps_of
from meloctl.evaluation.metrics import measures_of
from meloctl.evaluation.similarity_error import curve_sums


@dataclass(frozen=True, kw_only=True, eq=False)
class MusicMetrics:
    """What is kept of P pieces."""

    names: tuple[str, ...]
    bars: Ints
    """(P,)"""

    notes: Ints
    """(P,)"""

    measures: Floats
    """(P, 9) numbers of `metrics.METRICS`, NaN where a piece lacks one."""

    pairs: Floats
    """(P, V, T + 1) pairs of bars by variant and offset: see `similarity_error`."""

    similarity: Floats
    """(P, V, T + 1) sums over those pairs."""

    steps: tuple[Ints, ...]
    """Of each piece, for runs: see `copying`."""

    turns: tuple[Hashes, ...]
    """Of each piece, for its nearest neighbour."""

    skipped: tuple[SkippedFile, ...]

    def __len__(self) -> int:
        return len(self.names)


def judged(
    paths: Sequence[Path],
    *,
    meter: tuple[int, int] | None = None,
    on_file: Callable[[], None] = lambda: None,
) -> MusicMetrics:
    """Read and measure files.

    Raises:
        MeloError: none of them could be read.
    """
    names, columns, skipped = list[str](), list[tuple[object, ...]](), list[SkippedFile]()
    for found in read_files(paths, meter=meter, on_file=on_file):
        if isinstance(found, SkippedFile):
            skipped.append(found)
            continue
        piece = found.piece
        names.append(printable(found.path))
        columns.append(
            (piece.n_bars, len(piece.notes), measures_of(piece), *curve_sums(piece), steps_of(piece), shingles(piece))
        )
    if not names:
        first = skipped[0]
        raise MeloError(
            f"none of the {len(paths)} files could be read; the first, {first.path.name}: {first.reason}; "
            "give a folder of MIDI files"
        )
    bars, notes, measures, pairs, similarity, steps, turns = zip(*columns, strict=True)
    return MusicMetrics(
        names=tuple(names),
        bars=np.array(bars),
        notes=np.array(notes),
        measures=np.stack(measures),
        pairs=np.stack(pairs),
        similarity=np.stack(similarity),
        steps=steps,
        turns=turns,
        skipped=tuple(skipped),
    )
