"""`meloctl compare` from outside: which runs, what is told and written, and one clear line for every mistake."""

import csv
import json
import math
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from report_page import Page
from test_meloctl_cli import write_corpus
from test_meloctl_comparison import level
from train_small import V, fresh
from typer.testing import CliRunner

from analysis.corpus import find_files, fingerprint
from analysis.errors import MeloError
from analysis.midi import read_midi
from meloctl.cli.main import app
from meloctl.comparison import model_samples as music
from meloctl.comparison.comparison_text import lines_of
from meloctl.dataset.store import FORMAT as ROWS
from meloctl.model.checkpoint import save_model
from meloctl.model.registry import MELOFORMERS, build
from meloctl.rows.codec import encode
from meloctl.rows.vocabulary import FIELDS
from meloctl.workspace import Recipe, Workspace

PIECES = ("--pieces", "3", "--bars", "4")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """With models so small, threads wait for each other more than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def compare(*arguments, work):
    """What it prints."""
    done = CliRunner().invoke(app, ["compare", *map(str, arguments), "--work", str(work)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def facts(*arguments, work):
    return json.loads(compare(*arguments, "--json", work=work))


def only(folder):
    (found,) = [p for p in folder.iterdir() if p.is_dir()]
    return found


def left_by_training(work, corpus, model, architecture, *, seed=0, meter=None, rows=ROWS, infill=0.0, **recorded):
    """A run as `meloctl train` leaves it; its folder."""
    space = Workspace(work)
    spec = model.spec.to_json() if architecture in MELOFORMERS else None
    recipe = Recipe(
        stage="model",
        command="train",
        inputs={
            "corpus": str(corpus),
            "fingerprint": fingerprint(find_files(corpus), corpus),
            "meter": meter,
            "rows": rows,
            "mask": spec,
        },
        options={"model": f"{architecture}/tiny", "seed": seed},
        label=f"{architecture}-{seed}",
    )
    folder = space.folder(recipe)
    folder.mkdir(parents=True)
    save_model(model, architecture, model.state_dict(), folder, {}, infill=infill)
    results = {"seconds": 60.0, "steps": 100, "rows_per_second": 5000.0, "density": 0.5, **recorded}
    space.finish(recipe, files=["model.safetensors", "model.json"], results={"training": results})
    return folder


def finished_on(folder, day):
    """Say that a run was finished on another day."""
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "time": f"2026-01-{day:02d}T00:00:00+00:00"}))


def shares(corpus):
    """Of each field, how often it has each value in a corpus."""
    rows = np.concatenate([encode(read_midi(path), V)[0] for path in find_files(corpus)])
    counts = [np.bincount(rows[rows[:, f] >= 0, f], minlength=size) + 0.5 for f, size in enumerate(V.sizes)]
    return [count / count.sum() for count in counts]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Runs on one corpus: one that knows its shares, the same with noise, one that knows nothing, and an encoder-decoder."""
    root = tmp_path_factory.mktemp("compare")
    corpus = write_corpus(root / "corpus", files=60)
    known, runs = shares(corpus), {}
    runs["knows"] = left_by_training(root / "melo", corpus, level(fresh(), known), "meloformer")
    noisy = level(fresh(), known)
    torch.manual_seed(0)
    for head in noisy.heads.heads:
        head.outer.bias.data += 0.7 * torch.randn_like(head.outer.bias)
    runs["noisy"] = left_by_training(root / "melo", corpus, noisy, "meloformer", seed=1, seconds=120.0, steps=180)
    runs["uniform"] = left_by_training(root / "melo", corpus, level(fresh("dense")), "dense", density=1.0)
    for day, folder in enumerate(runs.values(), 1):
        finished_on(folder, day)
    halves = level(fresh("encoder-decoder"), known)
    runs["halves"] = left_by_training(root / "other", corpus, halves, "encoder-decoder", density=None)
    return root, runs


@pytest.fixture(scope="module")
def told(trained):
    root, _ = trained
    return facts(*PIECES, work=root / "melo")


def test_without_a_word_all_of_the_workspace(trained, told):
    _, runs = trained
    assert told["format"] == "meloctl.comparison/1"
    assert [(run["letter"], run["name"]) for run in told["runs"]] == [
        (letter, run.name) for letter, run in zip("ABC", (runs["knows"], runs["noisy"], runs["uniform"]), strict=True)
    ]
    first, second, third = told["runs"]
    assert first["mask"].startswith("Own part: ")
    assert third["architecture"] == "dense"
    assert (second["training"]["minutes"], second["training"]["steps"], second["density"]) == (2.0, 180, 0.5)
    assert told["seeds_apart"] == [["A", "B"]]
    assert told["heard"]["left_out"] is None
    assert told["heard"]["side"] == "test"
    assert any(note.startswith("Training took 100 to 180 steps in 1.0 to 2.0 minutes") for note in told["notes"])
    assert any("A and B by" in note for note in told["notes"])  # of one recipe, but for the seed


