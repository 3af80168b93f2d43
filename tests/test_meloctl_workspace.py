"""Runs of a workspace: made once, whole or not at all, one process at a time."""

import json

import pytest

from analysis.errors import MeloError
from meloctl.workspace import MANIFEST, Recipe, RunOutput, Workspace


def recipe_of(**options):
    return Recipe(stage="stats", command="stats", inputs={"corpus": "here"}, options=options, label="little")


def write_one(folder):
    (folder / "table.csv").write_text("1\n")
    return RunOutput(files=["table.csv"], results={"lines": ["one"]})


def never(folder):
    raise AssertionError("made again")


def test_a_run_is_made_once(tmp_path):
    space = Workspace(tmp_path / "melo")
    first = space.once(recipe_of(seed=1), write_one)
    again = space.once(recipe_of(seed=1), never)
    assert (first.reused, again.reused) == (False, True)
    assert first.folder == again.folder
    assert first.manifest == again.manifest
    assert again.manifest_value("results", "lines") == ["one"]
    assert again.files == ["table.csv"]
    other = space.once(recipe_of(seed=2), write_one)
    assert not other.reused
    assert other.folder != first.folder
    assert space.latest("stats").folder == other.folder
    space.once(recipe_of(seed=1), never)
    assert space.latest("stats").folder == first.folder


@pytest.mark.parametrize("error", [MeloError("no"), KeyboardInterrupt(), ValueError("bug")])
def test_nothing_is_left_of_a_run_that_failed_with_nothing_written(tmp_path, error):
    space = Workspace(tmp_path / "melo")

    def fail(folder):
        assert folder.is_dir()
        raise error

    with pytest.raises(type(error)):
        space.once(recipe_of(), fail)
    assert not (tmp_path / "melo").exists()
    assert not space.once(recipe_of(), write_one).reused


def test_what_a_failed_run_wrote_stays_for_the_next_try(tmp_path):
    space = Workspace(tmp_path / "melo")

    def fail(folder):
        (folder / "half").write_text("1")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        space.once(recipe_of(), fail)
    folder = space.folder(recipe_of())
    assert [path.name for path in folder.iterdir()] == ["half"]
    assert space.finished(recipe_of()) is None

    def go_on(folder):
        assert (folder / "half").read_text() == "1"
        return write_one(folder)

    assert space.once(recipe_of(), go_on).folder == folder


def test_two_at_a_time_are_refused(tmp_path):
    space = Workspace(tmp_path / "melo")

    def make(folder):
        with pytest.raises(MeloError, match="another meloctl stats is writing it"):
            space.once(recipe_of(), write_one)
        return write_one(folder)

    assert not space.once(recipe_of(), make).reused


def test_a_changed_file_is_neither_trusted_nor_overwritten(tmp_path):
    space = Workspace(tmp_path / "melo")
    run = space.once(recipe_of(), write_one)
    (run.folder / "table.csv").write_text("2\n")
    with pytest.raises(MeloError, match="missing, or not as meloctl stats FOLDER wrote it"):
        space.once(recipe_of(), never)
    assert (run.folder / "table.csv").read_text() == "2\n"


def test_a_value_that_a_manifest_lacks_is_named(tmp_path):
    run = Workspace(tmp_path).once(recipe_of(), write_one)
    data = json.loads((run.folder / MANIFEST).read_text())
    del data["results"]["lines"]
    (run.folder / MANIFEST).write_text(json.dumps(data))
    with pytest.raises(MeloError, match="damaged, no 'lines' in its results"):
        Workspace(tmp_path).latest("stats").manifest_value("results", "lines")


def test_what_was_needed_to_resume_alone_goes_once_the_run_is_finished(tmp_path):
    space = Workspace(tmp_path)

    def make(folder):
        (folder / "chunks").mkdir()
        (folder / "chunks" / "0").write_text("")
        return RunOutput(files=write_one(folder).files, results={}, scratch=["chunks"])

    run = space.once(recipe_of(), make)
    assert sorted(path.name for path in run.folder.iterdir()) == [MANIFEST, "table.csv"]


def test_an_old_workspace_is_refused_with_what_to_run(tmp_path):
    space = Workspace(tmp_path)
    run = space.once(recipe_of(), write_one)
    data = json.loads((run.folder / MANIFEST).read_text())
    data["format"] = "meloctl.manifest/1"
    (run.folder / MANIFEST).write_text(json.dumps(data))
    with pytest.raises(
        MeloError, match=r"of another version of meloctl .*; make such a run again: meloctl stats FOLDER"
    ):
        space.latest("stats")


@pytest.mark.parametrize("name", ["../elsewhere", "/etc", "a/b", "", 5, None])
def test_the_pointer_to_the_latest_run_leads_nowhere_else(tmp_path, name):
    space = Workspace(tmp_path)
    space.once(recipe_of(), write_one)
    (tmp_path / "stats" / "latest.json").write_text(json.dumps({"folder": name}))
    with pytest.raises(MeloError, match=r"latest\.json"):
        space.latest("stats")
