"""What held-out pieces cost every run, piece by piece, on the rows that count for all of them; and how sure it is.

Letters: R resamples, P pieces, F fields.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.arrays import Bools, Floats
from meloctl.dataset.packs import Pack
from meloctl.dataset.windows import windows
from meloctl.evaluation.cost import LENGTHS, NOTHING, Cost, Counted, costs_by_length, window_cost
from meloctl.evaluation.intervals import Estimate, draws, ratio_estimates
from meloctl.model.registry import Model
from meloctl.rows.codec import Rows
from meloctl.rows.vocabulary import FIELDS


@dataclass(frozen=True, kw_only=True)
class Bits:
    """Bits a note of one run, all fields together and by field."""

    every: Estimate
    fields: dict[str, Estimate]


def common(models: Sequence[Model]) -> Counted:
    """Counts the rows of a pack that count for all of the models."""

    def loss_mask(pack: Pack) -> Bools:
        return np.logical_and.reduce([model.loss_mask(pack) for model in models])

    return loss_mask


def hear(
    models: Sequence[Model], pieces: Sequence[Rows], context: int, *, on_window: Callable[[], None] = lambda: None
) -> list[list[Cost]]:
    """What each piece costs each model, in windows of whole bars.

    Args:
        models: in evaluation mode.
        context: most rows of a window, the same for all models.
        on_window: called after each window and model.

    Returns:
        A list a model of the pieces' costs, all of the same rows.
    """
    counting, out = common(models), [list[Cost]() for _ in models]
    for rows in pieces:
        cut = windows([rows], context, models[0].vocabulary)
        for model, costs in zip(models, out, strict=True):
            total = NOTHING
            for window in cut:
                total += window_cost(model, window, counting=counting)
                on_window()
            costs.append(total)
    return out


def lengths_heard(pieces: Sequence[Rows], context: int) -> list[int]:
    """The numbers of first rows that are worth counting: those of `LENGTHS` that some piece reaches beyond the one before.

    None where every piece fits the context, for then one window says the same.
    """
    longest, before = max(map(len, pieces), default=0), (0, *LENGTHS[:-1])
    return [n for n, last in zip(LENGTHS, before, strict=True) if longest > max(last, context)]


def hear_by_length(
    models: Sequence[Model],
    pieces: Sequence[Rows],
    lengths: Sequence[int],
    *,
    on_piece: Callable[[], None] = lambda: None,
) -> dict[int, list[list[Cost]]]:
    """{N: a list a model of what the first N rows of each piece cost it}, each piece heard in one stretch.

    Args:
        models, pieces: as for `hear`.
        lengths: ascending.
        on_piece: called after each piece and model.
    """
    counting, out = common(models), {n: [list[Cost]() for _ in models] for n in lengths}
    for rows in pieces:
        for m, model in enumerate(models):
            for n, cost in costs_by_length(model, [rows], lengths, counting=counting).items():
                out[n][m].append(cost)
            on_piece()
    return out


def bits_of(costs: Sequence[Cost], weights: Floats) -> Bits:
    """Bits a note of one model over pieces.

    Args:
        costs: of P pieces.
        weights: (R, P) from `lots`.
    """
    return _bits(_bits_by_field(costs), _notes(costs), weights)


def bits_apart(costs: Sequence[Cost], others: Sequence[Cost], weights: Floats) -> Bits:
    """Bits a note of one model less those of another, on the same rows: pieces are drawn for both at once."""
    return _bits(_bits_by_field(costs) - _bits_by_field(others), _notes(costs), weights)


def lots(pieces: int, seed: int) -> Floats:
    """(R, P) how often each resample holds each piece; the same for every run."""
    return draws(pieces, np.random.default_rng(seed))


def _bits_by_field(costs: Sequence[Cost]) -> Floats:
    return np.array([cost.nats for cost in costs]).reshape(len(costs), len(FIELDS)) / math.log(2)


def _notes(costs: Sequence[Cost]) -> Floats:
    return np.array([cost.notes for cost in costs], dtype=np.float64)


def _bits(bits_PF: Floats, notes_P: Floats, weights: Floats) -> Bits:
    columns = np.concatenate([bits_PF.sum(axis=1, keepdims=True), bits_PF], axis=1)
    every, *fields = ratio_estimates(columns, notes_P, weights)
    return Bits(every=every, fields=dict(zip(FIELDS, fields, strict=True)))
