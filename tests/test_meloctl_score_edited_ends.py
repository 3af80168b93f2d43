"""Where edited MIDI files end, how they go on behind their last bar, and what is released there."""

from collections import Counter

import numpy as np
from conftest import note, signature, smf
from edited_files import ends_of, events_of, fill, go_on, is_note, meta, notes_of
from edited_songs import FOUR, at, bass, hold, loop, part_of, row
from plain_player import play
from small_models import V

from analysis.midi import parse_source
from meloctl.generation.continuation import continued, encode_prompt
from meloctl.generation.edit_messages import edited_messages, kept_messages
from meloctl.rows.vocabulary import INSTRUMENT


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


def test_what_stands_behind_the_new_bars_goes_and_is_named():
    # behind the one complete bar, of 1,920 ticks, a bend, a marker and a lyric; a new bar of 2/4 ends before the last two, one of
    # 4/4 behind them
    track = [*at(hold(0, 0, 480, 60)), (1440 + 700, b"\xe0\x00\x50"), (600, meta(6, b"m")), (100, meta(5, b"la"))]
    data = smf([signature(4, 2)], track)
    for signature_of_new, lines in (("2/4", ["Left out behind the last new bar: 1 marker and 1 lyric"]), ("4/4", [])):
        _, edited = go_on(data, None, 1, signature=signature_of_new)
        lost = events_of(data) - events_of(edited.data)
        assert sum(lost.values()) == 2 * len(lines)
        assert [line for line in edited_messages(edited) if "behind" in line] == lines


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
