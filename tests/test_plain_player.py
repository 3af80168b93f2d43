"""Parts, time and whole situations in the plain player: for each rule a file small enough to play by hand."""

import pytest
from conftest import note, signature, smf
from midi_messages import GM_ON, both, control, departures, meta, off, on, parts, program, raw, sysex, times
from plain_events import Refused
from plain_player import play


def test_one_track_on_several_channels_is_one_part():
    """Guitar mode: six strings, six channels, one program."""
    track = [program(25, channel=c) for c in range(6)] + [e for c in range(6) for e in note(50 + c, 480, channel=c)]
    assert parts(smf(track)) == [(25, 1, 2, 3, 4, 5, 6, 6)]
    assert parts(smf(track, kind=0)) == [(25, c + 1, 1) for c in range(6)]
    assert departures(smf(track)) == {"joined_parts": 1}


def test_format_0_with_patches_that_change_often():
    """Six channels, three patches each, by program in force: 18 parts of six players."""
    track = [
        e
        for bar in range(12)
        for c in range(6)
        for e in ([program(8 * c + bar // 2 % 3, channel=c)] if bar % 2 == 0 else []) + note(60, 100, channel=c)
    ]
    data = smf(track, kind=0)
    assert parts(data) == [(8 * c + patch, c + 1, 4) for c in range(6) for patch in range(3)]
    assert departures(data) == {}


def test_parts_are_in_order_of_track_then_channel_then_program():
    one = [program(9, channel=3), *note(60, 1, channel=3), program(5, channel=3), *note(60, 1, channel=3)]
    one += note(36, 1, channel=9) + [program(80), *note(60, 1)]
    data = smf(note(60, 1, channel=15), one)
    assert parts(data) == [(0, 16, 1), (80, 1, 1), (5, 4, 1), (9, 4, 1), ("drums", 10, 1)]


def test_drums_of_a_track_are_one_part_and_of_two_tracks_two():
    assert parts(smf(note(36, 1, channel=9), note(38, 1, channel=9))) == [("drums", 10, 1), ("drums", 10, 1)]
    both = [control(0, 127), program(0), *note(36, 1), *note(36, 1, channel=9)]
    assert parts(smf(both)) == [("drums", 1, 10, 2)]
    assert parts(smf(both, kind=0)) == [("drums", 1, 1), ("drums", 10, 1)]


def test_the_name_is_the_first_that_is_not_empty():
    data = smf([meta(3), meta(3, b"\xb8\xd6"), meta(3, b"later"), *note(60, 1)])
    assert both(data).parts[0].name == b"\xb8\xd6"


def meters(data, meter=None):
    """(first bar, numerator, denominator) of the signatures in force."""
    return [(r.first_bar, r.numerator, r.denominator) for r in (play(data, meter) if meter else both(data)).signatures]


QUARTERS = note(60, 480) * 24
"""Six bars of 4/4 at 480 ticks: a tolerance of 20 ticks."""


def test_before_the_first_signature_it_is_four_four():
    assert meters(smf(QUARTERS)) == [(0, 4, 4)]
    assert meters(smf(QUARTERS, [signature(3, 2, delta=1920)])) == [(0, 4, 4), (1, 3, 4)]
    assert meters(smf(QUARTERS, [signature(3, 2)])) == [(0, 3, 4)]
    assert meters(smf(QUARTERS, [signature(3, 2)]), (5, 8)) == [(0, 5, 8)]


def test_a_signature_said_again_changes_nothing():
    """4/4 again 2 ticks behind the lines of bars 5 and 9 and in the middle of bar 12 of 16."""
    ticks = (0, 4 * 1920 + 2, 8 * 1920 + 2, 11 * 1920 + 960)
    again = [signature(4, 2, delta=t - before) for before, t in zip((0, *ticks), ticks, strict=False)]
    data = smf(again, note(60, 480) * 64)
    assert (meters(data), both(data).n_bars, departures(data)) == ([(0, 4, 4)], 16, {"signatures_inside": 1})
    assert [n.bar for n in both(data).notes] == [i // 4 for i in range(64)]


def test_the_first_signature_of_a_file_begins_a_bar():
    """A pickup of a quarter, then 4/4 said for the first time. A kind that no report names."""
    data = smf([signature(4, 2, delta=480)], note(60, 480) * 9)
    assert (meters(data), both(data).n_bars, departures(data)) == ([(0, 4, 4), (1, 4, 4)], 3, {})
    assert [n.bar for n in both(data).notes] == [0] + [1] * 4 + [2] * 4
    assert meters(smf([signature(4, 2, delta=1925)], QUARTERS)) == [(0, 4, 4)]


def test_the_first_track_that_says_a_signature_is_right():
    """3/4 in the first track, 4/4 in the others, as programs write that give each track their default."""
    data = smf([signature(4, 2), signature(3, 2)], [signature(4, 2), *note(60, 480) * 6], [signature(4, 2)])
    assert (meters(data), both(data).n_bars, departures(data)) == ([(0, 3, 4)], 2, {"signatures_contradicted": 2})
    assert meters(smf([(0, b"\xc0\0")], [signature(3, 2), *QUARTERS])) == [(0, 3, 4)]


@pytest.mark.parametrize(("tick", "moves"), [(1920, 0), (1900, 1), (1940, 1)])
def test_a_signature_beside_a_bar_line_moves_to_it(tick, moves):
    data = smf(QUARTERS, [signature(3, 2, delta=tick)])
    assert meters(data) == [(0, 4, 4), (1, 3, 4)]
    assert both(data).signatures[1].tick == 1920
    assert departures(data) == ({"signatures_moved": 1} if moves else {})


@pytest.mark.parametrize(("tick", "first_bar"), [(1899, 1), (1941, 2), (960, 1)])
def test_other_signatures_cut_the_bar(tick, first_bar):
    data = smf(QUARTERS, [signature(3, 2, delta=tick)])
    assert meters(data) == [(0, 4, 4), (first_bar, 3, 4)]
    assert both(data).signatures[1].tick == tick
    assert departures(data) == {}


def test_a_signature_that_lands_on_the_one_before_replaces_it():
    assert meters(smf(QUARTERS, [signature(3, 2, delta=1915), signature(5, 2, delta=10)])) == [(0, 4, 4), (1, 5, 4)]
    assert meters(smf(QUARTERS, [signature(3, 2, delta=5), signature(5, 2)])) == [(0, 5, 4)]


def test_bars_need_not_be_whole_ticks():
    """At 120 ticks a quarter a bar of 1/64 has 7.5 ticks: lines at 0, 8, 15, 23; a new signature there cuts nothing."""
    data = smf([signature(1, 6), signature(4, 2, delta=8)], note(60, 1) * 10, division=120)
    assert meters(data) == [(0, 1, 64), (1, 4, 4)]


def test_signatures_and_tempos_that_are_none():
    tempo = (0, b"\xff\x51\x03\x06\x1a\x80")  # 400,000 microseconds
    bad = [
        meta(0x58, b"\0\2\x18\x08"),
        meta(0x58, b"\4\x08\x18\x08"),
        meta(0x58, b"\4"),
        meta(0x51),
        meta(0x51, b"\1\2\3\4"),
    ]
    data = smf([tempo, *bad], QUARTERS)
    assert (meters(data), both(data).tempos) == ([(0, 4, 4)], [(0, 400_000)])
    assert departures(data) == {"signatures_ignored": 3, "tempos_ignored": 2}
    assert meters(smf([meta(0x58, b"\3\7")], QUARTERS)) == [(0, 3, 128)]


def test_tempos_change_by_tick_whichever_track_holds_them():
    slow, fast = b"\xff\x51\x03\x0f\x42\x40", b"\xff\x51\x03\x03\xd0\x90"  # 1,000,000 and 250,000 microseconds
    data = smf([(480, slow), (480, slow)], [(480, fast), *note(60, 480, rest=480)])
    assert both(data).tempos == [(0, 500_000), (480, 250_000), (960, 1_000_000)]


def test_a_note_just_before_a_bar_line_belongs_to_the_bar_that_opens():
    """16 bars, each downbeat but the first 10 ticks early; at 20 ticks still, at 21 no more."""
    ticks = sorted(
        t for bar in range(16) for t in [bar * 1920 - 10 * (bar > 0), *(bar * 1920 + 480 * b for b in (1, 2, 3))]
    )
    track = [e for before, t in zip([0, *ticks], ticks, strict=False) for e in (on(60, t - before), off(60))]
    assert [n.bar for n in both(smf(track)).notes] == [i // 4 for i in range(64)]
    assert [both(smf(note(60, 1, rest=1920 - early))).notes[0].bar for early in (20, 21)] == [1, 0]


def test_a_piece_ends_with_its_last_note_or_at_end_of_track():
    """A loop of 8 bars whose last note ends in bar 7; End of Track at the end of bar 8."""
    loop = [*note(60, 480) * 25, (8 * 1920 - 25 * 480, b"\xff\x01\0")]
    assert both(smf([(8 * 1920, b"\xff\x01\0")], loop)).n_bars == 8
    assert both(smf(note(60, 480) * 25)).n_bars == 7
    assert both(smf(loop, [(9 * 1920 - 21, b"\xff\x01\0")])).n_bars == 8
    assert both(smf(loop, [(9 * 1920 - 20, b"\xff\x01\0")])).n_bars == 9
    assert both(smf(note(60, 480, rest=1910))).n_bars == 2


def test_an_end_beyond_all_bars_is_left_out_of_account():
    far = [(1920 * 10_000, b"\xff\x01\0"), (1920, b"\xff\x01\0")]
    assert (both(smf(note(60, 1), far)).n_bars, departures(smf(note(60, 1), far))) == (1, {"late_end": 1})
    assert both(smf(note(60, 1), far[:1])).n_bars == 10_000


def test_running_status_over_text_and_master_volume():
    """64 quarters in running status, said again every 16 notes; text behind note 5, a sysex behind note 20."""
    between = {5: b"\0\xff\x01\2%+", 20: b"\0\xf0\7\x7f\x7f\4\1\0\x40\xf7"}
    track = b"\0\xc0\x28"
    for i in range(64):
        status = b"\x90" if i % 16 == 0 else b""
        track += b"\0" + status + bytes([60 + i % 12, 80]) + between.get(i, b"") + b"\x83\x60" + bytes([60 + i % 12, 0])
    data = raw(track + b"\0\xff\x2f\0")
    assert times(data) == [(480 * i, 480 * (i + 1), 60 + i % 12) for i in range(64)]
    assert (both(data).n_bars, departures(data)) == (16, {"running_status": 2})


def test_three_independent_patterns_are_no_piece():
    patterns = [[signature(beats, 2), *note(60, 480) * 4 * beats] for beats in (4, 3, 4)]
    with pytest.raises(Refused, match="independent sequences"):
        play(smf(*patterns, kind=2))


def test_pedal_bends_and_lyrics_leave_the_notes_as_they_are():
    piano = [control(64, 127), *note(63, 120), control(64, 0, 360)] * 8
    lead = [meta(5, b"la"), on(75, channel=1), (960, b"\xe1\0\x60"), off(75, 900, channel=1), (60, b"\xe1\0\x40")] * 8
    bass = note(39, 1920, channel=2) * 8
    data = smf([meta(2, b"(C)"), meta(0x59, b"\xfd\0"), meta(6, b"A")], piano, lead, bass)
    assert parts(data) == [(0, 1, 8), (0, 2, 8), (0, 3, 8)]
    assert {n.end - n.onset for n in both(data).parts[1].notes} == {1860}
    assert departures(data) == {}


def test_tracks_that_change_each_others_programs_are_counted():
    """A flute and a violin by two tracks on one channel, as scripts write that give all tracks channel 1: a player sounds two
    violins. A kind that no report names."""
    flute, violin = ([(0, bytes([0xC0, p])), *note(60, 480) * 4] for p in (73, 40))
    assert parts(smf(flute, violin)) == [(40, 1, 4), (40, 1, 4)]
    assert departures(smf(flute, violin)) == {"overruled_programs": 4}
    setup = [(0, bytes([0xC0, 40]))]
    assert departures(smf(setup, note(60, 480))) == {}  # a track that sets none has nothing to be overruled


@pytest.mark.parametrize(
    ("message", "count"),
    [
        ([control(101, 0), control(100, 2), control(6, 52)], 4),  # an octave down
        ([control(101, 0), control(100, 2), control(6, 64)], 0),
        ([control(101, 0), control(100, 0), control(6, 12)], 0),  # a bend range
        ([control(101, 0), control(100, 2), control(6, 52), sysex(GM_ON, rest=480)], 0),
        ([sysex("43 10 4c 08 00 08 3d")], 4),
        ([sysex("41 10 42 12 40 11 16 43 56")], 4),
        ([sysex("41 10 42 12 40 11 16 43 57")], 0),  # a wrong checksum
    ],
)
def test_notes_of_transposed_channels_are_counted(message, count):
    """They are read as written. A kind that no report names."""
    data = smf([*message, *note(60, 480, rest=480), *note(62, 480) * 3], note(60, 480, channel=9))
    assert [n.pitch for n in both(data).notes] == [60, 62, 62, 62, 60]
    assert departures(data) == ({"transposed": count} if count else {})


def test_a_file_for_a_roland_mt32_is_known_by_its_messages():
    assert departures(smf([sysex("41 10 16 12 20 00 00 48 69 2f"), *note(60, 480)])) == {"mt32": 1}
