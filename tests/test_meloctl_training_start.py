"""`meloctl train --from`: training starts from given weights of the same architecture, sizes and vocabulary."""

import shutil

import pandas as pd
import pytest
import torch
from command_line import facts, mistake, write_corpus
from safetensors.torch import load_file, save_file
from small_models import SEED, small
from train_small import Recorder

from masks.rules.baselines import museformer_mask
from meloctl.model.checkpoint import load_model, save_model
from meloctl.model.config import PRESETS
from meloctl.model.registry import build
from meloctl.progress import SilentReporter
from meloctl.rows.vocabulary import default_vocabulary
from meloctl.training.options import FINE_TUNING_RATE, LEARNING_RATE, TUNED_PLANS, TrainOptions, to_command_line
from meloctl.training.plan import plan_training
from meloctl.training.processes import start_accelerator
from meloctl.training.session import run_session
from meloctl.weights import default_weights
from meloctl.workspace import Workspace, file_hash

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A workspace with statistics, a mask and a model that was trained for a moment."""
    root = tmp_path_factory.mktemp("start")
    facts("stats", write_corpus(root / "corpus"), work=root / "melo")
    facts("derive-mask", work=root / "melo")
    train(root / "melo", epochs=12)
    return root / "melo"


def plan_of(work, **options):
    return plan_training(Workspace(work), TrainOptions(**{"minutes": 2.0, "epochs": 2, "model": None, **options}))


def train(work, **options):
    return run_session(Workspace(work), plan_of(work, **options), SilentReporter(), start_accelerator())


@pytest.fixture
def first(work):
    return plan_folder(work, epochs=12)


def plan_folder(work, **options):
    return Workspace(work).folder(plan_of(work, **options).recipe)


def bits(run):
    return pd.read_csv(run.folder / "metrics.csv")["validation_bits_per_note"]


def test_training_starts_where_the_weights_are(work, first):
    alone, tuned = train(work), train(work, from_=str(first))
    before = load_model(first)[1]["bits_per_note"]
    assert bits(tuned).iloc[0] < before + 0.5  # one step changes little
    assert bits(alone).iloc[0] > before + 2
    assert tuned.folder.name.startswith("tiny-tuned-")
    assert tuned.manifest.inputs["from"] == file_hash(first / "model.safetensors")
    assert "from" not in alone.manifest.inputs
    assert not [name for name in tuned.manifest.options if "from" in name]  # the weights are an input
    rates = [run.manifest_value("options", "learning_rate") for run in (alone, tuned)]
    assert rates == [LEARNING_RATE, FINE_TUNING_RATE]


def test_weights_that_come_with_meloctl_go_by_their_name(work, first, monkeypatch):
    monkeypatch.setattr(default_weights, "FOLDER", first)
    plan = plan_of(work, from_="default")
    assert plan.recipe == plan_of(work, from_=str(first)).recipe  # by their hash, wherever they lie
    assert plan.notes == [f"Starting from the weights of default-{file_hash(first / 'model.safetensors')[:8]}"]


def test_all_weights_are_theirs(work, first):
    plan = plan_of(work, from_=str(first))
    torch.manual_seed(5)
    model = build("meloformer", PRESETS["tiny"], default_vocabulary(), plan.spec)
    theirs = load_file(first / "model.safetensors")
    assert any(not torch.equal(model.state_dict()[k], v) for k, v in theirs.items())
    plan.start.load_into(model)
    assert all(torch.equal(model.state_dict()[k], v) for k, v in theirs.items())


def test_the_size_is_theirs_and_another_one_is_refused(work, first, tmp_path):
    line = mistake("train", "--from", first, "--model", "small", work=work)
    assert line.endswith("it is --model tiny, and --model small was asked for; leave --model out")
    assert "it has no gates; leave --gates out" in mistake("train", "--from", first, "--gates", work=work)
    odd = tmp_path / "odd"
    odd.mkdir()
    model = small(SEED).float()
    save_model(model, "meloformer", model.state_dict(), odd, {})
    assert "its sizes are none of tiny, small, base, large" in mistake("train", "--from", odd, work=work)
    assert "no model.json and model.safetensors in it" in mistake("train", "--from", tmp_path, work=work)


def test_weights_with_plans_go_on_with_plans(work, first, tmp_path):
    assert plan_of(work, from_=str(first)).config.plans == 0
    assert "know no bar plans; leave it out" in mistake("train", "--from", first, "--plans", "0.5", work=work)
    known = tmp_path / "known"
    known.mkdir()
    torch.manual_seed(0)
    model = build("meloformer", plan_of(work, plans=0.5).model_config, default_vocabulary(), SEED)
    save_model(model, "meloformer", model.state_dict(), known, {}, infill=0.25)
    plan = plan_of(work, from_=str(known))
    assert plan.config.plans == TUNED_PLANS > 0
    other = build("meloformer", plan.model_config, default_vocabulary(), SEED)
    plan.start.load_into(other)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))
    line = mistake("train", "--from", known, "--plans", "0", work=work)
    assert line == (
        "meloctl: --plans 0: the weights of --from were trained with bar plans; give a share above 0, or leave it out"
    )


def test_a_vocabulary_of_another_meaning_is_refused(work, first, tmp_path):
    shutil.copytree(first, tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    path.write_text(path.read_text().replace('"instances": ', '"instances": 1'))
    assert "vocabulary: its 'instances' is not what" in mistake("train", "--from", tmp_path / "model", work=work)


def test_weights_without_what_the_model_has_are_refused(work, first, tmp_path):
    plan = plan_of(work, from_=str(first))
    without = museformer_mask()
    model = build(
        "meloformer", PRESETS["tiny"], default_vocabulary(), type(without)(same="full", near=1, far=(), summaries=False)
    )
    with pytest.raises(Exception, match="its weights do not fit the model to be trained"):
        plan.start.load_into(model)


def test_weights_that_change_under_way_are_refused(work, first, tmp_path):
    folder = shutil.copytree(first, tmp_path / "model")
    plan = plan_of(work, from_=str(folder))
    weights = load_file(folder / "model.safetensors")
    save_file({k: v + 1 for k, v in weights.items()}, folder / "model.safetensors")
    with pytest.raises(Exception, match="its weights have changed since"):
        plan.start.load_into(build("meloformer", PRESETS["tiny"], default_vocabulary(), plan.spec))


def test_a_stopped_run_resumes_bit_for_bit(work, first, tmp_path):
    whole, parts = (shutil.copytree(work, tmp_path / name) for name in ("whole", "parts"))
    options = {"from_": str(first), "epochs": 6, "threads": 1}
    ended = train(whole, **options)
    stopped = plan_of(parts, **options)
    with pytest.raises(KeyboardInterrupt):
        run_session(Workspace(parts), stopped, Recorder(stop_after=6), start_accelerator())
    assert (Workspace(parts).folder(stopped.recipe) / "last.safetensors").is_file()
    again = train(parts, **options)
    a, b = (load_file(run.folder / "model.safetensors") for run in (ended, again))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert bits(ended).tolist() == bits(again).tolist()


def test_another_mask_is_said(work, first, tmp_path):
    mask = tmp_path / "mask.json"
    mask.write_text(museformer_mask().to_text())
    assert plan_of(work, from_=str(first), mask=mask).notes[-1] == (
        "Note: they were trained under another mask, and go on under this one"
    )
    assert len(plan_of(work, from_=str(first)).notes) == 1


def test_the_command_of_another_plan_keeps_it():
    assert to_command_line(TrainOptions(from_="default", minutes=2.0)) == ["--from", "default", "--minutes", "2"]
