"""Writes a piece: exactly the bars asked for, every row allowed by the grammar, the same piece for the same seed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from analysis.errors import MeloError
from meloctl.generation.decoder import Decoder
from meloctl.model.meloformer import MeloFormer
from meloctl.rows.codec import Rows
from meloctl.rows.grammar import FIELDS_OF, State, after, allowed, kind_of
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTRUMENT, Vocabulary

MOST_BARS = 10_000
MOST_ROWS_IN_BAR = 512
"""A bar that has this many notes is closed."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How values are drawn.

    Raises:
        MeloError: on values out of range.
    """

    bars: int
    seed: int = 0
    temperature: float = 1.0
    """Below 1 is safer, above 1 wilder."""

    top_p: float = 0.95
    """Values are drawn from the likeliest ones that together have this probability."""

    def __post_init__(self) -> None:
        if not 1 <= self.bars <= MOST_BARS:
            raise MeloError(f"--bars {self.bars}: give a whole number of bars, 1 to {MOST_BARS}")
        if not 0.05 <= self.temperature <= 5:
            raise MeloError(f"--temperature {self.temperature}: give a number from 0.05 to 5; 1 is the model's own")
        if not 0 < self.top_p <= 1:
            raise MeloError(f"--top-p {self.top_p}: give a number above 0 and up to 1; 1 leaves nothing out")
        if not 0 <= self.seed < 1 << 63:
            raise MeloError(f"--seed {self.seed}: give a whole number, 0 or more")


def generate_rows(model: MeloFormer, sampling: Sampling, *, on_bar: Callable[[], None] = lambda: None) -> Rows:
    """Rows of a new piece of exactly `sampling.bars` bars, the end row last; `on_bar` is called as each bar closes.

    The last bar is given at least one note, so that a reader of the file counts as many bars as were asked for.
    """
    vocabulary, random = model.vocabulary, np.random.default_rng(sampling.seed)
    decoder, state, rows = Decoder(model), State(), []
    hidden, bars, in_bar = decoder.start(), 0, 0
    while True:
        row = _row(model, hidden, state, sampling, random, bars=bars, in_bar=in_bar)
        rows.append(row)
        state = after(row, state, vocabulary)
        if state.kind == "end":
            on_bar()
            return np.stack(rows)
        if state.kind == "header":
            bars, in_bar = bars + 1, 0
            if bars > 1:
                on_bar()
        else:
            in_bar += 1
        hidden = decoder.step(torch.from_numpy(row.astype(np.int64)))


@torch.no_grad()
def _row(
    model: MeloFormer,
    hidden: Tensor,
    state: State,
    sampling: Sampling,
    random: np.random.Generator,
    *,
    bars: int,
    in_bar: int,
) -> npt.NDArray[np.int16]:
    """Draw one row, field by field."""
    vocabulary, heads = model.vocabulary, model.heads
    row = np.full(len(FIELDS), ABSENT, dtype=np.int16)
    may = allowed(INSTRUMENT, row, state, vocabulary) & _kinds(vocabulary, sampling.bars, bars, in_bar)
    row[INSTRUMENT] = draw(heads.logits(INSTRUMENT, hidden), may, sampling, random)
    fields = FIELDS_OF[kind_of(row, vocabulary)]
    for last, field in zip(fields, fields[1:], strict=False):
        hidden = heads.tell(last, torch.tensor(int(row[last])), hidden)
        row[field] = draw(heads.logits(field, hidden), allowed(field, row, state, vocabulary), sampling, random)
    return row


def _kinds(vocabulary: Vocabulary, wanted: int, bars: int, in_bar: int) -> npt.NDArray[np.bool_]:
    """Which instruments the number of bars leaves: the piece ends after the last bar and nowhere else."""
    may = np.ones(len(vocabulary.instruments), dtype=np.bool_)
    may[vocabulary.bar] = bars < wanted
    may[vocabulary.end] = bars == wanted and in_bar > 0
    if in_bar >= MOST_ROWS_IN_BAR:
        may[vocabulary.drums : vocabulary.end] = False
    return may


def draw(logits: Tensor, may: npt.NDArray[np.bool_], sampling: Sampling, random: np.random.Generator) -> int:
    """One value from logits (V,), among those that `may` (V,) allows; at least one must be allowed."""
    scores = np.where(may, logits.double().numpy() / sampling.temperature, -np.inf)
    chance = np.exp(scores - scores.max())
    order = np.argsort(-chance, kind="stable")
    upto = np.cumsum(chance[order])
    kept = int(np.searchsorted(upto, sampling.top_p * upto[-1])) + 1
    return int(order[np.searchsorted(upto[:kept], random.random() * upto[kept - 1], side="right").clip(max=kept - 1)])
