"""What music costs a model: perplexity and bits, of the first rows of each piece, by field.

PPL_N = exp(Σ nats of the first N rows of each piece / what was predicted there), as fairseq's `--truncate-test N` has it for
tokens (Museformer, Yu et al., NeurIPS 2022, table 1). Divided by rows it is large, for a row is a note with all its fields, some
five tokens; divided by the values of fields it is nearest to a token's. Perplexities of two vocabularies are never
comparable; bits a note, a bar and a second are. Summaries cost nothing and are not counted.
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

LENGTHS = (1024, 5120, 10240)
"""Rows of each piece that are counted; the paper's numbers, there of tokens."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What some music costs; costs of two sets of pieces add up with +."""

    nats: tuple[float, ...]
    """Of each field."""

    values: tuple[int, ...]
    """How many rows have each field."""

    rows: int
    notes: int
    bars: int
    """With a row that counts; a bar that a cut leaves begun is one."""

    seconds: float
    """Of those bars, by their signatures and tempos."""

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            nats=tuple(a + b for a, b in zip(self.nats, other.nats, strict=True)),
            values=tuple(a + b for a, b in zip(self.values, other.values, strict=True)),
            rows=self.rows + other.rows,
            notes=self.notes + other.notes,
            bars=self.bars + other.bars,
            seconds=self.seconds + other.seconds,
        )

    @property
    def bits(self) -> float:
        """All of it."""
        return sum(self.nats) / math.log(2)

    @property
    def row_perplexity(self) -> float:
        """Of a row with all its fields: exp of the mean cost of a row in nats."""
        return math.exp(sum(self.nats) / self.rows)

    @property
    def value_perplexity(self) -> float:
        """Of a field's value, which is what a token is elsewhere: exp of the mean cost of a value in nats."""
        return math.exp(sum(self.nats) / sum(self.values))

    @property
    def field_perplexity(self) -> dict[str, float]:
        """Of each field, over the rows that have it: how many values the model hesitates between, 1 to all there are."""
        return {f: math.exp(x / n) for f, x, n in zip(FIELDS, self.nats, self.values, strict=True) if n}

    def to_json(self) -> dict[str, object]:
        """The facts as `evaluation.json` has them; null where there is nothing to divide by."""
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
                for f, x, p in zip(FIELDS, self.nats, (self.field_perplexity.get(f) for f in FIELDS), strict=True)
            },
        }


NOTHING = Cost(nats=(0.0,) * len(FIELDS), values=(0,) * len(FIELDS), rows=0, notes=0, bars=0, seconds=0.0)


Counted = Callable[[Pack], Bools]
"""(N,) which rows of a pack count, a model's `counted` or some of those."""


@torch.no_grad()
def window_cost(model: Model, window: Window, *, counting: Counted | None = None) -> Cost:
    """The cost of one window, alone in its pack: of the rows that count for the model, or of the fewer that `counting` says."""
    pack = pack_of([window])
    nats_NF: Tensor = model(model.layout(pack).to(next(model.parameters()).device)).cpu()
    counted, header = (counting or model.loss_mask)(pack), pack.rows[:, INSTRUMENT] == model.vocabulary.bar
    rows, heard = pack.rows[counted], np.unique((np.cumsum(header) - 1)[counted])
    return Cost(
        nats=tuple(nats_NF.double()[torch.from_numpy(counted)].sum(dim=0).tolist()),
        values=tuple(int(n) for n in (rows != ABSENT).sum(axis=0)),
        rows=len(rows),
        notes=int((rows[:, PITCH] != ABSENT).sum()),
        bars=len(heard),
        seconds=float(bar_seconds(pack.rows[header][heard], model.vocabulary).sum()),
    )


def bar_seconds(headers: Ints, vocabulary: Vocabulary) -> Floats:
    """(B,) how long each bar lasts, from its header row, (B, 8)."""
    quarters = np.array([4 * n / d for n, d in vocabulary.signatures])[headers[:, TIME_SIGNATURE]]
    return np.asarray(quarters * 60 / np.array(vocabulary.tempos)[headers[:, TEMPO]])


def costs_by_length(
    model: Model,
    pieces: Sequence[Rows],
    lengths: Sequence[int] = LENGTHS,
    *,
    counting: Counted | None = None,
    on_piece: Callable[[], None] = lambda: None,
) -> dict[int, Cost]:
    """{N: cost of the first N rows of every piece}, each piece heard in one stretch, however long the model's context is.

    A piece that is no longer than the next smaller N is not computed again.

    Args:
        model: in evaluation mode.
        pieces: (L, 8) rows each, opening with a header row.
        lengths: ascending.
        counting: as for `window_cost`.
    """
    out = dict.fromkeys(lengths, NOTHING)
    for rows in pieces:
        known: dict[int, Cost] = {}
        for most in lengths:
            kept = min(most, len(rows))
            if kept not in known:
                known[kept] = window_cost(model, Window(rows=rows[:kept], first_bar=0), counting=counting)
            out[most] += known[kept]
        on_piece()
    return out
