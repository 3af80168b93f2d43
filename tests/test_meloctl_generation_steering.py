"""New bars that follow a piece (`--like`) or texts (`--text`), from the command line; models and bridges have random weights."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import facts, meloctl_here, mistake, only
from conftest import piece_of
from small_models import SEED, V, small, with_short_bars

from analysis.errors import MeloError
from analysis.midi import read_midi
from analysis.midi_write import write_midi
from analysis.piece import Part
from meloctl.bridge.bridge_file import BridgeJson, FrozenEncoder, PlannedModel, save_bridge
from meloctl.bridge.bridge_network import BridgeNetwork, BridgeSizes
from meloctl.bridge.bridge_schedule import BridgeSchedule
from meloctl.generation import steering
from meloctl.generation.steady_tempo import steady_tempo
from meloctl.generation.steering import SteeredBars, asked_music
from meloctl.model.checkpoint import load_model, save_model
from meloctl.plans.planned_model import plan_channel
from meloctl.rows.attribute_scale import AttributeScale
from meloctl.rows.attributes import ATTRIBUTES, bar_attributes
from meloctl.rows.codec import encode
from meloctl.text.encoders import load_encoder
from meloctl.workspace import Recipe, Workspace, file_hash, read_run

D = 5
BARS = 6
QUICK = ("--sound", "none", "--instruments", "piano,bass")
SCALE = {
    "format": "meloctl.attribute_scale/1",
    "mean": [7.0, 1.0, 0.0, 0.6, -0.3, 3.0, 0.0, 1.5],
    "deviation": [0.5, 1.0, 0.5, 0.1, 0.5, 2.0, 0.2, 0.8],
}


def write_model(work, *, plan_width=D):
    """A finished run of an untrained model; the hash of its weights."""
    space = Workspace(work)
    recipe = Recipe(stage="model", command="train", inputs={}, options={"width": plan_width}, label="tiny")
    folder = space.folder(recipe)
    folder.mkdir(parents=True)
    model = with_short_bars(small(SEED, plan_width=plan_width)).float()
    if model.plans is not None:
        with torch.no_grad():
            model.plans.own.weight.normal_(std=0.5)  # so that plans matter
    save_model(model, "meloformer", dict(model.state_dict()), folder, {}, infill=0.5)
    space.finish(recipe, files=["model.safetensors", "model.json"], results={})
    return file_hash(folder / "model.safetensors")


def write_bridge(work, weights, *, plan_width=D):
    """A finished run of an untrained bridge of a model; its folder."""
    space, encoder = Workspace(work), load_encoder()
    recipe = Recipe(stage="bridge", command="train-bridge", inputs={"weights": weights}, options={}, label="tiny")
    folder = space.folder(recipe)
    folder.mkdir(parents=True)
    torch.manual_seed(1)
    sizes = BridgeSizes(
        plan_width=plan_width, attributes=8, text_width=encoder.width, width=16, layers=1, heads=2, hidden=24
    )
    about = BridgeJson(
        music_model=PlannedModel(weights=weights, plan_width=plan_width),
        encoder=FrozenEncoder(name=encoder.name, fingerprint=encoder.fingerprint),
        attributes=ATTRIBUTES,
        scale=AttributeScale.from_json(SCALE),
        sizes=sizes,
        schedule=BridgeSchedule(),
        quality={},
    )
    network = BridgeNetwork(sizes, about.schedule)
    with torch.no_grad():
        for p in network.parameters():
            p.normal_(std=0.3)  # a fresh one says nothing yet
    save_bridge(network, about, folder)
    space.finish(recipe, files=["bridge.safetensors", "bridge.json"], results={})
    return folder


def write_song(path, *, tempo=90.0, seed=0, bars=BARS):
    """Bars of a bass and a piano, the first note of the last bar sure."""
    random = np.random.default_rng(seed)
    notes = [
        (p, 48 * b + 12 * i, 9, int(random.integers(40, 80))) for b in range(bars) for p in range(2) for i in range(4)
    ]
    parts = (Part(program=33, is_drum=False, name="bass"), Part(program=0, is_drum=False, name="piano"))
    write_midi(piece_of(notes, parts=parts, tempo=tempo), path)
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A workspace with a model and its bridge, and two songs beside it."""
    folder = tmp_path_factory.mktemp("steering")
    write_bridge(folder / "melo", write_model(folder / "melo"))
    write_song(folder / "song.mid")
    write_song(folder / "other.mid", seed=9, tempo=150)
    return folder


