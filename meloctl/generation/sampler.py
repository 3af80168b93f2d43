"""Samples the rows of several pieces side by side, each by its own seed, from a model's states and what each piece allows."""

from collections.abc import Callable, Sequence

import numpy as np

from meloctl.generation.options import Sampling
from meloctl.generation.row_writers import RowWriters
from meloctl.model.bar_plans import BarPlans
from meloctl.model.decoding import Decoder, plan_conditions, start_decoding
from meloctl.model.head_weights import head_weights
from meloctl.model.registry import Model


def generate(
    model: Model,
    writers: RowWriters,
    sampling: Sampling,
    *,
    half: bool = False,
    plans: Sequence[BarPlans | None] | None = None,
    on_bar: Callable[[], None] = lambda: None,
) -> Decoder:
    """Write all pieces to their ends; the writers hold the rows, also those of a piece that an interrupt cut short.

    Args:
        writers: fresh ones.
        half: compute large products in bf16.
        plans: of the bars of each piece, those of its prompt first, if it has any; None where none has.
        on_bar: called as each new bar of any piece closes.

    Returns:
        The decoder in its last state.

    Raises:
        MeloError: there are plans, and the model knows none; or the model gives no finite probabilities.
    """
    prompts = [rows_LF.astype(np.int64) for rows_LF in writers.prompts]
    conditions = None if plans is None else plan_conditions(model, plans)
    decoder, states = start_decoding(
        model, prompts, half=half, first_masked_bar=writers.first_masked_bar, plans=conditions
    )
    heads = head_weights(model.heads)
    while len(writers.going):
        rows = writers.sample(states, heads, sampling)
        closed = writers.append(rows)
        for _ in range(closed):
            on_bar()
        if closed and len(left := writers.drop_done()) < len(rows):
            decoder.keep(left)
            rows = rows[left]
        if len(rows):
            states = decoder.step(rows)
    return decoder
