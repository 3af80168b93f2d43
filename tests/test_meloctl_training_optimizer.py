"""The optimizer: which weights Muon takes, what it makes of a gradient, and how far a step goes."""

import math
import re

import pytest
import torch
from train_small import config, fresh

from meloctl.model.registry import ARCHITECTURES
from meloctl.rows.vocabulary import FIELDS
from meloctl.training.optimizer import Muon, RunOptimizer, orthogonalized, sorted_weights
from meloctl.training.options import LEARNING_RATE

# what becomes of a matrix


def matrix_of(singular_values, rows, columns, seed=0):
    """(matrix, its left and its right singular vectors)"""
    random = torch.Generator().manual_seed(seed)
    left, _ = torch.linalg.qr(torch.randn(rows, len(singular_values), generator=random))
    right, _ = torch.linalg.qr(torch.randn(columns, len(singular_values), generator=random))
    return left * torch.tensor(singular_values) @ right.T, left, right


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("rows", "columns"), [(6, 6), (6, 40), (40, 6)])
def test_singular_values_become_alike_and_singular_vectors_stay(rows, columns, dtype):
    values = [7.0, 5.0, 2.0, 1.0, 0.4, 0.1]  # the least is 1.1 % of their norm
    pairs = [matrix_of([scale * v for v in values], rows, columns, seed=i) for i, scale in enumerate((1.0, 1e-6, 1e3))]
    room = 1e-4 if dtype == torch.float32 else 0.1
    turned = orthogonalized(torch.stack([matrix for matrix, _, _ in pairs]), dtype)
    assert turned.dtype == torch.float32
    for result, (_, left, right) in zip(turned, pairs, strict=True):
        seen = left.T @ result @ right
        assert 0.72 - room < seen.diagonal().min() <= seen.diagonal().max() < 1.28 + room
        torch.testing.assert_close(seen, seen.diagonal().diag(), rtol=0, atol=room)


def test_a_zero_gradient_stays_zero():
    assert orthogonalized(torch.zeros(2, 4, 5), torch.float32).abs().max() == 0


def test_small_singular_values_stay_small():
    matrix, left, right = matrix_of([1.0, 1e-3, 1e-5], 3, 5)
    seen = (left.T @ orthogonalized(matrix[None], torch.float32)[0] @ right).diagonal()
    assert 0.7 < seen[0] < 1.3
    assert seen[1:].tolist() == pytest.approx([0.0783, 0.000783], rel=0.02)  # times the three rounds' a


def test_a_step_is_that_of_torchs_muon(monkeypatch):
    jordan = (3.4445, -4.775, 2.0315)
    monkeypatch.setattr("meloctl.training.optimizer._ROUNDS", (jordan,) * 5)
    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in ((6, 8), (12, 5), (6, 8))]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
    muon, reference = Muon(ours, half=True, decay=0.1), torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1)
    muon.param_groups[0]["lr"] = 0.02
    for _ in range(5):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(a.shape)
            b.grad = a.grad.clone()
        muon.step()
        reference.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=5 * 0.02 * 0.05)  # bf16 rounds otherwise: 1 / 20 of each step


def test_matrices_of_one_shape_do_not_see_each_other(monkeypatch):
    matrices = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(1))
    together = orthogonalized(matrices, torch.float32)
    for matrix, turned in zip(matrices, together, strict=True):
        torch.testing.assert_close(orthogonalized(matrix[None], torch.float32)[0], turned)
    monkeypatch.setattr("meloctl.training.optimizer._AT_ONCE", 50)  # two of them
    weights = [torch.nn.Parameter(torch.zeros(4, 6)) for _ in matrices]
    muon = Muon(weights, half=False, decay=0.0)
    muon.param_groups[0]["lr"] = 0.5
    for weight, matrix in zip(weights, matrices, strict=True):
        weight.grad = matrix
    muon.step()
    torch.testing.assert_close(torch.stack([w.detach() for w in weights]), -0.5 * together)


# which weights


def names(model, weights):
    by_id = {id(weight): name for name, weight in model.named_parameters()}
    return {by_id[id(weight)] for weight in weights}


