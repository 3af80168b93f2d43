"""Every command takes MIDI in each of its containers, and says which music in other forms it passes over."""

import gzip
import json
from pathlib import Path

import pytest
from command_line import facts, meloctl_here
from conftest import note, smf

from analysis.errors import MeloError
from analysis.midi import read_midi
from meloctl.play.session import plan_play
from meloctl.workspace import Workspace

LINE = "2 .musicxml, 1 .wav passed over, only MIDI is read: export notation and projects as MIDI"


def riff(song):
    return b"RIFF" + (12 + len(song)).to_bytes(4, "little") + b"RMIDdata" + len(song).to_bytes(4, "little") + song


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    songs = [smf([e for i in range(40) for e in note(60 + (7 * i + k) % 12, 480)]) for k in range(5)]
    (folder / "a.MID").write_bytes(songs[0])
    (folder / "b.kar").write_bytes(songs[1])
    (folder / "c.RMI").write_bytes(riff(songs[2]))
    (folder / "d.mid.gz").write_bytes(gzip.compress(songs[3]))
    (folder / "e.rmi.gz").write_bytes(gzip.compress(riff(songs[4])))
    for name in ("a.musicxml", "b.MusicXML", "c.wav", "cover.jpg"):
        (folder / name).write_bytes(b"?")
    return folder


def test_statistics_and_the_check_read_them_all_and_name_the_rest(corpus, tmp_path):
    done = meloctl_here("stats", corpus, work=tmp_path)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("5 pieces read, 0 skipped: 200 notes in 50 bars")
    assert lines[1].startswith(LINE)
    checked = facts("corpus", "check", corpus, work=tmp_path)
    assert (checked["files"], checked["usable"]) == (5, 5)
    assert checked["passed_over"] == {".musicxml": 2, ".wav": 1}
    done = meloctl_here("corpus", "check", corpus, work=tmp_path)
    assert done.stdout.splitlines()[1].startswith(LINE)


def test_the_check_is_made_again_when_other_music_comes_to_the_folder(corpus, tmp_path):
    assert facts("corpus", "check", corpus, work=tmp_path)["passed_over"][".wav"] == 1
    (corpus / "d.wav").write_bytes(b"?")
    try:
        assert facts("corpus", "check", corpus, work=tmp_path)["passed_over"][".wav"] == 2
    finally:
        (corpus / "d.wav").unlink()


def test_play_takes_a_folder_and_each_file(corpus, tmp_path):
    space = Workspace(tmp_path)
    names = {"a.MID", "b.kar", "c.RMI", "d.mid.gz", "e.rmi.gz"}
    assert {path.name for path in plan_play(space, corpus).pieces} == names
    for name in names:
        assert [len(piece.notes) for piece in plan_play(space, corpus / name).pieces.values()] == [40]


def test_a_gzip_file_that_is_none_is_skipped_with_its_reason(corpus, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mid").write_bytes((corpus / "a.MID").read_bytes())
    (tmp_path / "in" / "cut.mid.gz").write_bytes((corpus / "d.mid.gz").read_bytes()[:-9])
    (tmp_path / "in" / "sound.rmi").write_bytes(b"RIFF\x24\0\0\0WAVEfmt ")
    (tmp_path / "in" / "zeros.mid.gz").write_bytes(gzip.compress(bytes(20 << 20)))
    checked = facts("corpus", "check", tmp_path / "in", work=tmp_path / "melo")
    reasons = {s["path"].rpartition("/")[2]: s["reason"] for s in checked["skipped"]}
    assert reasons == {
        "cut.mid.gz": "damaged: the gzip file ends too early",
        "sound.rmi": "a RIFF file of WAVE, not of MIDI (RMID)",
        "zeros.mid.gz": "it unpacks to more than 16,777,216 bytes; at most so many are read",
    }
    with pytest.raises(MeloError, match="ends too early"):
        plan_play(Workspace(tmp_path / "melo"), tmp_path / "in" / "cut.mid.gz")


def test_the_file_of_the_check_counts_incomplete_files(corpus, tmp_path):
    facts("corpus", "check", corpus, work=tmp_path)
    (written,) = (tmp_path / "check").glob("*/check.json")
    assert json.loads(written.read_text(encoding="utf-8"))["incomplete"] == 0


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    """A model trained for an epoch on the files of all endings, and what `train` printed."""
    work = tmp_path_factory.mktemp("trained")
    for command in (["stats", corpus], ["derive-mask", "--rule", "causal"]):
        facts(*command, work=work)
    return work, facts("train", "--minutes", "5", "--epochs", "1", work=work)


def test_training_takes_them_all(trained):
    _, printed = trained
    assert printed["pieces"] == {"train": 3, "validation": 1, "test": 1}


def test_evaluation_takes_them_all(trained, corpus):
    work, _ = trained
    evaluated = facts("evaluate", corpus, "--reference", corpus, work=work)
    assert (evaluated["music"]["pieces"], evaluated["reference"]["pieces"]) == (5, 5)


@pytest.mark.parametrize("name", ["b.kar", "c.RMI", "d.mid.gz"])
def test_a_prompt_may_be_any_of_them(trained, corpus, name):
    work, _ = trained
    made = facts("generate", "--prompt", corpus / name, "--bars", "1", "--sound", "none", work=work)
    old, new = read_midi(corpus / name).notes, read_midi(Path(made["path"])).notes
    kept = new.onset_tick < 40 * 480
    assert new.pitch[kept].tolist() == old.pitch.tolist()
