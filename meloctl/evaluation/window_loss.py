"""Loss of a model on held-out music: negative log-likelihood by field, bits a note, a bar and a second, perplexity.

PPL_N = exp(Σ nll of the first N rows of each piece / number of those rows), as fairseq's `--truncate-test N` has it for
tokens (Museformer, Yu et al., NeurIPS 2022, table 1). A row is a note with all its fields, some five tokens, so perplexity a
row is large; perplexity a value (of one field) is nearest to a token's. Perplexities of two vocabularies are never
comparable; bits a note, a bar and a second are. Summaries are not predicted and have no loss.

Letters: N rows of a pack, F fields, L rows of a piece, B bars.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.arrays import Bools, Floats, Ints
from meloctl.dataset.packs import Pack, pack_of
from meloctl.dataset.windows import Window
from meloctl.model.registry import Model
from meloctl.rows.codec import Rows
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTRUMENT, PITCH, TEMPO, TIME_SIGNATURE, Vocabulary

PREFIX_LENGTHS = (1024, 5120, 10240)
"""First rows of each piece whose loss is reported; the paper's numbers, there of tokens."""

LossMask = Callable[[Pack], Bools]
"""Pack of N rows → (N,) True for rows whose loss is summed: a model's own mask, or a part of it."""


@dataclass(frozen=True, kw_only=True)
class LossTotals:
    """Loss summed over some rows; totals of two sets of rows add up with +."""

    nll: tuple[float, ...]
    """(F) negative log-likelihood of each field, in nats."""

    values: tuple[int, ...]
    """(F) number of rows that have each field."""

    rows: int
    notes: int
    bars: int
    """Number of bars with at least one of the rows; a bar that a cut leaves begun is one."""

    seconds: float
    """Duration of those bars, from their time signatures and tempos."""

    def __add__(self, other: "LossTotals") -> "LossTotals":
        return LossTotals(
            nll=tuple(a + b for a, b in zip(self.nll, other.nll, strict=True)),
            values=tuple(a + b for a, b in zip(self.values, other.values, strict=True)),
            rows=self.rows + other.rows,
            notes=self.notes + other.notes,
            bars=self.bars + other.bars,
            seconds=self.seconds + other.seconds,
        )

    @property
    def bits(self) -> float:
        """Loss of all fields, in bits."""
        return sum(self.nll) / math.log(2)

    @property
    def row_perplexity(self) -> float:
        """Perplexity of a row with all its fields: exp of the mean loss of a row in nats."""
        return math.exp(sum(self.nll) / self.rows)

    @property
    def value_perplexity(self) -> float:
        """Perplexity of a field's value, which elsewhere is a token: exp of the mean loss of a value in nats."""
        return math.exp(sum(self.nll) / sum(self.values))

    @property
    def field_perplexity(self) -> dict[str, float]:
        """{field: perplexity} over the rows that have it, from 1 to the number of its values."""
        return {f: math.exp(x / n) for f, x, n in zip(FIELDS, self.nll, self.values, strict=True) if n}

    def to_json(self) -> dict[str, object]:
        """The LOSS of `evaluation.json`: see docs/formats.md. Null where a denominator is 0."""
        per = {"note": self.notes, "bar": self.bars, "second": self.seconds}
        return {
            "rows": self.rows,
            "notes": self.notes,
            "bars": self.bars,
            "seconds": round(self.seconds, 3),
            "perplexity_per_row": self.row_perplexity,
            "perplexity_per_value": self.value_perplexity,
            **{f"bits_per_{name}": self.bits / n if n else None for name, n in per.items()},
            "fields": {
                f: {"bits_per_note": x / math.log(2) / self.notes if self.notes else None, "perplexity": p}
                for f, x, p in zip(FIELDS, self.nll, (self.field_perplexity.get(f) for f in FIELDS), strict=True)
            },
        }


NO_LOSS = LossTotals(nll=(0.0,) * len(FIELDS), values=(0,) * len(FIELDS), rows=0, notes=0, bars=0, seconds=0.0)
"""Totals of no rows."""


@torch.no_grad()
def window_loss(model: Model, window: Window, *, loss_mask: LossMask | None = None) -> LossTotals:
    """Loss of one window, alone in its pack.

    Args:
        model: in evaluation mode.
        window: L rows.
        loss_mask: which rows are summed; None: those of the model's own loss mask.
    """
    pack = pack_of([window])
    nll_NF: Tensor = model(model.layout(pack).to(next(model.parameters()).device)).cpu()
    mask_N, header_N = (loss_mask or model.loss_mask)(pack), pack.rows[:, INSTRUMENT] == model.vocabulary.bar
    rows, bars = pack.rows[mask_N], np.unique((np.cumsum(header_N) - 1)[mask_N])
    return LossTotals(
        nll=tuple(nll_NF.double()[torch.from_numpy(mask_N)].sum(dim=0).tolist()),
        values=tuple(int(n) for n in (rows != ABSENT).sum(axis=0)),
        rows=len(rows),
        notes=int((rows[:, PITCH] != ABSENT).sum()),
        bars=len(bars),
        seconds=float(bar_seconds(pack.rows[header_N][bars], model.vocabulary).sum()),
    )


def prefix_losses(
    model: Model, rows: Rows, lengths: Sequence[int], *, loss_mask: LossMask | None = None
) -> dict[int, LossTotals]:
    """{N: loss of the first N rows of a piece}, each in one window, however long the model's context is.

    A piece that is no longer than the next smaller N is not computed again.

    Args:
        model: in evaluation mode.
        rows: (L, F), from a header row on.
        lengths: the Ns, ascending.
        loss_mask: as for `window_loss`.
    """
    out: dict[int, LossTotals] = {}
    by_rows: dict[int, LossTotals] = {}
    for length in lengths:
        n = min(length, len(rows))
        if n not in by_rows:
            by_rows[n] = window_loss(model, Window(rows=rows[:n], first_bar=0), loss_mask=loss_mask)
        out[length] = by_rows[n]
    return out


def bar_seconds(headers: Ints, vocabulary: Vocabulary) -> Floats:
    """Header rows (B, F) → (B,) duration of each bar in seconds."""
    quarters = np.array([4 * n / d for n, d in vocabulary.signatures])[headers[:, TIME_SIGNATURE]]
    return np.asarray(quarters * 60 / np.array(vocabulary.tempos)[headers[:, TEMPO]])
