"""The bytes of files, as the plain player reads them."""

import gzip
import re

import pytest
from conftest import note, smf
from midi_messages import both, departures, raw, riff, times
from plain_events import Refused
from plain_player import play
from player_comparison import difference

from analysis.errors import MeloError
from analysis.midi import parse_midi


def refuses(data, reason):
    assert difference(data) == ""
    with pytest.raises(Refused, match=re.escape(reason)):
        play(data)


ONE = smf(note(60, 480))
END = b"\x00\xff\x2f\x00"


@pytest.mark.parametrize(
    "data", [ONE, riff(ONE), gzip.compress(ONE, mtime=0), gzip.compress(riff(ONE), mtime=0), ONE + b"\0\1\2"]
)
def test_a_file_plain_or_in_riff_or_gzip_is_the_same(data):
    assert times(data) == [(0, 480, 60)]
    assert departures(data) in ({}, {"other_chunks": 1})  # RIFF's DISP


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a MIDI file"),
        (ONE[:13], "ends inside its header"),
        (ONE[:8] + b"\0\3" + ONE[10:], "format"),
        (ONE[:12] + b"\xe7\x28" + ONE[14:], "SMPTE"),
        (ONE[:12] + b"\0\0" + ONE[14:], "no ticks"),
        (ONE[:4] + b"\0\0\0\5" + ONE[8:], "shorter than 6"),
        (ONE[:4] + b"\0\1\0\0" + ONE[8:], "header runs past"),
        (ONE[:-1], "chunk runs past"),
        (ONE + b"MTrk\0\0\0\1", "chunk runs past"),
        (ONE[:14] + b"XFIH\0\0\0\xff" + ONE[14:], "chunk runs past"),
        (ONE[:10] + b"\0\2" + ONE[12:], "fewer tracks"),
        (smf(note(60, 1), note(61, 1), kind=2), "independent sequences"),
        (smf([]), "no notes"),
        (gzip.compress(ONE, mtime=0)[:-1], "gzip"),
        (gzip.compress(bytes((16 << 20) + 1), mtime=0), "gzip: more"),
        (riff(ONE)[:-1], "chunk runs past"),
        (b"RIFF\0\0\0\0WAVE" + ONE, "RIFF: no MIDI"),
        (b"RIFF\0\0\0\0RMID", "RIFF: no data"),
    ],
)
def test_what_is_no_whole_file_is_refused(data, reason):
    refuses(data, reason)


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"PK\3\4" + bytes(60), "a zip archive"),
        (b"FORM\0\0\0\x0eXDIRINFO", "convert it"),
        (bytes(128) + ONE, "cut off the 128 bytes before it"),  # as an old Mac sends it
    ],
)
def test_what_is_no_midi_is_named(start, what):
    with pytest.raises(MeloError, match=what):
        parse_midi(start)


def test_the_rest_of_a_track_that_says_it_is_shorter_is_missed():
    """32 quarters of which the last track's length covers the first 16. A kind that no report names."""
    first, second = (
        b"".join(b"\x60\x90" + bytes([p, 64]) + b"\x60\x80" + bytes([p, 64]) for p in range(low, low + 16))
        for low in (40, 56)
    )
    cut = raw(first) + second + b"\0\xff\x2f\0"
    assert len(both(cut).notes) == 16
    assert departures(cut) == {"behind_end": len(second)}


def test_a_track_that_says_it_is_empty_is_told_with_what_stands_behind_it():
    with pytest.raises(MeloError, match="holds no notes, but 10 bytes that belong to no track"):
        parse_midi(raw(b"") + b"\0\x90\x3c\x40\x60\x80\x3c\x40\0\xc0\5")


@pytest.mark.parametrize("padding", [b"\0" * 70, b"\x1a" * 70, b"\r\n", b"\0\xff\x2f\0"])
def test_padding_behind_the_tracks_is_nothing(padding):
    assert departures(ONE + padding) == {}


def test_a_longer_header_other_chunks_and_what_follows_a_second_header_are_passed_over():
    longer = ONE[:4] + b"\0\0\0\7" + ONE[8:14] + b"x" + b"XFIH\0\0\0\2ab" + ONE[14:]
    assert times(longer + ONE) == [(0, 480, 60)]
    assert departures(longer + ONE) == {"other_chunks": 1, "further_files": 1}


def test_bytes_behind_the_tracks_may_be_anything():
    assert times(ONE + b"XFIH\0\0\0\1") == [(0, 480, 60)]
    assert times(gzip.compress(ONE, mtime=0) + b"more") == [(0, 480, 60)]
    assert departures(gzip.compress(ONE, mtime=0) + b"more") == departures(ONE + b"XFIH\0\0\0\1") == {"other_chunks": 1}
    assert departures(gzip.compress(ONE, mtime=0) + ONE) == {"further_files": 1}


