"""`meloctl evaluate` from outside: a folder and a reference, a model, what is written, one clear line for every mistake."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from command_line import write_corpus
from conftest import ROOT, note, smf
from html_page import Page
from train_small import SIZES, V, fresh
from typer.testing import CliRunner

from analysis.errors import MeloError
from analysis.midi_write import write_midi
from analysis.similarity import MEASURES
from meloctl.cli.main import app
from meloctl.corpus.composer.compose import compose_piece
from meloctl.evaluation import session
from meloctl.evaluation.evaluation_json import HISTOGRAM_BINS
from meloctl.evaluation.evaluation_text import evaluation_lines
from meloctl.evaluation.metrics import METRICS
from meloctl.evaluation.options import EvaluateOptions
from meloctl.evaluation.similarity_error import VARIANTS
from meloctl.rows.vocabulary import FIELDS
from meloctl.stats.session import StatsOptions, plan_stats
from meloctl.workspace import Workspace


def evaluate_lines(*arguments, work):
    """What `meloctl evaluate` prints."""
    done = CliRunner().invoke(app, ["evaluate", *map(str, arguments), "--work", str(work)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def evaluate_json(*arguments, work):
    """The object that `meloctl evaluate --json` prints."""
    return json.loads(evaluate_lines(*arguments, "--json", work=work))


def compose(folder, count, seed):
    folder.mkdir()
    random = np.random.default_rng(seed)
    for i in range(count):
        write_midi(compose_piece(random), folder / f"{seed}-{i}.mid")
    return folder


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Four composed pieces, one of them copied from the reference of six, and a file that is no MIDI."""
    root = tmp_path_factory.mktemp("evaluate")
    reference, folder = compose(root / "real", 6, 1), compose(root / "ours", 3, 2)
    (folder / "copy.mid").write_bytes((reference / "1-4.mid").read_bytes())
    (folder / "broken.mid").write_text("no music")
    return root, evaluate_json(folder, "--reference", reference, work=root / "melo")


def only_folder(folder):
    """The one folder in a folder."""
    (found,) = [p for p in folder.iterdir() if p.is_dir()]
    return found


def test_a_folder_against_a_reference(evaluated):
    root, evaluation = evaluated
    assert (evaluation["format"], evaluation["model"]) == ("meloctl.evaluation/2", None)
    assert (evaluation["music"]["pieces"], evaluation["reference"]["pieces"]) == (4, 6)
    assert "not a MIDI file" in evaluation["music"]["skipped"][0]["reason"]
    assert [m["name"] for m in evaluation["metrics"]] == [m.name for m in METRICS]
    for metric in evaluation["metrics"]:
        assert metric["difference"] == pytest.approx(metric["mean"] - metric["reference_mean"])
        assert metric["interval"][0] <= metric["mean"] <= metric["interval"][1]
    assert [(e["similarity"], e["relation"]) for e in evaluation["similarity_error"]] == list(VARIANTS)
    for error, curve in zip(evaluation["similarity_error"], evaluation["curves"], strict=True):
        both = [(a, b) for a, b in zip(curve["mean"], curve["reference_mean"], strict=True) if None not in (a, b)]
        pairs = both if error["relation"] == "same" else both[1:]
        assert (len(pairs), error["offsets"]) == (31, 28)  # of 32 bars, 4 are 28 apart: the last tenth of 31
        assert error["error"] == pytest.approx(sum(abs(a - b) for a, b in pairs[:28]) / 28)


def test_the_copy_is_named(evaluated):
    root, evaluation = evaluated
    assert evaluation["copying"]["near_copies"] == 1
    assert evaluation["copying"]["copied_share_most"] == 1
    assert evaluation["copying"]["among_reference"]["pieces"] == 6
    assert evaluation["copying"]["among_reference"]["near_copies"] == 0
    with (only_folder(root / "melo" / "eval") / "pieces.csv").open() as file:
        rows = {row["path"].split("/")[-1]: row for row in csv.DictReader(file)}
    assert len(rows) == 4
    copy = rows["copy.mid"]
    assert copy["nearest"] == copy["longest_run_in"] == str(root / "real" / "1-4.mid")
    assert (copy["nearest_similarity"], copy["copied_share"]) == ("1.0", "1.0")
    assert float(rows["2-0.mid"]["nearest_similarity"]) < 0.2
    assert float(rows["2-0.mid"]["bars"]) == 32


