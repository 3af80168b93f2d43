"""Bits per note: what a piece costs under a model, all fields of all rows, divided by its notes."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
    """Cost of music under a model."""

    bits_per_note: float
    """All fields of all rows (headers and ends too), divided by the number of notes."""

    fields: dict[str, float]
    """The same, by field; they add up to bits_per_note."""


@torch.no_grad()
def validation_loss(model: Model, chosen: Sequence[Window], pack_rows: int, accelerator: Accelerator) -> ValidationLoss:
    """Quality over windows, dropout off; the processes share the work, and all get the result. The model's mode is put back.

    Args:
        chosen: windows of at most `pack_rows` rows each.
    """
    length = padded_length(accelerator, pack_rows)

    def laid_out(turn: tuple[Pack, bool]) -> tuple[Layout, bool]:
        pack, heard = turn
        return model.layout(pack if length is None else padded(pack, length)), heard

    was_training = model.training
    model.eval()
    nats_F, notes = torch.zeros(len(FIELDS), dtype=torch.float64), 0
    own = _own_packs(chosen, pack_rows, rank=accelerator.process_index, world=accelerator.num_processes)
    with Loader(own, laid_out) as loader:
        for layout, heard in loader:
            with accelerator.autocast():
                nats_NF = model(layout.to(accelerator.device))
            if heard:
                nats_F += nats_NF.double().sum(dim=0).cpu()
                notes += layout.n_notes
    model.train(was_training)
    *nats, all_notes = sum_over_ranks(accelerator, [*nats_F.tolist(), notes])
    fields = {name: x / math.log(2) / max(all_notes, 1) for name, x in zip(FIELDS, nats, strict=True)}
    return ValidationLoss(bits_per_note=sum(fields.values()), fields=fields)


def _own_packs(chosen: Sequence[Window], pack_rows: int, *, rank: int, world: int) -> Iterator[tuple[Pack, bool]]:
    """This process's packs, equally many for each process: one that has no more goes along with another's, unheard."""
    arrangement = arrange(lengths_of(chosen), pack_rows)
    count = len(arrangement)
    for place in range(rank, -(-count // world) * world, world):
        yield pack_of([chosen[i] for i in arrangement.of(place % count)]), place < count
