"""`meloctl compare` from outside: what is measured, printed and written."""

import csv
import json
import math
import shutil
import subprocess
import sys

import pytest
import torch
from compared_runs import (
    PIECES,
    compare_json,
    compare_lines,
    only_folder,
    save_run,
    save_runs,
    two_rounds,
    with_constant_heads,
)
from conftest import ROOT
from html_page import Page
from train_small import V, fresh

from analysis.errors import MeloError
from analysis.midi import read_midi
from analysis.similarity import MEASURES
from meloctl.comparison import model_samples, session
from meloctl.comparison.comparison_text import comparison_lines
from meloctl.model.registry import build
from meloctl.rows.vocabulary import FIELDS


@pytest.fixture(scope="module", autouse=True)
def _two_rounds():
    with two_rounds():
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder, and the runs of `save_runs` in it."""
    root = tmp_path_factory.mktemp("compare")
    return root, save_runs(root)


@pytest.fixture(scope="module")
def comparison(trained):
    """comparison.json of all runs of a workspace: known, noisy and uniform."""
    root, _ = trained
    return compare_json(*PIECES, work=root / "melo")


def test_without_arguments_all_runs_of_the_workspace(trained, comparison):
    _, runs = trained
    assert comparison["format"] == "meloctl.comparison/2"
    assert [(run["letter"], run["name"]) for run in comparison["runs"]] == [
        (letter, run.name) for letter, run in zip("ABC", (runs["known"], runs["noisy"], runs["uniform"]), strict=True)
    ]
    first, second, third = comparison["runs"]
    assert first["mask"].startswith("Own part: ")
    assert third["architecture"] == "dense"
    assert (second["training"]["minutes"], second["training"]["steps"], second["density"]) == (2.0, 180, 0.5)
    assert comparison["seed_groups"] == [["A", "B"]]
    assert comparison["held_out"]["left_out"] is None
    assert comparison["held_out"]["side"] == "test"
    assert any(note.startswith("Training took 100 to 180 steps in 1.0 to 2.0 minutes") for note in comparison["notes"])
    assert any("A and B by" in note for note in comparison["notes"])  # equal but for the seed


def test_noise_is_worse_and_uniform_heads_are_worst(comparison):
    first, noisy, uniform = (run["bits"]["test"] for run in comparison["runs"])
    assert first["difference"] is first["difference_interval"] is None
    assert 0 < noisy["difference_interval"][0] <= noisy["difference"] <= noisy["difference_interval"][1]
    assert noisy["difference"] == pytest.approx(noisy["bits_per_note"] - first["bits_per_note"])
    assert uniform["difference"] == pytest.approx(
        uniform["bits_per_note"] - first["bits_per_note"]
    )  # to the first, too
    assert uniform["difference"] > noisy["difference"]
    assert comparison["conclusions"][0].startswith("A takes the fewest bits a note on test pieces")
    assert "it is better than every other run" in comparison["conclusions"][0]
    assert comparison["conclusions"][1].startswith("B is worse than A by ")
    pairs = [(pair["run"], pair["baseline"]) for pair in comparison["pairs"]]
    assert pairs == [("B", "A"), ("C", "A"), ("C", "B")]


def test_loss_of_uniform_heads_is_the_logarithm_of_the_number_of_values(comparison):
    bits = comparison["runs"][2]["bits"]["test"]
    assert list(bits["fields"]) == list(FIELDS)
    assert bits["fields"]["pitch"]["bits_per_note"] == pytest.approx(7, rel=1e-5)
    held_out = comparison["held_out"]["test"]
    instruments = math.log2(len(V.instruments)) * held_out["rows"] / held_out["notes"]
    assert bits["fields"]["instrument"]["bits_per_note"] == pytest.approx(instruments, rel=1e-5)
    assert bits["bits_per_note"] == pytest.approx(sum(f["bits_per_note"] for f in bits["fields"].values()))


def test_time_and_memory_are_measured(comparison):
    assert comparison["runs"][0]["forward"]["ratio"] == 1
    for run in comparison["runs"]:
        forward, generation = run["forward"], run["generation"]
        assert forward["seconds_per_thousand_rows"] > 0
        assert forward["ratio_range"][0] <= forward["ratio"] <= forward["ratio_range"][1]
        assert generation["error"] is None
        assert generation["notes_per_second"] > 0
        assert generation["cache_bytes"] > generation["cache_bytes_per_row"] > 0
        assert generation["batch_size"] == 3
    dense, masked = (comparison["runs"][i]["generation"]["cache_bytes_per_row"] for i in (2, 0))
    assert dense != masked


def test_music_is_generated_and_measured(trained, comparison):
    root, _ = trained
    folder = only_folder(root / "melo" / "compare")
    first = comparison["runs"][0]["music"]["metrics"][0]
    for run in comparison["runs"]:
        written = sorted((folder / run["music"]["folder"]).iterdir())
        assert [path.name for path in written] == ["piece-0.mid", "piece-1.mid", "piece-2.mid"]
        pieces = [read_midi(path) for path in written]
        assert {piece.n_bars for piece in pieces} == {4}
        assert run["music"]["notes"] == sum(len(piece.notes) for piece in pieces)
        assert run["music"]["metrics"][0]["reference_mean"] == first["reference_mean"]
    assert comparison["music"]["reference"]["pieces"] == 60
    assert comparison["conclusions"][-1].startswith(
        "Variants of Similarity Error in which bars repeat as in the corpus"
    )


def test_files_and_nothing_redone(trained, comparison):
    root, _ = trained
    folder = only_folder(root / "melo" / "compare")
    names = ["comparison.csv", "comparison.html", "comparison.json", "manifest.json", "music"]
    assert sorted(p.name for p in folder.iterdir()) == names
    options = json.loads((folder / "manifest.json").read_text())["options"]
    assert options["measures"] == [m.name for m in MEASURES]  # with another similarity it is made again
    assert json.loads((folder / "comparison.json").read_text()) == comparison
    printed = compare_lines(*PIECES, work=root / "melo")
    assert "nothing redone" in printed
    assert f"meloctl play {folder / 'music'}" in printed
    assert comparison["conclusions"][1] in printed
    with (folder / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["letter"] for row in rows] == ["A", "B", "C"]
    assert float(rows[1]["test_difference"]) == comparison["runs"][1]["bits"]["test"]["difference"]
    assert rows[0]["test_difference"] == ""
    error = comparison["runs"][2]["music"]["similarity_error"][0]
    assert float(rows[2]["similarity_error_museformer_same"]) == error["error"]


def test_a_run_of_an_older_format_is_made_again(trained, tmp_path, monkeypatch):
    _, runs = trained
    arguments = [runs["known"], runs["noisy"], "--pieces", "0"]
    with monkeypatch.context() as older:
        older.setattr(session, "FORMAT", "meloctl.comparison/1")
        compare_json(*arguments, work=tmp_path)
    assert "Wrote" in compare_lines(*arguments, work=tmp_path)
    assert "nothing redone" in compare_lines(*arguments, work=tmp_path)


def test_the_page_shows_the_same(trained, comparison):
    root, _ = trained
    markup = (only_folder(root / "melo" / "compare") / "comparison.html").read_text(encoding="utf-8")
    page = Page(markup)
    assert "http" not in markup.replace("http-equiv", "")
    assert "3 runs side by side" in page.all("h1")[0].text
    tables = page.tables()
    names = [f"{run['letter']} {run['name']}" for run in comparison["runs"]]
    assert [row[0] for row in tables["What was trained"]] == names
    assert len(tables["Bits a note"]) == 6
    assert [row[0] for row in tables["By field, on test pieces"]] == list(FIELDS)
    assert [row[6] for row in tables["Bits a note"][3:]] == ["", "*", "*"]
    charts = page.all("svg")
    curves = [c for c in comparison["runs"][0]["music"]["curves"] if any(x is not None for x in c["reference_mean"])]
    assert len(charts) == 3 + len(curves)
    assert [len(list(chart.all("circle"))) for chart in charts[:3]] == [3, 2, 3]


def test_a_copy_is_equal(trained, tmp_path):
    root, runs = trained
    copy = shutil.copytree(runs["known"], tmp_path / "copy")
    found = compare_json(runs["known"], copy, *PIECES, work=root / "others")
    first, second = found["runs"]
    assert found["seed_groups"] == []  # the seed is the same
    for side in ("validation", "test"):
        bits = second["bits"][side]
        assert (bits["difference"], bits["difference_interval"]) == (0, [0, 0])
        assert all((f["difference"], f["difference_interval"]) == (0, [0, 0]) for f in bits["fields"].values())
        assert bits["interval"] == first["bits"][side]["interval"]
    assert found["conclusions"][0].startswith("No difference between B and A can be shown")
    assert {**first["music"], "folder": ""} == {**second["music"], "folder": ""}


def test_the_order_flips_signs(trained):
    root, runs = trained
    one = compare_json(runs["known"], runs["noisy"], "--pieces", "0", work=root / "others")
    other = compare_json(runs["noisy"], runs["known"], "--pieces", "0", work=root / "others")
    bits, flipped = one["runs"][1]["bits"]["test"], other["runs"][1]["bits"]["test"]
    assert flipped["difference"] == pytest.approx(-bits["difference"])
    assert flipped["difference_interval"] == pytest.approx([-x for x in reversed(bits["difference_interval"])])
    assert one["runs"][0]["bits"]["test"]["interval"] == pytest.approx(other["runs"][1]["bits"]["test"]["interval"])
    assert other["conclusions"][0] == one["conclusions"][0].replace("B is worse than A", "B is better than A")


def test_with_an_encoder_decoder_only_second_halves_are_compared(trained, comparison):
    root, runs = trained
    found = compare_json(runs["known"], runs["halves"], runs["uniform"], "--pieces", "0", work=root / "others")
    held_out, left = found["held_out"]["test"], found["held_out"]["left_out"]
    assert left["because_of"] == ["B"]
    assert left["of"] == comparison["held_out"]["test"]["rows"]
    assert held_out["rows"] == left["of"] - left["rows"] < comparison["held_out"]["test"]["rows"]
    assert any("since B does not predict them" in note for note in found["notes"])
    assert found["runs"][2]["bits"]["test"]["fields"]["pitch"]["bits_per_note"] == pytest.approx(7, rel=1e-5)
    known, halves = (found["runs"][i]["bits"]["test"]["bits_per_note"] for i in (0, 1))
    assert halves == pytest.approx(known, rel=1e-6)  # both have the corpus's shares, whatever they attend to
    assert {run["generation"]["error"] for run in found["runs"]} == {"no pieces were requested"}
    assert found["music"] is None
    assert "Similarity Error" not in "\n".join(comparison_lines(found))


def test_a_model_that_cannot_generate_has_an_error(trained, tmp_path, monkeypatch):
    _, runs = trained
    generate, models = model_samples.generate, []

    def damaged(model, *arguments, **options):
        models.append(model)
        if model is models[0]:
            raise MeloError("the model gives no finite probabilities")
        return generate(model, *arguments, **options)

    monkeypatch.setattr(model_samples, "generate", damaged)
    found = compare_json(runs["uniform"], runs["known"], *PIECES, work=tmp_path / "melo")
    broken, able = found["runs"]
    assert broken["generation"]["error"] == "the model gives no finite probabilities"
    assert broken["music"] is broken["generation"]["notes_per_second"] is None
    assert able["generation"]["notes_per_second"] > 0
    assert able["generation"]["ratio"] is None
    assert "A: generation was not measured: the model gives no finite" in compare_lines(
        runs["uniform"], runs["known"], *PIECES, work=tmp_path / "melo"
    )


def test_a_run_is_named_by_its_name_in_the_workspace(trained):
    root, runs = trained
    found = compare_json(runs["noisy"].name, runs["halves"], "--pieces", "0", work=root / "melo")
    assert [run["name"] for run in found["runs"]] == [runs["noisy"].name, runs["halves"].name]


def test_smaller_windows_for_all(trained, tmp_path):
    root, runs = trained
    small = with_constant_heads(fresh(context=24))
    folder = save_run(tmp_path / "melo", root / "corpus", small, "meloformer")
    found = compare_json(runs["known"], folder, "--pieces", "0", work=root / "others")
    assert found["held_out"]["context"] == 24
    assert "All runs read windows of 24 rows, the smallest context among them" in found["notes"]


def test_shares_of_infill_in_training_are_noted(trained, comparison, tmp_path):
    root, runs = trained
    assert not any("masked bars" in note for note in comparison["notes"])
    model = with_constant_heads(fresh())
    folder = save_run(tmp_path / "melo", root / "corpus", model, "meloformer", infill=0.25)
    found = compare_json(runs["known"], folder, "--pieces", "0", work=root / "others")
    note = "Share of training windows with masked bars: A 0 %, B 25 %."
    assert any(n.startswith(note) for n in found["notes"])


def test_gates_show_everything(trained, tmp_path):
    root, runs = trained
    torch.manual_seed(0)
    plain = fresh()
    model = build("meloformer", plain.config, V, plain.spec, gated=True).eval()
    folder = save_run(tmp_path / "melo", root / "corpus", model, "meloformer", density=0.5)
    found = compare_json(runs["known"], folder, "--pieces", "1", "--bars", "2", work=root / "others")
    run = found["runs"][1]
    assert (run["density"], run["mask"]) == (1.0, "every earlier row, through learned gates")
    assert run["generation"]["notes_per_second"] > 0


def test_help_needs_nothing_heavy():
    code = (
        "import sys; from meloctl.cli.main import app\n"
        "try: app(['compare', '--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'matplotlib', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"