def test_files_and_nothing_redone(evaluated):
    root, evaluation = evaluated
    folder = only_folder(root / "melo" / "eval")
    written = sorted(p.name for p in folder.iterdir())
    assert written == ["evaluation.html", "evaluation.json", "manifest.json", "pieces.csv"]
    assert json.loads((folder / "evaluation.json").read_text()) == evaluation
    again = evaluate_lines(root / "ours", "--reference", root / "real", work=root / "melo")
    assert "nothing redone" in again
    assert "museformer, own part" in again


def test_the_page_shows_the_same(evaluated):
    root, evaluation = evaluated
    markup = (only_folder(root / "melo" / "eval") / "evaluation.html").read_text(encoding="utf-8")
    page, error = Page(markup), evaluation["similarity_error"][0]
    assert page.all("h1")[0].text == "ours"
    assert "http" not in markup.replace("http-equiv", "")
    tables = page.tables()
    assert [row[0] for row in tables["Means over pieces"]] == [f"{m.name} ({m.unit})" for m in METRICS]
    assert tables["Similarity Error"][0][:2] == ["museformer, own part (28 offsets)", f"{100 * error['error']:.2f} %"]
    assert tables["Shared with the reference"][-2] == ["near copies (pieces)", "1", "0"]


def test_the_page_draws_curves_of_both_sets(evaluated):
    root, _ = evaluated
    page = Page((only_folder(root / "melo" / "eval") / "evaluation.html").read_text(encoding="utf-8"))
    charts = list(page.section("bars").all("svg"))
    assert len(charts) == len(VARIANTS)
    assert all(len(list(c.all("path"))) >= 2 for c in charts)


def test_the_page_draws_a_histogram_of_each_metric(evaluated):
    root, evaluation = evaluated
    page = Page((only_folder(root / "melo" / "eval") / "evaluation.html").read_text(encoding="utf-8"))
    figures = list(page.section("metrics").all("figure"))
    assert len(figures) == len(METRICS)
    for shown, metric, histogram in zip(figures, METRICS, evaluation["histograms"], strict=True):
        assert shown.text.endswith(f"{metric.name[0].upper()}{metric.name[1:]}: {metric.definition}")
        styles = [path.attributes["class"] for path in shown.all("path")]
        assert styles.count("band cross") == styles.count("band chance same") == 1
        assert styles.count("line cross") == styles.count("line chance same") == 2  # outline and mean
        readouts = [title.text for title in shown.all("title")]
        assert len(readouts) == HISTOGRAM_BINS
        share, reference_share = (100 * histogram[key][0] for key in ("share", "reference_share"))
        assert readouts[0].endswith(f"; music {share:.0f} %; reference {reference_share:.0f} %")


def test_histograms_count_each_piece_once(evaluated):
    _, evaluation = evaluated
    for metric, histogram in zip(evaluation["metrics"], evaluation["histograms"], strict=True):
        assert (histogram["name"], histogram["unit"]) == (metric["name"], metric["unit"])
        assert len(histogram["edges"]) == HISTOGRAM_BINS + 1
        for key, pieces in (("share", 4), ("reference_share", 6)):
            assert sum(histogram[key]) == pytest.approx(1)
            assert all(round(pieces * share, 9).is_integer() for share in histogram[key])
        for mean in (metric["mean"], metric["reference_mean"]):
            assert histogram["edges"][0] <= mean <= histogram["edges"][-1]


def test_runs_with_other_similarities_are_other_runs(evaluated, tmp_path, monkeypatch):
    root, _ = evaluated
    options = EvaluateOptions(folder=root / "ours")
    before = session.plan_evaluation(Workspace(tmp_path), options).recipe.key
    monkeypatch.setattr(session, "MEASURES", MEASURES[:-1])
    assert session.plan_evaluation(Workspace(tmp_path), options).recipe.key != before
    assert plan_stats(StatsOptions(corpus=root / "ours")).recipe.options["measures"] == [m.name for m in MEASURES]


