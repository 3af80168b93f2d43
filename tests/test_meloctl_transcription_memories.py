"""Memories of timbre against answers by hand, explicit N × N forms, and what a mask must do."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from meloctl.transcription.memories import flow_attention, hebbian_readout, linear_attention, timbre_memory

READERS = (hebbian_readout, linear_attention, flow_attention)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn_mask(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def slow_flow(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Flow attention (N, D) as its paper's equations have it, cell by cell, without a mask."""
    q, k, count = torch.sigmoid(q), torch.sigmoid(k), len(q)
    incoming = [sum(q[i] @ k[j] for j in range(count)) for i in range(count)]
    outgoing = [sum(k[j] @ q[i] for i in range(count)) for j in range(count)]
    kept_incoming = [sum(q[i] @ k[j] / outgoing[j] for j in range(count)) for i in range(count)]
    kept_outgoing = [sum(k[j] @ q[i] / incoming[i] for i in range(count)) for j in range(count)]
    competing = [math.exp(x) for x in kept_outgoing]
    values = [v[j] * (count * competing[j] / sum(competing)) for j in range(count)]
    rows = []
    for i in range(count):
        gathered = sum((q[i] @ k[j]) / incoming[i] * values[j] for j in range(count))
        rows.append(torch.sigmoid(kept_incoming[i]) * gathered)
    return torch.stack(rows)


def test_hebbian_memory_recalls_the_pattern_that_a_query_resembles():
    violin, oboe = torch.tensor([1.0, 0, 0, 0]), torch.tensor([0, 0.6, 0.8, 0])
    cells = torch.stack([violin, violin, oboe, oboe])[None]
    query = (0.9 * violin + 0.1 * oboe)[None, None]
    recalled = hebbian_readout(query, cells, cells, torch.ones(1, 4))[0, 0]
    torch.testing.assert_close(recalled, (2 * 0.9 * violin + 2 * 0.1 * oboe) / 4)
    assert functional.cosine_similarity(recalled, violin, dim=0) > 0.99


def test_hebbian_read_out_is_v_ut_u_over_the_sum_of_the_mask():
    v, mask = drawn(1, 7, 3), drawn_mask(1, 7)
    u = v * mask[..., None]
    torch.testing.assert_close(hebbian_readout(v, v, v, mask), v @ u.transpose(1, 2) @ u / mask.sum())


def test_linear_attention_is_its_explicit_form():
    q, k, v = (drawn(2, 11, 5, seed=seed) for seed in range(3))
    mask = drawn_mask(2, 11)
    weights = (functional.elu(q) + 1) @ (functional.elu(k) + 1).transpose(1, 2) * mask[:, None]
    explicit = weights / weights.sum(-1, keepdim=True) @ v
    torch.testing.assert_close(linear_attention(q, k, v, mask), explicit)


def test_flow_attention_is_that_of_its_paper():
    q, k, v = (drawn(1, 7, 3, seed=seed) for seed in range(3))
    fast = flow_attention(q, k, v, torch.ones(1, 7, dtype=torch.float64))
    torch.testing.assert_close(fast[0], slow_flow(q[0], k[0], v[0]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("read", READERS)
def test_cells_of_mask_zero_are_as_if_they_were_not_there(read):
    q, k, v = (drawn(1, 7, 3, seed=seed) for seed in range(3))
    mask = torch.tensor([[1, 1, 0, 1, 0, 1, 1]], dtype=torch.float64)
    kept = mask[0].bool()
    alone = read(q[:, kept], k[:, kept], v[:, kept], mask[:, kept])
    torch.testing.assert_close(read(q, k, v, mask)[:, kept], alone)


@pytest.mark.parametrize("read", READERS)
def test_no_notes_at_all_give_numbers(read):
    q = drawn(1, 5, 3)
    assert torch.isfinite(read(q, q, q, torch.zeros(1, 5, dtype=torch.float64))).all()


@pytest.mark.parametrize("name", ["hebbian", "linear", "flow"])
def test_a_memory_begins_by_adding_nothing_and_learns(name):
    torch.manual_seed(0)
    memory = timbre_memory(name, 5)
    assert memory is not None
    cells, mask = drawn(2, 5, 7).float(), drawn_mask(2, 7).float()
    out = memory(cells, mask)
    assert torch.equal(out, cells)
    (out * drawn(2, 5, 7, seed=4).float()).sum().backward()
    gradient = memory.maps.value.weight.grad
    assert gradient is not None
    assert gradient.abs().max() > 0


def test_names_of_memories():
    assert timbre_memory("none", 5) is None
    with pytest.raises(ValueError, match="no memory 'hopfield'"):
        timbre_memory("hopfield", 5)
