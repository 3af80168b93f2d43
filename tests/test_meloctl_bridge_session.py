"""`meloctl train-bridge` from outside: a bridge of a model with plans, what is reported of it, and refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import facts, meloctl_here, write_corpus
from msgspec import structs
from planted_plans import planted_piece, read_levels

from analysis.corpus import find_files
from analysis.errors import MeloError
from masks.spec import MaskSpec
from meloctl.bridge.bar_conditions import BarConditions
from meloctl.bridge.bridge_captions import span_caption, written_caption
from meloctl.bridge.bridge_file import load_bridge
from meloctl.bridge.bridge_quality import correlation, span_course
from meloctl.bridge.bridge_sampler import sample_plans
from meloctl.bridge.options import BridgeOptions
from meloctl.bridge.session import planned_corpus
from meloctl.bridge.text_embeddings import text_embeddings
from meloctl.dataset.store import make_shard
from meloctl.model.checkpoint import load_model, save_model
from meloctl.model.config import PRESETS
from meloctl.model.registry import build
from meloctl.plans.linear_probes import fit_probe
from meloctl.plans.planned_model import plan_channel
from meloctl.progress import SilentReporter
from meloctl.rows.attribute_scale import attribute_scale
from meloctl.rows.attributes import ATTRIBUTES, bar_attributes
from meloctl.rows.vocabulary import default_vocabulary
from meloctl.text.encoders import load_encoder
from meloctl.workspace import file_hash

pytestmark = pytest.mark.usefixtures("one_thread")
MASK = MaskSpec(same="full", near=2, far=(4,), summaries=True)


def write_model(folder, **sizes):
    """A music model with random weights."""
    torch.manual_seed(0)
    config = structs.replace(PRESETS["tiny"], layers=1, width=32, heads=2, kv_heads=1, hidden=32, **sizes)
    model = build("meloformer", config, default_vocabulary(), MASK)
    folder.mkdir(parents=True)
    save_model(model, "meloformer", model.state_dict(), folder, {})
    return folder


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A workspace with statistics; beside it models with and without plans."""
    root = tmp_path_factory.mktemp("bridge")
    facts("stats", write_corpus(root / "corpus"), work=root / "melo")
    write_model(root / "planned", plan_width=16)
    write_model(root / "unplanned")
    return root / "melo"


@pytest.fixture(scope="module")
def trained(work):
    return facts("train-bridge", "--model", work.parent / "planned", "--minutes", "0.05", work=work)


def test_a_bridge_is_trained_measured_and_written(work, trained):
    assert set(trained["attributes"]) == set(ATTRIBUTES)
    assert trained["steps"] > 0
    folder = work / "bridge" / trained["path"].rpartition("/")[2]
    about = json.loads((folder / "bridge.json").read_text())
    weights = file_hash(work.parent / "planned" / "model.safetensors")
    assert about["music_model"] == {"weights": weights, "plan_width": 16}
    assert sorted(p.name for p in folder.iterdir()) == [
        "bridge.json",
        "bridge.safetensors",
        "losses.csv",
        "manifest.json",
    ]
    bridge = load_bridge(folder, model_weights=weights, encoder_fingerprint=about["encoder"]["fingerprint"])
    unsaid = np.full((8, 8), np.nan, dtype=np.float32)
    plans = sample_plans(bridge.network, BarConditions.of_text(unsaid, np.ones(512, dtype=np.float32)), [0])
    assert plans.shape == (1, 8, 16)


def test_what_never_differs_in_the_corpus_is_said_and_never_matters(work, trained):
    assert trained["attributes"]["loudness"] == {"correlation": None, "of_music": None}
    bridge = load_bridge(
        Path(trained["path"]),
        model_weights=file_hash(work.parent / "planned" / "model.safetensors"),
        encoder_fingerprint=load_encoder().fingerprint,
    )
    plans = []
    for level in (-2.0, 2.0):
        wants = np.full((8, 8), np.nan, dtype=np.float32)
        wants[:, ATTRIBUTES.index("loudness")] = level
        plans.append(sample_plans(bridge.network, BarConditions.of_text(wants, np.ones(512, dtype=np.float32)), [0]))
    assert (plans[0] == plans[1]).all()