def test_tracks_beyond_the_headers_count_are_read():
    data = smf(note(60, 480), note(62, 480), note(64, 480))
    data = data[:10] + b"\0\1" + data[12:]
    assert [n.pitch for n in both(data).notes] == [60, 62, 64]
    assert departures(data) == {"extra_tracks": 2}


def test_one_sequence_alone_is_read():
    assert times(smf(note(60, 480), kind=2)) == [(0, 480, 60)]


def test_running_status_goes_on_over_meta_and_sysex_and_is_counted():
    track = b"\0\x90\x3c\x40" + b"\0\xff\x01\1x" + b"\x60\x3c\0" + b"\0\x3e\x40" + b"\0\xf0\2\1\xf7" + b"\x60\x3e\0"
    assert times(raw(track + END)) == [(0, 96, 60), (96, 192, 62)]
    assert departures(raw(track + END)) == {"running_status": 2}


@pytest.mark.parametrize(
    ("track", "reason"),
    [
        (b"\0\x3c\x40", "a data byte"),
        (b"\0\xff\x01\0\0\x3c\x40", "a data byte"),
        (b"\0\x90\x3c", "runs past the end"),
        (b"\0\x90\x3c\x40\0", "runs past the end"),
        (b"\0\x90\x3c\x40\x80", "runs past the end"),
        (b"\0\xff\x01\5abc", "runs past the end"),
        (b"\0\xf0\5abc", "runs past the end"),
        (b"\0\xf4", "status F4"),
        (b"\0\xf5", "status F5"),
        (b"\0\xf9", "status F9"),
        (b"\0\xfd", "status FD"),
        (b"\0\x90\x80\x40", "pitch above 127"),
        (b"\0\x80\xff\x40", "pitch above 127"),
        (b"\x80\x80\x80\x80\0\x90\x3c\x40", "more than four bytes"),
        (b"\0\xff\x51\3\0\0\0", "tempo of 0"),
        (b"\xff\xff\xff\x7f\x90\x3c\x40" * 9, "ticks past"),
    ],
)
def test_events_that_are_none_are_refused(track, reason):
    refuses(raw(track), reason)


def test_ticks_reach_to_the_last_of_31_bits():
    bodies = [b"\xff\xff\xff\x7f\xff\x01\0"] * 8 + [b"\7\x90\x3c\x40\0\x3c\0"]  # 8 (2^28 - 1) + 7 = 2^31 - 1
    assert times(raw(b"".join(bodies) + END, division=32767)) == [(2**31 - 1, 2**31 - 1, 60)]


def test_data_above_127_is_127_and_counted():
    data = raw(b"\0\xc0\xff\0\x90\x3c\xc8\x60\x80\x3c\xff" + END)
    (sounded,) = both(data).notes
    assert (sounded.program, sounded.velocity) == (127, 127)
    assert departures(data) == {"not_understood": 3}


def test_system_messages_are_passed_over_and_counted():
    track = b"".join(b"\0" + e for e in (b"\xf1\x90", b"\xf2\x90\x3c", b"\xf3\0", b"\xf6", b"\xf8", b"\xfa", b"\xfb"))
    track += b"\0\xfc\0\xfe" + b"\0\x90\x3c\x40\0\xf8\x60\x3c\0"
    assert times(raw(track + END)) == [(0, 96, 60)]
    assert departures(raw(track + END)) == {"not_understood": 10}


def test_bytes_behind_the_end_of_a_track_are_not_read():
    data = raw(b"\0\x90\x3c\x40\x60\x3c\0" + b"\x60\xff\x2f\2ab" + b"\0\x90\x40\x40\0\0")
    assert times(data) == [(0, 96, 60)]
    assert both(data).end_tick == 192
    assert departures(data) == {"behind_end": 4}  # zeros at the end are no more than padding


def test_a_track_without_an_end_ends_with_its_last_event():
    data = raw(b"\0\x90\x3c\x40\x60\x3c\0\x60\xff\x01\0")
    assert (times(data), both(data).end_tick) == ([(0, 96, 60)], 192)


def test_events_keep_their_place_in_the_file():
    track = b"\0\x90\x3c\x40\x60\x3c\0" + END
    first, second = both(raw(track)).file.tracks[0].events
    assert raw(track)[first.start : first.stop] == b"\x90\x3c\x40"
    assert raw(track)[second.start : second.stop] == b"\x3c\0"