def test_noise_is_worse_and_nothing_known_is_worst(told):
    first, noisy, uniform = (run["bits"]["test"] for run in told["runs"])
    assert first["difference"] is first["difference_interval"] is None
    assert 0 < noisy["difference_interval"][0] <= noisy["difference"] <= noisy["difference_interval"][1]
    assert noisy["difference"] == pytest.approx(noisy["bits_per_note"] - first["bits_per_note"])
    assert uniform["difference"] == pytest.approx(
        uniform["bits_per_note"] - first["bits_per_note"]
    )  # to the first, too
    assert uniform["difference"] > noisy["difference"]
    assert told["verdict"][0].startswith("A takes the fewest bits a note on test pieces")
    assert "it is better than every other run" in told["verdict"][0]
    assert told["verdict"][1].startswith("B is worse than A by ")
    assert [(p["of"], p["to"]) for p in told["pairs"]] == [("B", "A"), ("C", "A"), ("C", "B")]


def test_uniform_heads_cost_the_logarithms_of_the_vocabulary(told):
    bits = told["runs"][2]["bits"]["test"]
    assert list(bits["fields"]) == list(FIELDS)
    assert bits["fields"]["pitch"]["bits_per_note"] == pytest.approx(7, rel=1e-5)
    heard = told["heard"]["test"]
    instruments = math.log2(len(V.instruments)) * heard["rows"] / heard["notes"]
    assert bits["fields"]["instrument"]["bits_per_note"] == pytest.approx(instruments, rel=1e-5)
    assert bits["bits_per_note"] == pytest.approx(sum(f["bits_per_note"] for f in bits["fields"].values()))


def test_cost_is_measured(told):
    assert told["runs"][0]["forward"]["ratio"] == 1
    for run in told["runs"]:
        forward, writing = run["forward"], run["generation"]
        assert forward["seconds_per_thousand_rows"] > 0
        assert forward["ratio_range"][0] <= forward["ratio"] <= forward["ratio_range"][1]
        assert writing["why_not"] is None
        assert writing["notes_per_second"] > 0
        assert writing["cache_bytes"] > writing["cache_bytes_per_row"] > 0
        assert writing["side_by_side"] == 3
    dense, masked = (told["runs"][i]["generation"]["cache_bytes_per_row"] for i in (2, 0))
    assert dense != masked


def test_music_is_written_and_judged(trained, told):
    root, _ = trained
    folder = only(root / "melo" / "compare")
    for run in told["runs"]:
        written = sorted((folder / run["music"]["folder"]).iterdir())
        assert [path.name for path in written] == ["piece-0.mid", "piece-1.mid", "piece-2.mid"]
        pieces = [read_midi(path) for path in written]
        assert {piece.n_bars for piece in pieces} == {4}
        assert run["music"]["notes"] == sum(len(piece.notes) for piece in pieces)
        assert run["music"]["metrics"][0]["reference_mean"] == told["runs"][0]["music"]["metrics"][0]["reference_mean"]
    assert told["music"]["reference"]["pieces"] == 60
    assert told["verdict"][-1].startswith("Bars come back as in the corpus by so many variants")


def test_files_and_nothing_redone(trained, told):
    root, _ = trained
    folder = only(root / "melo" / "compare")
    names = ["comparison.csv", "comparison.html", "comparison.json", "comparison.png", "manifest.json", "music"]
    assert sorted(p.name for p in folder.iterdir()) == names
    assert json.loads((folder / "comparison.json").read_text()) == told
    said = compare(*PIECES, work=root / "melo")
    assert "nothing redone" in said
    assert f"meloctl play {folder / 'music'}" in said
    assert told["verdict"][1] in said
    with (folder / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["letter"] for row in rows] == ["A", "B", "C"]
    assert float(rows[1]["test_difference"]) == told["runs"][1]["bits"]["test"]["difference"]
    assert rows[0]["test_difference"] == ""
    error = told["runs"][2]["music"]["similarity_error"][0]
    assert float(rows[2]["similarity_error_museformer_same"]) == error["error"]


def test_the_page_says_the_same(trained, told):
    root, _ = trained
    markup = (only(root / "melo" / "compare") / "comparison.html").read_text(encoding="utf-8")
    found = Page(markup)
    assert "http" not in markup.replace("http-equiv", "")
    assert "3 runs side by side" in found.all("h1")[0].text
    tables = found.tables()
    assert [row[0] for row in tables["What was trained"]] == [f"{run['letter']} {run['name']}" for run in told["runs"]]
    assert len(tables["Bits a note"]) == 6
    assert [row[0] for row in tables["By field, on test pieces"]] == list(FIELDS)
    assert [row[6] for row in tables["Bits a note"][3:]] == ["", "*", "*"]
    charts = found.all("svg")
    curves = [c for c in told["runs"][0]["music"]["curves"] if any(x is not None for x in c["reference_mean"])]
    assert len(charts) == 3 + len(curves)
    assert [len(list(chart.all("circle"))) for chart in charts[:3]] == [3, 2, 3]


