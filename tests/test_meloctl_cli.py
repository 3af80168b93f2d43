"""The program from outside: the four commands one after the other, JSON on stdout, one clear line for every mistake."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from command_line import facts, meloctl, meloctl_here, mistake, only, write_corpus
from conftest import DIARY, note, smf

from analysis.midi import read_midi
from analysis.similarity import MEASURES
from meloctl import __version__


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """The four commands of the card, one after the other, with no argument but the folder (and a short budget)."""
    root = tmp_path_factory.mktemp("card")
    corpus, work = write_corpus(root / "corpus"), root / "melo"
    (corpus / "broken.mid").write_text("no music")
    commands = [
        ("stats", corpus),
        ("derive-mask",),
        ("train", "--minutes", "5", "--epochs", "80"),
        ("generate", "--bars", "8"),
    ]
    return root, work, {command[0]: facts(*command, work=work, run=meloctl) for command in commands}


def test_stats_prints_and_writes(card):
    root, work, printed = card
    stats = printed["stats"]
    assert stats["pieces"] == 24
    (skipped,) = stats["skipped"]
    assert skipped["path"].endswith("broken.mid")
    assert "not a MIDI file" in skipped["reason"]
    rows = {(r["measure"], r["relation"], r["offset"]): r for r in stats["offsets"]}
    curve = {("same", k) for k in range(1, 8)} | {("cross", k) for k in range(8)}
    assert set(rows) == {(m.name, *at) for m in MEASURES for at in curve}
    again = rows["pc-jaccard", "same", 4]
    assert (again["mean"], again["interval"]) == (1.0, [1.0, 1.0])  # the tune is repeated after four bars
    assert again["pairs"] == 24 * 2 * 4
    assert again["chance"] < 0.9
    assert stats["periods"]["pc-jaccard"]["same"] == 4
    folder = only(work / "stats")
    assert sorted(p.name for p in folder.iterdir()) == [
        *("families.csv", "families.png", "manifest.json", "offsets.csv", "offsets.json", "offsets.png"),
        *("peaks.csv", "pieces.parquet", "skipped.csv"),
    ]
    assert json.loads((folder / "offsets.json").read_text()) == stats
    table = pd.read_csv(folder / "offsets.csv")
    assert table["mean"].tolist() == [r["mean"] for r in stats["offsets"]]
    assert table["interval_low"].tolist() == [r["interval"][0] for r in stats["offsets"]]
    families = pd.read_csv(folder / "families.csv")
    assert set(families["later"]) == {"piano", "bass"}
    assert families.query("relation == 'same'")["pairs"].sum() == sum(
        r["pairs"] for r in stats["offsets"] if r["relation"] == "same"
    )
    assert pd.read_csv(folder / "peaks.csv")["height"].tolist() == [p["height"] for p in stats["peaks"]]
    assert pd.read_csv(folder / "skipped.csv")["path"].tolist() == [skipped["path"]]
    pieces = pd.read_parquet(folder / "pieces.parquet")
    assert len(pieces) == 24 * 15 * 4


def test_the_mask_comes_from_the_statistics(card):
    _, work, printed = card
    mask = printed["derive-mask"]
    assert mask["format"] == "meloctl.mask/2"
    scope, priors = {"same", "near", "far", "drums", "summaries"}, {"same_prior", "cross_prior"}
    assert set(mask) == {"format", "reasons", "source"} | scope | priors
    assert mask["same_prior"]["4"] == 1.0
    assert len(mask["reasons"]) >= 4
    folder = only(work / "mask")
    assert json.loads((folder / "mask.json").read_text()) == mask


def test_training_beats_unigrams_and_bigrams(card):
    _, work, printed = card
    result = printed["train"]
    assert result["bits_per_note"] < min(result["unigram_bits_per_note"], result["bigram_bits_per_note"])
    folder = only(work / "model")
    names = {p.name for p in folder.iterdir()}
    assert names == {
        "manifest.json",
        "model.json",
        "model.safetensors",
        "metrics.csv",
        "loss.png",
        "training.json",
        "tensorboard",
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["inputs"]["mask"] == printed["derive-mask"]
    assert manifest["options"]["seed"] == 0
    assert set(manifest["versions"]) == {"meloctl", "python", "numpy", "numba", "torch"}


def test_generation_gives_the_bars(card):
    _, work, printed = card
    piece = printed["generate"]
    assert set(piece) == {"path", "file", "bars", "parts", "instruments", "notes", "seconds", "cache_bytes"}
    assert len(piece["instruments"]) == piece["parts"]
    folder = Path(piece["path"]).parent
    assert folder.parent == work / "out"
    again = read_midi(folder / "piece.mid")
    assert (again.n_bars, len(again.parts), len(again.notes)) == (8, piece["parts"], piece["notes"])
    assert piece["bars"] == 8
    assert {p.name for p in folder.iterdir()} == {"manifest.json", "piece.mid", "piece.png", "piece.wav"}


def test_nothing_is_redone(card):
    root, work, printed = card
    files = {p: p.stat().st_mtime_ns for p in work.rglob("*") if p.is_file() and p.name != "latest.json"}
    assert facts("stats", root / "corpus", work=work) == printed["stats"]
    assert facts("derive-mask", work=work) == printed["derive-mask"]
    assert facts("train", "--minutes", "5", "--epochs", "80", work=work) == printed["train"]
    assert facts("generate", "--bars", "8", work=work) == printed["generate"]
    assert {p: p.stat().st_mtime_ns for p in work.rglob("*") if p.is_file() and p.name != "latest.json"} == files
    assert "Unchanged since" in meloctl_here("stats", root / "corpus", work=work).stdout


def test_what_was_changed_by_hand_is_neither_trusted_nor_overwritten(tmp_path):
    work = tmp_path / "melo"
    facts("derive-mask", "--table", DIARY, work=work)
    path = only(work / "mask") / "mask.json"
    path.write_text(path.read_text().replace('"near": 2', '"near": 3'))
    line = mistake("derive-mask", "--table", DIARY, work=work)
    assert "mask.json: missing, or not as meloctl derive-mask wrote it" in line
    assert '"near": 3' in path.read_text()
    path.unlink()
    assert "mask.json: missing" in mistake("derive-mask", "--table", DIARY, work=work)


def test_training_says_when_mask_and_corpus_do_not_belong_together(card, tmp_path):
    root, work, _ = card
    other = tmp_path / "melo"
    facts("stats", root / "corpus", work=other)
    facts("derive-mask", "--table", DIARY, work=other)
    printed = meloctl_here("train", "--minutes", "0.02", work=other).stderr
    assert "was not derived from the latest statistics" in printed
    assert "was not derived" not in meloctl_here("train", "--minutes", "5", "--epochs", "80", work=work).stderr


def test_any_file_name_will_do(tmp_path):
    corpus = write_corpus(tmp_path / "c$a_$b", files=3)
    (corpus / os.fsdecode(b"\xff.mid")).write_bytes(smf(note(60, 480), note(64, 480)))
    (corpus / os.fsdecode(b"\xfe.mid")).write_text("no music")
    for arguments in (("stats", corpus), ("stats", corpus, "--json")):
        done = meloctl(*arguments, work=tmp_path / "melo")
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["skipped"][0]["path"].endswith("\\xfe.mid")


def test_a_changed_corpus_is_measured_again(tmp_path):
    corpus = write_corpus(tmp_path / "corpus", files=2)
    work = tmp_path / "melo"
    assert facts("stats", corpus, work=work)["pieces"] == 2
    (corpus / "new.mid").write_bytes(smf(note(60, 480)))
    assert facts("stats", corpus, work=work)["pieces"] == 3


def test_the_same_seed_writes_the_same_file(card, tmp_path):
    _, work, _ = card
    first = facts("generate", "--bars", "5", "--seed", "3", "--sound", "none", work=work)
    data = Path(first["path"]).read_bytes()
    folder = work / "out"
    for path in folder.glob("*seed3-5bars*/manifest.json"):
        path.unlink()
    again = facts("generate", "--bars", "5", "--seed", "3", "--sound", "none", work=work)
    assert Path(again["path"]).read_bytes() == data


def test_sound_is_written_in_the_format_of_the_option(card):
    _, work, _ = card
    for sound, more in (("flac", {"piece.flac"}), ("none", set())):
        made = facts("generate", "--bars", "1", "--seed", "4", "--sound", sound, work=work)
        names = {p.name for p in Path(made["path"]).parent.iterdir()}
        assert names == {"manifest.json", "piece.mid", "piece.png"} | more


def test_output_for_people_says_what_was_found_and_where(card):
    root, work, _ = card
    stats, mask, train, generate = (
        meloctl_here(*a, work=work).stdout
        for a in (
            ("stats", root / "corpus"),
            ("derive-mask",),
            ("train", "--minutes", "5", "--epochs", "80"),
            ("generate", "--bars", "8"),
        )
    )
    assert "24 pieces read, 1 skipped" in stats
    assert "skipped broken.mid: not a MIDI file" in stats
    assert "Own part:" in mask
    assert "bits a note (unigram" in train
    assert "8 bars" in generate
    for printed in (stats, mask, train, generate):
        assert str(work) in printed


def test_the_diary_gives_the_seeds_mask(tmp_path):
    mask = facts("derive-mask", "--table", DIARY, work=tmp_path / "melo")
    assert (mask["same"], mask["near"], mask["far"], mask["summaries"]) == ("full", 2, [4], True)


def test_the_workspace_is_named_by_option_environment_or_melo(tmp_path):
    meloctl("derive-mask", "--table", DIARY, "--work", tmp_path / "a", work=tmp_path / "b")
    assert (tmp_path / "a" / "mask").is_dir()
    assert not (tmp_path / "b").exists()
    meloctl("derive-mask", "--table", DIARY, work="", cwd=tmp_path)
    assert (tmp_path / "melo" / "mask").is_dir()


def test_several_pieces_go_on_from_a_prompt(card):
    root, work, _ = card
    prompt = root / "corpus" / "03.mid"
    options = ("--bars", "4", "--keep-bars", "2", "--count", "2", "--instruments", "piano,flute", "--sound", "none")
    made = facts("generate", "--prompt", prompt, *options, work=work)
    assert [p["file"] for p in made["pieces"]] == ["piece-0.mid", "piece-1.mid"]
    kept = read_midi(prompt)
    for piece in made["pieces"]:
        again = read_midi(Path(piece["path"]))
        assert (again.n_bars, piece["bars"]) == (6, 6)
        end = int(kept.bars.start_tick(2))
        old, new = (p.notes.pitch[p.notes.onset_tick < end].tolist() for p in (kept, again))
        assert old == new
        later = again.notes.part[again.notes.onset_tick >= end]
        assert {again.parts[i].program for i in later} == {0, 73}
        assert Path(piece["path"]).with_suffix(".png").exists()


def test_the_version_is_printed(tmp_path):
    assert meloctl("--version", work=tmp_path).stdout.strip() == __version__


def test_help_shows_an_example(tmp_path):
    for command in ("stats", "derive-mask", "train", "generate"):
        assert f"Example: meloctl {command}" in meloctl(command, "--help", work=tmp_path).stdout


def test_an_interrupted_command_says_how_to_go_on(card, tmp_path):
    root, _, _ = card
    work = tmp_path / "melo"
    facts("stats", root / "corpus", work=work)
    facts("derive-mask", work=work)
    command = [sys.executable, "-m", "meloctl", "train", "--minutes", "5", "--work", str(work)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert next((line for line in process.stderr if line.startswith("Estimate:")), None)  # training has begun
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("meloctl: stopped.")


@pytest.mark.slow
def test_fifty_seeds_of_thirty_two_bars(card):
    from miditoolkit import MidiFile

    from meloctl.rows.codec import encode
    from meloctl.rows.grammar import check_rows
    from meloctl.rows.vocabulary import default_vocabulary

    vocabulary = default_vocabulary()
    _, work, _ = card
    for seed in range(50):
        piece = facts("generate", "--bars", "32", "--seed", seed, "--sound", "none", work=work)
        again = read_midi(Path(piece["path"]))
        assert again.n_bars == 32 == piece["bars"]
        other = MidiFile(piece["path"])
        assert sum(len(i.notes) for i in other.instruments) == piece["notes"] == len(again.notes)
        end = max(n.end for i in other.instruments for n in i.notes)
        assert again.bars.start_tick(31) < end <= again.bars.start_tick(32)
        rows, loss = encode(again, vocabulary)
        assert check_rows(rows, vocabulary) == []
        assert (loss.moved, loss.merged) == (0, 0)
        assert 32 < piece["seconds"] < 1000
