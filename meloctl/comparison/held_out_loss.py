"""Loss of several models on the same rows of held-out pieces, and bits a note with paired bootstrap intervals.

Letters: M models, P pieces, R resamples, F fields, N rows of a pack.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from analysis.arrays import Bools, Floats
from analysis.intervals import Estimate, ratio_estimates
from meloctl.dataset.packs import Pack
from meloctl.dataset.windows import windows
from meloctl.evaluation.window_loss import (
    NO_LOSS,
    PREFIX_LENGTHS,
    LossMask,
    LossTotals,
    prefix_losses,
    window_loss,
)
from meloctl.model.registry import Model
from meloctl.rows.codec import Rows
from meloctl.rows.vocabulary import FIELDS
from meloctl.threads import ThreadTuner


@dataclass(frozen=True, kw_only=True)
class BitsPerNote:
    """Bits a note over pieces, or the difference of two models'."""

    total: Estimate
    """Of all fields together."""

    fields: dict[str, Estimate]


def shared_loss_mask(models: Sequence[Model]) -> LossMask:
    """The loss mask of the rows that every model predicts: Pack of N rows → (N,)."""

    def mask(pack: Pack) -> Bools:
        return np.logical_and.reduce([model.loss_mask(pack) for model in models])

    return mask


def paired_losses(
    models: Sequence[Model],
    pieces: Sequence[Rows],
    context: int,
    *,
    tuners: Sequence[ThreadTuner] | None = None,
    on_window: Callable[[], None] = lambda: None,
) -> list[list[LossTotals]]:
    """Loss of each model on each piece, in windows of whole bars, over the same rows → M lists of P.

    Args:
        models: in evaluation mode.
        pieces: (L, F) rows of each piece.
        context: most rows of a window, the same for all models.
        tuners: of each model, choose its number of threads; None: as many as there are.
        on_window: called after each window and model.
    """
    mask, out = shared_loss_mask(models), [list[LossTotals]() for _ in models]
    for rows in pieces:
        cut = windows([rows], context, models[0].vocabulary)
        for m, (model, losses) in enumerate(zip(models, out, strict=True)):
            total = NO_LOSS
            for window in cut:
                with tuners[m].timed(len(window.rows)) if tuners else nullcontext():
                    total += window_loss(model, window, loss_mask=mask)
                on_window()
            losses.append(total)
    return out


def useful_prefix_lengths(pieces: Sequence[Rows], context: int) -> list[int]:
    """Those of PREFIX_LENGTHS that some piece reaches beyond the one before; none where every piece fits into the context.

    Args:
        pieces: (L, F) rows of each piece.
        context: most rows of a window.
    """
    longest, before = max(map(len, pieces), default=0), (0, *PREFIX_LENGTHS[:-1])
    return [n for n, last in zip(PREFIX_LENGTHS, before, strict=True) if longest > max(last, context)]


def paired_prefix_losses(
    models: Sequence[Model],
    pieces: Sequence[Rows],
    lengths: Sequence[int],
    *,
    on_piece: Callable[[], None] = lambda: None,
) -> dict[int, list[list[LossTotals]]]:
    """{N: loss of each model on the first N rows of each piece in one window, over the same rows → M lists of P}.

    Args:
        models: in evaluation mode.
        pieces: (L, F) rows of each piece.
        lengths: the Ns, ascending.
        on_piece: called after each piece and model.
    """
    mask, out = shared_loss_mask(models), {n: [list[LossTotals]() for _ in models] for n in lengths}
    for rows in pieces:
        for m, model in enumerate(models):
            for n, loss in prefix_losses(model, rows, lengths, loss_mask=mask).items():
                out[n][m].append(loss)
            on_piece()
    return out


def bits_per_note(losses: Sequence[LossTotals], counts: Floats) -> BitsPerNote:
    """Bits a note of one model over P pieces.

    Args:
        losses: (P) of each piece.
        counts: (R, P) from `intervals.resample_counts`.
    """
    return _estimates(_bits_by_field(losses), _notes(losses), counts)


def bits_per_note_difference(losses: Sequence[LossTotals], others: Sequence[LossTotals], counts: Floats) -> BitsPerNote:
    """Bits a note of one model minus those of another on the same rows; each resample holds the same pieces for both.

    Args:
        losses: (P) of one model on each piece.
        others: (P) of the other.
        counts: (R, P) from `intervals.resample_counts`.
    """
    return _estimates(_bits_by_field(losses) - _bits_by_field(others), _notes(losses), counts)


def _bits_by_field(losses: Sequence[LossTotals]) -> Floats:
    """(P, F) bits."""
    return np.array([loss.nll for loss in losses]).reshape(len(losses), len(FIELDS)) / math.log(2)


def _notes(losses: Sequence[LossTotals]) -> Floats:
    """(P,) number of notes."""
    return np.array([loss.notes for loss in losses], dtype=np.float64)


def _estimates(bits_PF: Floats, notes_P: Floats, counts: Floats) -> BitsPerNote:
    columns = np.concatenate([bits_PF.sum(axis=1, keepdims=True), bits_PF], axis=1)
    total, *fields = ratio_estimates(columns, notes_P, counts)
    return BitsPerNote(total=total, fields=dict(zip(FIELDS, fields, strict=True)))
