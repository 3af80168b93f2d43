"""The corpus of a training plan as windows of rows, split into training and validation, with the n-gram baseline."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from analysis.arrays import Ints
from analysis.corpus import ReadFile, read_files
from analysis.errors import MeloError
from masks.cost.row_pairs import RowPairs, row_pairs
from meloctl.dataset.corpus_rows import corpus_rows
from meloctl.dataset.store import Shard
from meloctl.dataset.windows import LeftOut, Window, left_out, windows
from meloctl.progress import ProgressReporter
from meloctl.rows.codec import Rows
from meloctl.rows.parts import row_parts
from meloctl.rows.vocabulary import INSTRUMENT, TEMPO, TIME_SIGNATURE, Vocabulary
from meloctl.training.ngram_baselines import NgramBaseline
from meloctl.training.plan import TrainPlan


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainData:
    """A corpus, ready to train on."""

    shard: Shard
    training: list[Window]
    validation: list[Window]
    baseline: NgramBaseline
    header_changes: tuple[float, float]
    """See `header_changes`; of the training pieces."""

    counts: dict[str, int]
    """Pieces on each side of the split."""

    left_out: LeftOut
    """Notes of the training and validation pieces that no window holds."""

    piece: list[int]
    """For each training window, the index of its piece among all that could be read."""


def load_train_data(cache: Path, plan: TrainPlan, vocabulary: Vocabulary, reporter: ProgressReporter) -> TrainData:
    """Encode the plan's corpus, or read its rows from the cache folder, and cut it into windows.

    Raises:
        MeloError: nothing can be read, or a side of the split is empty.
    """
    shard = corpus_rows(
        cache,
        plan.paths,
        vocabulary,
        reporter,
        corpus=plan.recipe.inputs["corpus"],
        fingerprint=plan.recipe.inputs["fingerprint"],
        reading=plan.reading,
    )
    counts = {side: shard.split.count(side) for side in ("train", "validation", "test")}
    pieces, others = shard.of_split("train"), shard.of_split("validation")
    context = plan.name.config.context
    cut = [windows([rows], context, vocabulary) for rows in pieces]
    training = [window for piece in cut for window in piece]
    validation = windows(others, context, vocabulary)
    if not training or not validation:
        raise MeloError(
            f"{counts['train']} {'piece' if counts['train'] == 1 else 'pieces'} to train on and {counts['validation']} "
            "to validate on; both are needed "
            "(pieces are split 80/10/10 by a hash of their notes): give a corpus of more different pieces"
        )
    indices = [i for i, side in enumerate(shard.split) if side == "train"]
    return TrainData(
        shard=shard,
        training=training,
        validation=validation,
        baseline=NgramBaseline(pieces, vocabulary),
        header_changes=header_changes(pieces, vocabulary),
        counts=counts,
        left_out=left_out([*pieces, *others], context, vocabulary),
        piece=[i for i, piece in zip(indices, cut, strict=True) for _ in piece],
    )


def header_changes(pieces: Sequence[Rows], vocabulary: Vocabulary) -> tuple[float, float]:
    """Shares of bars that bring the first change of a piece's time signature, and of its tempo, among the bars up to it; 0 where
    no piece (L, F) has such bars.

    So music of these shares has a change in as many of its pieces as the training music; shares of all changes would be those of
    the few pieces that change all the time. A piece's second bar is left out for the time signature: the first may be a pickup.
    """
    changed, bars = np.zeros(2), np.zeros(2)
    for rows in pieces:
        headers = rows[rows[:, INSTRUMENT] == vocabulary.bar]
        for which, values in enumerate((headers[1:, TIME_SIGNATURE], headers[:, TEMPO])):
            moves = np.flatnonzero(np.diff(values))
            changed[which] += len(moves) > 0
            bars[which] += moves[0] + 1 if len(moves) else max(len(values) - 1, 0)
    signature, tempo = (changed / np.maximum(bars, 1)).tolist()
    return signature, tempo


def piece_name(plan: TrainPlan, piece: int) -> str:
    """The file name of a piece, by its index among all that could be read; the files are read again to find it."""
    found = (read.path.name for read in read_files(plan.paths, reading=plan.reading) if isinstance(read, ReadFile))
    return next(islice(found, piece, None))


def window_pairs(chosen: list[Window], vocabulary: Vocabulary) -> RowPairs:
    """Pairs of rows in all windows, by relation and offset: the unit of attention's work."""
    pairs = [_row_pairs(window, vocabulary) for window in chosen]
    return sum(pairs[1:], start=pairs[0])


def _bars_and_parts(window: Window, vocabulary: Vocabulary) -> tuple[Ints, Ints, list[int]]:
    """(L,) bar and part of each row of a window, and which parts are drums."""
    rows = window.rows.astype(np.int64)
    part = row_parts(rows, vocabulary)
    return (
        np.cumsum(rows[:, INSTRUMENT] == vocabulary.bar) - 1,
        part,
        np.unique(part[rows[:, INSTRUMENT] == vocabulary.drums]).tolist(),
    )


def _row_pairs(window: Window, vocabulary: Vocabulary) -> RowPairs:
    bar, part, drums = _bars_and_parts(window, vocabulary)
    parts, index = np.unique(part, return_inverse=True)
    cells = np.zeros((len(parts), bar[-1] + 1), dtype=np.int64)
    np.add.at(cells, (index, bar), 1)
    return row_pairs(cells, drums=np.flatnonzero(np.isin(parts, drums)).tolist())
