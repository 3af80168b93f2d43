"""The weights that come with meloctl: used where a workspace has no model, named by their hash, only read."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from command_line import facts, meloctl_here, mistake, only
from small_models import SEED, small

from analysis.errors import MeloError
from meloctl.model.checkpoint import save_model
from meloctl.weights import default_weights
from meloctl.workspace import Workspace, file_hash


def write_model(folder, **change):
    """A small model with random weights, as `meloctl train` leaves one."""
    folder.mkdir(parents=True)
    model = small(SEED, **change).float()
    save_model(model, "meloformer", model.state_dict(), folder, {"bits_per_note": 9.0, "step": 1}, infill=0.25)
    return folder


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A folder in the place of the package's, with a small model."""
    folder = write_model(tmp_path / "package" / "weights")
    monkeypatch.setattr(default_weights, "FOLDER", folder)
    return folder


@pytest.fixture
def copy_without_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(default_weights, "FOLDER", tmp_path / "none")


def hashes(folder):
    return {p.name: (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in folder.iterdir()}


def generate(*options, work):
    return meloctl_here("generate", "--bars", 2, "--sound", "none", *options, work=work)


def test_an_empty_folder_writes_with_them_and_says_so_in_one_line(shipped, tmp_path):
    before = hashes(shipped)
    done = generate(work=tmp_path / "melo")
    assert done.returncode == 0, done.stderr
    name = f"default-{file_hash(shipped / 'model.safetensors')[:8]}"
    (line,) = [line for line in done.stderr.splitlines() if "came with meloctl" in line]
    assert line == (
        f"No model in {tmp_path}/melo/ yet: writing with the weights that came with meloctl, {name}; "
        f"card: {shipped}/CARD.md"
    )
    assert "2 bars" in done.stdout
    assert only(tmp_path / "melo" / "out").name.startswith(f"{name}-seed0-2bars-")
    assert hashes(shipped) == before


def test_the_recipe_has_their_hash(shipped, tmp_path):
    generate(work=tmp_path / "melo")
    (run,) = [Workspace(tmp_path / "melo").latest("out")]
    assert run.manifest.inputs["weights"] == file_hash(shipped / "model.safetensors")
    assert "model" not in run.manifest.options
    other = generate("--model", "default", work=tmp_path / "melo")
    assert "Unchanged since" in other.stdout  # the same weights, however they were named
    assert "came with" not in other.stderr


def test_other_weights_are_another_recipe(shipped, tmp_path):
    generate(work=tmp_path / "melo")
    shutil.rmtree(shipped)
    write_model(shipped, hidden=31)
    assert "Unchanged" not in generate(work=tmp_path / "melo").stdout


def test_a_model_of_the_workspace_comes_first(shipped, tmp_path):
    work = tmp_path / "melo"
    own = write_model(work / "model" / "own-1", hidden=31)
    shutil.copy(only_manifest(tmp_path), own / "manifest.json")
    (own.parent / "latest.json").write_text('{"folder": "own-1"}')
    done = generate(work=work)
    assert "came with" not in done.stderr
    assert only(work / "out").name.startswith("own-1-seed0")
    assert facts("generate", "--bars", 2, "--sound", "none", "--model", "default", work=work)["bars"] == 2
    assert len([p for p in (work / "out").iterdir() if p.name.startswith("default-")]) == 1


def only_manifest(tmp_path):
    """The manifest of some finished run."""
    from meloctl.workspace import Recipe

    space = Workspace(tmp_path / "elsewhere")
    recipe = Recipe(stage="model", command="train", inputs={}, options={}, label="own")
    return space.once(recipe, lambda folder: _nothing()).folder / "manifest.json"


def _nothing():
    from meloctl.workspace import RunOutput

    return RunOutput(files=[], results={})


def test_a_model_may_be_named_by_its_folder(shipped, tmp_path):
    other = write_model(tmp_path / "other", hidden=31)
    generate("--model", other, work=tmp_path / "melo")
    assert only(tmp_path / "melo" / "out").name.startswith("other-seed0")


def test_a_name_that_is_no_model_is_one_line(shipped, tmp_path):
    line = mistake("generate", "--model", "defualt", work=tmp_path / "melo")
    assert line.startswith("meloctl: --model defualt: no model.json and model.safetensors in it; give a run of")
    assert '"default"' in line
    assert not (tmp_path / "melo").exists()


def test_a_damaged_latest_model_is_not_passed_over(shipped, tmp_path):
    (tmp_path / "melo" / "model").mkdir(parents=True)
    (tmp_path / "melo" / "model" / "latest.json").write_text('{"folder": "gone"}')
    assert "names no finished run; run again: meloctl train" in mistake("generate", work=tmp_path / "melo")


def test_a_copy_without_weights_says_what_to_do(copy_without_weights, tmp_path):
    assert "run first: meloctl train" in mistake("generate", work=tmp_path / "melo")
    assert "came without weights" in mistake("generate", "--model", "default", work=tmp_path / "melo")


def test_damaged_weights_are_one_line(shipped, tmp_path):
    path = shipped / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    done = generate(work=tmp_path / "melo")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"meloctl: {path}: missing or damaged weights")
    assert not list((tmp_path / "melo").rglob("*.mid"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_package_that_may_not_be_written_is_enough(shipped, tmp_path):
    shipped.chmod(0o555)
    try:
        assert generate(work=tmp_path / "melo").returncode == 0
    finally:
        shipped.chmod(0o755)


def test_they_are_found_in_the_package():
    assert Path(default_weights.__file__).parent == default_weights.FOLDER


def test_a_name_is_an_error_with_its_parameter(tmp_path):
    with pytest.raises(MeloError) as caught:
        default_weights.named_model(str(tmp_path), field="from_")
    assert caught.value.field == "from_"
