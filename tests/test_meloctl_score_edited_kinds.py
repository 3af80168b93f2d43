"""Edits of MIDI files: each kind of event and of file, in pieces small enough to follow by hand."""

from collections import Counter

import numpy as np
import pytest
from conftest import note, signature, smf
from edited_files import ends_of, events_of, fill, go_on, ids_of, is_note, meta, notes_of, random_row
from plain_events import read_file
from plain_player import play
from small_models import V

from analysis.errors import MeloError
from analysis.midi import parse_source
from meloctl.generation.constraints import ChannelRoom
from meloctl.generation.continuation import continued, encode_prompt
from meloctl.generation.edit_messages import container_messages, kept_messages
from meloctl.generation.infill import encode_infill, infilled
from meloctl.rows.vocabulary import DURATION, INSTRUMENT, PITCH, POSITION, VELOCITY

FOUR = V.time_signatures.index("4/4")


def at(ticks):
    """Events at absolute ticks → a track of delta times."""
    ordered = sorted(ticks, key=lambda e: e[0])
    before = [0, *(tick for tick, _ in ordered)]
    return [(tick - then, data) for then, (tick, data) in zip(before, ordered, strict=False)]


def row(part, position, pitch, steps, velocity=80):
    """A note row."""
    made = random_row(np.random.default_rng(0), part, FOUR)
    made[POSITION], made[PITCH], made[DURATION] = position, pitch, V.durations.index(steps)
    made[VELOCITY] = V.velocities.index(velocity)
    return made


def part_of(data, program):
    """The part of a program."""
    return next(i for i in ids_of(data) if V.program_of(i[0]) == (program, False))


def hold(channel, tick, end, pitch, velocity=80):
    return [(tick, bytes([0x90 | channel, pitch, velocity])), (end, bytes([0x80 | channel, pitch, 64]))]


def bass(channel=2, bars=8, program=33):
    """A bass with a whole note a bar."""
    events = [(0, bytes([0xC0 | channel, program]))]
    for bar in range(bars):
        events += hold(channel, 1920 * bar, 1920 * bar + 1900, 39)
    return at(events)


EVENTS = {
    "pedal": b"\xb0\x40\x7f",
    "volume": b"\xb0\x07\x50",
    "bend range (RPN)": b"\xb0\x65\x00",
    "NRPN": b"\xb0\x63\x12",
    "bend": b"\xe0\x00\x50",
    "key pressure": b"\xa0\x3c\x11",
    "channel pressure": b"\xd0\x11",
    "system exclusive": b"\xf0\x04\x43\x10\x4c\xf7",
    "system exclusive in two packets": b"\xf0\x03\x43\x10\x4c",
    "escape": b"\xf7\x03\x01\x02\x03",
    "text": meta(1, "ピアノ".encode("shift-jis")),
    "copyright": meta(2, b"(C) nobody"),
    "lyric": meta(5, "für".encode("latin-1")),
    "marker": meta(6, b"verse"),
    "cue point": meta(7, b"curtain"),
    "device": meta(9, b"synth"),
    "channel prefix": meta(0x20, b"\x03"),
    "key signature": meta(0x59, b"\xfd\x00"),
    "SMPTE offset": meta(0x54, bytes(5)),
    "sequencer": meta(0x7F, b"\x00\x01"),
    "unknown meta": meta(0x60, b"xyz"),
}


@pytest.mark.parametrize("kind", EVENTS)
def test_each_kind_of_event_stays_in_an_infill_and_before_new_bars(kind):
    # one of each in every bar, in the track of the part that is replaced, beside its notes
    events = [(0, b"\xc0\x28")]
    for bar in range(4):
        events += [*hold(0, 1920 * bar, 1920 * bar + 480, 60), (1920 * bar + 240, EVENTS[kind])]
    data = smf([signature(4, 2)], at(events), bass(bars=4))
    _, edited = fill(data, range(1, 3), (part_of(data, 40),))
    assert Counter(e for e in events_of(data).elements() if not is_note(e)) == Counter(
        e for e in events_of(edited.data).elements() if not is_note(e)
    )
    _, longer = go_on(data, None, 2)
    assert events_of(data) - events_of(longer.data) == Counter()
    prompt, shorter = go_on(data, 2, 2, signature="4/4")
    lost = events_of(data) - events_of(shorter.data)
    assert {e[1] for e in lost} >= {2 * 1920 + 240}
    assert all(e[1] >= 2 * 1920 for e in lost)
    assert sum(n for name, n in prompt.kept.left_out.items() if name != "note") == 2


