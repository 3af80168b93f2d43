"""Programs, drums and zones of MPE in the plain player: for each rule a file small enough to play by hand."""

import pytest
from conftest import note, smf
from midi_messages import (
    GM2_ON,
    GM_ON,
    GS_RESET,
    XG_ON,
    both,
    control,
    departures,
    gs_rhythm,
    meta,
    off,
    on,
    parts,
    program,
    sysex,
)


def test_a_program_acts_on_its_channel_whichever_track_sets_it():
    """Three note tracks, their programs in a track of their own: violin, cello, flute."""
    setup = [program(number, channel=c) for c, number in enumerate((40, 42, 73))]
    data = smf(setup, *(note(60, 480, channel=c) * 32 for c in range(3)))
    assert parts(data) == [(40, 1, 32), (42, 2, 32), (73, 3, 32)]


def test_of_one_tick_programs_before_notes_count_and_those_behind_do_not():
    later_track = [program(40)]
    own_track = [on(60), program(50), off(60, 480), *note(62, 480)]
    assert parts(smf(own_track, later_track)) == [(40, 1, 1), (50, 1, 1)]


def test_a_program_behind_another_tracks_note_of_its_tick_comes_in_phase_two():
    first = note(60, 480)  # struck in the second phase, of the first track
    second = [on(72, channel=1), program(40), off(72, 480, channel=1)]  # behind a note-on of its own: too late
    assert parts(smf(first, second)) == [(0, 1, 1), (0, 2, 1)]


def test_before_any_program_it_is_0():
    assert parts(smf([*note(60, 480), program(5)])) == [(0, 1, 1)]


def test_channel_ten_is_drums_with_all_its_kits():
    """Power kit, brush kit, power kit again: one drummer, the kit of its first note."""
    drums = [e for kit in (16, 40, 16) for e in (program(kit, channel=9), *note(36, 480, channel=9))]
    data = smf(drums, [program(33, channel=1), *note(40, 480, channel=1)])
    assert parts(data) == [("drums", 10, 3), (33, 2, 1)]
    assert both(data).parts[0].program == 16
    assert [n.program for n in both(data).parts[0].notes] == [16, 40, 16]
    assert departures(data) == {"joined_parts": 1}


def bank_file(mode, bank, channel, *, before=()):
    """One note behind a bank select and a program change."""
    system = [sysex(mode)] if mode else []
    return smf(
        [
            *system,
            *before,
            control(0, bank, channel=channel),
            program(8, channel=channel),
            *note(60, 1, channel=channel),
        ]
    )


@pytest.mark.parametrize(
    ("mode", "bank", "channel", "is_drum"),
    [
        *[(mode, 120, 10, True) for mode in ("", GM_ON, GM2_ON, XG_ON)],
        *[(mode, 126, 10, True) for mode in ("", GM_ON, GM2_ON, XG_ON)],
        *[(mode, 127, 10, True) for mode in ("", GM_ON, GM2_ON, XG_ON)],
        *[(mode, 121, 9, False) for mode in ("", GM_ON, GM2_ON, XG_ON)],
        (GS_RESET, 120, 10, False),
        (GS_RESET, 127, 10, False),
        (GS_RESET, 121, 9, True),
        (GS_RESET, 0, 9, True),
        (XG_ON, 0, 9, False),
        (XG_ON, 8, 9, False),
        ("", 0, 9, True),
        (GM2_ON, 8, 9, True),
        ("", 8, 10, False),
    ],
)
def test_bank_select_makes_drums(mode, bank, channel, is_drum):
    data = bank_file(mode, bank, channel)
    assert both(data).parts[0].is_drum == is_drum
    assert departures(data) == ({"drums_by_bank": 1} if is_drum != (channel == 9) else {})


def test_two_more_drum_kits_by_bank_select_beside_a_piano():
    """XG: bank 127 on channel 11 and bank 120 on channel 12, program 0; no name says drums."""
    kits = [
        [control(0, bank, channel=c), control(32, 0, channel=c), program(0, channel=c), *note(36, 240, channel=c) * 8]
        for c, bank in ((10, 127), (11, 120))
    ]
    data = smf([sysex(XG_ON)], [program(0), *note(60, 480) * 4], *kits)
    assert parts(data) == [(0, 1, 4), ("drums", 11, 8), ("drums", 12, 8)]
    assert departures(data) == {"drums_by_bank": 16}


def test_a_bank_waits_for_its_program_change_and_goes_with_a_reset():
    waits = [control(0, 127), *note(60, 1), program(0), *note(60, 1)]
    assert parts(smf(waits)) == [(0, 1, 1), ("drums", 1, 1)]
    reset = [control(0, 127), program(5), sysex(GM_ON, 1), *note(60, 1), program(0), *note(60, 1)]
    assert parts(smf(reset)) == [(0, 1, 2)]


