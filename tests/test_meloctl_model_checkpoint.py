"""Checkpoints: every architecture comes back as it was, and what is damaged is refused with one line."""

import json
import math
import os
import stat

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import SEED
from train_small import DATA, fresh

from analysis.errors import MeloError
from meloctl.dataset.packs import pack_of
from meloctl.model.checkpoint import load_model, read_description, save_model
from meloctl.model.config import PRESETS
from meloctl.model.registry import ARCHITECTURES, MELOFORMERS, build, model_name, own_mask, takes_mask


def save(model, folder, architecture="meloformer"):
    save_model(model, architecture, model.state_dict(), folder, {"bits_per_note": 5.0})


@pytest.fixture
def saved(tmp_path):
    save(fresh(), tmp_path)
    return tmp_path


@pytest.mark.parametrize(("architecture", "gated"), [*((a, False) for a in ARCHITECTURES), ("meloformer", True)])
def test_a_checkpoint_round_trips(tmp_path, architecture, gated):
    made = fresh(architecture, gated=gated).eval()
    made.header_changes = (0.25, 0.0) if gated else None
    save(made, tmp_path, architecture)
    model, quality = load_model(tmp_path)
    assert model.header_changes == made.header_changes
    pack = pack_of(DATA[0][:2])
    assert type(model) is type(made)
    assert torch.equal(model(model.layout(pack)), made(made.layout(pack)))
    assert (quality, model.config) == ({"bits_per_note": 5.0}, made.config)
    about = read_description(tmp_path)
    assert (about.architecture, about.gated) == (architecture, gated)
    assert about.spec == (SEED if architecture in MELOFORMERS else None)


def edit(saved, **change):
    path = saved / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "meloctl.checkpoint/1"}, "of another version of meloctl"),
        ({"format": "meloctl.mask/1"}, "not a checkpoint"),
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"mask": {}}, "mask: not a mask"),
        ({"mask": None}, "mask: not a mask"),
        ({"model": {}}, "model: not a model"),
        ({"model": None}, "model is None; it must be an object"),
        ({"vocabulary": {}}, "vocabulary: not a vocabulary"),
        ({"architecture": "perceiver"}, "its architecture 'perceiver' is none of meloformer"),
        ({"architecture": ["meloformer"]}, "architecture is .*; it must be a text"),
        ({"architecture": "music-transformer"}, '"mask" is set, which music-transformer does not take'),
        ({"architecture": "music-transformer", "mask": None}, "weights do not fit"),
        ({"architecture": "encoder-decoder", "mask": None, "gated": True}, '"gated" is set, which encoder-decoder'),
        ({"gated": "yes"}, "gated is 'yes'; it must be true or false"),
        ({"gated": True}, "weights do not fit"),
        ({"infill": 1.5}, "infill is 1.5; it must be a number from 0 to 1"),
        ({"infill": True}, "infill is True"),
        ({"infill": None}, "infill is None"),
        ({"quality": 5.0}, "quality is 5.0; it must be an object"),
        (
            {"architecture": "music-transformer", "mask": None, "infill": 0.5},
            '"infill" is set, which music-transformer',
        ),
        ({"model": {**fresh().config.to_json(), "hidden": 31}}, "weights do not fit"),
        ({"model": {**fresh().config.to_json(), "layers": 3}}, "weights do not fit"),
        ({"model": {**fresh().config.to_json(), "layers": 20_000}}, "weights do not fit"),
    ],
)
def test_a_description_that_is_not_true_is_refused(saved, change, says):
    edit(saved, **change)
    with pytest.raises(MeloError, match=says):
        load_model(saved)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_permissions_of_the_umask(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        save(fresh(), tmp_path)
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {
        "model.json": mode,
        "model.safetensors": mode,
    }


def test_damaged_weights_are_refused(saved, tmp_path):
    weights = saved / "model.safetensors"
    good = load_file(weights)
    for change, says in (
        ({"start": good["start"].half()}, "weights do not fit"),
        ({"start": good["start"] * math.nan}, "some weights are not finite"),
        ({"surplus": good["start"].clone()}, "weights do not fit"),
    ):
        save_file({**good, **change}, weights)
        with pytest.raises(MeloError, match=says):
            load_model(saved)
    save_file(good, weights)
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(MeloError, match="missing or damaged weights"):
        load_model(saved)
    weights.unlink()
    with pytest.raises(MeloError, match="missing or damaged weights"):
        load_model(saved)
    with pytest.raises(MeloError, match="cannot read this checkpoint"):
        load_model(tmp_path / "none")


# names


@pytest.mark.parametrize(
    ("text", "architecture", "size", "short"),
    [
        (None, "meloformer", "base", "base"),
        ("large", "meloformer", "large", "large"),
        ("meloformer/large", "meloformer", "large", "large"),
        ("museformer", "museformer", "base", "museformer/base"),
        ("music-transformer/small", "music-transformer", "small", "music-transformer/small"),
    ],
)
def test_a_model_is_named_by_architecture_and_size(text, architecture, size, short):
    name = model_name(text, size="base")
    assert (name.architecture, name.size, str(name)) == (architecture, size, short)
    assert name.config is PRESETS[size]
    assert model_name(short, size="tiny") == name


@pytest.mark.parametrize(
    "text", ["huge", "", "/", "small/dense", "dense/", "dense/dense", "small/small", "dense/small/small"]
)
def test_other_names_are_refused(text):
    with pytest.raises(MeloError, match=r"no such model; choose one of tiny, small, base, large, or an architecture"):
        model_name(text, size="tiny")


def test_only_meloformer_takes_a_mask_and_two_siblings_have_one_of_their_own():
    assert [a for a in ARCHITECTURES if takes_mask(a)] == ["meloformer"]
    muse, dense = own_mask("museformer"), own_mask("dense")
    assert (muse.same, muse.near, muse.far) == ((1, 2, 4, 8, 12, 16, 24, 32), 2, (4, 8, 12, 16, 24, 32))
    assert muse.summaries
    assert not dense.summaries
    assert all(dense.sees(relation, k) for relation in ("same", "cross", "drums") for k in range(2000))
    assert own_mask("music-transformer") is own_mask("encoder-decoder") is None
    for architecture in ARCHITECTURES:
        wrong = None if architecture in MELOFORMERS else SEED
        with pytest.raises(MeloError, match=rf"{architecture}: (needs a|takes no) mask"):
            build(architecture, fresh().config, fresh().vocabulary, wrong)
