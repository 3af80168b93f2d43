"""meloctl generate --infill, from the command line: a piece comes back with bars replaced, and a mistake is one line."""

import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import piece_of, signature, smf
from edited_files import events_of, is_note, meta
from edited_songs import at, hold
from small_models import SEED, small, with_short_bars

from analysis.midi import read_midi
from analysis.midi_write import write_midi
from analysis.piece import Part
from meloctl.cli import main
from meloctl.generation.options import GenerateOptions
from meloctl.generation.plan import plan_generation
from meloctl.generation.session import generate_pieces
from meloctl.model.checkpoint import save_model
from meloctl.progress import SilentReporter
from meloctl.score.midi_edit import edited_midi
from meloctl.workspace import Recipe, Workspace

PARTS = (
    Part(program=0, is_drum=True, name="kit"),
    Part(program=33, is_drum=False, name="bass"),
    Part(program=0, is_drum=False, name="piano"),
)


def made_model(work, *, infill):
    """A finished run of an untrained model."""
    space = Workspace(work)
    recipe = Recipe(stage="model", command="train", inputs={}, options={"infill": infill}, label="tiny")
    folder = space.folder(recipe)
    folder.mkdir(parents=True)
    model = with_short_bars(small(SEED)).float()
    save_model(model, "meloformer", model.state_dict(), folder, {}, infill=infill)
    space.finish(recipe, files=["model.safetensors", "model.json"], results={})


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A workspace with a model, and a song of 12 bars beside it."""
    folder = tmp_path_factory.mktemp("work")
    made_model(folder / "melo", infill=0.5)
    notes = [(p, 48 * b + 12 * i, 9, 36 + 10 * p + i) for b in range(12) for p in range(3) for i in range(2)]
    write_midi(piece_of(notes, parts=PARTS), folder / "song.mid")
    return folder


@pytest.fixture
def run(monkeypatch, capfd):
    """The command as the program runs it, in this process: (status, stdout, stderr)."""

    def run(*arguments, work):
        monkeypatch.setattr(sys, "argv", ["meloctl", *map(str, arguments), "--work", str(work)])
        with pytest.raises(SystemExit) as end:
            main.run()
        return end.value.code or 0, *capfd.readouterr()

    return run


@pytest.fixture
def facts(run):
    """The JSON object that it prints."""

    def facts(*arguments, work):
        status, out, err = run(*arguments, "--json", work=work)
        assert status == 0, err
        return json.loads(out)

    return facts


def notes_of(piece, chosen):
    """Some notes as (onset, duration, pitch, velocity, name of the part)."""
    notes = piece.notes
    columns = (notes.onset_tick, notes.duration_tick, notes.pitch, notes.velocity, notes.part)
    return sorted(
        (o, d, p, v, piece.parts[q].name) for o, d, p, v, q in zip(*(c[chosen].tolist() for c in columns), strict=True)
    )


def test_bars_of_parts_are_replaced(root, facts):
    arguments = (
        "--infill",
        root / "song.mid",
        "--bars-range",
        "5:8",
        "--parts",
        "bass,kit",
        "--count",
        "2",
        "--seed",
        "3",
    )
    found = facts("generate", *arguments, work=root / "melo")
    song = read_midi(root / "song.mid")
    bar = song.notes.onset_tick * 12 // song.ticks_per_quarter // 48
    gone = (bar >= 4) & (bar < 8) & (song.notes.part != 2)
    assert [p["file"] for p in found["pieces"]] == ["piece-3.mid", "piece-4.mid"]
    made = []
    for piece in found["pieces"]:
        assert (piece["bars"], piece["first_bar"], piece["last_bar"]) == (12, 5, 8)
        assert piece["kept_notes"] == 72 - 16
        again = read_midi(Path(piece["path"]))
        scale = again.ticks_per_quarter // song.ticks_per_quarter
        kept = [(o * scale, d * scale, *rest) for o, d, *rest in notes_of(song, ~gone)]
        notes = notes_of(again, slice(None))
        for note in kept:
            notes.remove(note)
        new = [(o * 12 // again.ticks_per_quarter // 48, name) for o, _, _, _, name in notes]
        assert {b for b, _ in new} <= {4, 5, 6, 7}
        assert {name for _, name in new} == {"bass", "kit"}
        assert len(again.notes) == piece["notes"] == len(kept) + len(notes)
        made.append(notes)
        assert Path(piece["path"]).with_suffix(".png").exists()
    assert made[0] != made[1]


def test_a_part_that_the_file_lacks_is_added(root, run, facts):
    arguments = ("--infill", root / "song.mid", "--parts", "violin", "--sound", "none")
    status, _, err = run("generate", *arguments, work=root / "melo")
    assert status == 0, err
    assert "The file has no violin: added as a new part" in err
    path = facts("generate", *arguments, work=root / "melo")["path"]
    again, song = read_midi(Path(path)), read_midi(root / "song.mid")
    assert [p.program for p in again.parts if not p.is_drum and p.program == 40] == [40]
    assert len(again.parts) == 4
    assert len(again.notes) > len(song.notes)


def test_it_is_not_redone(root, run):
    arguments = ("generate", "--infill", root / "song.mid", "--bars-range", "2", "--sound", "none")
    assert "Wrote" in run(*arguments, work=root / "melo")[1]
    assert "nothing redone" in run(*arguments, work=root / "melo")[1]


def test_an_interrupt_keeps_the_finished_bars_and_the_old_ones_behind_them(root):
    space, closed = Workspace(root / "melo"), []

    class Interrupting(SilentReporter):
        def advance(self, steps=1, *, status=""):
            closed.append(1)
            if len(closed) == 3:
                raise KeyboardInterrupt

    plan = plan_generation(space, GenerateOptions(infill=root / "song.mid", parts="bass", seed=7))
    with pytest.raises(KeyboardInterrupt):
        generate_pieces(space, plan, Interrupting())
    again, song = read_midi(space.folder(plan.recipe) / "unfinished.mid"), read_midi(root / "song.mid")
    scale, bar = again.ticks_per_quarter // song.ticks_per_quarter, int(again.bars.start_tick(3))
    old = [(o * scale, d * scale, *rest) for o, d, *rest in notes_of(song, slice(None))]
    notes = notes_of(again, slice(None))
    assert [n for n in notes if n[0] >= bar] == [n for n in old if n[0] >= bar]
    assert [n for n in notes if n[0] < bar] != [n for n in old if n[0] < bar]
    assert space.finished(plan.recipe) is None


def song_with_pedals():
    """Four bars of piano with pedals, lyrics and a note that is held from bar 2 into bar 3; and a bass."""
    piano, low = [(0, b"\xc0\x00")], [(0, b"\xc1\x21")]
    for bar in range(4):
        piano += [(1920 * bar, b"\xb0\x40\x7f"), (1920 * bar + 1000, b"\xb0\x40\x00"), (1920 * bar, meta(5, b"la"))]
        piano += hold(0, 1920 * bar + 480, 1920 * bar + (2000 if bar == 1 else 960), 60 + bar)
        low += hold(1, 1920 * bar, 1920 * bar + 960, 36)
    return smf([signature(4, 2)], at(piano), at(low))


def test_the_files_own_events_stay_and_what_changes_is_said(root, run, facts):
    song = root / "pedals.mid"
    song.write_bytes(song_with_pedals())
    arguments = (
        "--infill",
        song,
        "--bars-range",
        "2",
        "--parts",
        "acoustic grand piano",
        "--sound",
        "none",
        "--seed",
        "5",
    )
    status, _, err = run("generate", *arguments, work=root / "melo")
    assert status == 0
    assert "Held from the replaced bars into kept ones: 1 note, struck again at the bar line" in err
    made = Path(facts("generate", *arguments, work=root / "melo")["path"]).read_bytes()
    assert song.read_bytes() == song_with_pedals()
    before, after = (Counter(e for e in events_of(d).elements() if not is_note(e)) for d in (song_with_pedals(), made))
    assert before == after
    longer = ("--prompt", song, "--keep-bars", "2", "--bars", "2", "--sound", "none")
    status, _, err = run("generate", *longer, work=root / "melo")
    assert status == 0
    assert "Left out behind bar 2: " in err
    made = Path(facts("generate", *longer, work=root / "melo")["path"]).read_bytes()
    kept = Counter(e for e in before.elements() if e[1] < 3840)
    assert kept - Counter(events_of(made)) == Counter()


def test_music_of_over_two_hours_is_written_without_sound_and_that_is_said(root, run, facts):
    # 110 bars of 4/4 at 16,777,215 microseconds a quarter, the slowest that a file can say, last 2.04 hours to the last note
    lead = [note for bar in range(110) for note in hold(0, 1920 * bar, 1920 * bar + 480, 60)]
    slowest = (0, meta(0x51, b"\xff\xff\xff"))
    (root / "long.mid").write_bytes(smf([slowest, signature(4, 2)], at(lead), at(hold(1, 0, 1920, 40))))
    arguments = ("generate", "--infill", root / "long.mid", "--bars-range", "2", "--count", "2", "--sound", "wav")
    status, out, err = run(*arguments, work=root / "melo")
    assert status == 0, err
    for name in ("piece-0.mid", "piece-1.mid"):
        assert f"{name}: No sound is written: 2.04 hours of music; at most 2 are made into sound" in err
    assert "wav" not in out
    for piece in facts(*arguments, work=root / "melo")["pieces"]:
        midi = Path(piece["path"])
        assert read_midi(midi).n_bars == piece["bars"] == 110
        assert midi.with_suffix(".png").exists()


def test_a_soundfont_that_fails_at_the_end_loses_no_music(root, run, monkeypatch):
    broken = root / "broken.sf2"
    broken.write_bytes(b"RIFF\x04\x00\x00\x00sfbk")
    monkeypatch.setattr("meloctl.generation.plan.find_soundfont", lambda: broken)
    status, out, err = run("generate", "--bars", "2", "--count", "2", "--sound", "flac", work=root / "melo")
    assert (status, out) == (1, "")
    line = err.splitlines()[-1]
    assert "; the music is written, without sound: " in line
    midi = Path(line.rpartition(": ")[2])
    assert midi.name == "piece-0.mid"
    assert read_midi(midi).n_bars == read_midi(midi.with_name("piece-1.mid")).n_bars == 2


def test_a_file_that_fails_its_check_is_not_written(root, run, monkeypatch):
    song = root / "failing.mid"
    song.write_bytes(song_with_pedals())

    def lose_an_event(events, edit):
        return edited_midi(events, replace(edit, keep=edit.keep & (np.arange(len(edit.keep)) != 2)))

    monkeypatch.setattr("meloctl.score.join_notes.edited_midi", lose_an_event)
    arguments = ("--infill", song, "--bars-range", "3", "--sound", "none")
    status, out, err = run("generate", *arguments, work=root / "melo")
    assert (status, out) == (1, "")
    assert "lost events; this is a bug" in err
    assert song.read_bytes() == song_with_pedals()
    assert not list((root / "melo").rglob("*failing*/*.mid"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--bars-range", "1:2"],
            "--bars-range: says what of a file to replace; give the file too: --infill FILE",
        ),
        (["--parts", "bass"], "--parts: says what of a file to replace; give the file too: --infill FILE"),
        (
            ["--infill", "{}/song.mid"],
            "--infill: say what to replace: --bars-range 9:16, --parts bass, or both",
        ),
        (["--infill", "{}/song.mid", "--bars-range", "9:99"], "the file has bars 1 to 12"),
        (["--infill", "{}/song.mid", "--bars-range", "1:12"], "nothing would be kept"),
        (["--infill", "{}/song.mid", "--parts", "kazoo"], "no such part; the file has kit, bass, piano"),
        (["--infill", "{}/none.mid", "--parts", "bass"], "none.mid"),
        (["--infill", "{}/song.mid", "--parts", "bass", "--bars", "8"], "--bars: does not go with --infill"),
        (
            ["--infill", "{}/song.mid", "--parts", "bass", "--prompt", "{}/song.mid"],
            "--prompt: does not go with --infill",
        ),
        (["--infill", "{}/song.mid", "--parts", "bass", "--meter", "3/4"], "--meter: does not go with --infill"),
    ],
)
def test_a_mistake_is_one_clear_line(root, run, arguments, says):
    status, out, err = run("generate", *(a.replace("{}", str(root)) for a in arguments), work=root / "melo")
    assert (status, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("meloctl: ")
    assert says in line


def test_a_model_that_was_not_trained_for_it_is_refused(root, run, tmp_path):
    made_model(tmp_path / "melo", infill=0.0)
    status, _, err = run("generate", "--infill", root / "song.mid", "--parts", "bass", work=tmp_path / "melo")
    assert status == 1
    assert "was not trained with infill; train one that is: meloctl train, without --infill 0" in err