def manifest(folder):
    return read_run(folder, made_by="").manifest


def folder_of(piece):
    return Path(piece["path"]).parent


def tempos(path):
    """Of each bar, in quarter notes a minute."""
    piece = read_midi(path)
    return piece.tempo_at(piece.bars.start_tick(range(piece.n_bars)))


# --like


def test_new_bars_are_like_those_of_a_file(root):
    made = facts("generate", "--like", root / "song.mid", *QUICK, work=root / "melo")
    assert made["bars"] == BARS
    run = manifest(folder_of(made))
    assert run.inputs["like"] == file_hash(root / "song.mid")
    asked = run.results["asked"]
    expected = bar_attributes(encode(read_midi(root / "song.mid"), V)[0], V)
    assert np.allclose(np.array(asked["wanted"], dtype=float), expected, atol=1e-4, equal_nan=True)
    assert (asked["like"], asked["first_bar"]) == ("song.mid", 1)
    assert tempos(made["path"]).tolist() == pytest.approx([90] * BARS, rel=0.03)
    measured = bar_attributes(encode(read_midi(made["path"]), V)[0], V)
    assert np.allclose(np.array(made["attributes"], dtype=float), measured, atol=1e-4, equal_nan=True)


def test_another_file_makes_other_music_and_a_tempo_that_is_given_stays(root):
    pieces = [
        facts("generate", "--like", root / name, *QUICK, "--tempo", 100, work=root / "melo")
        for name in ("song.mid", "other.mid")
    ]
    pieces.append(facts("generate", "--bars", BARS, *QUICK, "--tempo", 100, work=root / "melo"))
    data = [folder_of(p).joinpath("piece.mid").read_bytes() for p in pieces]
    assert len(set(data)) == 3
    for piece in pieces:
        assert tempos(piece["path"]).tolist() == pytest.approx([100] * BARS, rel=0.03)


def test_more_and_fewer_bars_than_the_file_has(root):
    longer = meloctl_here("generate", "--like", root / "song.mid", "--bars", 9, *QUICK, work=root / "melo")
    assert "song.mid ends after 6 bars of the 9 to write; those behind are free" in longer.stderr
    shorter = facts("generate", "--like", root / "song.mid", "--bars", 2, *QUICK, work=root / "melo")
    wanted = manifest(folder_of(shorter)).results["asked"]["wanted"]
    assert len(wanted) == 2


def test_a_model_without_plans_is_one_line(root, tmp_path):
    write_model(tmp_path / "melo", plan_width=0)
    for option in (("--like", root / "song.mid"), ("--text", "fast")):
        line = mistake("generate", *option, *QUICK, work=tmp_path / "melo")
        assert "trained without bar plans" in line
        assert option[0] in line
    assert not (tmp_path / "melo" / "out").exists()


# --text


def test_texts_say_what_bars_are_like(root):
    command = ("generate", "--bars", 8, "--text", "fast", "--text", "5: slow and soft", "--count", 2, *QUICK)
    done = meloctl_here(*command, work=root / "melo")
    assert done.returncode == 0, done.stderr
    assert "From bar 1: understood: fast" in done.stderr
    assert "From bar 5: understood: slow, soft" in done.stderr
    made = facts(*command, work=root / "melo")
    run = manifest(folder_of(made["pieces"][0]))
    asked = run.results["asked"]
    assert asked["texts"] == [{"bar": 1, "text": "fast"}, {"bar": 5, "text": "slow and soft"}]
    tempo, loudness = ATTRIBUTES.index("tempo"), ATTRIBUTES.index("loudness")
    assert all(bar[tempo] > SCALE["mean"][tempo] for bar in asked["wanted"][:4])
    assert all(bar[tempo] < SCALE["mean"][tempo] for bar in asked["wanted"][4:])
    assert [bar[loudness] for bar in asked["wanted"][:4]] == [None] * 4
    for piece in made["pieces"]:
        played = tempos(piece["path"])
        assert np.log2(played) == pytest.approx([bar[tempo] for bar in asked["wanted"]], abs=0.06)
    first, second = (folder_of(p).joinpath(p["file"]).read_bytes() for p in made["pieces"])
    assert first != second
    assert set(run.inputs) >= {"encoder", "bridge", "wants"}
    assert run.options["text"] == ["fast", "5: slow and soft"]