HEADS = {f"heads.heads.{field}.inner.weight" for field in range(len(FIELDS))}
OURS = {"q", "kv", "out", "kv2", "mlp.gate", "mlp.inner", "mlp.outer"}
READER = {"self_attn.in_proj_weight", "self_attn.out_proj.weight", "linear1.weight", "linear2.weight"}
WRITER = READER | {"multihead_attn.in_proj_weight", "multihead_attn.out_proj.weight"}
IN_LAYERS = {
    "meloformer": {f"layers.{i}.{name}.weight" for i in (0, 1) for name in OURS},
    "museformer": {f"layers.{i}.{name}.weight" for i in (0, 1) for name in OURS},
    "dense": {f"layers.{i}.{name}.weight" for i in (0, 1) for name in OURS},
    "music-transformer": {
        f"layers.{i}.{name}.weight" for i in (0, 1) for name in (OURS - {"kv2", "q", "kv"}) | {"qkv"}
    },
    "encoder-decoder": {f"encoder.layers.0.{n}" for n in READER} | {f"decoder.layers.0.{n}" for n in WRITER},
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_muon_takes_the_layers_matrices_and_the_first_of_each_head(architecture):
    model = fresh(architecture)
    found = sorted_weights(model)
    assert names(model, found.muon) == IN_LAYERS[architecture] | HEADS
    assert all(re.search(r"^(embed|heads\.known)\.", name) for name in names(model, found.embeddings))
    others = {name for name in names(model, found.matrices) if not name.endswith(".distance")}
    assert others == {name.replace("inner", "outer") for name in HEADS}
    assert all(weight.ndim == 1 for weight in found.vectors)
    assert found.gates == []


@pytest.mark.parametrize(("architecture", "gated"), [*((a, False) for a in ARCHITECTURES), ("meloformer", True)])
def test_every_weight_is_trained_once(architecture, gated):
    model = fresh(architecture, gated=gated, plan_width=5 if gated else 0)
    found = sorted_weights(model)
    each = [id(weight) for weights in vars(found).values() for weight in weights]
    assert sorted(each) == sorted(id(weight) for weight in model.parameters())
    assert names(model, found.gates) == ({"gates.value"} if gated else set())
    assert names(model, found.plans) == {name for name, _ in model.named_parameters() if name.startswith("plans.")}


# how far

ADAMW_TIMES_WIDTH = 2.3


def stepped(rate, width, **change):
    """(how far the first step moves each weight, the weights before it), without weight decay"""
    model = fresh(gated=True, width=width, **change)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    optimizer = RunOptimizer(model, config(weight_decay=0.0), width=width, half=False)
    random = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        weight.grad = torch.randn(weight.shape, generator=random)
    optimizer.step(rate)
    return {name: weight.detach() - before[name] for name, weight in model.named_parameters()}, model, optimizer


def test_a_step_goes_as_far_as_the_rate_says():
    moved, _, _ = stepped(LEARNING_RATE, 32, hidden=96, plan_width=5)
    adamw = ADAMW_TIMES_WIDTH / 32  # the first step of Adam is the rate, whatever the gradient
    for name, rate in (
        ("embed.tables.0.weight", 4 * adamw),
        ("heads.known.pitch.weight", 4 * adamw),
        ("heads.heads.3.outer.weight", adamw),
        ("norm.weight", adamw),
        ("start", adamw),
        ("gates.value", 1.2 * adamw),
        ("plans.own.weight", 0.25 * adamw),
        ("plans.inner.bias", 0.25 * adamw),
    ):
        torch.testing.assert_close(moved[name].abs(), torch.full_like(moved[name], rate), rtol=1e-3, atol=0)
    for name, scale in (("layers.0.q", 1.0), ("layers.1.mlp.outer", 1.0), ("layers.0.mlp.gate", math.sqrt(96 / 32))):
        values = torch.linalg.svdvals(moved[f"{name}.weight"]) / (LEARNING_RATE * scale)
        assert 0.6 < values.median() < values.max() < 1.3


def test_halving_the_rate_halves_every_step_and_doubling_the_width_halves_adamws():
    one, half, wide = stepped(LEARNING_RATE, 32)[0], stepped(LEARNING_RATE / 2, 32)[0], stepped(LEARNING_RATE, 64)[0]
    for name in one:
        torch.testing.assert_close(half[name], one[name] / 2, rtol=1e-3, atol=1e-6)
    assert wide["norm.weight"].abs().max() == pytest.approx(float(one["norm.weight"].abs().max()) / 2, rel=1e-3)


def test_matrices_decay_and_vectors_do_not():
    model = fresh(gated=True, plan_width=5)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    optimizer = RunOptimizer(model, config(weight_decay=0.5), width=24, half=False)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step(LEARNING_RATE)
    after = dict(model.named_parameters())
    for name, rate in (("layers.0.q.weight", LEARNING_RATE), ("embed.tables.0.weight", 4 * ADAMW_TIMES_WIDTH / 24)):
        torch.testing.assert_close(after[name].detach(), before[name] * (1 - 0.5 * rate))
    for name in ("norm.weight", "heads.heads.0.inner.bias", "gates.value", "plans.own.weight"):
        assert torch.equal(after[name], before[name])


def test_what_is_kept_is_told_before_and_after_a_step():
    _, model, optimizer = stepped(LEARNING_RATE, 32)
    for weight in model.parameters():
        assert set(optimizer.kept(weight)) == set(optimizer.keeps(weight)) != set()
    optimizer.forget()
    assert all(optimizer.kept(weight) == {} for weight in model.parameters())
