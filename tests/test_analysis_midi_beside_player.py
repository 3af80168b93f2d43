"""Real files are read as the plain player plays them; and a reader that errs is noticed."""

from dataclasses import replace

import pytest
from conftest import note, signature, smf
from hypothesis import given, settings
from hypothesis import strategies as st
from midi_messages import control, gs_rhythm, meta, off, on, program, sysex
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


MESSAGES = (
    *[bytes([kind, 60, velocity]) for kind in (0x90, 0x91) for velocity in (0, 0, 64, 64)],
    *[bytes([0xB0 | channel, number, 0]) for channel in (0, 1) for number in (123, 0)],
    *[bytes([0xC0 | channel, number]) for channel in (0, 1) for number in (0, 7)],
    *[bytes([0xB0, 0, bank]) for bank in (120, 121)],
    sysex(gs_rhythm(1, 1))[1],
    sysex("7e 7f 09 01")[1],
    b"\xff\x21\x01\x01",
)
"""What meets on one key of two channels."""

TRACKS = st.lists(
    st.lists(st.tuples(st.sampled_from((0, 0, 1, 480)), st.sampled_from(MESSAGES)), max_size=12), min_size=1, max_size=3
)


@settings(max_examples=300)
@given(TRACKS, st.sampled_from((0, 1)))
def test_whatever_meets_on_one_key_is_read_as_it_is_played(tracks, kind):
    assert difference(smf(*tracks, kind=kind)) == ""


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