def test_the_strength_of_a_text_counts_and_0_ignores_it(root):
    def piece(*words):
        made = facts("generate", "--bars", 4, *words, *QUICK, "--tempo", 100, work=root / "melo")
        return folder_of(made).joinpath("piece.mid").read_bytes()

    slow, fast = (piece("--text", text, "--text-strength", 0) for text in ("slow", "fast"))
    assert slow == fast
    assert len({slow, piece("--text", "slow"), piece("--text", "slow", "--text-strength", 2)}) == 3


def test_behind_a_prompt_the_new_bars_are_steered(root):
    made = facts(
        "generate",
        "--prompt",
        root / "song.mid",
        "--bars",
        3,
        "--text",
        "very fast",
        "--sound",
        "none",
        work=root / "melo",
    )
    asked = manifest(folder_of(made)).results["asked"]
    assert (asked["first_bar"], len(asked["wanted"]), len(made["attributes"])) == (BARS + 1, 3, 3)
    played = tempos(made["path"])
    assert played[:BARS].tolist() == pytest.approx([90] * BARS, rel=0.01)
    assert (played[BARS:] > 128).all()


@pytest.mark.parametrize("how", [("--text", "loud"), ("--like", "other.mid")])
def test_replaced_bars_are_steered(root, how):
    option, value = how
    words = (option, root / value if option == "--like" else value)
    made = facts(
        "generate", "--infill", root / "song.mid", "--bars-range", "3:4", *words, "--sound", "none", work=root / "melo"
    )
    asked = manifest(folder_of(made)).results["asked"]
    assert (asked["first_bar"], len(asked["wanted"])) == (3, 2)
    if option == "--like":
        other = bar_attributes(encode(read_midi(root / "other.mid"), V)[0], V)
        assert np.allclose(np.array(asked["wanted"], dtype=float), other[2:4], atol=1e-4, equal_nan=True)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--text", "qwxzv"), "nothing of it was understood"),
        (("--text", ""), "the text is empty"),
        (("--text", "a" * 10_000), "10,000 characters"),
        (("--text", "12 34"), "no letters"),
        (("--text", "calm", "--text", "99: storm"), "bar 99 is not in the piece"),
        (("--text", "calm", "--like", "nowhere.mid"), "give one of them"),
        (("--text", "calm", "--text-strength", "11"), "--text-strength 11"),
        (("--text-strength", "1"), "says how a text is read"),
        (("--encoder", "use"), "says how a text is read"),
        (("--text", "calm", "--encoder", "nowhere"), "nowhere"),
        (("--like", "nowhere.mid"), "--like nowhere.mid"),
    ],
)
def test_a_mistake_is_one_line(root, words, line):
    assert line in mistake("generate", *words, *QUICK, work=root / "melo")


def test_another_encoder_makes_the_vectors_of_texts(root, monkeypatch):
    plain = load_encoder()

    class Reversed:
        """The default encoder with its numbers in the opposite order."""

        name, fingerprint, width = "reversed", plain.fingerprint, plain.width

        def encode(self, texts):
            return plain.encode(texts)[:, ::-1]

    monkeypatch.setattr(steering, "load_encoder", lambda which: {"reversed": Reversed()}[which])
    weights = file_hash(only(root / "melo" / "model") / "model.safetensors")
    where = SteeredBars(first=0, bars=4, piece_bars=4)
    usual, other = (
        asked_music(
            Workspace(root / "melo"), ["calm", "3: loud"], where, model_weights=weights, encoder=encoder, strength=1.0
        )
        for encoder in (None, "reversed")
    )
    assert np.allclose(usual.vectors, plain.encode(["calm", "loud"]), atol=1e-5)
    assert np.allclose(other.vectors, usual.vectors[:, ::-1], atol=1e-5)


