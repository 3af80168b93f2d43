"""Reading and writing MIDI. Malformed files are built byte by byte."""

import os
import random
import subprocess
import sys
from dataclasses import replace

import mido
import numpy as np
import pytest
from conftest import ROOT, note, pieces, signature, smf
from hypothesis import given
from miditoolkit import MidiFile

from analysis.errors import MeloError
from analysis.midi import Limits, parse_midi, read_midi, write_midi

PROGRAM_5, PROGRAM_6 = (0, b"\xc0\x05"), (0, b"\xc0\x06")


def columns(piece):
    n = piece.notes
    return np.column_stack([n.part, n.onset_tick, n.duration_tick, n.pitch, n.velocity]).tolist()


def test_a_track_is_split_by_channel_and_by_the_program_in_force():
    track = [PROGRAM_5, *note(60, 10), PROGRAM_6, *note(62, 10), *note(64, 10, channel=1), PROGRAM_5, *note(65, 10)]
    piece = parse_midi(smf(track))
    by_part = {}
    for part, _, _, pitch, _ in columns(piece):
        by_part.setdefault(part, []).append(pitch)
    assert [(p.program, by_part[i]) for i, p in enumerate(piece.parts)] == [(5, [60, 65]), (6, [62]), (0, [64])]


def test_two_tracks_of_one_program_are_two_parts():
    assert [p.program for p in parse_midi(smf(note(60, 10), note(60, 10))).parts] == [0, 0]


def test_channel_ten_is_drums():
    piece = parse_midi(smf([*note(36, 10, channel=9), *note(60, 10)]))
    assert sorted((p.is_drum, p.program) for p in piece.parts) == [(False, 0), (True, 0)]


def test_overlapping_notes_of_one_pitch_end_first_in_first_out():
    on, again, off = b"\x90\x3c\x40", b"\x90\x3c\x50", b"\x80\x3c\x00"
    piece = parse_midi(smf([(0, on), (100, again), (50, off), (50, off)]))
    assert columns(piece) == [[0, 0, 150, 60, 64], [0, 100, 100, 60, 80]]


def test_a_velocity_above_127_is_brought_down():
    assert parse_midi(smf(note(60, 10, velocity=200))).notes.velocity.tolist() == [127]


def test_meter_overrides_every_signature_of_the_file():
    data = smf([signature(1, 2), *note(60, 480), *note(60, 480, rest=1440)])
    assert parse_midi(data).n_bars == 5
    assert parse_midi(data, meter=(4, 4)).n_bars == 2


GOOD = smf([signature(4, 2), *note(60, 480)])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"Dear diary, today I wrote a symphony", "not a MIDI file"),
        (b"MThd", "ends inside its header"),
        (GOOD[:20], "holds no notes"),
        (GOOD[:-8], "the file ends inside a track"),
        (bytes.fromhex("4d546864000000060001020300074d54726b7f01c0857f90"), "the file ends inside a track"),
        (smf([signature(255, 0), *note(60, 10)]), "1,020 quarter notes in a bar of 255/1; at most 128"),
        (smf([]), "holds no notes"),
        (smf([(0, b"\x90\x3c\x40")]), "holds no notes"),
        (smf(note(60, 10), division=0), "0 ticks per quarter"),
        (smf(note(60, 10), division=0xE728), "SMPTE"),
        (smf([signature(0, 2), *note(60, 10)]), "time signature 0/4"),
        (smf([signature(4, 9), *note(60, 10)]), "time signature 4/0"),
        (smf([(0, b"\xff\x51\x03\x00\x00\x00"), *note(60, 10)]), "tempo of inf"),
        (smf(note(60, 10, rest=(1 << 28) - 1)), "139,811 bars; at most 10,000"),
        (smf([e for _ in range(16) for e in note(60, 10, rest=(1 << 28) - 1)]), "ticks run past"),
        (smf(*[note(60, 10)] * 65), "65 parts; at most 64"),
    ],
)
def test_what_cannot_be_read_says_why(data, reason):
    with pytest.raises(MeloError, match=reason):
        parse_midi(data)


def test_limits_are_limits():
    data = smf([e for _ in range(5) for e in note(60, 10)])
    assert len(parse_midi(data, limits=Limits(notes=5)).notes) == 5
    with pytest.raises(MeloError, match="5 notes; at most 4"):
        parse_midi(data, limits=Limits(notes=4))


def test_a_large_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "large.mid"
    with path.open("wb") as file:
        file.truncate(300 << 20)
    with pytest.raises(MeloError, match="314,572,800 bytes; at most 16,777,216"):
        read_midi(path)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    (tmp_path / "folder.mid").mkdir()
    os.mkfifo(tmp_path / "pipe.mid")
    (tmp_path / "loop.mid").symlink_to(tmp_path / "loop.mid")
    for name, reason in (
        ("folder.mid", "regular"),
        ("pipe.mid", "regular"),
        ("loop.mid", "cannot be opened"),
        ("none.mid", "no such file"),
    ):
        with pytest.raises(MeloError, match=reason):
            read_midi(tmp_path / name)


