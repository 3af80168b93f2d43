"""Masks from outside: every rule, the options that belong to it, masks side by side, and drawn."""

import contextlib
import io
import json
import shutil
import sys
from types import SimpleNamespace

import pytest
from command_line import only, write_corpus
from conftest import DIARY
from small_masks import LEARNED_GATES

from masks.spec import MaskSpec
from meloctl.cli.main import run
from meloctl.masking.rules import RULE_OPTIONS


def meloctl(*arguments, work):
    """The program in this process: much faster than one of its own."""
    out, err = io.StringIO(), io.StringIO()
    given = ["meloctl", *map(str, arguments), "--work", str(work)]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", given)
        with pytest.raises(SystemExit) as ended:
            run()
    return SimpleNamespace(returncode=ended.value.code, stdout=out.getvalue(), stderr=err.getvalue())


def facts(*arguments, work):
    done = meloctl(*arguments, "--json", work=work)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    root = tmp_path_factory.mktemp("masks")
    corpus, work = write_corpus(root / "corpus", files=6), root / "melo"
    facts("stats", corpus, work=work)
    return corpus, work


def derive(*arguments, work):
    return MaskSpec.from_json(facts("derive-mask", *arguments, work=work))


def mistake(*arguments, work):
    done = meloctl(*arguments, work=work)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("counting rows")]
    assert len(lines) == 1
    return lines[0]


OPTIONS = {
    "seed": ["--far", "2"],
    "budget": ["--share", "0.5"],
    "museformer": [],
    "window": ["--bars", "2"],
    "causal": [],
    "random": ["--seed", "3"],
}


@pytest.mark.parametrize("rule", OPTIONS)
def test_every_rule_makes_a_mask_with_reasons_priors_and_a_source(measured, rule):
    _, work = measured
    spec = derive("--rule", rule, *OPTIONS[rule], work=work)
    assert spec.source["rule"] == rule
    assert {"measure", "table", "corpus", "meloctl"} <= set(spec.source)
    assert spec.same_prior[4] == 1.0
    assert len(spec.reasons) >= 3
    manifest = json.loads((work / "mask" / latest(work) / "manifest.json").read_text())
    assert manifest["options"]["rule"] == rule
    assert set(manifest["options"]) <= {"rule", *RULE_OPTIONS[rule]}
    assert ("fingerprint" in manifest["inputs"]) == (rule in ("budget", "random"))
    assert {p.name for p in (work / "mask" / latest(work)).iterdir()} == {"mask.json", "mask.png", "manifest.json"}


def latest(work):
    return json.loads((work / "mask" / "latest.json").read_text())["folder"]


def test_the_rules_use_their_options(measured):
    _, work = measured
    assert derive("--rule", "window", "--bars", "2", work=work).same == (1, 2)
    assert derive("--rule", "budget", "--share", "0.5", work=work).source["used"] <= 0.5
    assert derive("--rule", "random", "--seed", "3", work=work).source["seed"] == 3
    assert derive("--rule", "museformer", "--drums", "exempt", work=work).drums == "exempt"
    assert derive("--drums", "exempt", work=work).drums == "exempt"
    one, other = (derive("--rule", "random", "--seed", s, work=work) for s in (3, 5))
    assert (one.same, one.near, one.far) != (other.same, other.near, other.far)


def test_random_masks_meet_the_density_of_any_mask(measured, tmp_path):
    _, work = measured
    like = MaskSpec(same=(1,), near=0, far=(), drums="exempt", summaries=False)
    (tmp_path / "like.json").write_text(json.dumps(like.to_json()))
    spec = derive("--rule", "random", "--like", tmp_path / "like.json", work=work)
    assert (spec.drums, spec.summaries) == ("exempt", False)
    printed = mistake(
        "derive-mask", "--rule", "random", "--like", tmp_path / "like.json", "--drums", "masked", work=work
    )
    assert "--drums: not beside --like" in printed


