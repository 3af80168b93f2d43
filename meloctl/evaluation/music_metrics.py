"""What is measured of a set of MIDI files: metrics, similarity curves, note steps and shingles of each piece."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.arrays import Floats, Ints
from analysis.corpus import SkippedFile, printable, read_files
from analysis.errors import MeloError
from analysis.near_duplicates import Hashes, shingles
from analysis.reading import AS_IT_STANDS, Reading
from meloctl.evaluation.copying import note_steps
from meloctl.evaluation.metrics import piece_metrics
from meloctl.evaluation.similarity_error import curve_sums


@dataclass(frozen=True, kw_only=True, eq=False)
class MusicMetrics:
    """What is measured of P pieces; small, so that whole corpora fit into memory."""

    paths: tuple[str, ...]
    """(P) files, printable."""

    bars: Ints
    """(P,) number of bars."""

    notes: Ints
    """(P,) number of notes."""

    metrics: Floats
    """(P, 9) the metrics of `metrics.METRICS`, NaN where a piece lacks one."""

    pairs: Floats
    """(P, V, T + 1) number of pairs of bars by variant and offset: see `similarity_error`."""

    similarity: Floats
    """(P, V, T + 1) sum of the similarity of those pairs."""

    note_steps: tuple[Ints, ...]
    """Of each piece, (M,): see `copying.note_steps`."""

    shingles: tuple[Hashes, ...]
    """Of each piece: see `analysis.near_duplicates.shingles`."""

    skipped: tuple[SkippedFile, ...]
    """Files that could not be read, with the reason."""

    def __len__(self) -> int:
        return len(self.paths)


def measure_files(
    paths: Sequence[Path],
    *,
    reading: Reading = AS_IT_STANDS,
    on_file: Callable[[], None] = lambda: None,
) -> MusicMetrics:
    """Read MIDI files one by one and measure each.

    Args:
        paths: MIDI files.
        reading: how they are read.
        on_file: called after each file.

    Raises:
        MeloError: none of them could be read.
    """
    read, columns, skipped = list[str](), list[tuple[object, ...]](), list[SkippedFile]()
    for found in read_files(paths, reading=reading, on_file=on_file):
        if isinstance(found, SkippedFile):
            skipped.append(found)
            continue
        piece = found.piece
        read.append(printable(found.path))
        columns.append(
            (
                piece.n_bars,
                len(piece.notes),
                piece_metrics(piece),
                *curve_sums(piece),
                note_steps(piece),
                shingles(piece),
            )
        )
    if not read:
        first = skipped[0]
        raise MeloError(
            f"none of the {len(paths)} files could be read; the first, {first.path.name}: {first.reason}; "
            "give a folder of MIDI files"
        )
    bars, notes, metrics, pairs, similarity, steps, hashes = zip(*columns, strict=True)
    return MusicMetrics(
        paths=tuple(read),
        bars=np.array(bars),
        notes=np.array(notes),
        metrics=np.stack(metrics),
        pairs=np.stack(pairs),
        similarity=np.stack(similarity),
        note_steps=steps,
        shingles=hashes,
        skipped=tuple(skipped),
    )