def test_the_order_in_a_tick_stays_and_new_notes_stand_around_it():
    # at tick 1920: the old bass ends, a controller, the next one starts, a lyric; new notes end and start there too
    track = at(
        [
            (0, b"\xc0\x21"),
            *hold(0, 0, 1920, 40),
            (1920, b"\xb0\x07\x50"),
            *hold(0, 1920, 3840, 41),
            (1920, meta(5, b"la")),
            *hold(0, 3840, 5760, 42),
        ]
    )
    data = smf([signature(4, 2)], track, bass(1, bars=3, program=34))
    part = part_of(data, 33)
    new = [(0, row(part, 0, 50, 48)), (1, row(part, 0, 50, 12))]
    _, edited = fill(data, range(1, 2), (part,), notes=new[1:])
    tick = [(e.status, e.data) for e in read_file(edited.data).tracks[1].events if e.tick == 1920]
    assert tick == [(0x80, b"\x28\x40"), (0xB0, b"\x07\x50"), (0xFF, b"\x05la"), (0x90, b"\x32\x50")]
    _, edited = fill(data, range(0, 1), (part,), notes=new[:1])
    tick = [(e.status, e.data) for e in read_file(edited.data).tracks[1].events if e.tick == 1920]
    assert tick == [(0x80, b"\x32\x40"), (0xB0, b"\x07\x50"), (0x90, b"\x29\x50"), (0xFF, b"\x05la")]


# channels


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
    assert part.name == ("violin" if kind else "song")


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
    assert not room.is_full(set(), 5, V)
    assert not room.is_full({(3, 0)}, 5, V)
    assert room.is_full({(3, 0), (4, 0)}, 5, V)
    assert not room.is_full({(4, 0)}, V.drums, V)
    assert room.is_full({(4, 0), (V.drums, 0)}, V.drums, V)


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


# notes over the edges of the gap


def test_a_note_held_out_of_the_gap_is_struck_again_at_its_end():
    # a pad is held from bar 2 to the middle of bar 4; bars 2 and 3 are replaced
    data = smf([signature(4, 2)], [(0, b"\xc0\x58"), *at([*hold(0, 0, 480, 60), *hold(0, 1920, 6720, 64, 99)])], bass())
    pad = part_of(data, 88)
    infill, edited = fill(data, range(1, 3), (pad,), notes=[(1, row(pad, 0, 70, 12))])
    assert notes_of(edited.data, which=lambda n: n.track == 1) == Counter(
        {
            (1, 0, 0, 480, 60, 80, 88): 1,
            (1, 0, 1920, 2400, 70, 80, 88): 1,
            (1, 0, 5760, 6720, 64, 99, 88): 1,
        }
    )
    (line,) = kept_messages(infill.kept, None)
    assert (
        line == "Held from the replaced bars into kept ones: 1 note, struck again at the bar line to keep their sound"
    )
    positions = [r[POSITION] for r in infill.rows if r[PITCH] == 64]
    assert positions == [0]  # the model reads it where it is struck again


def test_a_note_that_ends_a_hair_behind_the_gap_is_not_struck_again():
    # 480 // 24 = 20 ticks of tolerance
    for end, again in ((5780, 0), (5781, 1)):
        data = smf([signature(4, 2)], at([*hold(0, 0, 480, 60), *hold(0, 1920, end, 64)]), bass())
        infill, _ = fill(data, range(1, 3), (part_of(data, 0),), notes=[])
        assert infill.kept.struck_again == again


