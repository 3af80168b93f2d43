"""Edits of MIDI files: every kind of event stays, in its order; containers; ticks that are too coarse."""

from collections import Counter

import pytest
from conftest import note, signature, smf
from edited_files import events_of, fill, go_on, is_note, meta
from edited_songs import at, bass, hold, loop, part_of, row
from plain_events import read_file
from small_models import V

from analysis.errors import MeloError
from analysis.midi import parse_source
from meloctl.generation.continuation import encode_prompt
from meloctl.generation.edit_messages import container_messages

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
