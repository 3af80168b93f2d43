"""pieces.csv: the metrics of each evaluated piece, one line a piece."""

import csv
import io
from typing import Any

from meloctl.evaluation.evaluation_json import Shared, finite_or_none
from meloctl.evaluation.metrics import METRICS
from meloctl.evaluation.music_metrics import MusicMetrics

_COPYING = ("longest_run", "longest_run_in", "copied_share", "nearest", "nearest_similarity")


def pieces_csv(music: MusicMetrics, reference: MusicMetrics | None, shared: Shared | None) -> str:
    """The file's text; cells are empty where a piece lacks a number.

    Args:
        music: the evaluated pieces.
        reference: real pieces, or None.
        shared: of each piece, from `shared_with_reference`; None where there is no reference.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    metrics = (metric.name.replace(" ", "_").replace("-", "_") for metric in METRICS)
    writer.writerow(["path", "bars", "notes", *metrics, *(_COPYING if shared else [])])
    for i, path in enumerate(music.paths):
        row: list[Any] = [path, int(music.bars[i]), int(music.notes[i]), *map(finite_or_none, music.metrics[i])]
        if reference and shared:
            notes, (similarity, nearest) = shared[i]
            source, neighbour = (reference.paths[j] if j >= 0 else None for j in (notes.source, nearest))
            row += [notes.longest, source, finite_or_none(notes.share), neighbour, similarity]
        writer.writerow(["" if x is None else x for x in row])
    return out.getvalue()