def test_a_note_held_into_the_gap_stays_whole():
    data = smf([signature(4, 2)], at([*hold(0, 0, 5000, 60), *hold(0, 1920, 2400, 64)]), bass())
    part = part_of(data, 0)
    _, edited = fill(data, range(1, 3), (part,), notes=[(1, row(part, 0, 60, 12)), (2, row(part, 36, 60, 12))])
    assert notes_of(edited.data, which=lambda n: n.track == 1) == Counter(
        {(1, 0, 0, 5000, 60, 80, 0): 1, (1, 0, 5280, 5760, 60, 80, 0): 1}
    )


def test_a_held_note_whose_program_has_changed_by_then_ends_with_the_gap_and_is_said():
    data = smf(
        [signature(4, 2)], at([*hold(0, 0, 480, 60), *hold(0, 1920, 6720, 64), (3000, b"\xc0\x28")]), bass(bars=4)
    )
    infill, edited = fill(data, range(1, 3), (part_of(data, 0),), notes=[])
    assert (infill.kept.struck_again, infill.kept.given_up) == (0, 1)
    assert "ended there, for the program has changed: 1 note" in kept_messages(infill.kept, None)[0]
    assert notes_of(edited.data, which=lambda n: n.track == 1) == Counter({(1, 0, 0, 480, 60, 80, 0): 1})


def test_downbeats_played_early_go_with_their_bar():
    # each downbeat but the first is struck 10 ticks early: bars 9 to 12 lose those of ticks 15350 to 21110 and keep 23030
    events = [(0, b"\xc0\x00")]
    for bar in range(16):
        early = 10 if bar else 0
        for beat in range(4):
            tick = 1920 * bar + 480 * beat - (early if beat == 0 else 0)
            events += hold(0, tick, tick + 400, 60 + beat)
    data = smf([signature(4, 2)], at(events), bass(bars=16))
    piano = part_of(data, 0)
    _, edited = fill(data, range(8, 12), (piano,), notes=[])
    gone = notes_of(data) - notes_of(edited.data)
    assert sorted(n[2] for n in gone if n[4] == 60) == [15350, 17270, 19190, 21110]
    assert len(gone) == 16


def test_notes_of_no_length_stay():
    hits = [hit for step in range(64) for hit in hold(9, 240 * step, 240 * step, 36 + step % 3, 60 + step)]
    data = smf([signature(4, 2)], at(hits), bass(1))
    assert len([n for n in play(data).notes if n.onset == n.end]) == 64
    _, edited = fill(data, None, (part_of(data, 33),))
    _, longer = go_on(data, None, 2)
    drums = notes_of(data, which=lambda n: n.is_drum)
    assert sum(drums.values()) == 64
    for made in (edited, longer):
        assert drums - notes_of(made.data) == Counter()


def test_what_ends_notes_besides_their_note_off_ends_new_ones_too():
    # All Notes Off at the middle of bar 3, and a note-off of key 70 without a note at its third beat
    track = at(
        [
            *hold(0, 0, 480, 60),
            (2 * 1920 + 960, b"\xb0\x7b\x00"),
            (1920 + 960, b"\x80\x46\x00"),
            *hold(0, 7000, 7200, 61),
        ]
    )
    data = smf([signature(4, 2)], track, bass(1, bars=4))
    part = part_of(data, 0)
    _, edited = fill(data, range(1, 3), (part,), notes=[(1, row(part, 0, 70, 36)), (2, row(part, 0, 65, 48))])
    added = notes_of(edited.data) - notes_of(data)
    assert added == Counter({(1, 0, 1920, 2880, 70, 80, 0): 1, (1, 0, 3840, 4800, 65, 80, 0): 1})


def test_a_note_that_another_one_ends_keeps_its_length_when_that_goes():
    # key 60 is struck at 0 and again at 1920 and let go once: the first lasts 1920 ticks, and does so when the second is gone
    track = at([(0, b"\x90\x3c\x50"), (1920, b"\x90\x3c\x51"), (2400, b"\x80\x3c\x00"), *hold(0, 7000, 7200, 61)])
    data = smf([signature(4, 2)], track, bass(1, bars=4))
    assert (1, 0, 0, 1920, 60, 80, 0) in notes_of(data)
    infill, edited = fill(data, range(1, 2), (part_of(data, 0),), notes=[])
    assert infill.kept.ended == 1
    assert (1, 0, 0, 1920, 60, 80, 0) in notes_of(edited.data)
    assert kept_messages(infill.kept, None) == [
        "Given a note-off of their own, since what ended them goes or moves: 1 note"
    ]