def test_without_a_reference_histograms_are_of_the_music_alone(evaluated, tmp_path):
    root, _ = evaluated
    evaluation = evaluate_json(root / "ours", work=tmp_path)
    assert not any("reference_share" in histogram for histogram in evaluation["histograms"])
    page = Page((only_folder(tmp_path / "eval") / "evaluation.html").read_text(encoding="utf-8"))
    styles = {path.attributes["class"] for path in page.section("metrics").all("path")}
    assert styles == {"band cross", "line cross"}
    assert [span.text for span in page.section("metrics").all("p") if "legend" in span.attributes.get("class", "")] == [
        " music"
    ]


def test_a_run_of_an_older_format_is_made_again(evaluated, tmp_path, monkeypatch):
    root, _ = evaluated
    with monkeypatch.context() as older:
        older.setattr(session, "FORMAT", "meloctl.evaluation/1")
        evaluate_lines(root / "ours", work=tmp_path)
    assert "Wrote" in evaluate_lines(root / "ours", work=tmp_path)
    assert "nothing redone" in evaluate_lines(root / "ours", work=tmp_path)


def test_a_hostile_name_stays_a_text(tmp_path):
    folder = tmp_path / "<script>alert(1)"
    compose(folder, 1, 3)
    evaluate_lines(folder, work=tmp_path / "melo")
    found = Page((only_folder(tmp_path / "melo" / "eval") / "evaluation.html").read_text(encoding="utf-8"))
    assert found.all("h1")[0].text == folder.name
    assert len(found.all("script")) == 1


def test_the_same_seed_gives_the_same(evaluated, tmp_path):
    root, evaluation = evaluated
    assert evaluate_json(root / "ours", "--reference", root / "real", work=tmp_path) == evaluation
    other = evaluate_json(root / "ours", "--reference", root / "real", "--seed", "1", work=tmp_path)
    one, two = (found["similarity_error"][0] for found in (evaluation, other))
    assert one["error"] == two["error"]
    assert one["real"] != two["real"]


def test_a_folder_against_itself_is_equal_and_no_piece_is_its_own_copy(evaluated, tmp_path):
    root, _ = evaluated
    evaluation = evaluate_json(root / "real", "--reference", root / "real", work=tmp_path)
    assert {e["error"] for e in evaluation["similarity_error"]} == {0}
    assert {m["difference"] for m in evaluation["metrics"]} == {0}
    copying = evaluation["copying"]
    assert {k: copying[k] for k in copying["among_reference"]} == copying["among_reference"]
    assert copying["near_copies"] == 0


def test_without_a_reference(evaluated, tmp_path):
    root, _ = evaluated
    printed = evaluate_lines(root / "ours", work=tmp_path)
    assert "Reference: none; give a folder of real music" in printed
    assert "Similarity Error" not in printed


def test_one_piece_alone_has_no_intervals(evaluated, tmp_path):
    root, _ = evaluated
    one = root / "real" / "1-0.mid"
    evaluation = evaluate_json(root / "ours", "--reference", one, work=tmp_path)
    assert {tuple(m["difference_interval"]) for m in evaluation["metrics"]} == {(None, None)}
    assert {e["real"] for e in evaluation["similarity_error"]} == {None}
    assert evaluation["copying"]["among_reference"] is None
    printed = evaluate_lines(root / "ours", "--reference", one, work=tmp_path)
    assert "Fewer than 10 pieces" in printed
    assert not any(line.endswith(" *") for line in printed.splitlines())


