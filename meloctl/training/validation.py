"""Validation loss in bits per note: the negative log-likelihood of all fields of all rows, divided by the number of notes."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator

from meloctl.dataset.loader import Loader
from meloctl.dataset.packs import Pack, arrange, lengths_of, pack_of, padded
from meloctl.dataset.windows import Window
from meloctl.model.registry import Layout, Model
from meloctl.rows.vocabulary import FIELDS
from meloctl.training.processes import padded_length, sum_over_ranks


@dataclass(frozen=True, kw_only=True)
class ValidationLoss:
    """Loss of a model on validation windows."""

    bits_per_note: float
    """All fields of all rows (headers and ends too), divided by the number of notes."""

    fields: dict[str, float]
    """The same by field, {name: bits per note}; they add up to bits_per_note."""


@torch.no_grad()
def validation_loss(model: Model, chosen: Sequence[Window], pack_rows: int, accelerator: Accelerator) -> ValidationLoss:
    """Loss over windows with dropout off. Ranks share the packs, and each gets the result; the model's mode is restored.

    Args:
        chosen: windows of at most `pack_rows` rows each.
        pack_rows: most rows of a pack.
    """
    length = padded_length(accelerator, pack_rows)

    def lay_out(own: tuple[Pack, bool]) -> tuple[Layout, bool]:
        pack, is_copy = own
        return model.layout(pack if length is None else padded(pack, length)), is_copy

    was_training = model.training
    model.eval()
    nll_F, notes = torch.zeros(len(FIELDS), dtype=torch.float64), 0
    own = _own_packs(chosen, pack_rows, rank=accelerator.process_index, world=accelerator.num_processes)
    with Loader(own, lay_out) as loader:
        for layout, is_copy in loader:
            with accelerator.autocast():
                nll_NF = model(layout.to(accelerator.device))
            if not is_copy:
                nll_F += nll_NF.double().sum(dim=0).cpu()
                notes += layout.n_notes
    model.train(was_training)
    *nll, all_notes = sum_over_ranks(accelerator, [*nll_F.tolist(), notes])
    fields = {name: x / math.log(2) / max(all_notes, 1) for name, x in zip(FIELDS, nll, strict=True)}
    return ValidationLoss(bits_per_note=sum(fields.values()), fields=fields)


def rows_of(chosen: Sequence[Window]) -> int:
    """Rows of all windows together."""
    return sum(len(window.rows) for window in chosen)


def first_rows(chosen: Sequence[Window], rows: int) -> Sequence[Window]:
    """The first windows, so many that they have `rows` rows or more, or all."""
    last = int(np.searchsorted(np.cumsum(lengths_of(chosen)), rows))
    return chosen[: last + 1]


def _own_packs(chosen: Sequence[Window], pack_rows: int, *, rank: int, world: int) -> Iterator[tuple[Pack, bool]]:
    """(pack, whether it is a copy of another rank's) of this rank, equally many for each rank."""
    arrangement = arrange(lengths_of(chosen), pack_rows)
    count = len(arrangement)
    for place in range(rank, -(-count // world) * world, world):
        yield pack_of([chosen[i] for i in arrangement.of(place % count)]), place >= count
