"""`meloctl corpus compose`: the files that it writes, what it reuses and leaves alone, and options that are refused."""

import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from analysis.errors import MeloError
from analysis.midi import read_midi
from meloctl.cli.main import app
from meloctl.corpus.composer.compose import (
    ORIGIN,
    check_options,
    compose_corpus,
    compose_piece,
)

# --- Files ---


def files(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.glob("*.mid"))}


def test_a_file_depends_on_seed_and_number_alone(tmp_path):
    assert compose_corpus(tmp_path / "a", pieces=3, seed=7, form="AB")
    assert compose_corpus(tmp_path / "b", pieces=5, seed=7, form="AB")
    assert compose_corpus(tmp_path / "c", pieces=3, seed=8, form="AB")
    a, b, c = (files(tmp_path / x) for x in "abc")
    assert list(b) == [f"0000{i}.mid" for i in range(5)]
    assert a == {name: b[name] for name in a}
    assert len({*b.values(), *c.values()}) == 8


@pytest.mark.parametrize("meter", [(4, 4), (3, 4), (6, 8)])
def test_files_are_read_back_as_they_were_composed(tmp_path, meter):
    compose_corpus(tmp_path, pieces=2, seed=1, form="ABA", phrase=5, meter=meter)
    for i in range(2):
        wrote = compose_piece(np.random.default_rng([1, i]), form="ABA", phrase=5, meter=meter)
        read = read_midi(tmp_path / f"{i:05d}.mid")
        assert read.n_bars == 30
        assert read.parts == wrote.parts
        assert read.bars.signature(29) == meter
        for column in ("onset_tick", "duration_tick", "pitch", "velocity", "part"):
            assert (getattr(read.notes, column) == getattr(wrote.notes, column)).all()


def test_nothing_is_redone_and_nothing_stale_stays(tmp_path):
    seen = []

    def again(**options):
        options = {"pieces": 3, "seed": 0, "form": "A"} | options
        return compose_corpus(tmp_path, **options, on_file=lambda: seen.append(1))

    assert again()
    assert not again()
    assert len(seen) == 3
    (tmp_path / "00001.mid").unlink()
    assert again()  # a file was missing
    before = files(tmp_path)
    assert again(pieces=2)
    assert list(files(tmp_path)) == ["00000.mid", "00001.mid"]
    assert again(seed=1)
    assert files(tmp_path)["00000.mid"] != before["00000.mid"]
    assert json.loads((tmp_path / ORIGIN).read_text())["seed"] == 1


def test_a_stopped_run_is_not_taken_for_done(tmp_path):
    def stop():
        raise KeyboardInterrupt

    compose_corpus(tmp_path, pieces=1, seed=0, form="A")
    with pytest.raises(KeyboardInterrupt):
        compose_corpus(tmp_path, pieces=1, seed=1, form="A", on_file=stop)
    assert compose_corpus(tmp_path, pieces=1, seed=0, form="A")


def test_files_of_another_origin_are_left_alone(tmp_path):
    (tmp_path / "mine.mid").write_bytes(b"MThd")
    with pytest.raises(MeloError, match=r"mine\.mid"):
        compose_corpus(tmp_path, pieces=1, seed=0)
    (tmp_path / "mine.mid").rename(tmp_path / "00000.mid")  # even under a name of ours
    with pytest.raises(MeloError, match=r"00000\.mid"):
        compose_corpus(tmp_path, pieces=1, seed=0)
    assert (tmp_path / "00000.mid").read_bytes() == b"MThd"


# --- Options ---


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"form": ""}, "1 to 32 letters"),
        ({"form": "AAbA"}, "'AAbA'"),
        ({"form": "Ä"}, "letters A-Z"),
        ({"form": "A" * 33}, "1 to 32 letters"),
        ({"phrase": 1}, "phrase 1: .* 2 to 31, or 0"),
        ({"phrase": -4}, "phrase -4"),
        ({"phrase": 32}, "phrase 32"),
        ({"phrase": 0}, "AABA repeats a letter"),
        ({"phrase": 8, "form": "ABC"}, "ABC repeats none"),
        ({"meter": (5, 4)}, "5/4: the band plays 4/4, 3/4, 6/8"),
    ],
)
def test_options_that_no_piece_has_are_refused(options, says):
    with pytest.raises(MeloError, match=says):
        check_options(**{"form": "AABA", "phrase": 4, "meter": (4, 4)} | options)


@pytest.mark.parametrize(
    ("options", "says"),
    [({"pieces": 0}, "pieces 0"), ({"pieces": 100_001}, "to 100000"), ({"seed": -1}, "seed -1")],
)
def test_numbers_out_of_range_are_refused(tmp_path, options, says):
    with pytest.raises(MeloError, match=says):
        compose_corpus(tmp_path / "x", **{"pieces": 1, "seed": 0} | options)
    assert not (tmp_path / "x").exists()


# --- The command ---


def compose(*arguments):
    return CliRunner().invoke(app, ["corpus", "compose", *map(str, arguments)])


def test_the_command_writes_prints_and_does_not_redo(tmp_path):
    done = compose("--pieces", 2, "--seed", 3, "--phrase", 0, "--meter", "3/4", "--work", tmp_path, "--json")
    assert done.exit_code == 0
    printed = json.loads(done.stdout)
    folder = tmp_path / "corpus" / "band"
    assert printed["path"] == str(folder)
    assert (printed["pieces"], printed["bars"], printed["form"], printed["meter"], printed["seed"]) == (
        2,
        32,
        "ABCD",
        "3/4",
        3,
    )
    assert sorted(p.name for p in folder.iterdir()) == ["00000.mid", "00001.mid", ORIGIN]
    again = compose("--pieces", 2, "--seed", 3, "--phrase", 0, "--meter", "3/4", "--work", tmp_path)
    assert again.stdout.startswith("Unchanged, nothing redone")
    assert f"Next: meloctl stats {folder}" in again.stdout


def test_the_command_writes_to_the_given_folder(tmp_path):
    done = compose(tmp_path / "here", "--pieces", 1, "--form", "A")
    assert done.stdout.startswith("Wrote 1 piece of 8 bars: ")
    assert read_midi(tmp_path / "here" / "00000.mid").n_bars == 8


def test_a_mistake_is_one_line(tmp_path):
    command = [sys.executable, "-m", "meloctl", "corpus", "compose", str(tmp_path), "--phrase", "0", "--form", "AA"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "give each section a letter of its own" in done.stderr