def test_nothing_is_redone_unless_the_rule_or_its_options_change(measured):
    _, work = measured
    command = ["derive-mask", "--rule", "budget", "--share"]
    assert "Wrote" in meloctl(*command, "0.61", work=work).stdout
    assert "Unchanged since" in meloctl(*command, "0.61", work=work).stdout
    assert "Wrote" in meloctl(*command, "0.62", work=work).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--rule", "best"],
            "--rule best: no such rule; choose one of seed, budget, museformer, window, causal, random",
        ),
        (["--share", "0.3"], "--share: not for --rule seed; leave it out, or take a rule that uses it: budget"),
        (["--rule", "budget", "--far", "1"], "--far: not for --rule budget"),
        (["--rule", "window", "--bars", "2", "--seed", "1"], "--seed: not for --rule window"),
        (["--rule", "causal", "--drums", "exempt"], "--drums: not for --rule causal"),
        (["--rule", "museformer", "--like", "x.json"], "--like: not for --rule museformer"),
        (["--corpus", "."], "--corpus: not for --rule seed"),
        (["--rule", "window"], "--rule window: give --bars N"),
        (["--rule", "window", "--bars", "-1"], "--bars -1: give how many earlier bars to show, 0 to 10000"),
        (["--rule", "budget", "--share", "0"], "--share 0: give a share"),
        (["--rule", "budget", "--share", "nan"], "--share nan: give a share"),
        (["--rule", "budget", "--share", "0.0001"], "--share 0.0001: too small: the bar itself costs"),
        (["--rule", "random", "--seed", "-1"], "--seed -1: give a whole number"),
        (["--drums", "loud"], "--drums loud: give masked or exempt"),
        (["--far", "33"], "--far 33: give how many far offsets to show, 0 to 32"),
    ],
)
def test_mistakes_in_options_are_one_line(measured, arguments, message):
    _, work = measured
    assert message in mistake("derive-mask", *arguments, work=work)


def test_a_table_that_names_no_corpus_needs_one(measured, tmp_path):
    corpus, _ = measured
    work = tmp_path / "melo"
    printed = mistake("derive-mask", "--rule", "budget", "--table", DIARY, work=work)
    assert "does not say on which corpus it was measured; name a folder of MIDI with --corpus" in printed
    spec = derive("--rule", "budget", "--table", DIARY, "--corpus", corpus, work=work)
    assert spec.source["corpus"] == DIARY.stem


def test_a_corpus_that_is_gone_is_one_line(measured, tmp_path):
    work = tmp_path / "melo"
    shutil.copytree(measured[1] / "stats", work / "stats")
    manifest = only(work / "stats") / "manifest.json"
    about = json.loads(manifest.read_text())
    about["inputs"]["corpus"] = str(tmp_path / "gone")
    manifest.write_text(json.dumps(about))
    for command in (["derive-mask", "--rule", "budget"], ["mask", "compare"]):
        printed = mistake(*command, work=work)
        assert "the corpus that was measured is gone, and rows are counted in it; name one with --corpus" in printed
    assert derive(work=work).source["rule"] == "seed"  # which needs no corpus


def test_masks_side_by_side(measured, tmp_path):
    corpus, work = measured
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps(MaskSpec(same=(4,), near=0, far=(4,), summaries=True).to_json()))
    data = facts("mask", "compare", mine, "--pieces", "3", work=work)
    assert data["corpus"] == str(corpus)
    assert data["pieces"] == 3
    names = [m["name"] for m in data["masks"]]
    assert names == ["seed", "budget", "museformer", "window", "random", "causal", str(mine)]
    assert [len(m["specs"]) for m in data["masks"]] == [1, 1, 1, 1, 5, 1, 1]
    assert data["masks"][5]["similarity_recall"] == data["masks"][5]["density"] == 1
    assert data["masks"][6]["specs"][0]["same"] == [4]
    printed = meloctl("mask", "compare", "--pieces", "3", work=work).stdout.splitlines()
    assert printed[0].startswith("3 of 6 pieces of ")
    assert printed[-1] == data["conclusion"]
    assert meloctl("mask", "compare", "--pieces", "3", work=work).stdout.splitlines() == printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "--pieces", "0"], "--pieces 0: give how many pieces to take, 1 to 10000"),
        (["compare", "none.json"], "none.json: cannot read this mask"),
        (["compare", "--drums", "x"], "--drums x: give masked or exempt"),
        (["compare", "--corpus", "nowhere"], "nowhere: no such folder"),
        (["show", "none.json"], "none.json: cannot read this mask"),
        (["show", "--out", "mask.jpg"], "--out mask.jpg: give a file whose name ends in .png"),
    ],
)
def test_mistakes_in_comparing_and_showing_are_one_line(measured, arguments, message):
    _, work = measured
    assert message in mistake("mask", *arguments, work=work)


