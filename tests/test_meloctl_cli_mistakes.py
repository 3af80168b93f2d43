"""Every mistake is one clear line, a status that is not 0, and nothing written."""

import json

import pytest
from command_line import everything_under, facts, meloctl_here, mistake, only, write_corpus
from conftest import DIARY, note, smf


@pytest.fixture(scope="module")
def garbage(tmp_path_factory):
    """A folder of damaged and empty inputs."""
    folder = tmp_path_factory.mktemp("garbage")
    (folder / "empty").mkdir()
    (folder / "text").mkdir()
    for i in range(3):
        (folder / "text" / f"{i}.mid").write_text("Lorem ipsum dolor sit amet")
    (folder / "cut").mkdir()
    (folder / "cut" / "a.mid").write_bytes(smf(note(60, 480))[:-8])
    mask = json.loads(meloctl_here("derive-mask", "--table", DIARY, "--json", work=folder / "aside").stdout)
    (folder / "unknown.json").write_text(json.dumps({**mask, "window": 3}))
    (folder / "table.json").write_text(json.dumps({**json.loads(DIARY.read_text()), "more": 1}))
    (folder / "nonsense.json").write_text("{]")
    return folder


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["stats", "{}/empty"], 1, "no MIDI file (.mid, .kar, .rmi, …) in it; give a folder of MIDI files"),
        (["stats", "{}/text"], 1, "no file in {}/text could be read (3 tried); the first, 0.mid: not a MIDI file"),
        (["stats", "{}/cut"], 1, "a.mid: damaged: the file ends inside a track"),
        (["stats", "{}/none"], 1, "no such folder"),
        (["stats", "{}/text", "--meter", "4/5"], 1, "meter '4/5' is not a time signature"),
        (["stats", "{}/table.json"], 1, "neither a folder nor MIDI"),
        (["stats", "{}/text", "--meter", ""], 1, "meter '' is not a time signature"),
        (
            ["stats", "{}/text", "--work", "{}/table.json"],
            1,
            "table.json: not a folder; name a workspace folder with --work",
        ),
        (["derive-mask"], 1, "run first: meloctl stats FOLDER"),
        (["derive-mask", "--table", "{}/table.json"], 1, "unknown key 'more'"),
        (["derive-mask", "--table", "{}/nonsense.json"], 1, "it is not JSON"),
        (["derive-mask", "--table", "{}/empty"], 1, "empty/offsets.json: cannot read this table of offsets"),
        (["derive-mask", "--table", str(DIARY), "--far", "-1"], 1, "--far -1"),
        (["train"], 1, "run first: meloctl stats FOLDER"),
        (["train", "--model", "huge"], 1, "--model huge: no such model; choose one of tiny, small, base, large"),
        (["train", "--minutes", "0"], 1, "--minutes 0"),
        (["train", "--minutes", "nan"], 1, "--minutes nan"),
        (["train", "--seed", "-1"], 1, "--seed -1"),
        (["train", "--learning-rate", "7"], 1, "--learning-rate 7"),
        (["generate", "--bars", "0"], 1, "--bars 0: give a whole number of bars, 1 to 10000"),
        (["generate", "--instruments", "kazoo"], 1, "--instruments kazoo: no such instrument"),
        (["generate", "--meter", "4/5"], 1, "--meter 4/5: give a time signature"),
        (["generate", "--tempo", "5"], 1, "--tempo 5: give quarter notes a minute"),
        (["generate", "--key", "H"], 1, "--key H: no such key; give a letter from A to G"),
        (["generate", "--count", "0"], 1, "--count 0: give how many pieces to write, 1 to 1000"),
        (["generate", "--sound", "mp3"], 1, "--sound mp3: give wav, flac or none"),
        (["generate", "--top-k", "0"], 1, "--top-k 0: give how many values to sample from"),
        (["generate", "--seed", "-1"], 1, "--seed -1: give a whole number"),
        (["generate", "--keep-bars", "4"], 1, "give the prompt too: --prompt FILE"),
        (["generate", "--prompt", "{}/none.mid"], 1, "none.mid"),
        (["generate", "--prompt", "{}/text/0.mid"], 1, "not a MIDI file"),
        (["generate", "--bars", "many"], 2, "meloctl generate: Invalid value for '--bars'"),
        (["generate", "--colour", "red"], 2, "No such option: --colour"),
        (["sing"], 2, "No such command 'sing'"),
        (["stats"], 2, "Missing argument"),
    ],
)
def test_a_mistake_is_one_clear_line(garbage, tmp_path, arguments, status, says):
    work = tmp_path / "melo"
    line = mistake(*(a.replace("{}", str(garbage)) for a in arguments), work=work, status=status)
    assert says.replace("{}", str(garbage)) in line
    assert not work.exists()


def test_a_mask_with_an_unknown_key_is_refused(garbage, tmp_path):
    work = tmp_path / "melo"
    facts("stats", write_corpus(tmp_path / "corpus", files=2), work=work)
    before = everything_under(work)
    assert "unknown key 'window'" in mistake("train", "--mask", garbage / "unknown.json", work=work)
    assert everything_under(work) == before


def test_a_damaged_workspace_is_refused(tmp_path):
    corpus, work = write_corpus(tmp_path / "corpus", files=2), tmp_path / "melo"
    facts("stats", corpus, work=work)
    folder = only(work / "stats")
    (folder / "manifest.json").write_text("{}")
    line = mistake("derive-mask", work=work)
    assert "not a manifest" in line
    assert line.endswith("make such a run again: meloctl stats FOLDER")
    (folder / "manifest.json").unlink()
    assert "names no finished run" in mistake("derive-mask", work=work)
    (work / "stats" / "latest.json").write_text('{"folder": "../../etc"}')
    assert "latest.json: folder is '../../etc'" in mistake("derive-mask", work=work)


def test_a_vanished_corpus_is_named(tmp_path):
    corpus, work = write_corpus(tmp_path / "corpus", files=2), tmp_path / "melo"
    facts("stats", corpus, work=work)
    facts("derive-mask", work=work)
    for path in corpus.iterdir():
        path.unlink()
    assert "no MIDI file (.mid, .kar, .rmi, …) in it" in mistake("train", work=work)


def test_too_few_pieces_to_split_are_named(tmp_path):
    corpus, work = write_corpus(tmp_path / "corpus", files=1), tmp_path / "melo"
    facts("stats", corpus, work=work)
    facts("derive-mask", work=work)
    done = meloctl_here("train", work=work)
    assert done.returncode == 1
    assert "give a corpus of more different pieces" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_folder_that_may_not_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    assert "not a directory" in mistake("derive-mask", "--table", DIARY, work=tmp_path / "file" / "melo")


def test_a_piece_of_one_part_gives_no_mask_and_says_why(tmp_path):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "solo.mid").write_bytes(smf([e for p in (60, 62, 64, 65) for e in note(p, 1920)]))
    facts("stats", tmp_path / "corpus", work=tmp_path / "melo")
    assert "pieces with two parts" in mistake("derive-mask", work=tmp_path / "melo")
