"""What counting alone achieves: the model must beat both, or it has learned nothing."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from meloctl.dataset.batches import Window
from meloctl.rows.codec import Rows
from meloctl.rows.vocabulary import ABSENT, FIELDS, PITCH, Vocabulary


class CountingBaseline:
    """Each field's value by its share in the training pieces, and by its share after the value before it.

    unigram: p(v) = (count(v) + 1) / (total + V).
    bigram:  p(v | u) = (count(u, v) + p(v)) / (count(u) + 1), where u is the field's value in the last row that has it.
    """

    def __init__(self, pieces: Sequence[Rows], vocabulary: Vocabulary) -> None:
        self.unigram: list[npt.NDArray[np.float64]] = []
        self.bigram: list[npt.NDArray[np.float64]] = []
        for field, size in enumerate(vocabulary.sizes):
            pairs = np.zeros((size + 1, size))  # the last row is "no value yet"
            for rows in pieces:
                values, before = _with_previous(rows, field, size)
                np.add.at(pairs, (before, values), 1)
            single = (pairs.sum(axis=0) + 1) / (pairs.sum() + size)
            self.unigram.append(single)
            self.bigram.append((pairs + single) / (pairs.sum(axis=1, keepdims=True) + 1))

    def bits_per_note(self, windows: Sequence[Window]) -> tuple[float, float]:
        """(unigram, bigram) bits a note over windows, all fields of all rows counted, as `evaluate` counts a model's."""
        single = double = 0.0
        notes = 0
        for window in windows:
            counted = window.rows if window.first_bar == 0 else window.rows[1:]
            notes += int((counted[:, PITCH] != ABSENT).sum())
            for field in range(len(FIELDS)):
                values, before = _with_previous(window.rows, field, len(self.unigram[field]))
                skip = int(window.first_bar != 0 and window.rows[0, field] != ABSENT)
                values, before = values[skip:], before[skip:]
                single -= float(np.log2(self.unigram[field][values]).sum())
                double -= float(np.log2(self.bigram[field][before, values]).sum())
        return single / notes, double / notes


def _with_previous(rows: Rows, field: int, size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Values of a field where it stands, and the value before each; `size` before the first."""
    values = rows[rows[:, field] != ABSENT, field].astype(np.int64)
    return values, np.concatenate([[size], values[:-1]])[: len(values)]
