"""Reading and writing MIDI. Malformed files are built byte by byte."""

import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import mido
import numpy as np
import pytest
from conftest import note, signature, smf
from hypothesis import given
from hypothesis import strategies as st
from miditoolkit import MidiFile
from strategies import pieces

from analysis.errors import MeloError
from analysis.midi import parse_midi, read_midi
from analysis.midi_limits import Limits
from analysis.midi_write import write_midi
from analysis.piece import Notes
from analysis.reading import Reading

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
    assert parse_midi(data, reading=Reading(meter=(4, 4))).n_bars == 2


GOOD = smf([signature(4, 2), *note(60, 480)])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"Dear diary, today I wrote a symphony", "not a MIDI file"),
        (b"MThd", "ends inside its header"),
        (GOOD[:20], "0 of the 1 tracks that its header counts"),
        (GOOD[:-8], "the file ends inside a track"),
        (smf([signature(255, 0), *note(60, 10)]), "1,020 quarter notes in a bar of 255/1; at most 128"),
        (smf([]), "holds no notes"),
        (smf(note(60, 10), division=0), "0 ticks per quarter"),
        (smf(note(60, 10), division=0xE728), "SMPTE"),
        (smf([(0, b"\xff\x51\x03\x00\x00\x00"), *note(60, 10)]), "a tempo of 0 microseconds a quarter note at tick 0"),
        (smf(note(60, 10, rest=(1 << 28) - 1)), "139,811 bars; at most 10,000"),
        (smf([e for _ in range(16) for e in note(60, 10, rest=(1 << 28) - 1)]), "ticks run past"),
        (smf(note(60, 10), division=480, kind=3), "MIDI of format 3; there are formats 0, 1 and 2"),
        (smf([(0, b"\xff\x01\x7f")]), "an event runs past the end of its track"),
        (smf([(0, b"\x3c\x40")]), "a data byte where an event must begin"),
        (smf(*[note(60, 10)] * 65), "65 parts; at most 64"),
        (smf([signature(4, 2, delta=1)] * 50_001, note(60, 10)), "50,001 time signatures or tempos; at most 50,000"),
        (smf([(0, b"\x90\x80\x40")]), "a pitch above 127"),
        (smf([(0, b"\xf4")]), "a status byte that MIDI does not define"),
        (smf([(0, b"\xff\x01\xff\xff\xff\xff\x00")]), "a length of more than four bytes"),
        (smf(note(60, 10), note(62, 10), kind=2), "2 independent sequences"),
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


def test_a_large_file_takes_no_memory(tmp_path):
    path = tmp_path / "large.mid"
    with path.open("wb") as file:
        file.write(GOOD)
        file.truncate(300 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(MeloError, match="at most 16,777,216"):
            read_midi(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_parts_by_the_thousand_are_refused():
    crowd = [event for i in range(1_025) for event in note(60, 1, channel=0)]
    tracks = [[(0, bytes([0xC0, i % 128])), *note(60, 1)] for i in range(1_025)]
    assert len(parse_midi(smf(crowd)).parts) == 1
    with pytest.raises(MeloError, match="over 1,024 parts"):
        parse_midi(smf(*tracks))


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


@given(pieces())
def test_a_written_piece_reads_back_the_same(tmp_path_factory, piece):
    from meloctl.rows.codec import decode, encode
    from meloctl.rows.vocabulary import default_vocabulary
    from meloctl.score.playable import playable

    rows, _ = encode(piece, default_vocabulary())
    piece = playable(decode(rows, default_vocabulary()))
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


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    piece = parse_midi(GOOD)
    monkeypatch.setattr(Path, "write_bytes", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_midi(piece, tmp_path / "piece.mid")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@given(data=st.data())
def test_notes_are_sorted_as_by_five_columns(dtype, data):
    onset = st.sampled_from([0, 1, 5, 2**31 - 1, -3]) | st.integers(0, 40)
    rows = data.draw(st.lists(st.tuples(onset, *[st.integers(0, 3)] * 2, *[st.sampled_from([0, 1, 127])] * 2)))
    columns = [np.array([row[i] for row in rows], dtype=dtype) for i in range(5)]
    onset, part, duration, pitch, velocity = columns
    notes = Notes.of(onset, duration, pitch.astype(np.uint8), velocity.astype(np.int8), part)
    table = [notes.onset_tick, notes.part, notes.pitch, notes.duration_tick, notes.velocity]
    assert list(map(tuple, np.column_stack(table).tolist())) == sorted((o, q, p, d, v) for o, q, d, p, v in rows)
    assert {c.dtype for c in vars(notes).values()} == {np.dtype(np.int64)}


@pytest.mark.parametrize("name", ["band", "quartets", "lieder", "chorales", "pop909"])
def test_miditoolkit_reads_the_same_onsets_and_pitches_of_real_files(real, name):
    for path in real(name)[::37]:
        piece = read_midi(path)
        other = MidiFile(path)
        ours = sorted(zip(piece.notes.onset_tick.tolist(), piece.notes.pitch.tolist(), strict=True))
        theirs = sorted((n.start, n.pitch) for i in other.instruments for n in i.notes)
        assert ours == theirs, path
