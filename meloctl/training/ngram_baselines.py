"""What counting alone achieves: the model must beat both, or it has learned nothing."""

from collections.abc import Sequence

import numpy as np

from analysis.arrays import Floats, Ints
from meloctl.dataset.packs import pack_of
from meloctl.dataset.windows import Window
from meloctl.model.registry import Model
from meloctl.rows.codec import Rows
from meloctl.rows.vocabulary import ABSENT, FIELDS, PITCH, Vocabulary


class CountingBaseline:
    """Each field's value by its share in the training pieces, and by its share after the value before it.

    unigram: p(v) = (count(v) + 1) / (total + V).
    bigram:  p(v | u) = (count(u, v) + p(v)) / (count(u) + 1), where u is the field's value in the last row that has it.
    """

    def __init__(self, pieces: Sequence[Rows], vocabulary: Vocabulary) -> None:
        self.unigram: list[Floats] = []
        self.bigram: list[Floats] = []
        for field, size in enumerate(vocabulary.sizes):
            pairs = np.zeros((size + 1, size))  # the last row is "no value yet"
            for rows in pieces:
                _, values, before = _with_previous(rows, field, size)
                np.add.at(pairs, (before, values), 1)
            single = (pairs.sum(axis=0) + 1) / (pairs.sum() + size)
            self.unigram.append(single)
            self.bigram.append((pairs + single) / (pairs.sum(axis=1, keepdims=True) + 1))

    def bits_per_note(self, model: Model, chosen: Sequence[Window]) -> tuple[float, float]:
        """(unigram, bigram) bits a note over windows, on the rows that count for a model, as `evaluate` counts its own."""
        single = double = 0.0
        notes = 0
        for window in chosen:
            counted = model.loss_mask(pack_of([window]))
            costs = self.bits(window.rows)
            single, double = single + float(costs[0][counted].sum()), double + float(costs[1][counted].sum())
            notes += int((window.rows[counted, PITCH] != ABSENT).sum())
        return single / max(1, notes), double / max(1, notes)

    def bits(self, rows: Rows) -> tuple[Floats, Floats]:
        """(unigram, bigram) bits of each row of a window, all its fields together, (L,) each."""
        single, double = np.zeros((2, len(rows)))
        for field in range(len(FIELDS)):
            at, values, before = _with_previous(rows, field, len(self.unigram[field]))
            single[at] -= np.log2(self.unigram[field][values])
            double[at] -= np.log2(self.bigram[field][before, values])
        return single, double


def _with_previous(rows: Rows, field: int, size: int) -> tuple[Ints, Ints, Ints]:
    """Rows that have a field, its values there, and the value before each; `size` before the first."""
    at = np.flatnonzero(rows[:, field] != ABSENT)
    values = rows[at, field].astype(np.int64)
    return at, values, np.concatenate([[size], values[:-1]])[: len(values)]
