"""The channels of new notes in an edited MIDI file: those of their part, free ones for new parts and other patches."""

from collections import Counter

import pytest
from conftest import note, signature, smf
from edited_files import ends_of, events_of, fill, go_on, ids_of, is_note, meta, notes_of
from edited_songs import at, bass, hold, part_of, row
from plain_events import read_file
from plain_player import play
from plain_writer import is_full
from small_models import V

from analysis.errors import MeloError
from analysis.midi import parse_source
from meloctl.generation.constraints import ChannelRoom
from meloctl.generation.continuation import encode_prompt
from meloctl.generation.infill import encode_infill, infilled


@pytest.mark.parametrize("kind", [0, 1])
def test_a_new_part_gets_a_channel_of_its_own(kind):
    # channels 1, 2 and 10 have notes, 3 has a controller only: the violin gets channel 4
    events = [(0, b"\xc0\x00"), (0, b"\xc1\x21"), (0, b"\xb2\x07\x40"), (0, meta(3, b"song"))]
    for bar in range(4):
        events += [*hold(0, 1920 * bar, 1920 * bar + 480, 60), *hold(1, 1920 * bar, 1920 * bar + 480, 40)]
        events += hold(9, 1920 * bar, 1920 * bar + 100, 36)
    data = smf(at(events), kind=kind)
    violin = (V.instrument_of(40, is_drum=False), 0)
    _, edited = fill(data, None, (violin,), notes=[(1, row(violin, 0, 70, 12))])
    added = events_of(edited.data) - events_of(data)
    assert events_of(data) - events_of(edited.data) == Counter()
    track = int(kind)
    name = {(1, 0, 0, 0xFF, b"\x03\x06violin"): 1} if kind else {}
    assert added == Counter(
        name
        | {
            (track, 0, 0, 0xC3, b"\x28"): 1,
            (track, 1920, 0, 0x93, b"\x46\x50"): 1,
            (track, 2400, 0, 0x83, b"\x46\x40"): 1,
        }
    )
    assert read_file(edited.data).format == kind
    assert len(read_file(edited.data).tracks) == 1 + kind
    (part,) = [p for p in edited.source.piece.parts if p.program == 40]
    assert part.name == ("violin" if kind else "")  # in files of one track a name is the whole song's


def test_new_drums_share_the_drums_channel_or_take_channel_10():
    drums = (V.drums, 0)
    data = smf(bass(0, bars=4))
    _, edited = fill(data, None, (drums,), notes=[(1, row(drums, 0, 36, 12))])
    assert (1, 9, 1920, 2400, 36, 80, "drums") in notes_of(edited.data)
    kit = smf([(0, b"\xc9\x10"), *note(36, 100, channel=9)], bass(0, bars=4))
    second = (V.drums, 1)
    _, edited = fill(kit, None, (second,), notes=[(1, row(second, 0, 38, 12))])
    assert [e for e in (events_of(edited.data) - events_of(kit)) if e[3] & 0xF0 == 0xC0] == []  # the kit is not changed
    assert (2, 9, 1920, 2400, 38, 80, "drums") in notes_of(edited.data)
    melodic = smf(at([(0, b"\xf0\x0a\x41\x10\x42\x12\x40\x10\x15\x00\x1b\xf7"), *hold(9, 0, 480, 60)]), bass(0, bars=4))
    assert not any(part.is_drum for part in parse_source(melodic).piece.parts)
    with pytest.raises(MeloError, match="no channel of the file is free for a new part"):
        fill(melodic, None, (drums,), notes=[(1, row(drums, 0, 36, 12))])


def test_a_channel_is_set_up_again_behind_each_reset():
    # General MIDI is switched on at bar 2 again: all programs are the first
    data = smf([signature(4, 2), (1920, b"\xf0\x05\x7e\x7f\x09\x01\xf7")], bass(0, bars=1), bass(1, bars=4, program=0))
    violin = (V.instrument_of(40, is_drum=False), 0)
    _, edited = fill(data, None, (violin,), notes=[(0, row(violin, 0, 70, 12)), (2, row(violin, 0, 70, 12))])
    setup = sorted((e[1], e[3], e[4]) for e in events_of(edited.data) - events_of(data) if e[3] & 0xF0 == 0xC0)
    assert setup == [(0, 0xC2, b"\x28"), (1920, 0xC2, b"\x28")]
    assert {n.program for n in play(edited.data).notes if n.pitch == 70} == {40}


def test_a_channel_that_a_message_makes_drums_is_not_free_for_a_pitched_part():
    # GS: use channel 2 for the rhythm part; it has no event of its own
    data = smf([(0, b"\xf0\x0a\x41\x10\x42\x12\x40\x12\x15\x01\x18\xf7")], bass(0, bars=4))
    violin = (V.instrument_of(40, is_drum=False), 0)
    _, edited = fill(data, None, (violin,), notes=[(1, row(violin, 0, 70, 12))])
    assert [n.channel for n in play(edited.data).notes if n.pitch == 70] == [2]


