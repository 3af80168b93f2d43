"""Samples the rows of several pieces side by side, each by its own seed, from a model's logits and what each piece allows.

Shape letters: B pieces, L rows, F fields, C width, V values of a field.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from analysis.arrays import Bools, Floats, Ints
from analysis.errors import MeloError
from meloctl.generation.options import Sampling
from meloctl.model.decoding import Decoder, start_decoding
from meloctl.model.registry import Model
from meloctl.rows.codec import Rows
from meloctl.rows.grammar import FIELDS_OF, Row, kind_of
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTRUMENT


class RowWriter(Protocol):
    """One piece while it is sampled: see `PieceWriter` and `InfillWriter`."""

    random: np.random.Generator
    """Samples its values."""

    @property
    def rows(self) -> list[Row]:
        """The rows that the model reads first, and those written behind them."""

    @property
    def first_masked_bar(self) -> int | None:
        """Bar of the rows, from 0, that the first infill header will open; None where there are no masked bars."""

    @property
    def done(self) -> bool:
        """True when the end row is written."""

    @property
    def bars_closed(self) -> int:
        """Bars that are complete."""

    def append(self, row: Row) -> None:
        """Add a row (F,) that is allowed."""

    def logit_weights(self, field: int, row: Row) -> Floats:
        """(V,) factors on the model's probabilities of a field's values in the next row (F,), given the fields before it; at
        least one is above 0."""

    def bar_end_token(self, instrument: int) -> int:
        """The instrument of the next row where `instrument` was sampled; differs from it only where that closes a bar."""


def generate(
    model: Model,
    writers: Sequence[RowWriter],
    sampling: Sampling,
    *,
    half: bool = False,
    on_bar: Callable[[], None] = lambda: None,
) -> Decoder:
    """Write all pieces to their ends; the writers hold the rows, also those of a piece that an interrupt cut short.

    Args:
        writers: fresh ones; the rows that they hold are the prompts. Infill writers share their masked bars.
        half: compute products in bf16.
        on_bar: called as each bar of any piece closes.

    Returns:
        The decoder in its last state.
    """
    prompts = [np.array(w.rows, dtype=np.int64).reshape(-1, len(FIELDS)) for w in writers]
    decoder, hidden = start_decoding(model, prompts, half=half, first_masked_bar=writers[0].first_masked_bar)
    going = list(writers)
    while going:
        rows = _sample_rows(decoder, torch.from_numpy(hidden), going, sampling)
        for writer, row in zip(going, rows, strict=True):
            closed = writer.bars_closed
            writer.append(row)
            for _ in range(writer.bars_closed - closed):
                on_bar()
        on = [i for i, writer in enumerate(going) if not writer.done]
        if len(on) < len(going):
            decoder.keep(on)
            going = [going[i] for i in on]
        if going:
            hidden = decoder.step(rows[on].astype(np.int64))
    return decoder


@torch.no_grad()
def _sample_rows(decoder: Decoder, hidden_BC: Tensor, writers: Sequence[RowWriter], sampling: Sampling) -> Rows:
    """(B, F) the next row of each piece, sampled field by field; hidden states (B, C)."""
    vocabulary, heads = decoder.model.vocabulary, decoder.heads
    rows = np.full((len(writers), len(FIELDS)), ABSENT, dtype=np.int16)

    def sampled(field: int, state: Tensor, members: list[int]) -> Ints:
        weights = np.stack([writers[i].logit_weights(field, rows[i]) for i in members])
        return sample_values(heads[field](state), weights, sampling, [writers[i].random for i in members])

    all_pieces = list(range(len(writers)))
    instruments = sampled(INSTRUMENT, hidden_BC, all_pieces).tolist()
    rows[:, INSTRUMENT] = [writer.bar_end_token(i) for writer, i in zip(writers, instruments, strict=True)]
    kinds = [kind_of(row, vocabulary) for row in rows]
    for kind in sorted(set(kinds)):
        members = [i for i in all_pieces if kinds[i] == kind]
        state, fields = hidden_BC[members], FIELDS_OF[kind]
        for last, field in zip(fields, fields[1:], strict=False):
            value = torch.from_numpy(rows[members, last].astype(np.int64))
            state = decoder.model.heads.condition_on(last, value, state)
            rows[members, field] = sampled(field, state, members)
    return rows


def sample_values(
    logits_BV: Tensor, weights_BV: Floats | Bools, sampling: Sampling, random: Sequence[np.random.Generator]
) -> Ints:
    """(B,) one value a piece, sampled from softmax(logits / temperature) · weights within top-p and top-k.

    Args:
        logits_BV: of one field.
        weights_BV: factors on the probabilities, 0 where a value is not allowed; in each row at least one is above 0.
        random: B generators, one a piece.

    Raises:
        MeloError: logits that are not finite.
    """
    with np.errstate(divide="ignore"):
        scores = logits_BV.double().numpy() / sampling.temperature + np.log(weights_BV.astype(np.float64))
    highest = scores.max(axis=1, keepdims=True)
    if not np.isfinite(highest).all():
        raise MeloError("the model gives no finite probabilities; its weights are damaged: train again")
    probability = np.exp(scores - highest)  # up to a factor
    order = np.argsort(-probability, axis=1, kind="stable")
    cumulative = np.cumsum(np.take_along_axis(probability, order, axis=1), axis=1)
    kept = (cumulative < sampling.top_p * cumulative[:, -1:]).sum(axis=1) + 1
    if sampling.top_k is not None:
        kept = np.minimum(kept, sampling.top_k)
    pieces = np.arange(len(order))
    at = np.array([r.random() for r in random]) * cumulative[pieces, kept - 1]
    place = np.minimum((cumulative <= at[:, None]).sum(axis=1), kept - 1)
    return np.asarray(order[pieces, place], dtype=np.int64)