# the end


def loop():
    """Eight bars, of which the last has no note; End of Track stands at its end in both tracks."""
    tracks = []
    for channel in (0, 1):
        events = [(0, bytes([0xC0 | channel, 33 * channel]))]
        for step in range(25):
            events += hold(channel, 480 * step, 480 * step + 480, 40 + step)
        track = at(events)
        track.append((8 * 1920 - 25 * 480, meta(1, b"")))  # holds End of Track there
        tracks.append(track)
    return smf([signature(4, 2)], *tracks)


def test_a_loop_with_a_rest_at_its_end_keeps_its_length_and_goes_on_behind_it():
    data = loop()
    assert play(data).n_bars == 8
    for notes in ([], None):
        _, edited = fill(data, None, (part_of(data, 33),), notes=notes)
        assert max(ends_of(edited.data)) == 15_360
        assert play(edited.data).n_bars == 8
    _, longer = go_on(data, None, 2, signature="4/4")
    assert set(ends_of(longer.data)) == {10 * 1920}
    first_new = min(n.onset for n in play(longer.data).notes if n.onset > 25 * 480)
    assert first_new >= 8 * 1920


def test_a_last_bar_whose_notes_go_stays_a_bar():
    low = [e for bar in range(4) for e in hold(0, 1920 * bar, 1920 * bar + 480, 40)]
    data = smf([signature(4, 2)], at(low), [(0, b"\xc1\x28"), *at(hold(1, 0, 480, 60))])
    assert max(ends_of(data)) == 3 * 1920 + 480
    _, edited = fill(data, range(3, 4), (part_of(data, 0),), notes=[])
    assert play(edited.data).n_bars == 4
    assert max(ends_of(edited.data)) == 4 * 1920


def test_a_note_that_outlasts_the_new_bars_ends_with_them():
    data = smf([signature(4, 2)], at([*hold(0, 0, 20 * 1920, 60)]), bass(1, bars=2))
    _, edited = go_on(data, 1, 2, signature="4/4")
    assert edited.shortened == 1
    assert (1, 0, 0, 3 * 1920, 60, 80, 0) in notes_of(edited.data)
    assert set(ends_of(edited.data)) == {3 * 1920}


# continuation


def test_what_would_hang_at_the_cut_is_released_there():
    # the pedal of channel 1 and the bend of channel 2 hang at the end of bar 2, the pedal of channel 2 has been let go
    track = [
        (0, b"\xb0\x40\x7f"),
        (100, b"\xe1\x00\x50"),
        (0, b"\xb1\x40\x7f"),
        (200, b"\xb1\x40\x00"),
        (0, b"\xb0\x07\x22"),
    ]
    track += [
        (0, b"\xd2\x40"),
        (0, b"\xb3\x43\x7f"),
        (0, b"\xb3\x79\x00"),
        (0, b"\xb0\x45\x40"),
        *at(hold(0, 0, 480, 60)),
    ]
    track += [(4000, b"\xb0\x40\x00")]
    data = smf([signature(4, 2)], track, bass(4))
    prompt, edited = go_on(data, 2, 2, signature="4/4")
    added = {(e[1], e[3], e[4]) for e in events_of(edited.data) - events_of(data) if not is_note(e)}
    cut = 2 * 1920
    assert added == {
        (cut, 0xB0, b"\x40\x00"),
        (cut, 0xB0, b"\x45\x00"),
        (cut, 0xE1, b"\x00\x40"),
        (cut, 0xD2, b"\x00"),
    }
    assert kept_messages(prompt.kept, 2) == [
        "Left out behind bar 2: 6 notes and 1 control change",
        "Released at the end of bar 2: 1 sustain pedal, 1 pitch bend, 1 channel pressure and 1 hold pedal",
    ]


