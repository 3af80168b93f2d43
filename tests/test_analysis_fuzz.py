"""The fuzzer: what it finds in the reader (nothing), and that it finds the faults of faulty readers."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import fuzz_midi
import pytest
from conftest import ROOT
from fuzz_midi import Setting, fuzz, keep
from fuzz_mutations import chunks, events, mutated
from fuzz_songs import note, smf, song
from plain_events import Refused
from plain_player import KINDS, play

REASONS = (
    "read",
    "the file ends inside a track",
    "the file ends inside its header",
    "tracks that its header counts",
    "its header is shorter than",
    "not a MIDI file",
    "there are formats",
    "(SMPTE)",
    "ticks per quarter note",
    "ticks run past",
    "bars; at most",
    "parts; at most",
    "a pitch above",
    "an event runs past the end of its track",
    "a data byte where an event must begin",
    "a tempo of N microseconds",
    "of more than four bytes",
    "a status byte that MIDI does not define",
    "holds no notes",
)
"""One piece of each outcome that damage of the kinds in fuzz_mutations must have now and then."""


def test_damaged_files_are_read_or_refused():
    summary = fuzz(Setting(seed=4), 1500)
    assert summary.findings == []
    assert summary.files == sum(summary.outcomes.values()) == 1500
    assert [r for r in REASONS if not any(r in outcome for outcome in summary.outcomes)] == []
    assert summary.outcomes["read"] > 200  # much damage leaves a file that can be read, and goes on to the rows


@pytest.mark.slow
def test_many_damaged_files_are_read_or_refused(real):
    corpus = tuple({str(path.parent) for name in ("band", "pop909") for path in real(name)})
    summary = fuzz(Setting(seed=4, corpus=tuple(sorted(corpus))), 20_000)
    assert summary.findings == []
    assert summary.files == 20_000


@pytest.mark.parametrize(
    ("reader", "finding"),
    [
        ("throws", "KeyError: 'no such key'"),
        ("dies", "died with status -11"),
        ("hangs", "no answer for 1 seconds"),
        ("spins", "1.2 seconds"),
        ("eats", " MB"),
        ("mumbles", "not one line"),
    ],
)
def test_the_fault_of_a_reader_is_found(reader, finding):
    summary = fuzz(Setting(through=f"fuzz_faulty_readers:{reader}", silence=1.0 if reader == "hangs" else 60.0), 3)
    ((index, what),) = summary.findings
    assert index == 1
    assert finding in what
    assert summary.files == 3  # a new child went on after it


def test_what_is_read_otherwise_than_a_player_plays_it_is_found(monkeypatch):
    from player_comparison import difference

    from analysis import midi

    read = midi.parse_source

    def misread(data):
        source = read(data)
        notes = replace(source.piece.notes, velocity=source.piece.notes.velocity // 2)
        return replace(source, piece=replace(source.piece, notes=notes))

    assert difference(smf(note(60, 300))) == ""
    monkeypatch.setattr(midi, "parse_source", misread)
    assert difference(smf(note(60, 300))).startswith("notes: 1 read, 1 played, number 0")


def test_the_songs_of_the_rules_depart_in_every_way():
    """Whatever may be read otherwise than it stands occurs, each with other things, and most files can be read."""
    counts, read = Counter(), 0
    for index in range(800):
        try:
            departures = play(mutated(0, index, [])).departures
        except Refused:
            continue
        read += 1
        counts.update(kind for kind, n in departures.items() if n)
    assert read > 300
    assert [kind for kind in KINDS if not counts[kind]] == []


def test_a_reader_that_does_not_start_is_no_finding():
    with pytest.raises(RuntimeError, match="does not start"):
        fuzz(Setting(through="fuzz_faulty_readers:nothing_of_this_name"), 3)


def test_two_processes_read_each_file_once():
    one, two = (fuzz(Setting(seed=5), 40, processes=n) for n in (1, 2))
    assert one.outcomes == two.outcomes


def test_a_file_is_a_function_of_seed_and_number(tmp_path):
    (path,) = keep(Setting(seed=8), [17], tmp_path)
    code = "from fuzz_mutations import mutated; import sys; sys.stdout.buffer.write(mutated(8, 17, []))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT / "tests", check=True).stdout
    assert path.read_bytes() == printed == mutated(8, 17, [])
    assert len({mutated(8, index, []) for index in range(50)}) > 45


def test_the_events_of_a_track_add_up_to_it():
    data = smf(note(60, 300) + [(5, b"\xff\x01\x02hi"), (0, b"\xf0\x02\x01\xf7"), (1, b"\xc0\x05"), (2, b"\x06")])
    ((kind, body),) = chunks(data)
    assert kind == b"MTrk"
    assert events(body) == [
        *note(60, 300),
        (5, b"\xff\x01\x02hi"),
        (0, b"\xf0\x02\x01\xf7"),
        (1, b"\xc0\x05"),
        (2, b"\x06"),
        (0, b"\xff\x2f\x00"),
    ]


def test_the_files_it_starts_from_are_sound():
    import random

    from analysis.midi import parse_midi

    for index in range(50):
        assert parse_midi(song(random.Random(index))).n_bars > 0


def test_the_command_reports_findings_and_fails(tmp_path, monkeypatch, capsys):
    argv = ["fuzz_midi.py", "--files", "4", "--seed", "1", "--json", "--keep", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", argv)
    assert fuzz_midi.main() == 0
    assert json.loads(capsys.readouterr().out)["files"] == 4
    assert list(tmp_path.iterdir()) == []

    def finds(setting, count, **_):
        return fuzz_midi.Summary(files=count, findings=[(2, "a crash")])

    monkeypatch.setattr(fuzz_midi, "fuzz", finds)
    assert fuzz_midi.main() == 1
    assert json.loads(capsys.readouterr().out)["findings"] == [[2, "a crash"]]
    assert (tmp_path / "seed1-2.mid").read_bytes() == mutated(1, 2, [])


def test_reading_and_rows_need_no_torch():
    code = "import fuzz_checks, fuzz_songs, random, sys; print(fuzz_checks.through(fuzz_songs.song(random.Random(1))))"
    code += "; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT / "tests", check=False)
    assert (done.returncode, done.stdout) == (0, "read\n"), done.stderr
