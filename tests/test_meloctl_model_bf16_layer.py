"""The layer of training in bf16 on CPUs is the readable one: values, gradients, dropout, on one thread and on two."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_models import SEED, V, masked_window, music
from torch import nn

from masks.spec import MOST_OFFSET, MaskSpec
from meloctl.dataset.packs import pack_of
from meloctl.dataset.windows import Window
from meloctl.model.attention.tiled.bf16_kernel import has_kernel
from meloctl.model.config import ModelConfig
from meloctl.model.meloformer import bf16_layer
from meloctl.model.meloformer.model import MeloFormer

needs_bf16 = pytest.mark.skipif(not has_kernel(), reason="this processor has no instructions for bf16")

DENSE = MaskSpec(same="full", near=MOST_OFFSET, far=(), summaries=False)
SUMMARIES_ALONE = MaskSpec(same=(1,), near=0, far=(), summaries=True)

NEAR = 0.03
"""Largest relative error of a gradient: bf16 keeps 8 bits, and gradients go through some twenty roundings."""


def model_of(spec, **change):
    torch.manual_seed(0)
    sizes = {"layers": 3, "width": 128, "heads": 4, "kv_heads": 2, "hidden": 90, "field_hidden": 16, "context": 512}
    model = MeloFormer(ModelConfig(**{**sizes, "dropout": 0.0, **change}), V, spec)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p + 0.1 * torch.randn_like(p) if p.ndim < 2 else 2 * p)
    return model.train()


def layout_for(model):
    """Three windows of several lengths, one of them with masked bars; rows of padding."""
    windows = [Window(rows=music(seed, bars)[0].numpy(), first_bar=0) for seed, bars in ((0, 9), (1, 70))]
    return model.layout(pack_of([*windows, masked_window(2, 12)]))


def gradients_of(model, layout, *, half):
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        nll = model(layout).sum()
    nll.backward()
    return float(nll.detach()), {name: p.grad.clone() for name, p in model.named_parameters()}


def differences(found, expected):
    return {name: float((found[name] - g).norm() / g.norm().clamp(min=1e-6)) for name, g in expected.items()}


@needs_bf16
@pytest.mark.parametrize("spec", [SEED, SUMMARIES_ALONE, DENSE], ids=["seed", "summaries", "dense"])
def test_values_and_gradients_are_those_of_the_readable_layer(spec, monkeypatch):
    model = model_of(spec)
    layout = layout_for(model)
    used = []
    monkeypatch.setattr(bf16_layer.Bf16Layer, "apply", counted(bf16_layer.Bf16Layer.apply, used))
    nll, found = gradients_of(model, layout, half=True)
    assert len(used) == 3
    exact_nll, exact = gradients_of(model, layout, half=False)
    assert len(used) == 3
    assert nll == pytest.approx(exact_nll, rel=2e-3)
    assert max(differences(found, exact).values()) < NEAR, differences(found, exact)


def counted(function, calls):
    def call(*args):
        calls.append(1)
        return function(*args)

    return call


@needs_bf16
def test_two_threads_and_checkpoints_give_the_same():
    model = model_of(SEED)
    layout = layout_for(model)
    _, one = gradients_of(model, layout, half=True)
    _, again = gradients_of(model, layout, half=True)
    assert all(torch.equal(one[name], again[name]) for name in one)
    model.checkpointing = True
    _, computed_twice = gradients_of(model, layout, half=True)
    assert max(differences(computed_twice, one).values()) < 1e-6
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        _, two = gradients_of(model, layout, half=True)
    finally:
        torch.set_num_threads(threads)
    assert (
        max(differences(two, one).values()) < 1e-2
    )  # norms' weights are summed in another order, products in two parts


@needs_bf16
def test_dropout_drops_what_the_readable_layer_drops(monkeypatch):
    model = model_of(SEED, dropout=0.3, layers=2)
    layout = layout_for(model)
    kept = []
    call = bf16_layer._Dropout.__call__

    def remembered(self, x):
        out = call(self, x)
        kept.append(self.kept[-1].float())
        return out

    monkeypatch.setattr(bf16_layer._Dropout, "__call__", remembered)
    torch.manual_seed(1)
    nll, found = gradients_of(model, layout, half=True)
    assert 0.2 < float((kept[0] == 0).float().mean()) < 0.4
    assert sorted(set(kept[0].flatten().tolist())) == pytest.approx([0, 1 / 0.7], rel=4e-3)
    t = layout.bar_plan.n_queries
    for layer, (summaries, rows, fed) in zip(model.layers, (kept[:3], kept[3:]), strict=True):
        order = [summaries, rows, fed] if layer.last else [summaries, fed[:t], rows, fed[t:]]
        layer.drop = Given(order)
    exact_nll, exact = gradients_of(model, layout, half=False)
    assert nll == pytest.approx(exact_nll, rel=2e-3)
    assert max(differences(found, exact).values()) < NEAR


class Given(nn.Module):
    """Multiplies with what was kept, in the order of the calls."""

    def __init__(self, order):
        super().__init__()
        self.order = iter(order)

    def forward(self, x):
        return x * next(self.order)


def test_other_widths_and_evaluation_in_float32_take_the_readable_layer(monkeypatch):
    def fail(*_):
        raise AssertionError

    monkeypatch.setattr(bf16_layer, "bf16_layer", fail)
    narrow = model_of(SEED, width=24, heads=2, kv_heads=1)
    gradients_of(narrow, layout_for(narrow), half=True)
    wide = model_of(SEED)
    gradients_of(wide, layout_for(wide), half=False)


def test_training_and_generation_work_without_avx512(tmp_path):
    # as on an older processor: instruction sets limited in PyTorch, oneDNN and numba
    program = Path(__file__).parent / "train_without_avx512.py"
    limits = {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "NUMBA_CPU_NAME": "x86-64-v3",
        "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+bmi2,+f16c,+sse4.2,+popcnt,+lzcnt,+movbe",
        "NUMBA_CACHE_DIR": str(tmp_path),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, str(program)], env={**os.environ, **limits}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    before, after, rows = done.stdout.split()
    assert float(after) < float(before)
    assert int(rows) > 10
