"""A set of pieces, as judging sees it: read once, file by file; what is kept of each is small."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.corpus import Skipped, read_files, shown
from analysis.errors import MeloError
from analysis.likeness import Hashes, shingles
from analysis.piece import Ints
from meloctl.evaluation.copying import steps_of
from meloctl.evaluation.metrics import Floats, measures_of
from meloctl.evaluation.similarity_error import curve_sums


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
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

    skipped: tuple[Skipped, ...]

    def __len__(self) -> int:
        return len(self.names)


def judged(
    paths: Sequence[Path],
    *,
    meter: tuple[int, int] | None = None,
    on_file: Callable[[], None] = lambda: None,
) -> Judged:
    """Read and measure files.

    Raises:
        MeloError: none of them could be read.
    """
    names, columns, skipped = list[str](), list[tuple[object, ...]](), list[Skipped]()
    for found in read_files(paths, meter=meter, on_file=on_file):
        if isinstance(found, Skipped):
            skipped.append(found)
            continue
        piece = found.piece
        names.append(shown(found.path))
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
    return Judged(
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
