"""The corpus of a session as windows of rows: encoded once, split, cut, and counted."""

from dataclasses import dataclass
from itertools import islice

import numpy as np

from analysis.arrays import Ints
from analysis.corpus import ReadFile, read_files
from analysis.errors import MeloError
from masks.cost.row_pairs import RowPairs, row_pairs
from meloctl.dataset.corpus_rows import corpus_rows
from meloctl.dataset.store import Shard
from meloctl.dataset.windows import LeftOut, Window, left_out, windows
from meloctl.progress import ProgressReporter
from meloctl.rows.parts import row_parts
from meloctl.rows.vocabulary import INSTRUMENT, Vocabulary
from meloctl.training.ngram_baselines import CountingBaseline
from meloctl.training.options import TrainPlan
from meloctl.workspace import Workspace

WATCHED_ROWS = 1 << 17
"""Rows of the validation pieces that are evaluated during training; the final figure is of all of them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainData:
    """A corpus, ready to train on."""

    shard: Shard
    training: list[Window]
    validation: list[Window]
    baseline: CountingBaseline
    counts: dict[str, int]
    """Pieces on each side."""

    left_out: LeftOut
    """Of the pieces that are trained and validated on."""

    piece: list[int]
    """Of each training window, its piece among all that could be read."""


def data_of(space: Workspace, session: TrainPlan, vocabulary: Vocabulary, reporter: ProgressReporter) -> TrainData:
    """The corpus as windows. Raises MeloError where a side of the split is empty."""
    shard = corpus_rows(
        space.cache,
        session.paths,
        vocabulary,
        reporter,
        corpus=session.recipe.inputs["corpus"],
        fingerprint=session.recipe.inputs["fingerprint"],
        meter=session.meter,
    )
    counts = {side: shard.split.count(side) for side in ("train", "validation", "test")}
    pieces, others = shard.of_split("train"), shard.of_split("validation")
    context = session.name.config.context
    cut = [windows([rows], context, vocabulary) for rows in pieces]
    training = [window for piece in cut for window in piece]
    validation = windows(others, context, vocabulary)
    if not training or not validation:
        raise MeloError(
            f"{counts['train']} {'piece' if counts['train'] == 1 else 'pieces'} to train on and {counts['validation']} "
            "to validate on; both are needed "
            "(pieces are dealt 80/10/10 by a hash of their notes): give a corpus of more different pieces"
        )
    numbers = [i for i, side in enumerate(shard.split) if side == "train"]
    return TrainData(
        shard=shard,
        training=training,
        validation=validation,
        baseline=CountingBaseline(pieces, vocabulary),
        counts=counts,
        left_out=left_out([*pieces, *others], context, vocabulary),
        piece=[i for i, piece in zip(numbers, cut, strict=True) for _ in piece],
    )


def piece_name(session: TrainPlan, piece: int) -> str:
    """The file of a piece, by its number among all that could be read; the files are read again to find it."""
    found = (read.path.name for read in read_files(session.paths, meter=session.meter) if isinstance(read, ReadFile))
    return next(islice(found, piece, None))


def watched(validation: list[Window]) -> list[Window]:
    """Validation windows evenly taken, at most WATCHED_ROWS rows; all of them where they fit."""
    every = -(-sum(len(w.rows) for w in validation) // WATCHED_ROWS)
    return validation[::every]


def window_pairs(chosen: list[Window], vocabulary: Vocabulary) -> RowPairs:
    """Pairs of rows in all windows, by relation and offset: what work is counted in."""
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
    keys, index = np.unique(part, return_inverse=True)
    cells = np.zeros((len(keys), bar[-1] + 1), dtype=np.int64)
    np.add.at(cells, (index, bar), 1)
    return row_pairs(cells, drums=np.flatnonzero(np.isin(keys, drums)).tolist())
