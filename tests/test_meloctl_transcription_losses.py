"""Losses of the transcriber against values by hand, and two forms of one loss against each other."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from meloctl.transcription.transcription_losses import (
    affinity_loss,
    affinity_loss_small,
    focal_loss,
    info_nce,
    note_embeddings,
)


def unit(count: int, width: int, seed: int = 0) -> Tensor:
    drawn = torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return functional.normalize(drawn, dim=1)


def test_focal_loss_of_an_undecided_cell():
    # p = ½: cross-entropy log 2, |1 − ½|² = ¼, α = ¼
    assert focal_loss(torch.zeros(1), torch.ones(1), gamma=2, alpha=0.25).item() == pytest.approx(math.log(2) / 16)
    assert focal_loss(torch.zeros(1), torch.zeros(1), gamma=2, alpha=0.25).item() == pytest.approx(3 * math.log(2) / 16)


def test_focal_loss_without_focus_is_half_the_cross_entropy():
    logits, targets = torch.tensor([2.0, -1.0, 0.3]), torch.tensor([1.0, 0.0, 0.6])
    plain = functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    torch.testing.assert_close(focal_loss(logits, targets, gamma=0), plain / 2)


def test_a_soft_target_that_is_met_costs_nothing():
    assert focal_loss(torch.zeros(1), torch.full((1,), 0.5)).item() == 0


def test_affinity_of_two_cells():
    # one pair (both orders) of four is wrong: opposed cells of one part give −0.3 instead of 1
    cells, weight = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.ones(2)
    assert affinity_loss(cells, torch.tensor([0, 0]), weight).item() == pytest.approx(2 * 1.3**2 / 4)
    assert affinity_loss(cells, torch.tensor([0, 1]), weight).item() == pytest.approx(2 * 0.3**2 / 4)
    assert affinity_loss_small(cells, torch.tensor([0, 1]), weight).item() == pytest.approx(2 / 4)


@given(cells=st.integers(1, 23), parts=st.integers(1, 4), seed=st.integers(0, 99))
def test_the_small_form_is_the_large_one_without_the_bend(cells, parts, seed):
    generator = torch.Generator().manual_seed(seed)
    part = torch.randint(parts, (cells,), generator=generator) * 7
    weight = torch.rand(cells, generator=generator, dtype=torch.float64)
    directions = unit(cells, 5, seed)
    large = affinity_loss(directions, part, weight, slope=1.0)
    torch.testing.assert_close(affinity_loss_small(directions, part, weight), large)


def test_a_cell_of_weight_two_is_two_cells():
    directions, part = unit(4, 3), torch.tensor([0, 1, 1, 0])
    twice = affinity_loss(directions, part, torch.tensor([2.0, 1, 1, 1], dtype=torch.float64))
    again = torch.cat([directions[:1], directions])
    torch.testing.assert_close(
        affinity_loss(again, torch.tensor([0, 0, 1, 1, 0]), torch.ones(5, dtype=torch.float64)), twice
    )


def test_embedding_of_a_note_is_the_weighted_mean_of_its_cells():
    cells = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    found = note_embeddings(cells, torch.tensor([3.0, 4.0, 1.0]), torch.tensor([0, 0, 2]), 3)
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.8], [0.0, 0.0], [0.0, -1.0]]))


def test_info_nce_by_hand():
    # three notes of one mix, two of them of one part and of one direction, the third at right angles
    notes = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    loss = info_nce(notes, torch.zeros(3), torch.tensor([0, 0, 1]), temperature=0.5)
    # each of the two: e^2 over e^2 + e^0; the third has no other of its part
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)))


def test_info_nce_compares_notes_of_one_mix_alone():
    notes, part = unit(6, 5), torch.tensor([0, 0, 1, 0, 0, 1])
    together = info_nce(notes, torch.tensor([0, 0, 0, 1, 1, 1]), part)
    torch.testing.assert_close(
        together, (info_nce(notes[:3], torch.zeros(3), part[:3]) + info_nce(notes[3:], torch.zeros(3), part[3:])) / 2
    )


@pytest.mark.parametrize("part", [[0, 0, 0], [0, 1, 2]])
def test_info_nce_needs_two_parts_and_two_notes_of_one(part):
    notes = unit(3, 5).requires_grad_()
    loss = info_nce(notes, torch.zeros(3), torch.tensor(part))
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(notes.grad).all()
