"""Where notes end in the plain player: for each rule a file small enough to play by hand."""

import pytest
from conftest import note, smf
from midi_messages import both, control, departures, off, on, parts, program, times


def test_note_offs_match_first_in_first_out():
    data = smf([on(60), on(60, 100), off(60, 100), (100, b"\x90\x3c\0")])
    assert times(data) == [(0, 200, 60), (100, 300, 60)]
    assert departures(data) == {}


def test_a_note_of_no_length_is_a_note():
    """64 drum hits whose note-off lies on the tick of the note-on, beside a bass: none is lost, none is made longer."""
    drums = [e for step in range(64) for e in note((36, 42)[step % 2], 0, rest=240 * (step > 0), channel=9)]
    data = smf(drums, note(36, 480, channel=1) * 32)
    assert parts(data) == [("drums", 10, 64), (0, 2, 32)]
    assert [(n.onset, n.end) for n in both(data).parts[0].notes] == [(240 * i, 240 * i) for i in range(64)]
    assert departures(data) == {}


def test_a_note_off_ends_nothing_of_another_track_channel_or_key():
    data = smf([on(60), on(60, channel=1), on(62), off(60, 480), (480, b"\xff\x01\0")], [off(60, 100, channel=1)])
    assert [(n.channel, n.pitch, n.end, n.ended) for n in both(data).notes] == [
        (0, 60, 480, "off"),
        (1, 60, 100, "other track"),
        (0, 62, 960, "end of track"),
    ]
    assert departures(data) == {"endless": 1, "joined_parts": 1}


def test_chords_ended_by_all_notes_off():
    """An organ without note-offs: CC 123 at each bar line; a bass of ordinary notes."""
    organ = [program(19)]
    for bar in range(8):
        organ += [on(60 + third + bar % 4) for third in (0, 4, 7)] + [control(123, 0, 1920)]
    data = smf(organ, [program(33, channel=1), *note(36, 1920, channel=1) * 8])
    assert parts(data) == [(19, 1, 24), (33, 2, 8)]
    assert {(n.onset, n.end) for n in both(data).parts[0].notes} == {(1920 * b, 1920 * (b + 1)) for b in range(8)}
    assert departures(data) == {"ended_by_all_off": 24}


@pytest.mark.parametrize("number", [120, 123, 124, 125, 126, 127])
def test_all_notes_off_ends_the_notes_of_all_tracks(number):
    silence = [control(number, 0, 480), (480, b"\xff\x01\0")]
    data = smf([on(60), on(62, 480), off(62, 480)], silence)
    assert times(data) == [(0, 480, 60), (480, 960, 62)]  # one struck at its tick in another track goes on
    assert departures(data) == {"ended_by_all_off": 1}
    assert departures(smf([on(60), (960, b"\xff\x01\0")], [control(121, 0, 480)])) == {"endless": 1}
    assert departures(smf([on(60)], silence)) == {"ended_by_all_off": 1}  # beyond that track's end, too


def test_all_notes_off_ends_what_was_struck_before_its_tick():
    """In its own track too: files set modes (CC 125) behind the first note of tick 0."""
    data = smf([on(60), control(125, 0), control(123, 0, 480, channel=1), on(62), control(123, 0, 480), on(62)])
    assert times(data) == [(0, 960, 60), (480, 960, 62), (960, 960, 62)]
    assert departures(data) == {"ended_by_all_off": 2, "endless": 1}


def test_all_notes_off_at_the_tick_of_the_notes_own_end_changes_nothing():
    """Off and on at a bar line beside CC 123 of another track or before them: whole notes, no grace notes."""
    notes = [on(60), off(60, 480), on(60), off(60, 480)]
    for data in (
        smf(notes, [control(123, 0, 480), control(123, 0, 480)]),
        smf([on(60), control(123, 0, 480), off(60), on(60), control(123, 0, 480), off(60)]),
    ):
        assert times(data) == [(0, 480, 60), (480, 960, 60)]
        assert departures(data) == {}


def test_a_note_off_before_its_note_on_is_a_grace_note():
    """music21 writes a grace note's note-off before its note-on; then an ordinary note of that pitch."""
    data = smf([off(72, 480), on(72), *note(74, 240), *note(72, 480, rest=240)])
    assert times(data) == [(480, 480, 72), (480, 720, 74), (960, 1440, 72)]
    assert departures(data) == {"grace": 1}


def test_grace_notes_of_one_pitch_one_after_another():
    """Each opens where the one before would close; the first note-off ended nothing: four notes of no length."""
    track = [e for _ in range(4) for e in (off(72, 480), on(72), *note(74, 480))]
    data = smf(track)
    assert [n for n in times(data) if n[2] == 72] == [(t, t, 72) for t in (480, 1440, 2400, 3360)]
    assert departures(data) == {"grace": 4}


def test_repeated_notes_that_come_out_even_are_no_grace_notes():
    data = smf([off(60), on(60), off(60, 480), on(60), off(60, 480)])
    assert times(data) == [(0, 480, 60), (480, 960, 60)]
    assert departures(data) == {}


def test_a_chain_is_as_short_as_comes_out_even():
    """A note ends at 480 where a grace note stands: only that one is without length."""
    data = smf([on(60), off(60, 480), off(60), on(60), *note(60, 480, rest=480)])
    assert times(data) == [(0, 480, 60), (480, 480, 60), (960, 1440, 60)]
    assert departures(data) == {"grace": 1}


def test_what_is_struck_again_without_an_end_ends_there():
    data = smf([on(60), on(60, 100), on(60, 100), off(60, 100), (100, b"\xff\x01\0")])
    assert times(data) == [(0, 100, 60), (100, 200, 60), (200, 300, 60)]
    assert departures(data) == {"endless": 2}
    silenced = smf([on(60), on(60, 100), control(123, 0, 100)])
    assert times(silenced) == [(0, 100, 60), (100, 200, 60)]
    assert departures(silenced) == {"endless": 1, "ended_by_all_off": 1}


def test_a_grace_note_stays_one_in_a_stretch_that_nothing_explains():
    data = smf([off(60), on(60), on(60, 100), on(60, 100), off(60, 100)])
    assert times(data) == [(0, 0, 60), (100, 200, 60), (200, 300, 60)]
    assert departures(data) == {"grace": 1, "endless": 1}


def test_the_last_note_ends_in_another_track_or_with_its_own():
    data = smf(
        [on(60, 100), on(62), on(64), (900, b"\xff\x01\0")],
        [off(60, 100), off(60, 300), off(62), off(64)],
        [on(64, 50), (900, b"\xff\x01\0")],
    )
    assert times(data) == [(100, 400, 60), (100, 400, 62), (100, 1000, 64), (50, 400, 64)]  # one note-off, one note
    assert departures(data) == {"endless": 1}
    assert times(smf([on(60), (900, b"\xff\x01\0")], note(60, 300))) == [(0, 900, 60), (0, 300, 60)]


def test_a_note_off_that_ends_nothing_is_passed_over():
    assert departures(smf([off(60), off(62, 10), *note(60, 480), off(60)])) == {}


def test_two_note_offs_before_two_note_ons_of_one_tick_are_two_grace_notes():
    data = smf([off(60, 10), off(60), on(60), on(60), *note(60, 10, rest=20)])
    assert times(data) == [(10, 10, 60), (10, 10, 60), (30, 40, 60)]
    assert departures(data) == {"grace": 2}
