"""Initial weights: GPT-2's, in every architecture."""

import pytest
import torch
from small_models import SEED, V

from meloctl.model.config import ModelConfig
from meloctl.model.init import STD
from meloctl.model.registry import MELOFORMERS, build

SIZES = {"layers": 8, "width": 96, "heads": 4, "kv_heads": 2, "hidden": 256, "field_hidden": 48, "context": 64}
RESIDUAL = ("out.weight", "mlp.outer.weight", "out_proj.weight", "linear2.weight")


@pytest.mark.parametrize("architecture", ["meloformer", "music-transformer", "encoder-decoder"])
def test_weights_are_small_and_residual_projections_smaller(architecture):
    torch.manual_seed(0)
    model = build(architecture, ModelConfig(**SIZES), V, SEED if architecture in MELOFORMERS else None)
    n_residual = 0
    for name, parameter in model.named_parameters():
        residual = "layers." in name and name.endswith(RESIDUAL)
        n_residual += residual
        if parameter.ndim >= 2 and parameter.numel() > 1000:
            expected = STD / 4 if residual else STD  # 1 / √(2 · 8 layers) = 1 / 4
            assert parameter.std().item() == pytest.approx(expected, rel=0.15), name
        elif name.endswith("bias"):
            assert not parameter.any(), name
    attentions = 4 + 2 * 4 if architecture == "encoder-decoder" else 8  # four layers read, four write with two each
    assert n_residual == attentions + 8