def test_a_mask_is_shown_in_words_and_drawn(measured, tmp_path):
    _, work = measured
    derive("--rule", "causal", work=work)
    data = facts("mask", "show", work=work)
    assert data["words"] == "Own part: every earlier bar. Other parts: every earlier bar. Summaries: on."
    assert data["path"] == str(work / "mask" / f"{latest(work)}.png")
    assert (work / "mask" / f"{latest(work)}.png").read_bytes().startswith(b"\x89PNG")
    facts("derive-mask", "--rule", "causal", work=work)  # the run itself was left as it was
    (tmp_path / "mine.json").write_text(json.dumps(data["mask"]))
    printed = meloctl("mask", "show", tmp_path / "mine.json", "--out", tmp_path / "a" / "b.png", work=work).stdout
    assert printed.splitlines()[1] == data["words"]
    assert printed.splitlines()[-1] == f"Wrote {tmp_path / 'a' / 'b.png'}"
    assert (tmp_path / "a" / "b.png").read_bytes().startswith(b"\x89PNG")
    assert "run first: meloctl derive-mask" in mistake("mask", "show", work=tmp_path / "empty")


def test_help_shows_an_example(tmp_path):
    for command in (["mask", "compare"], ["mask", "show"]):
        assert f"Example: meloctl {' '.join(command)}" in meloctl(*command, "--help", work=tmp_path).stdout


def test_the_diary_still_gives_the_seeds_mask(tmp_path):
    spec = derive("--table", DIARY, work=tmp_path / "melo")
    assert (spec.same, spec.near, spec.far, spec.drums) == ("full", 2, (4,), "masked")
    assert len(list((tmp_path / "melo" / "mask").glob("diary*"))) == 1
    assert only(tmp_path / "melo" / "mask").name.startswith("diary-2025-11-28-")


def learned_run(folder, **change):
    """A folder that holds what a run with gates leaves for derive-mask."""
    folder.mkdir(parents=True)
    (folder / "gates.json").write_text(json.dumps({**LEARNED_GATES.to_json(), **change}))
    return folder


def test_learned_gates_are_read_out(tmp_path):
    run_of = learned_run(tmp_path / "tiny-gates-1234")
    again = [meloctl("derive-mask", "--from-model", run_of, work=tmp_path / "melo") for _ in range(2)]
    assert "Own part: offsets 6, 12. Other parts: offsets 0 to 2, and 5 back." in again[0].stdout
    assert "began open and was shut" in again[0].stdout
    assert "Unchanged since" in again[1].stdout
    (folder,) = (p for p in (tmp_path / "melo" / "mask").iterdir() if p.is_dir())
    assert {p.name for p in folder.iterdir()} == {"mask.json", "mask.png", "gates.png", "manifest.json"}
    spec = json.loads((folder / "mask.json").read_text())
    assert spec["source"]["model"] == "tiny-gates-1234"


def test_what_cannot_be_read_out_is_one_line(tmp_path):
    run_of, bare, unfinished = learned_run(tmp_path / "a"), tmp_path / "b", tmp_path / "d"
    bare.mkdir()
    unfinished.mkdir()
    (bare / "manifest.json").write_text("{}")
    damaged = learned_run(tmp_path / "c", same=3)
    for words, printed in (
        (["--from-model", tmp_path / "none"], "no such folder"),
        (["--from-model", bare], "a run without gates"),
        (["--from-model", unfinished], "not a finished run"),
        (["--from-model", damaged], "same is 3; it must be an object"),
        (["--from-model", run_of, "--rule", "seed"], "takes no rule"),
        (["--from-model", run_of, "--share", "0.2"], "takes no rule"),
    ):
        failed = meloctl("derive-mask", *words, work=tmp_path / "melo")
        assert failed.returncode == 1
        assert printed in failed.stderr
        assert failed.stderr.count("\n") == 1
    assert not (tmp_path / "melo").exists()