def test_the_bridge_trains_on_training_pieces_and_holds_out_those_of_validation(work):
    shard = make_shard(find_files(work.parent / "corpus"), default_vocabulary(), work.parent / "rows")
    channel = plan_channel(load_model(work.parent / "planned")[0])
    corpus = planned_corpus(shard, channel, SilentReporter())
    train, validation = shard.of_split("train"), shard.of_split("validation")
    measured = [bar_attributes(rows, shard.vocabulary) for rows in train]
    assert corpus.scale == attribute_scale(measured, constant=1.0)
    for pieces, planned in ((train, corpus.training), (validation, corpus.held_out)):
        assert len(pieces) == len(planned) > 0
        for rows, piece in zip(pieces, planned, strict=True):
            assert np.array_equal(piece.plans, channel.of_rows(rows, shard.vocabulary))
    register = ATTRIBUTES.index("register")
    expected = corpus.scale.levels(measured[0])[:, register].astype(np.float32)
    assert np.array_equal(corpus.training[0].levels[:, register], expected)
    assert np.isnan(corpus.training[0].levels[:, ATTRIBUTES.index("loudness")]).all()  # it never differs


def test_a_finished_bridge_is_not_trained_again(work, trained):
    again = meloctl_here("train-bridge", "--model", work.parent / "planned", "--minutes", "0.05", work=work)
    assert "Unchanged since" in again.stdout
    assert "Correlation of what is wanted with what plans say" in again.stdout


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--minutes", "0"), "--minutes 0: give more than 0 and at most 10,080"),
        (("--seed", "-1"), "--seed -1: give 0 to 4,294,967,295"),
        (("--encoder", "nowhere"), "nowhere"),
        (("--model", "nowhere"), "--model nowhere: no model.json"),
        (("--captions", "nowhere"), "nowhere: cannot read these captions: no such file or directory"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(work, options, line):
    given = ("--model", work.parent / "planned", *options)
    refused = meloctl_here("train-bridge", *given, work=work)
    assert refused.returncode == 1
    assert line in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_a_model_without_plans_is_refused(work):
    refused = meloctl_here("train-bridge", "--model", work.parent / "unplanned", work=work)
    assert refused.returncode == 1
    assert "was trained without bar plans; train a model with them: meloctl train --plans" in refused.stderr


class CountingEncoder:
    """Texts → their lengths, and how many it was given."""

    name, fingerprint, width = "counting", "0" * 16, 2

    def __init__(self):
        self.given = 0

    def encode(self, texts):
        self.given += len(texts)
        return np.array([[len(text), 1] for text in texts], dtype=np.float32)


def test_embeddings_are_kept_and_belong_to_their_texts(tmp_path):
    encoder, path = CountingEncoder(), tmp_path / "texts.safetensors"
    texts = ["a" * n for n in range(1, 101)]
    first = text_embeddings(texts, encoder, path, SilentReporter())
    assert first[:, 0].tolist() == list(range(1, 101))
    assert (text_embeddings(texts, encoder, path, SilentReporter()) == first).all()
    assert encoder.given == 100
    assert text_embeddings(["xyz"], encoder, path, SilentReporter()).tolist() == [[3, 1]]
    path.write_bytes(b"damaged")
    assert text_embeddings(["xyz"], encoder, path, SilentReporter()).tolist() == [[3, 1]]
    assert encoder.given == 102


def test_captions_ask_for_what_bars_have():
    generator = np.random.default_rng(0)
    levels = np.zeros((16, 8), dtype=np.float32) + np.array([2, -2, 2, -2, 2, -2, 2, -2], dtype=np.float32)
    levels[3] = np.nan
    asked = [span_caption(levels, generator) for _ in range(200)]
    assert all(a.wants.shape == (16, 8) for a in asked)
    said = np.concatenate([(np.nan_to_num(a.wants) * levels[:1])[0] for a in asked])
    assert (said != 0).mean() > 0.2
    assert (said[said != 0] > 0).mean() > 0.97  # a scene may be a little on the other side
    assert any("一" <= c <= "鿿" for a in asked for c in a.text)
    assert any("a" <= c <= "z" for a in asked for c in a.text)


def test_a_probe_reads_planted_levels():
    generator = np.random.default_rng(0)
    pieces = [planted_piece(40, generator) for _ in range(20)]
    gap = pieces[0].levels.copy()
    gap[3:5] = np.nan
    plans, levels = [p.plans for p in pieces], [gap, *(p.levels for p in pieces[1:])]
    probe = fit_probe(np.concatenate(plans), np.concatenate(levels))
    other = planted_piece(40, generator)
    for a, column in enumerate(probe.read(other.plans).T):
        assert np.corrcoef(column, read_levels(other.plans)[:, a])[0, 1] > 0.99


def test_a_course_is_measured():
    zigzag = np.array([[1.0], [-1.0]] * 4, dtype=np.float32)
    assert span_course([zigzag]) == (1.0, -7 / 8)
    assert span_course([zigzag + 5, zigzag]) == (1.0, -7 / 8)
    assert span_course([np.zeros((3, 2), dtype=np.float32)]) == (0.0, 0.0)


def test_correlation_skips_what_is_unknown():
    x = np.array([1.0, 2, 3, np.nan, 5])
    assert correlation(x, np.array([2.0, 4, 6, 8, np.nan])) == pytest.approx(1)
    assert correlation(x, np.ones(5)) is None
    assert correlation(x[:2], x[:2]) is None


def test_options_know_their_ranges():
    with pytest.raises(MeloError, match=r"minutes nan: give more than 0"):
        BridgeOptions(minutes=float("nan"))


def test_captions_that_were_written_for_files_are_trained_on(work, tmp_path):
    files, captions = find_files(work.parent / "corpus"), tmp_path / "captions.jsonl"
    said = [(file.name, "a slow purple song") for file in files] + [("other.mid", "x"), (files[0].name, "y" * 501)]
    captions.write_text("".join(json.dumps({"location": a, "caption": b}) + "\n" for a, b in said))
    given = ("train-bridge", "--model", work.parent / "planned", "--minutes", "0.05", "--captions", captions)
    done = meloctl_here(*given, work=work)
    assert done.returncode == 0, done.stderr
    n = len(files)
    assert (
        f"{n} captions of {n} files; left out: 1 caption of no file of the corpus, 1 longer than 500 characters or without words"
        in done.stderr + done.stdout
    )
    plain = json.loads(meloctl_here(*given[:-2], "--json", work=work).stdout)
    assert facts(*given, work=work)["texts"] != plain["texts"]


def test_what_a_written_caption_asks_for_is_what_is_measured():
    levels = np.tile(np.arange(8, dtype=np.float32), (12, 1))
    text, wants = written_caption("a slow purple song", levels)
    tempo = ATTRIBUTES.index("tempo")
    assert text == "a slow purple song"
    assert (wants[:, tempo] == levels[:, tempo]).all()
    assert np.isnan(np.delete(wants, tempo, axis=1)).all()


def test_captions_belong_to_their_pieces(work):
    shard = make_shard(find_files(work.parent / "corpus"), default_vocabulary(), work.parent / "rows2")
    written = [(str(n),) for n in range(len(shard))]
    corpus = planned_corpus(shard, plan_channel(load_model(work.parent / "planned")[0]), SilentReporter(), written)
    for side, pieces in (("train", corpus.training), ("validation", corpus.held_out)):
        expected = [(str(n),) for n, of_side in enumerate(shard.split) if of_side == side]
        assert [piece.captions for piece in pieces] == expected
