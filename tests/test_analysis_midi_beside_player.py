"""Real files are read as the plain player plays them; and a reader that errs is noticed."""

from dataclasses import replace

import pytest
from conftest import note, signature, smf
from hypothesis import given, settings
from hypothesis import strategies as st
from midi_messages import GM_ON, GS_RESET, XG_ON, control, gs_rhythm, meta, off, on, program, sysex
from plain_player import play
from player_comparison import difference, differences

from analysis.midi import parse_source
from analysis.piece import Bars

SETS = ("asap", "band", "chorales", "lieder", "pop909", "quartets")


@pytest.mark.parametrize("name", SETS)
def test_some_real_files_are_read_as_a_player_plays_them(real, name):
    files = real(name)
    for path in files[3 :: len(files) // 5]:
        assert difference(path.read_bytes()) == "", path.name


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_all_real_files_are_read_as_a_player_plays_them(real, name):
    found = {path.name: difference(path.read_bytes()) for path in real(name)}
    assert {file: what for file, what in found.items() if what} == {}


FILE = smf(
    [signature(3, 2, delta=1440), (0, b"\xff\x51\x03\x06\x1a\x80"), meta(0x51)],
    [program(40), *note(60, 480), off(64), on(64), *note(64, 240, rest=480), on(65, 480), control(123, 0, 480)],
    [sysex(gs_rhythm(2, 1)), *note(36, 240, channel=1), *note(38, 240, channel=9)],
)
"""Two parts with a grace note, an All Notes Off, drums by sysex, a signature that cuts a bar, tempos."""


def test_a_file_of_many_kinds_is_read_as_it_is_played():
    assert difference(FILE) == ""
    assert sum(map(bool, play(FILE).departures.values())) == 5


ENDS = (b"\x90\x3c\x40", b"\x90\x3c\x40", b"\x80\x3c\x00", b"\x80\x3c\x00", b"\x90\x3d\x40", b"\xb0\x7b\x00")
"""What begins and ends the notes of one key, and a note of another."""

SOUNDS = (
    *[bytes([0x90 | channel, 60, 64]) for channel in (0, 1, 9)],
    *[bytes([0xC0 | channel, number]) for channel in (0, 9) for number in (0, 7)],
    *[bytes([0xB0 | channel, 0, bank]) for channel in (0, 9) for bank in (0, 120, 121)],
    *[bytes([0xB0, *pair]) for pair in ((101, 0), (100, 6), (6, 1))],
    *[sysex(gs_rhythm(block, value))[1] for block, value in ((1, 1), (0, 0))],
    *[sysex(message)[1] for message in (GM_ON, GS_RESET, XG_ON, "43 10 4c 08 00 07 02")],
    b"\xff\x21\x01\x01",
)
"""What makes a channel sound as it does."""


def tracks_of(messages):
    track = st.lists(st.tuples(st.sampled_from((0, 0, 1)), st.sampled_from(messages)), max_size=12)
    return st.lists(track, min_size=1, max_size=2)


@settings(max_examples=400)
@given(st.one_of(tracks_of(ENDS), tracks_of(SOUNDS)), st.sampled_from((0, 1)))
def test_whatever_meets_at_one_tick_is_read_as_it_is_played(tracks, kind):
    assert difference(smf(*tracks, note(60, 1), kind=kind)) == ""


def _with_notes(source, **columns):
    notes = replace(source.piece.notes, **columns)
    return replace(source, piece=replace(source.piece, notes=notes))


FAULTS = {
    "notes": lambda s: _with_notes(s, pitch=s.piece.notes.pitch + 1),
    "parts": lambda s: replace(s, note_channel=s.note_channel + 1),
    "bars": lambda s: replace(s, piece=replace(s.piece, end_tick=100_000)),
    "signatures": lambda s: replace(s, piece=replace(s.piece, bars=Bars.of([], 480))),
    "tempos": lambda s: replace(s, piece=replace(s.piece, tempo=s.piece.tempo + 1)),
    "end": lambda s: replace(s, piece=replace(s.piece, end_tick=s.piece.end_tick - 1)),
    "events": lambda s: replace(s, events=replace(s.events, tick=s.events.tick + 1)),
    "ends of tracks": lambda s: replace(s, events=replace(s.events, end_tick=s.events.end_tick + 1)),
    "departure grace": lambda s: replace(s, departures=replace(s.departures, grace=0)),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_reader_that_errs_is_noticed(kind):
    found = differences(FAULTS[kind](parse_source(FILE)), play(FILE))
    assert [what for what in found if what.startswith(f"{kind}:")] != []


def test_a_refusal_must_be_the_players_too(monkeypatch):
    from analysis import midi
    from analysis.errors import MeloError

    def refuse(data):
        raise MeloError("not today")

    assert difference(b"nothing") == ""
    monkeypatch.setattr(midi, "parse_source", refuse)
    assert difference(FILE) == "refused (not today), and played"
    assert difference(b"nothing") == ""
    monkeypatch.setattr(midi, "parse_source", lambda data: None)
    assert difference(b"nothing") == "read, and not played: not a MIDI file"


def test_what_is_over_a_limit_may_be_refused():
    assert difference(smf(*[note(60, 10)] * 65)) == ""
    assert difference(smf(note(60, 10, rest=1920 * 10_000))) == ""
    assert difference(smf([signature(200, 0), *note(60, 10)])) == ""


@pytest.mark.parametrize(("end", "count"), [(0xF7, 1), (0x00, 0)])
def test_a_note_shift_that_does_not_end_is_none(end, count):
    message = (0, bytes([0xF0, 8, 0x43, 0x10, 0x4C, 8, 0, 8, 66, end]))
    data = smf([message, *note(60, 10)])
    assert parse_source(data).departures.transposed == count
    assert difference(data) == ""