def test_a_copy_is_equal(trained, tmp_path):
    _, runs = trained
    copy = shutil.copytree(runs["knows"], tmp_path / "copy")
    told = facts(runs["knows"], copy, *PIECES, work=tmp_path / "melo")
    first, second = told["runs"]
    assert told["seeds_apart"] == []  # the seed is the same
    for side in ("validation", "test"):
        bits = second["bits"][side]
        assert (bits["difference"], bits["difference_interval"]) == (0, [0, 0])
        assert all((f["difference"], f["difference_interval"]) == (0, [0, 0]) for f in bits["fields"].values())
        assert bits["interval"] == first["bits"][side]["interval"]
    assert told["verdict"][0].startswith("No difference between B and A can be shown")
    assert {**first["music"], "folder": ""} == {**second["music"], "folder": ""}


def test_the_order_flips_signs(trained, tmp_path):
    _, runs = trained
    one = facts(runs["knows"], runs["noisy"], "--pieces", "0", work=tmp_path / "melo")
    other = facts(runs["noisy"], runs["knows"], "--pieces", "0", work=tmp_path / "melo")
    mine, theirs = one["runs"][1]["bits"]["test"], other["runs"][1]["bits"]["test"]
    assert theirs["difference"] == pytest.approx(-mine["difference"])
    assert theirs["difference_interval"] == pytest.approx([-x for x in reversed(mine["difference_interval"])])
    assert one["runs"][0]["bits"]["test"]["interval"] == pytest.approx(other["runs"][1]["bits"]["test"]["interval"])
    assert other["verdict"][0] == one["verdict"][0].replace("B is worse than A", "B is better than A")


def test_with_an_encoder_decoder_all_hear_second_halves(trained, told, tmp_path):
    _, runs = trained
    less = facts(runs["knows"], runs["halves"], runs["uniform"], "--pieces", "0", work=tmp_path / "melo")
    heard, left = less["heard"]["test"], less["heard"]["left_out"]
    assert left["because_of"] == ["B"]
    assert left["of"] == told["heard"]["test"]["rows"]
    assert heard["rows"] == left["of"] - left["rows"] < told["heard"]["test"]["rows"]
    assert any("do not count for B" in note for note in less["notes"])
    assert less["runs"][2]["bits"]["test"]["fields"]["pitch"]["bits_per_note"] == pytest.approx(7, rel=1e-5)
    knows, halves = (less["runs"][i]["bits"]["test"]["bits_per_note"] for i in (0, 1))
    assert halves == pytest.approx(knows, rel=1e-6)  # both say the corpus's shares, whatever they hear
    assert {run["generation"]["why_not"] for run in less["runs"]} == {"not asked for: --pieces 0"}
    assert less["music"] is None
    assert "Similarity Error" not in "\n".join(lines_of(less))


def test_what_cannot_write_says_why(trained, tmp_path, monkeypatch):
    _, runs = trained
    write, asked = music.generate, []

    def damaged(model, *arguments, **how):
        asked.append(model)
        if model is asked[0]:
            raise MeloError("the model gives no finite probabilities")
        return write(model, *arguments, **how)

    monkeypatch.setattr(music, "generate", damaged)
    told = facts(runs["uniform"], runs["knows"], *PIECES, work=tmp_path / "melo")
    mute, writes = told["runs"]
    assert mute["generation"]["why_not"] == "the model gives no finite probabilities"
    assert mute["music"] is mute["generation"]["notes_per_second"] is None
    assert writes["generation"]["notes_per_second"] > 0
    assert writes["generation"]["ratio"] is None
    assert "A: writing was not measured: the model gives no finite" in compare(
        runs["uniform"], runs["knows"], *PIECES, work=tmp_path / "melo"
    )


def test_a_name_of_the_workspace_will_do(trained):
    root, runs = trained
    told = facts(runs["noisy"].name, runs["halves"], "--pieces", "0", work=root / "melo")
    assert [run["name"] for run in told["runs"]] == [runs["noisy"].name, runs["halves"].name]


def test_smaller_windows_for_all(trained, tmp_path):
    root, runs = trained
    small = level(fresh(context=24))
    folder = left_by_training(tmp_path / "melo", root / "corpus", small, "meloformer")
    told = facts(runs["knows"], folder, "--pieces", "0", work=tmp_path / "out")
    assert told["heard"]["context"] == 24
    assert "All runs hear windows of 24 rows, the smallest context among them" in told["notes"]