def test_another_bank_makes_a_channel_what_it_was():
    track = [control(0, 120), program(0), *note(60, 1), control(0, 3), program(1), *note(60, 1)]
    assert parts(smf(track)) == [("drums", 1, 1), (1, 1, 1)]


def test_xg_forgets_the_banks_of_before_it():
    """Bank 0 is given before XG System On: channel 10 stays drums."""
    data = smf([control(0, 0, channel=9), sysex(XG_ON, 1), program(8, channel=9), *note(60, 1, channel=9)])
    assert parts(data) == [("drums", 10, 1)]


@pytest.mark.parametrize(("block", "channel"), [(0, 9), (1, 0), (9, 8), (0xA, 10), (0xF, 15)])
def test_gs_rhythm_part_acts_at_once(block, channel):
    to_drums = smf([sysex(gs_rhythm(block, 2)), *note(60, 1, channel=channel)])
    melodic = smf([sysex(gs_rhythm(block, 0)), *note(60, 1, channel=channel)])
    assert parts(to_drums) == [("drums", channel + 1, 1)]
    assert parts(melodic) == [(0, channel + 1, 1)]
    assert departures(to_drums) == ({} if channel == 9 else {"drums_by_sysex": 1})
    assert departures(melodic) == ({"drums_by_sysex": 1} if channel == 9 else {})


def test_gs_messages_with_a_wrong_sum_are_ignored():
    wrong = gs_rhythm(1, 1)[:-2] + "00"
    assert parts(smf([sysex(wrong), *note(60, 1)])) == [(0, 1, 1)]
    reset = [sysex(GS_RESET[:-2] + "42"), control(0, 120), program(0), *note(60, 1)]
    assert parts(smf(reset)) == [("drums", 1, 1)]  # no GS: banks change drums


def test_gs_block_50_means_the_same_channels():
    address = [0x50, 0x11, 0x15, 1]
    message = f"41 10 42 12 {bytes(address).hex()} {-sum(address) % 128:02x}"
    assert parts(smf([sysex(message), *note(60, 1)])) == [("drums", 1, 1)]


@pytest.mark.parametrize(("value", "is_drum"), [(0, False), (1, True), (2, True), (5, True)])
def test_xg_part_mode_acts_at_once(value, is_drum):
    data = smf([sysex(f"43 10 4c 08 03 07 0{value}"), *note(60, 1, channel=3)])
    assert both(data).parts[0].is_drum == is_drum
    assert departures(data) == ({"drums_by_sysex": 1} if is_drum else {})


def test_a_message_holds_until_the_next_or_a_reset_or_an_xg_bank():
    drums = sysex(gs_rhythm(1, 1))
    assert parts(smf([drums, control(0, 121), program(3), *note(60, 1)])) == [("drums", 1, 1)]
    assert parts(smf([drums, sysex(gs_rhythm(1, 0), 1), program(3), *note(60, 1)])) == [(3, 1, 1)]
    assert parts(smf([drums, sysex(GM_ON, 1), *note(60, 1)])) == [(0, 1, 1)]
    mode = sysex("43 10 4c 08 00 07 02", 1)
    xg = [sysex(XG_ON), control(0, 0), mode, program(3), *note(60, 1), control(0, 0), program(4), *note(60, 1)]
    assert [(n.program, n.is_drum) for n in both(smf(xg)).notes] == [(3, True), (4, False)]


def test_resets_come_first_of_their_tick():
    assert parts(smf([program(5), sysex(GM_ON), *note(60, 1)])) == [(5, 1, 1)]
    assert parts(smf([program(5), *note(60, 1)], [sysex(GM_ON)])) == [(5, 1, 1)]


def test_a_message_in_packets_acts_when_it_is_whole():
    """F0 ... without F7, then F7 packets: "43 10 4c" "08 00 07" "02 F7" is XG part mode of channel 1."""
    packets = [(0, b"\xf0\x03\x43\x10\x4c"), (0, b"\xf7\x03\x08\x00\x07"), (480, b"\xf7\x02\x02\xf7")]
    assert [n.is_drum for n in both(smf([*packets[:2], *note(60, 1)])).notes] == [False]
    assert [n.is_drum for n in both(smf([*packets, *note(60, 1)])).notes] == [True]
    broken = [packets[0], (0, b"\xb0\x07\x40"), *packets[1:]]  # a channel message ends it: the rest is escapes
    assert [n.is_drum for n in both(smf([*broken, *note(60, 1)])).notes] == [False]
    assert departures(smf([(0, b"\xf7\x03\x90\x3c\x40"), *note(60, 1)])) == {"escapes": 1}
    assert [n.is_drum for n in both(smf([(0, b"\xf7\x08\x43\x10\x4c\x08\0\7\2\xf7"), *note(60, 1)])).notes] == [False]


