"""Notes over the edges of a gap in an edited MIDI file, and what ends notes besides their own note-off."""

from collections import Counter

from conftest import signature, smf
from edited_files import fill, go_on, notes_of
from edited_songs import at, bass, hold, part_of, row
from plain_player import play

from meloctl.generation.edit_messages import kept_messages
from meloctl.rows.vocabulary import PITCH, POSITION


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


def test_a_new_note_that_a_kept_one_would_push_behind_the_gap_is_left_out():
    data = smf([signature(4, 2)], at([*hold(0, 0, 6000, 60), *hold(0, 1920, 2400, 64)]), bass(bars=4))
    part = part_of(data, 0)
    _, edited = fill(data, range(1, 3), (part,), notes=[(1, row(part, 0, 67, 12)), (2, row(part, 36, 60, 24))])
    assert notes_of(edited.data, which=lambda n: n.track == 1) == Counter(
        {(1, 0, 0, 6000, 60, 80, 0): 1, (1, 0, 1920, 2400, 67, 80, 0): 1}
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


def test_a_note_held_out_of_the_gap_ends_there_where_a_kept_note_strikes_its_key():
    # a bass plays its key again on each bar line, and lets the last one ring a beat into the new one: were it struck again too,
    # the first note-off would end the wrong one of the two
    data = smf(
        [signature(4, 2)], at([*hold(0, 0, 480, 36), *hold(0, 1920, 4320, 36), *hold(0, 3840, 5700, 36)]), bass(bars=4)
    )
    part = part_of(data, 0)
    infill, edited = fill(data, range(1, 2), (part,), notes=[(1, row(part, 0, 40, 12))])
    assert (infill.kept.struck_again, infill.kept.replaced_by_kept) == (0, 1)
    (line,) = kept_messages(infill.kept, None)
    assert line == "Held from the replaced bars into kept ones, but ended there, for kept notes play their keys: 1 note"
    assert notes_of(edited.data, which=lambda n: n.track == 1) == Counter(
        {(1, 0, 0, 480, 36, 80, 0): 1, (1, 0, 1920, 2400, 40, 80, 0): 1, (1, 0, 3840, 5700, 36, 80, 0): 1}
    )


def test_two_notes_of_one_key_held_out_of_the_gap_are_both_struck_again():
    data = smf(
        [signature(4, 2)],
        at([*hold(0, 0, 480, 60), *hold(0, 2000, 4300, 60, 70), *hold(0, 2400, 5000, 60, 90)]),
        bass(),
    )
    infill, edited = fill(data, range(1, 2), (part_of(data, 0),), notes=[])
    assert infill.kept.struck_again == 2
    assert notes_of(edited.data, which=lambda n: n.track == 1) == Counter(
        {(1, 0, 0, 480, 60, 80, 0): 1, (1, 0, 3840, 4300, 60, 70, 0): 1, (1, 0, 3840, 5000, 60, 90, 0): 1}
    )
