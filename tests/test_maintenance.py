"""How the weights that come with meloctl are made: their corpus, and the card with scores by set."""

import json
import sys

import pytest
from command_line import facts, write_corpus
from conftest import ROOT, note, smf

sys.path.append(str(ROOT / "maintenance"))
import free_corpus
import ship_weights

from meloctl.workspace import Workspace

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def data(tmp_path):
    """A folder with one file of each free set, and some that are not free."""
    song = smf(note(60, 480) + note(62, 480))
    names = ("band/freedoom-a.mid", "band/easyrpg-b.mid", "band/openmsx-c.mid", "quartets/d.mid", "lieder/e.mid")
    for name in (*names, "pop909/f.mid", "bach10/g.mid"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(song)
    return tmp_path / "data"


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(free_corpus, "METERS", {(3, 4): 1})
    monkeypatch.setattr(free_corpus, "chorale_paths", list)
    monkeypatch.setattr(free_corpus, "write_chorales", lambda folder, paths: folder.mkdir(parents=True))


def test_the_corpus_holds_free_music_alone(data, few, tmp_path, capsys):
    out = tmp_path / "out"
    free_corpus.gather(data, out)
    found = sorted(p.relative_to(out).as_posix() for p in out.rglob("*.mid"))
    assert found == [
        "composed/3-4/00000.mid",
        "easyrpg/easyrpg-b.mid",
        "freedoom/freedoom-a.mid",
        "lieder/e.mid",
        "quartets/d.mid",
    ]
    sources = json.loads((out / "SOURCES.json").read_text())
    assert {name: s["files"] for name, s in sources.items()} == {
        **dict.fromkeys(("freedoom", "easyrpg", "quartets", "lieder", "composed"), 1),
        "chorales": 0,
    }
    assert sources["easyrpg"]["licence"] == "CC-BY-4.0"
    before = sources["freedoom"]["sha256"]
    (out / "freedoom" / "freedoom-a.mid").write_bytes(smf(note(61, 480)))
    free_corpus.gather(data, out)
    assert json.loads((out / "SOURCES.json").read_text())["freedoom"]["sha256"] != before


def test_a_folder_without_the_sets_is_one_line(few, tmp_path):
    with pytest.raises(SystemExit, match="no files for freedoom"):
        free_corpus.gather(tmp_path, tmp_path / "out")


def test_weights_are_shipped_with_a_card(tmp_path, monkeypatch, capsys):
    corpus, work, out = tmp_path / "corpus", tmp_path / "melo", tmp_path / "package"
    write_corpus(corpus / "one", files=20)
    write_corpus(corpus / "two", files=20, seed=6)
    entry = {"source": "S", "licence": "L", "credit": "C", "files": 20}
    sources = {name: {"name": name, **entry} for name in ("one", "two")}
    (corpus / "SOURCES.json").write_text(json.dumps(sources))
    facts("stats", corpus, work=work)
    facts("derive-mask", work=work)
    facts("train", "--minutes", "2", "--epochs", "1", "--plans", "0.5", work=work)
    run = Workspace(work).latest("model")
    monkeypatch.setattr(sys, "argv", ["ship_weights.py", str(run.folder), "--out", str(out)])
    ship_weights.main()
    assert {p.name for p in out.iterdir()} == {"model.safetensors", "model.json", "CARD.md"}
    card = (out / "CARD.md").read_text()
    assert card == capsys.readouterr().out.removesuffix("\n")
    assert "$" not in card
    assert "| one | S | 20 | L | C |" in card
    rows = [line.split(" | ") for line in card.splitlines() if line.startswith(("| one |", "| two |", "| all |"))][2:]
    assert [row[0] for row in rows] == ["| one", "| two", "| all"]
    pieces, notes = ([int(row[k].replace(",", "")) for row in rows] for k in (1, 2))
    sides = run.manifest_value("results", "training")["pieces"]
    assert pieces[0] + pieces[1] == pieces[2] == sides["validation"] + sides["test"] > 0
    assert notes[0] + notes[1] == notes[2] == 40 * pieces[2]  # every piece has 40 notes
    bits = [[float(x.strip(" |")) for x in row[3:]] for row in rows]
    assert all(abs(all_of - sum(parts)) < 0.03 for all_of, *parts in bits)