def test_ports_have_channels_of_their_own():
    data = smf(
        [meta(0x21, b"\1"), program(40), sysex(gs_rhythm(2, 1)), *note(60, 1), *note(62, 1, channel=1)],
        [program(10), *note(60, 1), *note(62, 1, channel=1)],
    )
    assert parts(data) == [(40, 17, 1), ("drums", 18, 1), (10, 1, 1), (0, 2, 1)]


def test_a_port_holds_from_its_event_on():
    data = smf([on(60), meta(0x21, b"\1"), meta(0x21), off(60, 480), on(62), off(62, 480)])
    assert [(n.port, n.onset, n.end, n.ended) for n in both(data).notes] == [
        (0, 0, 480, "off"),  # note-offs are matched by track, channel and key, whatever the port
        (1, 480, 960, "off"),
    ]


def test_what_stands_before_a_tracks_first_port_is_on_it_too():
    """A kind that no report names: of more than 16 parts MuseScore 3 sets programs, then the port, then strikes notes."""
    first, second = (
        [program(p), control(7, 100), meta(0x21, bytes([n])), *note(60, 1)] for n, p in enumerate((40, 73))
    )
    assert parts(smf(first, second)) == [(40, 1, 1), (73, 17, 1)]
    late = [program(73), *note(60, 1), meta(0x21, b"\1"), *note(60, 1)]  # behind a note it is for what follows
    assert parts(smf(late)) == [(73, 1, 1), (0, 17, 1)]


def zone(members, channel=0):
    return [control(101, 0, channel=channel), control(100, 6, channel=channel), control(6, members, channel=channel)]


def test_members_of_a_zone_have_their_managers_program():
    notes = [e for c in (1, 2, 9, 10) for e in note(60, 1, channel=c)]
    assert parts(smf([*zone(9), program(40), *notes])) == [(40, 2, 3, 10, 3), (0, 11, 1)]
    assert parts(smf([program(40), *zone(9), *notes])) == [(40, 2, 3, 10, 3), (0, 11, 1)]
    assert departures(smf([*zone(9), program(40), *notes])) == {"joined_parts": 1}


def test_the_upper_zone_and_the_end_of_a_zone():
    notes = [e for c in (14, 13, 12) for e in note(60, 1, channel=c)]
    assert parts(smf([*zone(2, 15), program(40, channel=15), *notes])) == [(0, 13, 1), (40, 14, 15, 2)]
    assert parts(smf([*zone(2, 15), program(40, channel=15), *zone(0, 15), *notes])) == [(0, 13, 14, 15, 3)]


def test_a_new_zone_takes_channels_from_the_other():
    """Lower 1..5 of 4 members, then upper with 12 members: 4..15; the lower keeps 2 and 3."""
    track = [*zone(4), *zone(12, 15), program(40), program(50, channel=15)]
    track += [e for c in (1, 2, 3) for e in note(60, 1, channel=c)]
    assert parts(smf(track)) == [(40, 2, 3, 2), (50, 4, 1)]


def test_what_makes_no_zone():
    for setup in (
        [control(101, 0), control(100, 5), control(6, 4)],
        [control(101, 0), control(100, 6), control(99, 0), control(6, 4)],
        zone(4, 3),
        zone(16),
    ):
        assert parts(smf([*setup, program(40), *note(60, 1, channel=1)])) == [(0, 2, 1)]


def test_in_format_0_a_zone_is_one_channel():
    track = [*zone(4), program(40), program(7, channel=6)]
    track += [e for c in (1, 2, 6) for e in note(60, 1, channel=c)]
    assert parts(smf(track, kind=0)) == [(40, 2, 3, 2), (7, 7, 1)]


def test_a_part_has_the_channels_of_its_notes_not_of_their_manager():
    """The zone's notes sound on channel 3 alone: nothing is joined; its part comes behind that of channel 2's."""
    data = smf(
        [*zone(2), program(40), *note(60, 1, channel=2), *zone(1), program(5, channel=1), *note(60, 1, channel=2)]
    )
    assert parts(data) == [(0, 3, 1), (40, 3, 1)]
    assert departures(data) == {}


def test_gs_and_xg_resets_of_other_values_are_none():
    exit_gs = "41 10 42 12 40 00 7f 7f 42"
    for message in (exit_gs, "43 10 4c 00 00 7e 01", "7e 7f 09 02"):
        assert parts(smf([program(9), sysex(message, 1), *note(60, 1)])) == [(9, 1, 1)]
    system_mode = "41 10 42 12 00 00 7f 01 00"
    assert parts(smf([program(9), sysex(system_mode, 1), *note(60, 1)])) == [(0, 1, 1)]
