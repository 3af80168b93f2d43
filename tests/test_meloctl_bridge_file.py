"""A bridge on disk: it comes back as it was, and damaged, foreign and other models' files are refused with one line."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from analysis.errors import MeloError
from meloctl.bridge.bar_conditions import BarConditions
from meloctl.bridge.bridge_file import (
    DESCRIPTION,
    WEIGHTS,
    BridgeJson,
    FrozenEncoder,
    PlannedModel,
    load_bridge,
    save_bridge,
)
from meloctl.bridge.bridge_network import BridgeNetwork, BridgeSizes
from meloctl.bridge.bridge_sampler import sample_plans
from meloctl.bridge.bridge_schedule import BridgeSchedule
from meloctl.rows.attribute_scale import AttributeScale

MODEL, ENCODER = "0123456789abcdef", "fedcba9876543210"
SIZES = BridgeSizes(plan_width=3, attributes=2, text_width=5, width=32, layers=2, heads=2, hidden=48)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    network = BridgeNetwork(SIZES, BridgeSchedule(end_variance=0.5))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.1)
    about = BridgeJson(
        music_model=PlannedModel(weights=MODEL, plan_width=3),
        encoder=FrozenEncoder(name="use", fingerprint=ENCODER),
        attributes=("density", "register"),
        scale=AttributeScale(mean=(0.0,) * 8, deviation=(1.0,) * 8),
        sizes=SIZES,
        schedule=network.schedule,
        quality={"loss": 0.5},
    )
    save_bridge(network, about, tmp_path)
    return tmp_path


def load(folder):
    return load_bridge(folder, model_weights=MODEL, encoder_fingerprint=ENCODER)


def refused(folder):
    """The one line with which a folder is refused."""
    with pytest.raises(MeloError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


def test_it_comes_back_as_it_was(folder, tmp_path):
    bridge = load(folder)
    assert bridge.about.schedule.end_variance == 0.5
    assert bridge.about.quality == {"loss": 0.5}
    assert not bridge.network.training
    conditions = BarConditions.of_text(np.ones((6, 2), dtype=np.float32), np.arange(5, dtype=np.float32))
    plans = sample_plans(bridge.network, conditions, [1])
    save_bridge(bridge.network, bridge.about, tmp_path / "again")
    assert (sample_plans(load(tmp_path / "again").network, conditions, [1]) == plans).all()
    assert (tmp_path / "again" / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()


def test_the_default_sizes_ship():
    network = BridgeNetwork(BridgeSizes(plan_width=16, attributes=8, text_width=512), BridgeSchedule())
    assert sum(p.numel() for p in network.parameters()) < 900_000


def test_another_music_models_bridge_is_refused(folder):
    with pytest.raises(MeloError, match=r"a bridge of another music model.*meloctl train-bridge"):
        load_bridge(folder, model_weights="0" * 16, encoder_fingerprint=ENCODER)


def test_another_encoders_bridge_is_refused(folder):
    with pytest.raises(MeloError, match=r"a bridge of another text encoder.*meloctl train-bridge"):
        load_bridge(folder, model_weights=MODEL, encoder_fingerprint="0" * 16)


@pytest.mark.parametrize("name", [WEIGHTS, DESCRIPTION])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert name in refused(folder)


@pytest.mark.parametrize("damage", [b"", b"\x80\x04.", b"\xff" * 200, b"[" * 100_000])
@pytest.mark.parametrize("name", [WEIGHTS, DESCRIPTION])
def test_a_damaged_file_is_refused(folder, name, damage):
    (folder / name).write_bytes(damage)
    assert "damaged" in refused(folder)


@pytest.mark.parametrize("cut", [10, 1000, -1])
def test_weights_cut_short_are_refused(folder, cut):
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:cut])
    assert "damaged" in refused(folder)


def change_weights(folder, change):
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.pop("plan_mean"), "do not fit"),
        (lambda t: t.update(more=torch.zeros(1)), "do not fit"),
        (lambda t: t.update(plan_mean=torch.zeros(4)), "do not fit"),
        (lambda t: t.update(plan_mean=torch.zeros(3, dtype=torch.float64)), "do not fit"),
        (lambda t: t["plan_mean"].fill_(float("nan")), "not finite"),
        (lambda t: t["plan_deviation"].fill_(0.0), "not above 0"),
    ],
)
def test_weights_that_do_not_fit_are_refused(folder, change, match):
    change_weights(folder, change)
    assert match in refused(folder)


def set_key(data, path, value):
    *parents, last = path.split(".")
    for parent in parents:
        data = data[parent]
    data[last] = value


@pytest.mark.parametrize(
    ("path", "value", "match"),
    [
        ("format", "meloctl.mask/2", "not a bridge"),
        ("format", "meloctl.bridge/99", "another version"),
        ("unheard_of", 1, "unknown key"),
        ("sizes.width", 10**9, "sizes.width"),
        ("sizes.layers", 10**6, "sizes.layers"),
        ("sizes.layers", 3, "do not fit"),
        ("sizes.heads", 3, "multiple of twice"),
        ("sizes.plan_width", 4, "two widths"),
        ("attributes", ["density"], "as many attributes"),
        ("attributes", ["density", "density"], "as many attributes"),
        ("schedule.end_variance", 0, "end_variance"),
        ("scale.deviation", [0.0] * 8, "deviations"),
        ("scale.format", "meloctl.attribute_scale/9", "scale"),
        ("encoder.fingerprint", "no hash", "fingerprint"),
    ],
)
def test_a_changed_description_is_refused(folder, path, value, match):
    data = json.loads((folder / DESCRIPTION).read_text())
    set_key(data, path, value)
    (folder / DESCRIPTION).write_text(json.dumps(data))
    assert match in refused(folder)
