"""N-gram baselines: bits per note of a unigram and a bigram model of each field, which a trained model must beat."""

from collections.abc import Sequence

import numpy as np

from analysis.arrays import Floats, Ints
from meloctl.dataset.packs import pack_of
from meloctl.dataset.windows import Window
from meloctl.model.registry import Model
from meloctl.rows.codec import Rows
from meloctl.rows.vocabulary import ABSENT, FIELDS, PITCH, Vocabulary


class NgramBaseline:
    """Unigram and bigram probabilities of each field's values, estimated from the training pieces.

    unigram: p(v) = (count(v) + 1) / (total + V).
    bigram:  p(v | u) = (count(u, v) + p(v)) / (count(u) + 1), where u is the field's value in the last row that has it.

    Args:
        pieces: (L, F) rows each.
    """

    def __init__(self, pieces: Sequence[Rows], vocabulary: Vocabulary) -> None:
        self.unigram: list[Floats] = []
        """(V,) for each field."""

        self.bigram: list[Floats] = []
        """(V + 1, V) for each field; the last row is for the first value of a piece."""

        for field, size in enumerate(vocabulary.sizes):
            pairs = np.zeros((size + 1, size))
            for rows in pieces:
                _, values, before = _with_previous(rows, field, size)
                np.add.at(pairs, (before, values), 1)
            single = (pairs.sum(axis=0) + 1) / (pairs.sum() + size)
            self.unigram.append(single)
            self.bigram.append((pairs + single) / (pairs.sum(axis=1, keepdims=True) + 1))

    def bits_per_note(self, model: Model, chosen: Sequence[Window]) -> tuple[float, float]:
        """(unigram, bigram) bits per note over windows, on the rows of a model's loss mask, as `validation_loss` of the model."""
        single = double = 0.0
        notes = 0
        for window in chosen:
            loss_mask = model.loss_mask(pack_of([window]))
            bits = self.bits(window.rows)
            single, double = single + float(bits[0][loss_mask].sum()), double + float(bits[1][loss_mask].sum())
            notes += int((window.rows[loss_mask, PITCH] != ABSENT).sum())
        return single / max(1, notes), double / max(1, notes)

    def bits(self, rows: Rows) -> tuple[Floats, Floats]:
        """(L, F) rows of a window → (unigram, bigram) bits of each row, all its fields together, (L,) each."""
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
