"""The losses of a batch: of notes, of onsets and of timbre, in that order."""

from typing import Literal

import torch
from torch import Tensor

from meloctl.transcription.network import Posteriors
from meloctl.transcription.transcription_losses import (
    affinity_loss,
    affinity_loss_small,
    focal_loss,
    info_nce,
    note_embeddings,
)
from meloctl.transcription.transcription_targets import Targets

TimbreLossName = Literal["info-nce", "affinity", "affinity-small"]

TIMBRE_WEIGHTS: dict[TimbreLossName, float] = {"info-nce": 0.05, "affinity": 0.5, "affinity-small": 0.5}
"""Fixed weight of each loss of timbre beside those of notes and onsets, which have 1."""

_FEWEST_NOTE_CELLS, _FEWEST_ONSETS = 50.0, 10.0
"""What sums of losses are divided by at least: a batch of silence must not weigh much."""

_LEAST_WEIGHT = 0.05
"""Of a cell in which the network finds no note yet."""


def batch_losses(found: Posteriors, targets: Targets, timbre_loss: TimbreLossName) -> tuple[Tensor, Tensor, Tensor]:
    """(notes, onsets, timbre), each a mean: over what sounds, over what begins, and of the loss of timbre.

    Args:
        found: of B mixes.
        targets: of the same.
        timbre_loss: which one.
    """
    note = focal_loss(found.note, targets.note) / targets.note.sum().clamp(min=_FEWEST_NOTE_CELLS)
    onset = focal_loss(found.onset, targets.onset) / targets.onset.sum().clamp(min=_FEWEST_ONSETS)
    weight = torch.sigmoid(found.note.detach())[targets.mix, targets.pitch, targets.frame] + _LEAST_WEIGHT
    directions = found.timbre[targets.mix, :, targets.pitch, targets.frame]  # (M, D)
    return note, onset, _of_timbre(directions, weight, targets, timbre_loss)


def _of_timbre(directions: Tensor, weight: Tensor, targets: Targets, loss: TimbreLossName) -> Tensor:
    """The loss of the directions (M, D) of weighted cells (M,)."""
    if loss == "info-nce":
        embeddings = note_embeddings(directions, weight, targets.cell_note, len(targets.note_mix))
        present = torch.zeros(len(targets.note_mix), dtype=torch.bool).index_fill(0, targets.cell_note, True)
        return info_nce(embeddings[present], targets.note_mix[present], targets.note_part[present])
    affinity = affinity_loss if loss == "affinity" else affinity_loss_small
    part = targets.note_part[targets.cell_note]
    terms = [
        affinity(directions[own], part[own], weight[own])
        for mix in targets.mix.unique()
        if len(own := (targets.mix == mix).nonzero()[:, 0]) > 1
    ]
    return torch.stack(terms).mean() if terms else directions.sum() * 0.0
