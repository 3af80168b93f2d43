"""Bits per note: what a piece costs under a model, all fields of all rows, divided by its notes."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from meloctl.dataset.batches import Batch, Window, validation_batches
from meloctl.model.meloformer import MeloFormer
from meloctl.rows.vocabulary import FIELDS


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Cost of music under a model."""

    bits_per_note: float
    """All fields of all rows (headers and ends too), divided by the number of notes."""

    fields: dict[str, float]
    """The same, by field; they add up to bits_per_note."""


def tensors_of(batch: Batch, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(rows (B, L, 8), first_bar (B,)) on a device."""
    return torch.from_numpy(batch.rows).to(device), torch.from_numpy(batch.first_bar).to(device)


@torch.no_grad()
def evaluate(model: MeloFormer, batches: Iterable[Batch], device: torch.device) -> Quality:
    """Quality over batches, dropout off; the model's mode is put back."""
    was_training = model.training
    model.eval()
    total, notes = torch.zeros(len(FIELDS), dtype=torch.float64), 0
    for batch in batches:
        total += model(*tensors_of(batch, device)).double().sum(dim=(0, 1)).cpu()
        notes += batch.n_notes
    model.train(was_training)
    fields = {name: float(x) / math.log(2) / max(notes, 1) for name, x in zip(FIELDS, total.tolist(), strict=True)}
    return Quality(bits_per_note=sum(fields.values()), fields=fields)


def evaluate_windows(model: MeloFormer, windows: Sequence[Window], rows_in_batch: int, device: torch.device) -> Quality:
    """Quality over windows."""
    return evaluate(model, validation_batches(windows, rows_in_batch), device)
