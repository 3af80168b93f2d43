"""Reading and writing MIDI. Malformed files are built byte by byte."""

import os

import numpy as np
import pytest
from conftest import note, pieces, signature, smf
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
        (GOOD[:-8], "damaged"),
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
    with pytest.raises(MeloError, match="damaged: Unexpected EOF"):
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


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    piece = parse_midi(GOOD)
    monkeypatch.setattr(MidiFile, "dump", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
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