def test_at_the_files_end_only_channels_with_new_notes_are_released():
    track = [(0, b"\xb0\x40\x7f"), *note(60, 1900)]
    other = [(0, b"\xb1\x40\x7f"), (0, b"\xc1\x28"), *note(60, 1900, channel=1)]
    data = smf([signature(4, 2)], track, other)
    _, edited = go_on(data, None, 2, parts=[part_of(data, 40)], signature="4/4")
    added = {(e[1], e[3], e[4]) for e in events_of(edited.data) - events_of(data) if not is_note(e)}
    assert added == {(1920, 0xB1, b"\x40\x00")}
    assert edited.released == {"sustain pedal": 1}


def test_signatures_and_tempos_of_new_bars_stand_where_they_change():
    head = [signature(3, 2), (0, meta(0x51, (500_000).to_bytes(3, "big")))]
    data = smf([(0, meta(3, b"conductor"))], head, bass(0, bars=3))
    prompt = encode_prompt(parse_source(data), None, V)
    header = prompt.rows[prompt.rows[:, INSTRUMENT] == V.bar][0]
    tempos = [float(V.tempos[t]) for t in (header[7],)]
    assert tempos == [120.0]
    four = header.copy()
    four[6] = FOUR
    slow = four.copy()
    slow[7] -= 24
    part = next(iter(prompt.room.own))
    rows = np.stack([*prompt.rows, header, four, slow, row(part, 0, 50, 12)])
    edited = continued(prompt, rows, V)
    added = [e for e in events_of(edited.data) - events_of(data) if not is_note(e)]
    start = prompt.bars * 1440
    assert sorted((e[:2], e[4][0]) for e in added) == [((1, start + 1440), 0x58), ((1, start + 1440 + 1920), 0x51)]
    assert [tuple(r[:3]) for r in play(edited.data).signatures] == [(0, 3, 4), (start + 1440, 4, 4)]


def test_a_last_bar_that_was_cut_short_is_named():
    # 4/4, cut short after two quarters by 3/4; kept up to there, and on in 4/4
    data = smf([signature(4, 2), signature(3, 2, delta=1920 + 960)], bass(0, bars=4))
    _, edited = go_on(data, 2, 2, signature="4/4")
    assert [tuple(r[:3]) for r in play(edited.data).signatures] == [(0, 4, 4), (1920, 2, 4), (2880, 4, 4)]
    assert play(edited.data).n_bars == 4


def test_a_file_of_32767_ticks_goes_on_in_them():
    events = [*hold(0, 0, 32767, 60), *hold(0, 4 * 32767, 5 * 32767, 62)]
    data = smf([signature(4, 2)], at(events), division=32_767)
    prompt = encode_prompt(parse_source(data), None, V)
    (part,) = prompt.room.own
    header = prompt.rows[prompt.rows[:, INSTRUMENT] == V.bar][0]
    edited = continued(prompt, np.stack([*prompt.rows, header, row(part, 1, 70, 12), row(part, 4, 72, 4)]), V)
    added = notes_of(edited.data) - notes_of(data)
    begin = 2 * 4 * 32_767  # a step is 2730.58 ticks
    assert added == Counter(
        {
            (1, 0, begin + 2731, begin + round(13 * 32_767 / 12), 70, 80, 0): 1,
            (1, 0, begin + 10_922, begin + 21_845, 72, 80, 0): 1,
        }
    )
    assert edited.data[12:14] == b"\x7f\xff"


# containers and hostile files


def test_a_riff_file_is_written_plain_and_its_other_chunks_are_named():
    plain = loop()
    body = b"RMIDdata" + len(plain).to_bytes(4, "little") + plain + b"LIST\x04\x00\x00\x00INFODISP\x02\x00\x00\x00ab"
    data = b"RIFF" + len(body).to_bytes(4, "little") + body
    _, edited = fill(data, None, (part_of(data, 33),), notes=[])
    assert edited.data[:4] == b"MThd"
    (line,) = container_messages(parse_source(data).wrapper)
    assert line.startswith("Not kept, for the new file is plain MIDI: ")
    assert "LIST INFO" in line
    assert "DISP" in line


def test_bars_shorter_than_a_tick_are_refused():
    data = smf([signature(1, 4), *note(60, 1)], division=1)
    with pytest.raises(MeloError, match="1 tick a quarter are too coarse"):
        encode_prompt(parse_source(data), None, V)
