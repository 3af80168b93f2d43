"""`meloctl compare` from outside: runs that cannot be compared, mistakes, interrupts; one clear line for each."""

import pytest
from command_line import write_corpus
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
from train_small import fresh
from typer.testing import CliRunner

from analysis.errors import MeloError
from meloctl.cli.main import app
from meloctl.comparison import model_samples


@pytest.fixture(scope="module", autouse=True)
def _two_rounds():
    with two_rounds():
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder, and the runs of `save_runs` in it."""
    root = tmp_path_factory.mktemp("compare")
    return root, save_runs(root)


def assert_refused(*arguments, work, match):
    with pytest.raises(MeloError, match=match):
        compare_lines(*arguments, work=work)


def test_another_corpus_is_refused(trained, tmp_path):
    root, runs = trained
    other = write_corpus(tmp_path / "other", files=20, seed=6)
    model, corpus = with_constant_heads(fresh()), root / "corpus"
    elsewhere = save_run(tmp_path / "a", other, model, "meloformer")
    meter = save_run(tmp_path / "b", corpus, model, "meloformer", meter="4/4")
    rows = save_run(tmp_path / "c", corpus, model, "meloformer", rows="meloctl.shard/1")
    for run, why in (
        (elsewhere, f"was trained on {corpus}, .* on {other}; only runs on one corpus can be compared"),
        (meter, "with the files' own bars, .* with bars of 4/4"),
        (rows, "with the rows format meloctl.shard/3, .* with meloctl.shard/1"),
    ):
        assert_refused(runs["known"], run, work=tmp_path / "melo", match=why)
    (other / "00.mid").write_bytes((other / "01.mid").read_bytes())
    later = save_run(tmp_path / "d", other, model, "meloformer")
    assert_refused(elsewhere, later, work=tmp_path / "melo", match=f"files in {other} changed between")
    assert not (tmp_path / "melo").exists()


def test_mistakes_have_one_line(trained, tmp_path):
    root, runs = trained
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "model.safetensors").write_bytes(b"")
    compare_json(runs["known"], runs["noisy"], "--pieces", "0", work=root / "melo")
    comparison = only_folder(root / "melo" / "compare")
    for arguments, why in (
        ([], "holds none; name them: meloctl compare RUN RUN"),
        ([runs["known"]], "and one was given"),
        ([runs["known"], root / "nothing"], "no run of meloctl train, neither a folder nor a name"),
        ([runs["known"], runs["noisy"], runs["known"]], "given twice; name each run once"),
        ([runs["known"], unfinished], "not finished; give the same meloctl train again"),
        ([runs["known"], comparison], "is not that of a run of meloctl train"),
        ([runs["known"], runs["noisy"], "--pieces", "-1"], "^pieces -1: give how many pieces"),
        ([runs["known"], runs["noisy"], "--bars", "0"], "^bars 0: give how many bars"),
    ):
        assert_refused(*arguments, work=tmp_path / "melo", match=why)
    assert not (tmp_path / "melo").exists()


def test_an_interrupt_leaves_no_files(trained, tmp_path, monkeypatch):
    _, runs = trained
    monkeypatch.setattr(model_samples, "BATCH_SIZE", 1)
    written = []

    def write(piece, path):
        if len(written) == 3:
            raise KeyboardInterrupt
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("music")
        written.append(path)

    monkeypatch.setattr(model_samples, "write_midi", write)
    done = CliRunner().invoke(
        app, ["compare", str(runs["known"]), str(runs["noisy"]), *PIECES, "--work", str(tmp_path / "melo")]
    )
    assert done.exit_code == 130
    assert len(written) == 3
    assert not any(path.exists() for path in written)
    assert [p.name for p in (tmp_path / "melo").iterdir()] == ["cache"]  # the corpus as rows, which is whole


def test_changed_files_are_noted(tmp_path):
    corpus = write_corpus(tmp_path / "corpus", files=40, seed=7)
    models = [with_constant_heads(fresh()) for _ in range(2)]
    runs = [save_run(tmp_path / "melo", corpus, model, "meloformer", seed=s) for s, model in enumerate(models)]
    (corpus / "00.mid").unlink()
    found = compare_json(*runs, "--pieces", "0", work=tmp_path / "melo")
    assert found["corpus"]["changed"]
    assert "Files of the corpus have changed since training" in found["notes"][0]
