"""Draws the rows of several pieces side by side, each by its seed; the grammar and what was asked for allow every row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from analysis.arrays import Bools, Floats, Ints
from analysis.errors import MeloError
from meloctl.model.decoding import Decoder, start_decoding
from meloctl.model.registry import Model
from meloctl.rows.codec import Rows
from meloctl.rows.grammar import FIELDS_OF, kind_of
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTRUMENT

Weights = Floats | Bools
Row = npt.NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How values are drawn.

    Raises:
        MeloError: on values out of range.
    """

    temperature: float = 1.0
    """Below 1 is safer, above 1 wilder."""

    top_p: float = 0.95
    """Values are drawn from the likeliest ones that together have this probability."""

    top_k: int | None = None
    """And from so many of them at most; None for any number."""

    def __post_init__(self) -> None:
        if not 0.05 <= self.temperature <= 5:
            raise MeloError(f"--temperature {self.temperature}: give a number from 0.05 to 5; 1 is the model's own")
        if not 0 < self.top_p <= 1:
            raise MeloError(f"--top-p {self.top_p}: give a number above 0 and up to 1; 1 leaves nothing out")
        if self.top_k is not None and self.top_k < 1:
            raise MeloError(f"--top-k {self.top_k}: give how many values to draw from, 1 or more")


class RowWriter(Protocol):
    """One piece, or one gap of it, being written: see `Writer` and `Rewriter`."""

    random: np.random.Generator
    """Draws its values."""

    @property
    def rows(self) -> list[Row]:
        """Heard or written so far."""

    @property
    def reopened(self) -> int | None:
        """The bar that will be opened once more first; None where none will be."""

    @property
    def done(self) -> bool:
        """The end row stands."""

    @property
    def bars_closed(self) -> int:
        """Bars that are complete."""

    def take(self, row: Row) -> None:
        """Add a row that may stand here."""

    def weights(self, field: int, row: Row) -> Floats:
        """(V,) by what the model's chance of each value of a field of the next row is multiplied, given the fields before it; at
        least one is above 0."""

    def closing(self, instrument: int) -> int:
        """The instrument of the row that comes, where the model wants to close a bar."""


def generate(
    model: Model,
    writers: Sequence[RowWriter],
    sampling: Sampling,
    *,
    half: bool = False,
    on_bar: Callable[[], None] = lambda: None,
) -> Decoder:
    """Let writers write their pieces to the end; they hold the rows, also those of a piece that an interrupt cut short.

    Args:
        writers: fresh ones, of pieces with the same gap where they fill one; what they were given to begin with is heard first.
        half: compute products in bf16.
        on_bar: called as each bar of any piece closes.

    Returns:
        The decoder, as it ends.
    """
    prompts = [torch.from_numpy(np.array(w.rows, dtype=np.int64).reshape(-1, len(FIELDS))) for w in writers]
    decoder, hidden = start_decoding(model, prompts, half=half, first_masked_bar=writers[0].reopened)
    going = list(writers)
    while going:
        rows = _draw_rows(decoder, hidden, going, sampling)
        for writer, row in zip(going, rows, strict=True):
            closed = writer.bars_closed
            writer.take(row)
            for _ in range(writer.bars_closed - closed):
                on_bar()
        on = [i for i, writer in enumerate(going) if not writer.done]
        if len(on) < len(going):
            decoder.keep(on)
            going = [going[i] for i in on]
        if going:
            hidden = decoder.step(torch.from_numpy(rows[on].astype(np.int64)))
    return decoder


@torch.no_grad()
def _draw_rows(decoder: Decoder, hidden_BC: Tensor, writers: Sequence[RowWriter], sampling: Sampling) -> Rows:
    """(B, 8) the next row of each piece, field by field."""
    vocabulary, heads = decoder.model.vocabulary, decoder.heads
    rows = np.full((len(writers), len(FIELDS)), ABSENT, dtype=np.int16)

    def drawn(field: int, state: Tensor, members: list[int]) -> Ints:
        weights = np.stack([writers[i].weights(field, rows[i]) for i in members])
        return draw(heads[field](state), weights, sampling, [writers[i].random for i in members])

    everyone = list(range(len(writers)))
    chosen = drawn(INSTRUMENT, hidden_BC, everyone)
    rows[:, INSTRUMENT] = [writer.closing(int(i)) for writer, i in zip(writers, chosen, strict=True)]
    kinds = [kind_of(row, vocabulary) for row in rows]
    for kind in sorted(set(kinds)):
        members = [i for i in everyone if kinds[i] == kind]
        state, fields = hidden_BC[members], FIELDS_OF[kind]
        for last, field in zip(fields, fields[1:], strict=False):
            state = decoder.model.heads.condition_on(
                last, torch.from_numpy(rows[members, last].astype(np.int64)), state
            )
            rows[members, field] = drawn(field, state, members)
    return rows


def draw(logits_BV: Tensor, weights_BV: Weights, sampling: Sampling, random: Sequence[np.random.Generator]) -> Ints:
    """(B,) one value a piece, each by its own generator; `weights` multiply the chances, at least one must be above 0."""
    with np.errstate(divide="ignore"):
        scores = logits_BV.double().numpy() / sampling.temperature + np.log(weights_BV.astype(np.float64))
    highest = scores.max(axis=1, keepdims=True)
    if not np.isfinite(highest).all():
        raise MeloError("the model gives no finite probabilities; its weights are damaged: train again")
    chance = np.exp(scores - highest)
    order = np.argsort(-chance, axis=1, kind="stable")
    upto = np.cumsum(np.take_along_axis(chance, order, axis=1), axis=1)
    kept = (upto < sampling.top_p * upto[:, -1:]).sum(axis=1) + 1
    if sampling.top_k is not None:
        kept = np.minimum(kept, sampling.top_k)
    every = np.arange(len(order))
    at = np.array([r.random() for r in random]) * upto[every, kept - 1]
    place = np.minimum((upto <= at[:, None]).sum(axis=1), kept - 1)
    return np.asarray(order[every, place], dtype=np.int64)
