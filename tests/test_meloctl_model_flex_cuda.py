"""On a GPU: the compiled kernels equal the reference, are compiled once, and never hold the scores."""

import numpy as np
import pytest
import torch
from flex_packs import DENSE, EXEMPT, OFFSETS, FlexPack, gate_biases, heads
from small_models import SEED, music, pack_of_rows, small

from meloctl.dataset.packs import padded
from meloctl.model.attention.flex import kernel as flex
from meloctl.model.attention.flex.plan import FlexPlan
from meloctl.model.attention.reference import attend_dense

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no CUDA GPU here")

DEVICE = torch.device("cuda")
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 2e-2}
"""Largest error, of the largest number: the kernel rounds weights of attention to the inputs' type."""


def song(random, length, *, rows_in_bar=24, parts=5):
    """One window as (bar, part): cells of 0 to 8 rows, and a row of part 0 in each bar."""
    bars, rows = 2 + length // rows_in_bar, []
    for bar in range(bars):
        rows += [(bar, part) for part in range(parts) for _ in range(random.integers(0, 9) if part else 1)]
    return tuple(list(x) for x in zip(*rows[:length], strict=True))


def song_pack(seed, *, length=2048, spec=SEED, gated=False):
    """A pack of two windows and some padding, and its plans on the GPU."""
    random = np.random.default_rng(seed)
    windows = [song(random, n) for n in (length // 2, length // 2 - int(random.integers(1, 99)))]
    padding = length - sum(len(bar) for bar, _ in windows)
    pack = FlexPack(spec, windows, {1}, padding=padding, gated=gated, block=128)
    return pack, pack.rows.to(DEVICE), pack.summaries.to(DEVICE)


def assert_close(got, expected, dtype):
    """No number is farther off than the tolerance."""
    assert got.isfinite().all()
    error, most = (got.double() - expected.double()).abs().max(), expected.double().abs().max()
    assert error <= TOLERANCE[dtype] * most, f"{error:.2e} off, of {most:.2e}"


def assert_equals_reference(plan, mask, dtype, gate=None):
    """Outputs and gradients under a plan on the GPU are those of dense attention in float64."""
    qkv, grad = heads(*mask.shape, dtype=dtype, width=64, device=DEVICE)
    exact = [x.detach().double().requires_grad_() for x in qkv]
    biases, exact_biases = (None if gate is None else gate_biases(DEVICE, x) for x in (torch.float32, torch.float64))
    got = plan.attend(*qkv, biases)
    got.backward(grad)
    expected = attend_dense(*exact, mask.to(DEVICE), None if gate is None else exact_biases[gate.to(DEVICE)])
    expected.backward(grad.double())
    for a, b in ((got, expected), *((x.grad, y.grad) for x, y in zip(qkv, exact, strict=True))):
        assert_close(a, b, dtype)
    assert not got[~mask.to(DEVICE).any(dim=1)].any()
    if gate is not None:
        learned = gate_biases(DEVICE, torch.float64) != 0
        assert_close(biases.grad[learned], exact_biases.grad[learned], dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("spec", [SEED, EXEMPT, OFFSETS, DENSE])
def test_the_compiled_kernel_equals_the_reference(spec, dtype):
    pack, rows, summaries = song_pack(0, spec=spec)
    for plan, mask in zip((rows, summaries), pack.masks(), strict=True):
        if plan.n_queries:
            assert_equals_reference(plan, mask, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_compiled_kernel_gives_gates_their_gradient(dtype):
    pack, rows, _ = song_pack(1, gated=True)
    assert_equals_reference(rows, pack.masks()[0], dtype, gate=pack.gates())


def test_five_packs_are_served_by_one_compilation():
    compiled = []
    for seed in range(5):
        pack, rows, summaries = song_pack(seed, length=1024)
        for plan, mask in zip((rows, summaries), pack.masks(), strict=True):
            qkv, grad = heads(*mask.shape, dtype=torch.bfloat16, width=64, device=DEVICE)
            plan.attend(*qkv).backward(grad)
        compiled.append(flex.graphs_compiled())
    assert compiled == [compiled[0]] * 5


def test_memory_stays_far_below_the_scores():
    length = 16384
    _, rows, _ = song_pack(2, length=length)
    qkv, grad = heads(length, rows.call.n_keys, dtype=torch.bfloat16, width=64, device=DEVICE)
    for _ in range(2):
        torch.cuda.reset_peak_memory_stats()
        rows.attend(*qkv).backward(grad)
    assert torch.cuda.max_memory_allocated() < length * length  # half of what one head's scores would take


def test_a_model_is_the_same_on_either_device():
    model = small(SEED, width=128, kv_heads=2, heads=4).float()
    pack = padded(pack_of_rows(music(1)[0], music(2, bars=5)[0], first_bar=[3, 0]), 128)
    expected = model(model.layout(pack))
    expected.sum().backward()
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    model.to(DEVICE)
    layout = model.layout(pack)
    assert isinstance(layout.row_plan, FlexPlan)
    got = model(layout.to(DEVICE))
    got.sum().backward()
    assert_close(got.cpu(), expected, torch.float32)
    for name, grad in grads.items():
        assert_close(dict(model.named_parameters())[name].grad.cpu(), grad, torch.float32)


def test_a_step_of_training_in_half_precision_is_finite_and_compiled_once():
    model = small(SEED, width=128, kv_heads=2, heads=4).float().to(DEVICE).train()
    model.checkpointing = True
    compiled = []
    for seed in range(4):
        layout = model.layout(padded(pack_of_rows(music(seed)[0], music(seed + 9, bars=5)[0]), 256)).to(DEVICE)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = model(layout).sum() / layout.n_notes
        loss.backward()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
        model.zero_grad()
        compiled.append(flex.graphs_compiled())
    assert compiled[1:] == [compiled[0]] * 3