def test_drums_alone_can_be_evaluated(tmp_path):
    folder = tmp_path / "drums"
    folder.mkdir()
    (folder / "a.mid").write_bytes(smf([e for _ in range(16) for e in note(36, 480, channel=9)]))
    assert "pitch-class entropy (bits)" in evaluate_lines(folder, "--reference", folder, work=tmp_path / "melo")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workspace with statistics and a run as `meloctl train` leaves it; its model is uniform."""
    from analysis.corpus import find_files, fingerprint
    from meloctl.model.checkpoint import save_model
    from meloctl.workspace import Recipe, Workspace

    root = tmp_path_factory.mktemp("trained")
    corpus = write_corpus(root / "corpus", files=40)
    done = CliRunner().invoke(app, ["stats", str(corpus), "--work", str(root / "melo"), "--processes", "1"])
    assert done.exit_code == 0, done.output
    space = Workspace(root / "melo")
    recipe = Recipe(
        stage="model",
        command="train",
        inputs={"corpus": str(corpus), "fingerprint": fingerprint(find_files(corpus), corpus), "meter": None},
        options={"model": "tiny"},
        label="tiny",
    )
    model = fresh()
    for head in model.heads.heads:
        torch.nn.init.zeros_(head.outer.weight)
        torch.nn.init.zeros_(head.outer.bias)
    folder = space.folder(recipe)
    folder.mkdir(parents=True)
    save_model(model, "meloformer", model.state_dict(), folder, {})
    space.finish(recipe, files=["model.safetensors", "model.json"], results={})
    return root, folder


def test_without_a_folder_the_latest_model_has_its_held_out_loss(trained):
    root, folder = trained
    evaluation = evaluate_json(work=root / "melo")
    assert evaluation["music"] is evaluation["reference"] is None
    model = evaluation["model"]
    assert (model["run"], model["context"], model["corpus_changed"]) == (folder.name, SIZES["context"], False)
    assert min(model["pieces"].values()) > 0
    assert set(model["windows"]) == {"validation", "test"}
    assert model["by_length"]["side"] == "test"
    assert list(model["by_length"]["rows"]) == ["1024", "5120", "10240"]
    loss = model["by_length"]["rows"]["1024"]
    assert loss["notes"] == 40 * model["pieces"]["test"]  # 32 of the tune, 8 of the bass
    page = Page((only_folder(root / "melo" / "eval") / "evaluation.html").read_text(encoding="utf-8"))
    assert len(page.tables()["By field, first 10,240 rows of each test piece"]) == len(FIELDS)
    assert loss["fields"]["pitch"]["perplexity"] == pytest.approx(128, rel=1e-3)
    assert loss["fields"]["instrument"]["perplexity"] == pytest.approx(len(V.instruments), rel=1e-3)


def test_a_folder_and_a_model_and_the_corpus_of_stats(trained, evaluated):
    root, folder = trained
    evaluation = evaluate_json(evaluated[0] / "ours", "--model", folder, work=root / "melo")
    assert evaluation["reference"]["path"] == str(root / "corpus")
    assert evaluation["model"]["run"] == folder.name
    assert evaluation["music"]["pieces"] == 4


def test_mistakes_have_one_line(evaluated, trained, tmp_path):
    root, _ = evaluated
    stats = next(p for p in (trained[0] / "melo" / "stats").iterdir() if p.is_dir())
    for arguments, why in (
        ([], "run first: meloctl train"),
        ([tmp_path / "nothing"], "no such folder"),
        (["--reference", root / "real"], "^reference .*: it is for a FOLDER of MIDI files"),
        (["--meter", "4/4"], "^meter 4/4: it is for a FOLDER"),
        (["--pedal"], "^pedal: it is for a FOLDER"),
        (["--fix-bars"], "^fix_bars: it is for a FOLDER"),
        ([root / "ours", "--meter", "4/5"], "is not a time signature"),
        (["--model", root / "ours"], "^model .*: not a finished run of meloctl train"),
        (["--model", stats], "give a run of meloctl train"),
        ([root / "ours", "--reference", tmp_path], "no MIDI file"),
    ):
        with pytest.raises(MeloError, match=why):
            evaluate_lines(*arguments, work=tmp_path / "melo")
    assert not (tmp_path / "melo").exists()


def test_a_folder_of_no_music_leaves_nothing_behind(tmp_path):
    (tmp_path / "broken.mid").write_text("no music")
    with pytest.raises(MeloError, match="none of the 1 files could be read; the first, broken"):
        evaluate_lines(tmp_path, work=tmp_path / "melo")
    assert not (tmp_path / "melo").exists()


def test_help_needs_nothing_heavy():
    code = (
        "import sys; from meloctl.cli.main import app\n"
        "try: app(['evaluate', '--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'matplotlib', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_empty_evaluation_has_no_lines():
    assert evaluation_lines({"music": None, "reference": None, "model": None}) == []