def test_the_second_reader_forgives_what_players_forgive(monkeypatch):
    def refuse(_):
        raise RuntimeError("MiniMidi: a data byte above 127")

    monkeypatch.setattr("analysis.midi._of_symusic", refuse)
    piece = parse_midi(smf([signature(3, 2), PROGRAM_5, *note(60, 10, velocity=200)]))
    assert columns(piece) == [[0, 0, 10, 60, 127]]
    assert (piece.parts[0].program, piece.bars.signature(0)) == (5, (3, 4))
    with pytest.raises(MeloError, match="damaged: a data byte above 127"):
        parse_midi(GOOD, limits=Limits(forgiven_bytes=10))
    with pytest.raises(MeloError, match="the file ends inside a track"):
        parse_midi(GOOD[:-8])  # both refuse it


@given(pieces())
def test_a_written_piece_reads_back_the_same(tmp_path_factory, piece):
    from meloctl.generation.score import playable
    from meloctl.rows.codec import decode, encode
    from meloctl.rows.vocabulary import default_vocabulary

    rows, _ = encode(piece, default_vocabulary())
    piece = decode(rows, default_vocabulary())
    piece = playable(piece, piece.n_bars)
    path = tmp_path_factory.mktemp("midi") / "piece.mid"
    write_midi(piece, path)
    again = read_midi(path)

    def content(p):
        names = [(p.parts[i].program if not p.parts[i].is_drum else 0, p.parts[i].is_drum) for i in p.notes.part]
        rest = zip(
            *(c.tolist() for c in (p.notes.onset_tick, p.notes.duration_tick, p.notes.pitch, p.notes.velocity)),
            strict=True,
        )
        return sorted(zip(names, rest, strict=True))

    assert content(again) == content(piece)
    assert again.n_bars == piece.n_bars
    assert again.bars.start_tick(range(piece.n_bars)).tolist() == piece.bars.start_tick(range(piece.n_bars)).tolist()


def test_names_in_any_script_are_kept(tmp_path):
    piece = parse_midi(GOOD)
    write_midi(replace(piece, parts=(replace(piece.parts[0], name="钢琴"),)), tmp_path / "a.mid")
    assert read_midi(tmp_path / "a.mid").parts[0].name == "钢琴"


def test_a_written_file_ends_with_its_last_note(tmp_path):
    write_midi(parse_midi(smf(note(60, 1920))), tmp_path / "a.mid")
    lengths = [sum(message.time for message in track) for track in mido.MidiFile(tmp_path / "a.mid").tracks]
    assert max(lengths) == 1920


def mutated(random, data):
    data = bytearray(data)
    for _ in range(random.randint(1, 6)):
        at = random.randrange(len(data))
        match random.randint(0, 3):
            case 0:
                data[at] = random.randrange(256)
            case 1:
                data[at] ^= 1 << random.randrange(8)
            case 2:
                del data[at : at + random.randint(1, 9)]
            case _:
                data[at:at] = data[at : at + random.randint(1, 9)]
    return bytes(data[: random.randrange(len(data))] if random.random() < 0.1 else data)


def fuzz(seed, times):
    """Feed mutated files through reading, encoding and back; whatever is not refused must be sound."""
    from meloctl.rows.codec import decode, encode
    from meloctl.rows.grammar import check_rows
    from meloctl.rows.vocabulary import default_vocabulary

    vocabulary, rng, read = default_vocabulary(), random.Random(seed), 0
    bases = [
        smf(
            [signature(3, 2), PROGRAM_5, *note(60, 480), *note(62, 120), PROGRAM_6, *note(64, 7)],
            note(36, 90, channel=9),
        ),
        GOOD,
    ]
    for _ in range(times):
        try:
            piece = parse_midi(mutated(rng, rng.choice(bases)))
        except MeloError:
            continue
        read += 1
        rows, _ = encode(piece, vocabulary)
        assert check_rows(rows, vocabulary) == []
        assert np.array_equal(encode(decode(rows, vocabulary), vocabulary)[0], rows)
    return read


def test_mutated_files_are_read_or_refused():
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r}); from test_analysis_midi import fuzz; print(fuzz(1, 3000))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr  # in a process of its own: a crash of the parser would end the tests
    assert int(done.stdout) > 100


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    piece = parse_midi(GOOD)
    monkeypatch.setattr(MidiFile, "dump", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_midi(piece, tmp_path / "piece.mid")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["band", "quartets", "lieder", "chorales", "pop909"])
def test_symusic_and_miditoolkit_agree_on_real_files(real, name):
    for path in real(name)[::37]:
        piece = read_midi(path)
        other = MidiFile(path)
        ours = sorted(zip(piece.notes.onset_tick.tolist(), piece.notes.pitch.tolist(), strict=True))
        theirs = sorted((n.start, n.pitch) for i in other.instruments for n in i.notes)
        assert ours == theirs, path
