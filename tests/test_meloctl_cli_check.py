"""`meloctl corpus check` from outside, and the report from inside."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import note, signature, smf

from analysis.corpus import SkippedFile, find_files, split_of
from analysis.errors import MeloError
from analysis.reading import AS_IT_STANDS
from meloctl.corpus.check_corpus import FileFacts, assess_files, check_file, check_files
from meloctl.corpus.check_report import check_json, check_lines, summary
from meloctl.dataset.store import make_shard
from meloctl.rows.vocabulary import default_vocabulary

V = default_vocabulary()


def check(*arguments, work):
    environment = {**os.environ, "MELOCTL_WORK": str(work)}
    command = [sys.executable, "-m", "meloctl", "corpus", "check", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


HEAD = [signature(4, 2), (0, b"\xff\x51\x03\x07\xa1\x20")]


def tune(seed, *, up=0, head=HEAD):
    """Forty quarters of random steps in the bytes of a file."""
    steps = np.random.default_rng(seed).integers(0, 15, 40)
    return smf([*head, *(e for s in steps for e in note(60 + int(s) + up, 480))])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for i in range(4):
        (folder / f"song{i}.mid").write_bytes(tune(i))
    (folder / "song1 again.mid").write_bytes(tune(1))
    (folder / "song2 higher.mid").write_bytes(tune(2, up=5))
    (folder / "beats.mid").write_bytes(tune(9, head=[signature(1, 2)]))
    (folder / "text.mid").write_text("no music")
    (folder / "other text.mid").write_text("nor this")
    (folder / "empty.mid").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def run(corpus, tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    done = check(corpus, "--json", work=work)
    assert done.returncode == 0, done.stderr
    (folder,) = [p for p in (work / "check").iterdir() if p.is_dir()]
    return work, folder, json.loads(done.stdout)


def test_the_summary_counts_every_file_once(run):
    _, _, data = run
    assert (data["files"], data["usable"], len(data["skipped"])) == (10, 7, 3)
    assert data["summary"].startswith("10 files: 7 usable, 3 skipped; 1 with the notes of another; 2 near copies")
    assert data["format"] == "meloctl.check/3"


def test_copies_are_named_and_stay_together(run):
    _, _, data = run
    groups = {c["kind"]: {p.rpartition("/")[2] for p in c["paths"]} for c in data["copies"]}
    assert groups == {
        "exact": {"song1.mid", "song1 again.mid"},
        "near": {"song2.mid", "song2 higher.mid"},
    }
    assert [c["similarity"] for c in data["copies"]] == [1, 1]  # a transposed copy has the same shingles
    findings = {f["name"]: f["files"] for f in data["findings"]}
    assert findings == {"exact-copies": 1, "near-copies": 2, "one-beat-bars": 1, "no-tempo": 1}


def test_each_file_has_one_line(run):
    _, folder, data = run
    with (folder / "check.csv").open() as file:
        rows = {r["path"].rpartition("/")[2]: r for r in csv.DictReader(file)}
    assert len(rows) == 10
    assert rows["text.mid"]["skipped"] == next(s for s in data["skipped"] if s["path"].endswith("/text.mid"))["reason"]
    assert rows["text.mid"]["bars"] == ""
    assert rows["song0.mid"]["bars"] == "10"
    assert rows["song0.mid"]["notes"] == "40"
    assert rows["song0.mid"]["findings"] == rows["song0.mid"]["copies"] == ""
    assert rows["song2.mid"]["copies"] == rows["song2 higher.mid"]["copies"] != ""
    assert rows["song2.mid"]["group"] != rows["song2 higher.mid"]["group"]
    assert rows["beats.mid"]["findings"] == "one-beat-bars no-tempo"
    assert {r["split"] for r in rows.values()} - {""} <= {"train", "validation", "test"}


def test_the_composition_adds_up(run):
    _, _, data = run
    made_of = data["composition"]
    assert made_of["notes"] == 7 * 40
    assert made_of["bars"] == 6 * 10 + 40
    assert made_of["rows"] == 7 * (40 + 1) + 6 * 10 + 40  # notes, ends, headers
    assert made_of["seconds"] == 7 * 20
    assert made_of["meters"] == {"4/4": 6, "1/4": 1}
    assert made_of["programs"] == {"0": 7}
    assert made_of["empty_cells"] == 0
    assert sum(made_of["split"].values()) == 7


def test_people_read_the_summary_first_and_reasons_once(run, corpus):
    work, folder, data = run
    done = check(corpus, work=work)
    lines = done.stdout.splitlines()
    assert lines[0] == data["summary"]
    assert sum("not a MIDI file" in line for line in lines) == 1
    assert any(line.startswith("      2  not a MIDI file") for line in lines)
    assert any("Unchanged" in line for line in lines)
    assert lines[-1] == f"Next: meloctl stats {corpus}"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["files"]) == {"check.csv", "check.json"}


def test_meter_overrides_and_a_damaged_run_is_named(run, corpus, tmp_path):
    done = check(corpus, "--meter", "4/4", "--json", work=tmp_path)
    data = json.loads(done.stdout)
    assert data["meter"] == "4/4"
    assert "one-beat-bars" not in {f["name"] for f in data["findings"]}
    (folder,) = [p for p in (tmp_path / "check").iterdir() if p.is_dir()]
    (folder / "check.json").write_text("{}")
    done = check(corpus, "--meter", "4/4", work=tmp_path)
    assert done.returncode == 1
    assert "not as meloctl corpus check FOLDER wrote it" in done.stderr


def test_nothing_to_read_is_an_error_of_one_line(tmp_path):
    (tmp_path / "a.mid").write_text("no")
    done = check(tmp_path, work=tmp_path / "melo")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("the first, a.mid: not a MIDI file: it does not start with MThd")
    assert not (tmp_path / "melo").exists()


def test_a_name_cannot_act_on_the_terminal(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x\x1b[2J\u202e\u009b.mid").write_bytes(tune(1)[:30])
    (tmp_path / "a" / "b\x07.mid").write_bytes(tune(1))
    for more in ([], ["--json"]):
        done = check(tmp_path / "a", *more, work=tmp_path / "melo")
        assert done.returncode == 0, done.stderr
        assert not set(done.stdout + done.stderr) & set("\x1b\x07\u202e\u009b")
        assert "x\\x1b[2J\\u202e\\x9b.mid" in done.stdout.replace("\\\\", "\\")
    done = check(tmp_path / "no\x1b[2J", work=tmp_path / "melo")
    assert (done.returncode, "\x1b" in done.stderr) == (1, False)
    assert "no\\x1b[2J: no such folder" in done.stderr


def test_a_clean_corpus_is_reported_as_clean(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.mid").write_bytes(tune(i))
    found = assess_files(check_files(find_files(tmp_path)))
    assert summary(found) == "3 files: 3 usable, 0 skipped; nothing found that hurts training"
    lines = check_lines(check_json(found, corpus="x", reading=AS_IT_STANDS, passed_over={}))
    assert "Fix before training" not in lines
    assert "What it is made of" in lines


def test_reasons_that_differ_in_numbers_are_one(tmp_path, corpus):
    skipped = [SkippedFile(path=tmp_path / f"{i}.mid", reason=f"{i},000 bars; at most 10 are read") for i in range(5)]
    found = assess_files([*skipped, check_file(corpus / "song0.mid", V)])
    lines = check_lines(check_json(found, corpus="x", reading=AS_IT_STANDS, passed_over={}))
    assert "      5  0,000 bars; at most 10 are read: 0.mid, 1.mid, 2.mid, …" in lines


def test_nothing_at_all_can_be_checked():
    found = assess_files([])
    assert check_lines(check_json(found, corpus="x", reading=AS_IT_STANDS, passed_over={})) == [
        "0 files: 0 usable, 0 skipped; nothing found that hurts training"
    ]


def test_a_file_is_checked_alone_and_calls_are_counted(corpus):
    calls = []
    found = check_files(find_files(corpus), on_file=lambda: calls.append(1))
    assert len(calls) == len(found) == 10
    alone = check_file(corpus / "song0.mid", V)
    assert isinstance(alone, FileFacts)
    assert alone in found
    assert (alone.grid.moved, alone.grid.merged) == (0, 0)


def test_near_copies_never_lie_on_two_sides_and_adding_them_moves_nothing(tmp_path):
    """Of 40 songs with a copy in another key each, a hash of their notes would part many."""
    for i in range(40):
        (tmp_path / f"{i:02d}.mid").write_bytes(tune(i))
    alone = make_shard(find_files(tmp_path), V, tmp_path / "rows-1").split
    for i in range(40):
        (tmp_path / f"{i:02d} higher.mid").write_bytes(tune(i, up=3))
    paths = find_files(tmp_path)
    split = dict(zip([p.stem for p in paths], make_shard(paths, V, tmp_path / "rows-2").split, strict=True))
    names = {f.path.stem: f.name for f in check_files(paths)}
    assert any(split_of(names[f"{i:02d}"]) != split_of(names[f"{i:02d} higher"]) for i in range(40))
    assert [split[f"{i:02d}"] for i in range(40)] == [split[f"{i:02d} higher"] for i in range(40)] == list(alone)
    assert assess_files(check_files(paths)).split == tuple(split[p.stem] for p in paths)


def test_the_help_has_an_example_and_wrong_use_is_one_line(tmp_path):
    assert "Example: meloctl corpus check corpus/" in check("--help", work=tmp_path).stdout
    done = check(tmp_path / "none", work=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    with pytest.raises(MeloError, match="no such folder"):
        find_files(tmp_path / "none")
