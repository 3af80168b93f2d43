"""How files are read, from `stats` to the commands that follow what it recorded."""

import shutil

import pytest
from command_line import facts, meloctl_here, only
from shifted_songs import pickup_song

from analysis.reading import Reading
from meloctl.evaluation.options import EvaluateOptions
from meloctl.evaluation.session import plan_evaluation
from meloctl.masking.costed_corpus import costed_corpus
from meloctl.training.options import TrainOptions
from meloctl.training.plan import corpus_size, plan_training
from meloctl.workspace import Workspace

CHOSEN = Reading(pedal=True, fix_bars=True)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pickups") / "corpus"
    folder.mkdir()
    for i in range(6):
        (folder / f"{i}.mid").write_bytes(pickup_song(key=30 + i))
    return folder


@pytest.fixture(scope="module")
def work(corpus):
    work = corpus.parent / "melo"
    facts("stats", corpus, "--pedal", "--fix-bars", work=work)
    facts("derive-mask", "--rule", "causal", work=work)
    return work


def test_check_says_how_far_bar_lines_lie_beside_the_accents_and_stats_without_them(corpus, tmp_path):
    plain = meloctl_here("corpus", "check", corpus, work=tmp_path).stdout
    assert "bar lines so many quarters beside the accents: 1 from bar 1 on, 1 from bar 1 on, 1 from bar 1 on …" in plain
    assert "6 with bar lines beside the accents: pass --fix-bars" in plain
    fixed = facts("corpus", "check", corpus, "--fix-bars", work=tmp_path)
    assert (fixed["fix_bars"], fixed["pedal"], fixed["meter"]) == (True, False, None)
    assert "bars-beside-accents" not in [f["name"] for f in fixed["findings"]]
    assert fixed["composition"]["bars"] == 6 * 25
    onward = meloctl_here("corpus", "check", corpus, "--fix-bars", "--pedal", work=tmp_path).stdout.splitlines()[-1]
    assert onward.startswith(f"Next: meloctl stats {corpus} --pedal --fix-bars")


def test_statistics_of_mended_bars_are_others(corpus, tmp_path):
    mended, plain = (facts("stats", corpus, *options, work=tmp_path) for options in (["--fix-bars"], []))
    assert mended["pieces"] == plain["pieces"] == 6
    assert {k: v for k, v in mended.items() if k != "source"} != {k: v for k, v in plain.items() if k != "source"}
    assert len([p for p in (tmp_path / "stats").iterdir() if p.is_dir()]) == 2  # neither was taken for the other


def test_what_stats_recorded_is_what_the_others_follow(corpus, work):
    space = Workspace(work)
    plan = plan_training(space, TrainOptions(model="tiny", epochs=1))
    assert plan.reading == CHOSEN
    assert Reading.from_json(plan.recipe.inputs, where="train") == CHOSEN
    assert corpus_size(plan).rows > 0
    table = only(work / "stats") / "offsets.json"
    assert costed_corpus(table, None).reading == CHOSEN
    assert costed_corpus(table, corpus.parent / "corpus").reading == CHOSEN
    evaluation = plan_evaluation(space, EvaluateOptions(folder=corpus))
    assert evaluation.folder.reading == Reading()
    assert evaluation.reference.reading == CHOSEN


def test_another_corpus_is_read_as_it_stands(corpus, work, tmp_path):
    other = shutil.copytree(corpus, tmp_path / "other")
    table = Workspace(work).latest("stats").folder / "offsets.json"
    assert costed_corpus(table, other).reading == Reading()
