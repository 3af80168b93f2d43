"""The check of a file's bytes before a library reads them: what it must stop, and what it must let through.

No input here harms the library behind the guard: a guard is tested on another channel, with smaller numbers, or alone.
"""

import struct

import pytest
from conftest import note, signature, smf, variable_length
from hypothesis import given
from hypothesis import strategies as st

from analysis import midi_bytes
from analysis.errors import MeloError
from analysis.midi import parse_midi
from analysis.midi_bytes import MOST_TICKS, PAD, closes_sysex, prepare, tracks, walk

LONG = (1 << 28) - 1
TEXT = b"\xff\x01\x00"
HEADER = 14 + 8


def onsets(data):
    return parse_midi(data).notes.onset_tick.tolist()


def test_a_sound_file_goes_on_as_it_is():
    data = smf(note(60, 480), note(64, 480))
    assert prepare(data) == data + PAD


@pytest.mark.parametrize("status", [b"\x92", b"\x82"])
@pytest.mark.parametrize("pitch", [128, 129, 160, 255])
def test_a_pitch_above_127_on_the_unchecked_channel_is_stopped(monkeypatch, status, pitch):
    """Tried on a channel that symusic does check."""
    data = smf([*note(60, 10), *[(0, status + bytes([pitch, 64]))] * 3])
    prepare(data)
    monkeypatch.setattr(midi_bytes, "_UNCHECKED_NOTES", (0x82, 0x92))
    with pytest.raises(MeloError, match="a pitch above 127"):
        prepare(data)


def test_the_unchecked_channel_is_the_last():
    assert [status & 0xF for status in midi_bytes._UNCHECKED_NOTES] == [15, 15]
    assert [status & 0xF0 for status in midi_bytes._UNCHECKED_NOTES] == [0x80, 0x90]  # note off, note on


def test_the_bytes_of_such_a_note_may_stand_elsewhere():
    tempo = (0, b"\xff\x51\x03\x07\x9f\xf0")
    assert onsets(smf([tempo, *note(60, 480, rest=0x1F * 128 + 1, channel=15)])) == [0x1F * 128 + 1]
    assert onsets(smf([(0, b"\xff\x01\x02\x9f\xff"), *note(60, 480, rest=0x3C000, channel=15)])) == [0x3C000]


def test_ticks_past_2_to_31_are_refused_though_they_wrap_to_small_ones():
    wrapped = [(LONG, TEXT)] * 16 + [(16, TEXT)]  # 2^32 ticks
    with pytest.raises(MeloError, match="ticks run past"):
        prepare(smf([*wrapped, *note(60, 480)]))
    with pytest.raises(MeloError, match="ticks run past"):
        prepare(smf([(0, b"\x90\x3c\x40"), *[(LONG, TEXT)] * 9, (0, b"\x80\x3c\x00"), *note(62, 1)]))


def test_text_full_of_high_bytes_is_no_tick():
    assert onsets(smf([(0, b"\xff\x01\x7f" + b"\xff" * 127), *note(60, 480, rest=960)])) == [960]


@given(
    st.lists(st.tuples(st.integers(0, LONG), st.sampled_from([TEXT, b"\xb0\x07\x40", b"\x90\x3c\x00"])), max_size=14)
)
def test_the_sum_of_delta_times_is_what_counts(events):
    data, ticks = smf(note(60, 1), events), sum(delta for delta, _ in events)
    if ticks >= MOST_TICKS:
        with pytest.raises(MeloError, match="ticks run past"):
            prepare(data)
    else:
        assert walk(prepare(data), tracks(prepare(data))[1]).ticks == ticks


def test_an_escape_event_leaves_the_onsets_as_they_are():
    escape = (10, b"\xf7\x03\x43\x12\x00")
    plain = (10, b"\xff\x01\x03\x43\x12\x00")
    track = [*note(60, 100), escape, *note(62, 100)]
    assert onsets(smf(track)) == onsets(smf([plain if e == escape else e for e in track])) == [0, 110]


def test_a_sysex_event_in_two_packets():
    track = [(0, b"\xf0\x03\x43\x12\x00"), (10, b"\xf7\x03\x01\x02\xf7"), *note(60, 100, rest=5)]
    assert onsets(smf(track)) == [15]


def test_what_closes_a_sysex_event():
    data = b"\x00\xf0\x05\x7e\x7f\x09\x01\xf7" + PAD
    assert closes_sysex(data, 7)
    assert not closes_sysex(b"\x00\xf7\x01\x05" + PAD, 1)
    assert not closes_sysex(b"\x00\xf0\x04\x7e\x7f\x09\x01\xf7" + PAD, 7)


