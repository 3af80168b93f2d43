"""Pieces → windows that fit the context → padded batches, the same for the same seed and epoch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meloctl.rows.codec import Rows
from meloctl.rows.vocabulary import ABSENT, INSTRUMENT, PITCH, Vocabulary

TRANSPOSITIONS = range(-5, 7)
"""Semitones by which pitched parts are moved in training: every key once."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """A run of whole bars of one piece that fits the context."""

    rows: Rows
    """(L, 8)"""

    first_bar: int
    """Number of its first bar in the piece."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """B windows, padded to the longest of L rows and T bars."""

    rows: npt.NDArray[np.int64]
    """(B, L, 8); padding is ABSENT in every field."""

    first_bar: npt.NDArray[np.int64]
    """(B,) number of the first bar of each window in its piece."""

    @property
    def n_notes(self) -> int:
        """Note rows."""
        return int((self.rows[:, :, PITCH] != ABSENT).sum())

    @property
    def n_rows(self) -> int:
        """Rows without the padding."""
        return int((self.rows[:, :, INSTRUMENT] != ABSENT).sum())


def windows(pieces: Sequence[Rows], context: int, vocabulary: Vocabulary) -> list[Window]:
    """Cut each piece at bar lines into windows of at most `context` rows; a bar that is longer alone is cut at its end.

    Windows without a note are left out.
    """
    out = []
    for rows in pieces:
        starts = np.append(np.flatnonzero(rows[:, INSTRUMENT] == vocabulary.bar), len(rows))
        bar = 0
        while bar < len(starts) - 1:
            fit = int(np.searchsorted(starts, starts[bar] + context, side="right")) - 1
            stop = max(fit, bar + 1)
            window = Window(rows=rows[starts[bar] : min(starts[stop], starts[bar] + context)], first_bar=bar)
            if (window.rows[:, PITCH] != ABSENT).any():  # a long silence teaches nothing
                out.append(window)
            bar = stop
    return out


def transposed(rows: Rows, semitones: int, vocabulary: Vocabulary) -> Rows:
    """Rows with every pitched part moved; drums stay drums. Unchanged where a pitch would leave 0..127."""
    pitched = (rows[:, PITCH] != ABSENT) & (rows[:, INSTRUMENT] != vocabulary.drums)
    moved = rows[pitched, PITCH] + semitones
    if not len(moved) or moved.min() < 0 or moved.max() > 127:
        return rows
    out = rows.copy()
    out[pitched, PITCH] = moved
    return out


def collate(chosen: Sequence[Window]) -> Batch:
    """Pad windows to one matrix."""
    longest = max(len(w.rows) for w in chosen)
    rows = np.full((len(chosen), longest, chosen[0].rows.shape[1]), ABSENT, dtype=np.int64)
    for i, window in enumerate(chosen):
        rows[i, : len(window.rows)] = window.rows
    return Batch(rows=rows, first_bar=np.array([w.first_bar for w in chosen], dtype=np.int64))


def batches(chosen: Sequence[Window], rows_in_batch: int) -> list[list[int]]:
    """Indices of windows of like length, each batch padded to at most `rows_in_batch` rows (one window may exceed it)."""
    order = sorted(range(len(chosen)), key=lambda i: (len(chosen[i].rows), i))
    out: list[list[int]] = []
    for i in order:
        if out and (len(out[-1]) + 1) * len(chosen[i].rows) <= rows_in_batch:
            out[-1].append(i)
        else:
            out.append([i])
    return out


def training_batches(
    chosen: Sequence[Window], rows_in_batch: int, vocabulary: Vocabulary, *, seed: int, epoch: int
) -> Iterator[Batch]:
    """One epoch: every window once, in another key, in an order that depends on (seed, epoch) alone."""
    random = np.random.default_rng([seed, epoch])
    shift = random.choice(TRANSPOSITIONS, size=len(chosen))
    jitter = random.permutation(len(chosen))  # windows of one length meet others in each epoch
    shuffled = [chosen[i] for i in jitter]
    groups = batches(shuffled, rows_in_batch)
    for g in random.permutation(len(groups)):
        yield collate(
            [
                Window(rows=transposed(shuffled[i].rows, int(shift[i]), vocabulary), first_bar=shuffled[i].first_bar)
                for i in groups[g]
            ]
        )


def validation_batches(chosen: Sequence[Window], rows_in_batch: int) -> Iterator[Batch]:
    """Every window once, unchanged, in a fixed order."""
    for group in batches(chosen, rows_in_batch):
        yield collate([chosen[i] for i in group])