def full_file():
    """A file that uses all 15 pitched channels."""
    channels = [c for c in range(16) if c != 9]
    return smf(*(bass(c, bars=4, program=20 + c) for c in channels))


def test_without_a_free_channel_a_new_part_is_refused_before_anything_is_generated():
    data = full_file()
    violin = (V.instrument_of(40, is_drum=False), 7)
    with pytest.raises(MeloError, match="no channel of the file is free for a new part"):
        fill(data, None, (violin,), notes=[(1, row(violin, 0, 70, 12))])
    room = encode_prompt(parse_source(data), None, V).room
    assert (room.pitched, room.parts, len(room.own)) == (0, 1, 15)


def test_room_counts_channels_not_parts():
    room = ChannelRoom(own=frozenset({(3, 0)}), pitched=1, parts=2)
    assert not is_full(room, set(), 5)
    assert not is_full(room, {(3, 0)}, 5)
    assert is_full(room, {(3, 0), (4, 0)}, 5)
    assert not is_full(room, {(4, 0)}, V.drums)
    assert is_full(room, {(4, 0), (V.drums, 0)}, V.drums)


def test_no_drums_enter_where_channel_10_plays_something_else():
    # General MIDI 2's bank 121 makes channel 10 a melodic one
    melodic = [(0, b"\xb9\x00\x79"), (0, b"\xc9\x05"), (0, b"\x99\x3c\x50"), (1900, b"\x89\x3c\x40")]
    prompt = encode_prompt(parse_source(smf([signature(4, 2)], melodic, bass(bars=1))), None, V)
    assert is_full(prompt.room, set(), V.drums)
    assert not is_full(prompt.room, set(), 5)


