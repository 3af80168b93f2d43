"""`meloctl plans`: the arrays and what they say, numbers that a person can derive, and damaged files."""

import json
import shutil

import numpy as np
import pytest
import torch
from command_line import facts, meloctl_here, mistake, write_corpus
from small_models import SEED, V, small

from analysis.corpus import find_files
from analysis.errors import MeloError
from analysis.midi import read_midi
from meloctl.model.checkpoint import save_model
from meloctl.plans.bar_course import LAGS, bar_course
from meloctl.plans.linear_probes import probe_scores
from meloctl.plans.plan_files import PiecePlans, read_plans
from meloctl.plans.principal_components import principal_components
from meloctl.rows.attributes import ATTRIBUTES, bar_attributes
from meloctl.rows.codec import encode
from meloctl.workspace import file_hash

D = 5


def saved_model(folder, **change):
    """A small model with random weights, on disk."""
    folder.mkdir()
    model = small(SEED, **change).float()
    save_model(model, "meloformer", dict(model.state_dict()), folder, {})
    return model.eval()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A corpus with a file that cannot be read, a model, and the run that its plans are."""
    at = tmp_path_factory.mktemp("plans")
    corpus = write_corpus(at / "corpus", files=16)
    (corpus / "04a.mid").write_bytes(b"no")
    model = saved_model(at / "model", plan_width=D)
    printed = facts("plans", corpus, "--model", at / "model", work=at / "melo")
    return corpus, model, at, printed


def test_each_bar_has_its_plan_and_its_attributes(made):
    corpus, model, at, printed = made
    found = read_plans(at / "melo" / "plans" / printed["path"].rpartition("/")[2])
    assert [p.file for p in found.about.pieces] == [f"{i:02d}.mid" for i in range(16)]
    assert found.about.weights == file_hash(at / "model" / "model.safetensors")
    assert isinstance(found.plans.base, np.memmap)
    read = {p.file: p for p in found.of_split("train", "validation", "test")}
    assert len(read) == 16
    for path in find_files(corpus):
        if path.name != "04a.mid":
            rows, _ = encode(read_midi(path), V)
            assert np.array_equal(read[path.name].plans, model.plans.of_rows(rows, V))
            expected = bar_attributes(rows, V).astype(np.float32)
            assert np.array_equal(read[path.name].attributes, expected, equal_nan=True)
    sides = [found.of_split(side) for side in ("train", "validation", "test")]
    assert sum(map(len, sides)) == 16
    assert [len(side) for side in sides] == list(printed["pieces"].values())


def test_what_is_printed(made):
    corpus, _, at, printed = made
    assert printed["bars"] == 16 * 8
    assert sum(printed["component_shares"]) == pytest.approx(1, abs=1e-4)
    assert printed["attributes"]["tempo"]["mean"] == pytest.approx(np.log2(120), abs=1e-5)
    assert printed["attributes"]["tempo"]["probe"] == {"value": None, "low": None, "high": None}  # it never differs
    done = meloctl_here("plans", corpus, "--model", at / "model", work=at / "melo")
    assert "nothing redone" in done.stdout
    assert "tempo" in done.stderr  # no scale of levels
    assert (at / "melo" / "plans").is_dir()


def test_a_model_without_plans_is_one_line(made, tmp_path):
    corpus, *_ = made
    saved_model(tmp_path / "plain")
    assert "trained without bar plans" in mistake(
        "plans", corpus, "--model", tmp_path / "plain", work=tmp_path / "melo"
    )
    assert not (tmp_path / "melo").exists()


def changed(made, tmp_path, name, change):
    """A copy of the run in which a file was changed."""
    folder = tmp_path / "run"
    shutil.copytree(made[3]["path"], folder)
    change(folder / name)
    return folder


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [
        ("plans.npy", lambda path: path.write_bytes(path.read_bytes()[:-4]), "missing or damaged"),
        ("plans.npy", lambda path: path.unlink(), "missing or damaged"),
        ("plans.npy", lambda path: path.write_bytes(b"\x80\x04K\x01."), "missing or damaged"),
        ("plans.npy", lambda path: np.save(path, np.array([{}]), allow_pickle=True), "missing or damaged"),
        ("plans.npy", lambda path: np.save(path, np.zeros((127, 5), dtype="<f4")), "not 128 bars of 5 numbers"),
        ("attributes.npy", lambda path: np.save(path, np.zeros((128, 8))), "not 128 bars of 8 numbers"),
        (
            "plans.json",
            lambda path: path.write_text(path.read_text().replace('"bars": 8', '"bars": 9', 1)),
            "do not follow",
        ),
        (
            "plans.json",
            lambda path: path.write_text(path.read_text().replace('"density"', '"leaps"', 1)),
            "attributes are not",
        ),
        ("plans.json", lambda path: path.write_text("{"), "not JSON|JSON"),
    ],
)
def test_damaged_files_are_one_line(made, tmp_path, name, change, match):
    with pytest.raises(MeloError, match=match):
        read_plans(changed(made, tmp_path, name, change))


# statistics


def test_the_course_of_two_bars_in_turn():
    """1, −1, 1, −1, …: neighbours are opposite, bars two apart equal; the variance is 1."""
    vectors = np.tile([[1.0], [-1.0]], (16, 1)).astype(np.float32)
    course = bar_course([vectors, vectors], np.random.default_rng(0))
    assert course.variance.value == pytest.approx(1)
    assert [e.value for e in course.autocorrelation] == pytest.approx([-1, 1, 1, 1, 1])
    assert (course.variance.low, course.variance.high) == pytest.approx((1, 1))  # pieces are alike


def test_the_course_adds_up_numbers_and_counts_bars():
    still, moving = np.zeros((30, 2), dtype=np.float32), np.tile([[1, 3], [-1, -3]], (5, 1)).astype(np.float32)
    course = bar_course([still, moving], np.random.default_rng(0))
    assert course.variance.value == pytest.approx((1 + 9) * 10 / 40)
    short = bar_course([moving, moving], np.random.default_rng(0))
    assert np.isnan(short.autocorrelation[LAGS.index(16)].value)


def pieces_of(random, count, noise):
    """Pieces whose first attribute is a sum of two numbers of the plan and noise; the second never differs; none has others."""
    for i in range(count):
        plans = random.normal(size=(50, 3))
        attributes = np.full((50, len(ATTRIBUTES)), np.nan)
        attributes[:, 0] = plans[:, 0] + plans[:, 1] + noise * random.normal(size=50)
        attributes[:, 1] = 7
        yield PiecePlans(file=str(i), plans=plans.astype(np.float32), attributes=attributes.astype(np.float32))


def test_probes_find_what_is_there():
    random = np.random.default_rng(3)
    some, others = list(pieces_of(random, 20, 1.0)), list(pieces_of(random, 20, 1.0))
    first, *rest = probe_scores(some, others, random)
    assert first.low < 2 / 3 < first.high  # two of three parts of the variance are the plan's
    assert first.high - first.low < 0.2
    assert all(np.isnan(e.value) for e in rest)
    exact = probe_scores(list(pieces_of(random, 5, 0.0)), list(pieces_of(random, 5, 0.0)), random)[0]
    assert exact.value > 0.999


def test_components_of_a_line():
    along = np.linspace(-1, 1, 21, dtype=np.float32)[:, None] * np.array([[3, 4]], dtype=np.float32) / 5 + 2
    found = principal_components(along)
    assert found.shares == pytest.approx([1, 0], abs=1e-9)
    assert found.places[:, 0] == pytest.approx(np.linspace(-1, 1, 21), abs=1e-6)


def test_the_description_is_json(made):
    text = (made[2] / "melo" / "plans" / made[3]["path"].rpartition("/")[2] / "plans.json").read_text(encoding="utf-8")
    about = json.loads(text)
    assert about["format"] == "meloctl.plans/1"
    assert about["scale"] is None
    assert torch.get_default_dtype() == torch.float32