def test_gaps_in_training_are_told(trained, told, tmp_path):
    root, runs = trained
    assert not any("gaps" in note for note in told["notes"])
    folder = left_by_training(tmp_path / "melo", root / "corpus", level(fresh()), "meloformer", infill=0.25)
    less = facts(runs["knows"], folder, "--pieces", "0", work=tmp_path / "out")
    assert any(note.startswith("Windows with gaps in training: A 0%, B 25%.") for note in less["notes"])


def test_other_music_is_refused(trained, tmp_path):
    root, runs = trained
    other = write_corpus(tmp_path / "other", files=20, seed=6)
    model = level(fresh())
    strange = left_by_training(tmp_path / "a", other, model, "meloformer")
    meter = left_by_training(tmp_path / "b", root / "corpus", model, "meloformer", meter="4/4")
    rows = left_by_training(tmp_path / "c", root / "corpus", model, "meloformer", rows="meloctl.shard/1")
    before = runs["knows"]
    for run, why in (
        (strange, f"was trained on {root / 'corpus'}, .* on {other}; runs can be compared on one corpus alone"),
        (meter, "with the meter the files' own, .* with 4/4"),
        (rows, "with the rows format meloctl.shard/2, .* with meloctl.shard/1"),
    ):
        with pytest.raises(MeloError, match=why):
            compare(before, run, work=tmp_path / "melo")
    (other / "00.mid").write_bytes((other / "01.mid").read_bytes())
    later = left_by_training(tmp_path / "d", other, model, "meloformer")
    with pytest.raises(MeloError, match=f"files in {other} changed between"):
        compare(strange, later, work=tmp_path / "melo")
    assert not (tmp_path / "melo").exists()


def test_mistakes_are_told(trained, tmp_path):
    root, runs = trained
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "model.safetensors").write_bytes(b"")
    for arguments, why in (
        ([], "holds none; name them: meloctl compare RUN RUN"),
        ([runs["knows"]], "and one was given"),
        ([runs["knows"], root / "nothing"], "no run of meloctl train, neither a folder nor a name"),
        ([runs["knows"], runs["noisy"], runs["knows"]], "given twice; name each run once"),
        ([runs["knows"], unfinished], "not finished; give the same meloctl train again"),
        ([runs["knows"], next((root / "melo" / "compare").glob("3runs*"))], "is not that of a run of meloctl train"),
        ([runs["knows"], runs["noisy"], "--pieces", "-1"], "--pieces -1: give how many pieces"),
        ([runs["knows"], runs["noisy"], "--bars", "0"], "--bars 0: give how many bars"),
    ):
        with pytest.raises(MeloError, match=why):
            compare(*arguments, work=tmp_path / "melo")
    assert not (tmp_path / "melo").exists()


def test_an_interrupt_leaves_nothing_half(trained, tmp_path, monkeypatch):
    _, runs = trained
    monkeypatch.setattr(music, "SIDE_BY_SIDE", 1)
    written = []

    def writes(piece, path):
        if len(written) == 3:
            raise KeyboardInterrupt
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("music")
        written.append(path)

    monkeypatch.setattr(music, "write_midi", writes)
    done = CliRunner().invoke(
        app, ["compare", str(runs["knows"]), str(runs["noisy"]), *PIECES, "--work", str(tmp_path / "melo")]
    )
    assert done.exit_code == 130
    assert len(written) == 3
    assert not any(path.exists() for path in written)
    assert [p.name for p in (tmp_path / "melo").iterdir()] == ["cache"]  # the corpus as rows, which is whole


def test_changed_files_are_told(trained, tmp_path):
    corpus = write_corpus(tmp_path / "corpus", files=40, seed=7)
    runs = [left_by_training(tmp_path / "melo", corpus, level(fresh()), "meloformer", seed=s) for s in (0, 1)]
    (corpus / "00.mid").unlink()
    told = facts(*runs, "--pieces", "0", work=tmp_path / "melo")
    assert told["corpus"]["changed"]
    assert "Files of the corpus have changed since training" in told["notes"][0]


def test_gates_show_everything(trained, tmp_path):
    root, runs = trained
    torch.manual_seed(0)
    plain = fresh()
    model = build("meloformer", plain.config, V, plain.spec, gated=True).eval()
    folder = left_by_training(tmp_path / "melo", root / "corpus", model, "meloformer", density=0.5)
    told = facts(runs["knows"], folder, "--pieces", "1", "--bars", "2", work=tmp_path / "out")
    assert (told["runs"][1]["density"], told["runs"][1]["mask"]) == (1.0, "every earlier row, through learned gates")
    assert told["runs"][1]["generation"]["notes_per_second"] > 0


def test_help_needs_nothing_heavy():
    code = (
        "import sys; from meloctl.cli.main import app\n"
        "try: app(['compare', '--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'matplotlib', 'symusic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"