def players(bars=12):
    """One track, six channels, each of which changes its program every two bars through three patches."""
    events = [(0, signature(4, 2)[1])]
    for bar in range(bars):
        for channel in range(6):
            if bar % 2 == 0:
                events.append((1920 * bar, bytes([0xC0 | channel, 8 * channel + bar // 2 % 3])))
            events += hold(channel, 1920 * bar, 1920 * bar + 1900, 40 + channel)
    return smf(at(events), kind=0)


def test_six_players_with_eighteen_patches_can_be_infilled():
    data = players()
    assert len(ids_of(data)) == 18
    infill = encode_infill(parse_source(data), range(4, 5), None, V)
    assert {V.program_of(i)[0] for i, _ in infill.parts} == {8 * c + 2 for c in range(6)}  # those in force in bar 5
    new = [(4, row(part, 0, 70 + n, 24)) for n, part in enumerate(infill.parts)]
    edited = infilled(infill, new, V)
    assert edited.other_patch == 0
    added = notes_of(edited.data) - notes_of(data)
    assert added == Counter({(0, c, 7680, 8640, 70 + c, 80, 8 * c + 2): 1 for c in range(6)})
    assert Counter(e for e in events_of(data) if not is_note(e)) == Counter(
        e for e in events_of(edited.data) if not is_note(e)
    )


def test_a_patch_that_is_not_in_force_comes_on_a_free_channel_with_its_bank_and_mix():
    # channel 1 plays a violin of bank 8 at volume 90, then a bass; in bar 4, of the bass, the violin is to play too
    events = [(0, b"\xb0\x00\x08"), (0, b"\xc0\x28"), (0, b"\xb0\x07\x5a"), *hold(0, 0, 480, 60), (1920, b"\xc0\x21")]
    events += [(1920, b"\xb0\x07\x46"), *hold(0, 1920, 2400, 40), *hold(0, 5760, 6240, 41)]
    data = smf(at(events))
    violin = part_of(data, 40)
    _, edited = fill(data, range(3, 4), (violin,), notes=[(3, row(violin, 0, 70, 12))])
    added = events_of(edited.data) - events_of(data)
    setup = [(e[1], e[3], e[4]) for e in added if not is_note(e)]
    assert sorted(setup) == [(0, 0xB1, b"\x00\x08"), (0, 0xB1, b"\x07\x46"), (0, 0xC1, b"\x28")]
    assert (0, 1, 5760, 6240, 70, 80, 40) in notes_of(edited.data)
    assert len(edited.source.piece.parts) == 2


def test_where_no_channel_is_free_the_patch_in_force_plays_and_is_counted():
    channels = [c for c in range(1, 16) if c != 9]
    events = [(0, b"\xc0\x28"), *hold(0, 0, 480, 60), (1920, b"\xc0\x21"), *hold(0, 1920, 2400, 40)]
    data = smf(at(events), *(bass(c, bars=4, program=70) for c in channels))
    violin = part_of(data, 40)
    _, edited = fill(data, range(2, 3), (violin,), notes=[(2, row(violin, 0, 70, 12))])
    assert edited.other_patch == 1
    assert (0, 0, 3840, 4320, 70, 80, 33) in notes_of(edited.data)


def test_a_part_on_several_channels_gets_its_note_where_it_plays_nearest():
    # guitar mode: the strings on channels 1 to 3
    events = [(0, bytes([0xC0 | c, 25])) for c in range(3)]
    for bar in range(4):
        events += hold(bar % 3, 1920 * bar, 1920 * bar + 1000, 50 + bar)
    data = smf(at(events))
    assert len(ids_of(data)) == 1
    (guitar,) = ids_of(data)
    for bar, channel in ((1, 1), (2, 2), (3, 0)):
        _, edited = fill(data, range(bar, bar + 1), None, notes=[(bar, row(guitar, 0, 70, 12))])
        assert (0, channel, 1920 * bar, 1920 * bar + 480, 70, 80, 25) in notes_of(edited.data)


def test_ports_stay_and_new_notes_go_to_the_port_of_their_part():
    one, two = ([(0, meta(0x21, bytes([port]))), *bass(0, bars=4, program=33 + port)] for port in (0, 1))
    data = smf([signature(4, 2)], one, two)
    part = part_of(data, 34)
    _, edited = fill(data, range(1, 2), (part,), notes=[(1, row(part, 0, 70, 12))])
    assert (2, 16, 1920, 2400, 70, 80, 34) in notes_of(edited.data)
    assert Counter(e for e in events_of(data) if not is_note(e)) == Counter(
        e for e in events_of(edited.data) if not is_note(e)
    )


def test_drums_keep_the_kits_that_they_change_midway():
    events = []
    for bar in range(12):
        if bar % 4 == 0:
            events.append((1920 * bar, bytes([0xC9, (16, 40, 16)[bar // 4]])))
        events += hold(9, 1920 * bar, 1920 * bar + 100, 36)
    data = smf([signature(4, 2)], at(events), bass(1, bars=12))
    assert len(ids_of(data)) == 2
    _, edited = fill(data, None, (part_of(data, 33),))
    kits = [n.program for n in play(edited.data).notes if n.is_drum]
    assert kits == [16] * 4 + [40] * 4 + [16] * 4
    drums = (V.drums, 0)
    _, edited = fill(data, range(5, 6), (drums,), notes=[(5, row(drums, 0, 38, 12))])
    assert [n.program for n in play(edited.data).notes if n.is_drum and n.bar == 5] == [40]


def test_new_notes_follow_a_port_that_changes_inside_their_track():
    # the piano's track goes on to the second port at bar 3, behind the note on its first beat
    events = [(0, b"\xc0\x00")]
    for bar in range(6):
        events += hold(0, 1920 * bar, 1920 * bar + 480, 60)
        events += [(3840, meta(0x21, b"\x01"))] if bar == 2 else []
    data = smf([signature(4, 2)], at(events), bass())
    first, second = [part for part in ids_of(data) if V.program_of(part[0]) == (0, False)]
    new = [(2, row(first, 24, 70, 12)), (3, row(second, 0, 71, 12))]
    _, edited = fill(data, range(2, 4), (first, second), notes=new)
    added = notes_of(edited.data) - notes_of(data)
    assert added == Counter({(1, 16, 4800, 5280, 70, 80, 0): 1, (1, 16, 5760, 6240, 71, 80, 0): 1})


def test_a_reset_behind_the_cut_is_no_reason_to_set_up_new_channels_there():
    # General MIDI On stands in bar 4; two bars are kept and one is added
    data = smf([signature(4, 2), (5760, b"\xf0\x05\x7e\x7f\x09\x01\xf7")], bass(bars=6))
    violin = (V.instrument_of(40, is_drum=False), 0)
    _, edited = go_on(data, 2, 1, parts={violin}, signature="4/4")
    assert (edited.source.piece.n_bars, set(ends_of(edited.data))) == (3, {3 * 1920})
    assert sum(e[3] & 0xF0 == 0xC0 for e in events_of(edited.data)) == 2


def test_new_notes_of_a_continuation_play_on_the_port_in_force_at_the_cut():
    # the bass changes to the second port only behind the cut
    events = [(0, b"\xc2\x21")]
    for bar in range(6):
        events += hold(2, 1920 * bar, 1920 * bar + 480, 40)
    data = smf([signature(4, 2)], at([*events, (5000, meta(0x21, b"\x01"))]))
    first = next(part for part in ids_of(data) if V.program_of(part[0]) == (33, False))
    _, edited = go_on(data, 2, 1, parts={first}, signature="4/4")
    assert {n[1] for n in notes_of(edited.data)} == {2}


def test_a_part_that_is_new_to_a_track_of_two_ports_is_free_on_both():
    # channel 1 is taken on the first port, 2 on the second, both in the one track of the file
    events = [(0, meta(0x21, b"\x00")), (0, b"\xc0\x00"), *hold(0, 0, 480, 60), (1000, meta(0x21, b"\x01"))]
    events += [(1000, b"\xc1\x21"), *hold(1, 1920, 7680, 40)]
    data = smf([signature(4, 2), *at(events)], kind=0)
    violin = (V.instrument_of(40, is_drum=False), 0)
    _, edited = fill(data, range(2, 3), (violin,), notes=[(2, row(violin, 0, 70, 12))])
    assert notes_of(edited.data) - notes_of(data) == Counter({(0, 18, 3840, 4320, 70, 80, 40): 1})
