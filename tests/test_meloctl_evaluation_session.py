"""`meloctl evaluate` from outside: a folder against a reference, a model, what is written, one clear line for every mistake."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT, note, smf
from report_page import Page
from test_meloctl_cli import write_corpus
from train_small import SIZES, V, fresh
from typer.testing import CliRunner

from analysis.errors import MeloError
from analysis.midi import write_midi
from meloctl.cli.main import app
from meloctl.corpus.composer.compose import compose_piece
from meloctl.evaluation.evaluation_json import VARIANTS
from meloctl.evaluation.evaluation_text import lines_of, number
from meloctl.evaluation.metrics import METRICS
from meloctl.rows.vocabulary import FIELDS


def evaluate(*arguments, work):
    """What it prints."""
    done = CliRunner().invoke(app, ["evaluate", *map(str, arguments), "--work", str(work)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def facts(*arguments, work):
    return json.loads(evaluate(*arguments, "--json", work=work))


def compose(folder, count, seed):
    folder.mkdir()
    random = np.random.default_rng(seed)
    for i in range(count):
        write_midi(compose_piece(random), folder / f"{seed}-{i}.mid")
    return folder


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Four composed pieces, one of them copied from the reference of six, and a file that is no MIDI."""
    root = tmp_path_factory.mktemp("evaluate")
    reference, folder = compose(root / "real", 6, 1), compose(root / "ours", 3, 2)
    (folder / "copy.mid").write_bytes((reference / "1-4.mid").read_bytes())
    (folder / "broken.mid").write_text("no music")
    return root, facts(folder, "--reference", reference, work=root / "melo")


def only(folder):
    (found,) = [p for p in folder.iterdir() if p.is_dir()]
    return found


def test_a_folder_against_a_reference(judged):
    root, told = judged
    assert (told["format"], told["model"]) == ("meloctl.evaluation/1", None)
    assert (told["judged"]["pieces"], told["reference"]["pieces"]) == (4, 6)
    assert "not a MIDI file" in told["judged"]["skipped"][0]["reason"]
    assert [m["name"] for m in told["metrics"]] == [m.name for m in METRICS]
    for metric in told["metrics"]:
        assert metric["difference"] == pytest.approx(metric["mean"] - metric["reference_mean"])
        assert metric["interval"][0] <= metric["mean"] <= metric["interval"][1]
    assert [(e["similarity"], e["relation"]) for e in told["similarity_error"]] == list(VARIANTS)
    for error, curve in zip(told["similarity_error"], told["curves"], strict=True):
        both = [(a, b) for a, b in zip(curve["mean"], curve["reference_mean"], strict=True) if None not in (a, b)]
        pairs = both if error["relation"] == "same" else both[1:]
        assert (len(pairs), error["offsets"]) == (31, 28)  # of 32 bars, 4 are 28 apart: the last tenth of 31
        assert error["error"] == pytest.approx(sum(abs(a - b) for a, b in pairs[:28]) / 28)


def test_the_copy_is_named(judged):
    root, told = judged
    assert told["copying"]["near_copies"] == 1
    assert told["copying"]["copied_share_most"] == 1
    assert told["copying"]["among_reference"]["pieces"] == 6
    assert told["copying"]["among_reference"]["near_copies"] == 0
    with (only(root / "melo" / "eval") / "pieces.csv").open() as file:
        rows = {row["path"].split("/")[-1]: row for row in csv.DictReader(file)}
    assert len(rows) == 4
    copy = rows["copy.mid"]
    assert copy["nearest"] == copy["longest_run_in"] == str(root / "real" / "1-4.mid")
    assert (copy["nearest_likeness"], copy["copied_share"]) == ("1.0", "1.0")
    assert float(rows["2-0.mid"]["nearest_likeness"]) < 0.2
    assert float(rows["2-0.mid"]["bars"]) == 32


def test_files_and_nothing_redone(judged):
    root, told = judged
    folder = only(root / "melo" / "eval")
    written = sorted(p.name for p in folder.iterdir())
    assert written == ["evaluation.html", "evaluation.json", "evaluation.png", "manifest.json", "pieces.csv"]
    assert json.loads((folder / "evaluation.json").read_text()) == told
    again = evaluate(root / "ours", "--reference", root / "real", work=root / "melo")
    assert "nothing redone" in again
    assert "museformer, own part" in again


def test_the_page_says_the_same(judged):
    root, told = judged
    markup = (only(root / "melo" / "eval") / "evaluation.html").read_text(encoding="utf-8")
    found, said = Page(markup), told["similarity_error"][0]
    assert found.all("h1")[0].text == "ours"
    assert "http" not in markup.replace("http-equiv", "")
    tables = found.tables()
    assert [row[0] for row in tables["Means over pieces"]] == [f"{m.name} ({m.unit})" for m in METRICS]
    assert tables["Similarity Error"][0][:2] == ["museformer, own part (28 offsets)", f"{100 * said['error']:.2f} %"]
    assert tables["Shared with the reference"][-2] == ["near copies (pieces)", "1", "0"]
    charts = found.all("svg")
    assert len(charts) == len(VARIANTS)
    assert all(len(list(c.all("path"))) >= 2 for c in charts)


def test_a_hostile_name_stays_a_text(tmp_path):
    folder = tmp_path / "<script>alert(1)"
    compose(folder, 1, 3)
    evaluate(folder, work=tmp_path / "melo")
    found = Page((only(tmp_path / "melo" / "eval") / "evaluation.html").read_text(encoding="utf-8"))
    assert found.all("h1")[0].text == folder.name
    assert len(found.all("script")) == 1