def test_a_header_may_be_longer_than_six_bytes():
    data = smf(note(60, 480, rest=240))
    assert onsets(data[:4] + struct.pack(">I", 9) + data[8:14] + b"new" + data[14:]) == [240]


@pytest.mark.parametrize("size", [0, 5, 1 << 20, 0x80000000, 0xFFFFFFFF])
def test_a_header_of_a_wrong_size(size):
    data = smf(note(60, 480))
    with pytest.raises(MeloError, match="header is shorter than 6 bytes or longer than the file"):
        prepare(data[:4] + struct.pack(">I", size) + data[8:])


def test_tracks_beyond_those_that_the_header_counts_are_not_read():
    data = smf(note(60, 480), note(62, 480))
    assert len(parse_midi(data[:11] + b"\x01" + data[12:]).parts) == 1
    with pytest.raises(MeloError, match="2 of the 3 tracks"):
        prepare(data[:11] + b"\x03" + data[12:])


def test_chunks_of_other_kinds_are_passed_over():
    data = smf(note(60, 480))
    assert onsets(data[:14] + b"XFIH" + struct.pack(">I", 3) + b"abc" + data[14:]) == [0]


def not_midi(data):
    """The same under another name than MThd: every library refuses it at once, the guard of chunks alone does not mind."""
    return b"None" + data[4:]


@pytest.mark.parametrize("size", [0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_chunk_longer_than_the_file(size):
    data = not_midi(smf(note(60, 480)))
    assert tracks(data) == [(HEADER, len(data))]
    with pytest.raises(MeloError, match="ends inside a track"):
        tracks(data[:18] + struct.pack(">I", size) + data[22:])


def test_a_file_that_is_cut_short_anywhere_is_refused():
    data = not_midi(smf(note(60, 480), note(62, 480)))
    assert len(tracks(data)) == 2
    for end in range(14, len(data)):
        with pytest.raises(MeloError, match=r"the file ends inside a track|of the 2 tracks that its header counts"):
            tracks(data[:end])


def test_a_file_with_a_chunk_that_is_cut_short_never_reaches_the_library(monkeypatch):
    def refuse(_):
        raise MeloError("damaged: the file ends inside a track")

    monkeypatch.setattr("symusic.Score", None)
    monkeypatch.setattr(midi_bytes, "_tracks", refuse)
    with pytest.raises(MeloError, match="the file ends inside a track"):
        parse_midi(smf(note(60, 480)))


def test_a_long_name_is_stopped_since_each_part_would_have_a_copy():
    with pytest.raises(MeloError, match="a track name of 16,384 bytes; at most 16,383"):
        prepare(smf([(0, b"\xff\x03" + variable_length(1 << 14) + b"x" * (1 << 14)), *note(60, 10)]))
    name = "钢琴".encode() * 100
    assert (
        parse_midi(smf([(0, b"\xff\x03" + variable_length(600) + name), *note(60, 10)])).parts[0].name == "钢琴" * 100
    )


def test_a_walk_finds_programs_names_and_escapes():
    events = [
        (1, b"\xff\x03\x02ab"),
        (2, b"\xc3\x07"),
        (200, b"\x08"),  # running status: the program changes again
        *note(60, 20_000, channel=3),
        (3, b"\x93\x3c\x40"),
        (0, b"\x3c\x00"),
        (4, b"\xf7\x01\x00"),
        (5, b"\xff\x05\x01a"),
        (6, b"\xf0\x02\x01\xf7"),
    ]
    data = smf(events) + PAD
    track = walk(data, (HEADER, len(data) - len(PAD)))
    assert (track.ticks, track.programs, track.name) == (1 + 2 + 200 + 20_000 + 3 + 4 + 5 + 6, 2, 2)
    assert [data[at : at + 3] for at in track.escapes] == [b"\xf7\x01\x00"]


def test_too_much_to_walk_is_refused(monkeypatch):
    escape = (10, b"\xf7\x03\x43\x12\x00")
    data = smf([escape, *note(60, 10)], note(62, 10))
    ((start, end), _) = tracks(prepare(data))
    monkeypatch.setattr(midi_bytes, "MOST_WALKED", end - start)
    prepare(data)
    monkeypatch.setattr(midi_bytes, "MOST_WALKED", end - start - 1)
    with pytest.raises(MeloError, match=f"{end - start} bytes of tracks that must be followed event by event; at most"):
        prepare(data)


def test_many_signatures_in_a_large_file_are_cleared_by_the_quick_look():
    data = smf([signature(4, 2, delta=127)] * 40_000, note(60, 10))
    assert prepare(data) == data + PAD