def test_the_bridge_is_told_which_bars_and_how_strongly(root, monkeypatch):
    told = []

    def sample_plans(_, conditions, seeds, *, text_strength):
        told.append((conditions.first_bar, conditions.piece_bars, len(conditions), list(seeds), text_strength))
        return np.zeros((len(seeds), 4, D), dtype=np.float32)

    monkeypatch.setattr(steering, "sample_plans", sample_plans)
    space, where = Workspace(root / "melo"), SteeredBars(first=2, bars=4, piece_bars=7)
    model, _ = load_model(folder := space.latest("model").folder)
    weights = file_hash(folder / "model.safetensors")
    asked = asked_music(space, ["fast"], where, model_weights=weights, encoder=None, strength=1.5)
    pieces = asked.pieces(plan_channel(model), V, where, range(3, 5))
    assert told == [(2, 7, 4, [3, 4], 3.0)]  # guidance 2 at strength 1
    assert [np.flatnonzero(piece.plans.given).tolist() for piece in pieces] == [[2, 3, 4, 5]] * 2


def test_a_short_piece_cannot_lead_bars_behind_its_end(root, tmp_path):
    write_song(tmp_path / "short.mid", bars=2)
    command = ("generate", "--infill", root / "song.mid", "--bars-range", "5:6", "--like", tmp_path / "short.mid")
    assert "short.mid has 2 bars" in mistake(*command, "--sound", "none", work=root / "melo")


# the bridge


def test_no_bridge_yet(tmp_path):
    write_model(tmp_path / "melo")
    assert "meloctl train-bridge" in mistake("generate", "--text", "calm", *QUICK, work=tmp_path / "melo")


def test_a_bridge_of_another_model(tmp_path):
    write_model(tmp_path / "melo")
    write_bridge(tmp_path / "melo", "0" * 16)
    line = mistake("generate", "--text", "calm", *QUICK, work=tmp_path / "melo")
    assert "a bridge of another music model" in line


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("bridge.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-8])),
        ("bridge.safetensors", lambda path: path.unlink()),
        ("bridge.json", lambda path: path.write_text("{}")),
        ("bridge.json", lambda path: path.write_text(path.read_text().replace('"deviation"', '"spread"'))),
    ],
)
def test_a_damaged_bridge_is_one_line(root, tmp_path, name, change):
    shutil.copytree(root / "melo" / "model", tmp_path / "melo" / "model")
    shutil.copytree(root / "melo" / "bridge", tmp_path / "melo" / "bridge")
    change(only(tmp_path / "melo" / "bridge") / name)
    assert "bridge" in mistake("generate", "--text", "calm", *QUICK, work=tmp_path / "melo")
    assert not (tmp_path / "melo" / "out").exists()


# numbers


def test_plans_of_some_bars():
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2) / 9
    plans = SteeredBars(first=2, bars=4, piece_bars=7).plans(vectors)
    assert plans.given.tolist() == [False, False, True, True, True, False, False]
    assert plans.vectors[2:5].tolist() == vectors.tolist()
    cut = SteeredBars(first=0, bars=2, piece_bars=2).plans(vectors)
    assert cut.vectors.tolist() == vectors[:2].tolist()
    with pytest.raises(MeloError):
        SteeredBars(first=0, bars=2, piece_bars=2).plans(vectors * np.nan)


def test_a_tempo_keeps_still_until_it_changes():
    random = np.random.default_rng(0)
    wanted = np.repeat([6.5, 7.5], 16)
    found = steady_tempo(wanted + random.uniform(-0.1, 0.1, 32))
    assert found == pytest.approx(wanted, abs=0.1)
    assert len(set(found.tolist())) == 2
    still = steady_tempo(np.array([7.0, 7.1, 6.9, 9.0, 7.0]))  # one bar is no change
    assert still.tolist() == [7.0] * 5