def test_the_same_seed_says_the_same(judged, tmp_path):
    root, told = judged
    assert facts(root / "ours", "--reference", root / "real", work=tmp_path) == told
    other = facts(root / "ours", "--reference", root / "real", "--seed", "1", work=tmp_path)
    ours, theirs = told["similarity_error"][0], other["similarity_error"][0]
    assert ours["error"] == theirs["error"]
    assert ours["real"] != theirs["real"]


def test_a_folder_against_itself_is_equal_and_no_piece_is_its_own_copy(judged, tmp_path):
    root, _ = judged
    told = facts(root / "real", "--reference", root / "real", work=tmp_path)
    assert {e["error"] for e in told["similarity_error"]} == {0}
    assert {m["difference"] for m in told["metrics"]} == {0}
    mine, among = told["copying"], told["copying"]["among_reference"]
    assert {k: mine[k] for k in among} == among
    assert mine["near_copies"] == 0


def test_without_a_reference(judged, tmp_path):
    root, _ = judged
    said = evaluate(root / "ours", work=tmp_path)
    assert "Reference: none; give one with --reference FOLDER" in said
    assert "Similarity Error" not in said


def test_one_piece_alone_has_no_intervals(judged, tmp_path):
    root, _ = judged
    one = root / "real" / "1-0.mid"
    told = facts(root / "ours", "--reference", one, work=tmp_path)
    assert {tuple(m["difference_interval"]) for m in told["metrics"]} == {(None, None)}
    assert {e["real"] for e in told["similarity_error"]} == {None}
    assert told["copying"]["among_reference"] is None
    said = evaluate(root / "ours", "--reference", one, work=tmp_path)
    assert "Fewer than 10 pieces" in said
    assert not any(line.endswith(" *") for line in said.splitlines())


def test_drums_alone_can_be_judged(tmp_path):
    folder = tmp_path / "drums"
    folder.mkdir()
    (folder / "a.mid").write_bytes(smf([e for _ in range(16) for e in note(36, 480, channel=9)]))
    assert "pitch-class entropy (bits)" in evaluate(folder, "--reference", folder, work=tmp_path / "melo")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workspace with statistics and a run as `meloctl train` leaves it; its model knows nothing."""
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


def test_the_latest_model_is_judged_by_what_held_out_pieces_cost(trained):
    root, folder = trained
    told = facts(work=root / "melo")
    assert told["judged"] is told["reference"] is None
    model = told["model"]
    assert (model["run"], model["context"], model["corpus_changed"]) == (folder.name, SIZES["context"], False)
    assert min(model["pieces"].values()) > 0
    assert set(model["windows"]) == {"validation", "test"}
    assert model["by_length"]["side"] == "test"
    assert list(model["by_length"]["rows"]) == ["1024", "5120", "10240"]
    cost = model["by_length"]["rows"]["1024"]
    assert cost["notes"] == 40 * model["pieces"]["test"]  # 32 of the tune, 8 of the bass
    page = Page((only(root / "melo" / "eval") / "evaluation.html").read_text(encoding="utf-8"))
    assert len(page.tables()["By field, of the longest stretches"]) == len(FIELDS)
    assert cost["fields"]["pitch"]["perplexity"] == pytest.approx(128, rel=1e-3)
    assert cost["fields"]["instrument"]["perplexity"] == pytest.approx(len(V.instruments), rel=1e-3)


def test_a_folder_and_a_model_and_the_corpus_of_stats(trained, judged):
    root, folder = trained
    told = facts(judged[0] / "ours", "--model", folder, work=root / "melo")
    assert told["reference"]["path"] == str(root / "corpus")
    assert told["model"]["run"] == folder.name
    assert told["judged"]["pieces"] == 4


def test_mistakes_are_told(judged, trained, tmp_path):
    root, _ = judged
    stats = next(p for p in (trained[0] / "melo" / "stats").iterdir() if p.is_dir())
    for arguments, why in (
        ([], "run first: meloctl train"),
        ([tmp_path / "nothing"], "no such folder"),
        (["--reference", root / "real"], "give a FOLDER"),
        (["--meter", "4/4"], "it is for a FOLDER"),
        ([root / "ours", "--meter", "4/5"], "is not a time signature"),
        (["--model", root / "ours"], "not a finished run of meloctl train"),
        (["--model", stats], "give a run of meloctl train"),
        ([root / "ours", "--reference", tmp_path], "no .mid or .midi file"),
    ):
        with pytest.raises(MeloError, match=why):
            evaluate(*arguments, work=tmp_path / "melo")
    assert not (tmp_path / "melo").exists()


def test_a_folder_of_no_music_leaves_nothing_behind(tmp_path):
    (tmp_path / "broken.mid").write_text("no music")
    with pytest.raises(MeloError, match="none of the 1 files could be read; the first, broken"):
        evaluate(tmp_path, work=tmp_path / "melo")
    assert not (tmp_path / "melo").exists()


def test_help_needs_nothing_heavy():
    code = (
        "import sys; from meloctl.cli.main import app\n"
        "try: app(['evaluate', '--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'matplotlib', 'symusic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"


def test_numbers_for_people():
    assert [number(x) for x in (None, 0.0, 0.12345, -2.5, 48.44)] == ["–", "0.000", "0.123", "−2.500", "48.4"]
    assert number(0.5, sign=True) == "+0.500"


def test_nothing_judged_says_nothing():
    assert lines_of({"judged": None, "reference": None, "model": None}) == []
