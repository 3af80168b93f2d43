"""Edits of MIDI files, event by event: what is not replaced stays as it is, in every kind of file."""

from collections import Counter

import numpy as np
import pytest
from conftest import note, signature, smf, variable_length
from edited_files import (
    ends_of,
    events_of,
    fill,
    go_on,
    ids_of,
    is_note,
    masked_places,
    meta,
    midi_files,
    notes_of,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from plain_events import read_file
from plain_player import play

from analysis.errors import MeloError
from analysis.midi import parse_source
from meloctl.score.midi_edit import LAST, Edit, NewEvent, edited_midi, finer_factor


def edit(data, *, drop=(), new=(), factor=1, end_tick=None):
    events = parse_source(data).events
    keep = np.ones(len(events.tick), dtype=np.bool_)
    keep[list(drop)] = False
    ends = factor * events.end_tick.astype(np.int64) if end_tick is None else np.array(end_tick)
    return edited_midi(events, Edit(keep=keep, new=new, factor=factor, end_tick=ends))


# bytes


SONG = smf(
    [(0, meta(3, b"head")), signature(4, 2)],
    [
        (0, meta(3, "ピアノ".encode("shift-jis"))),
        (0, b"\xc0\x28"),
        *note(60, 480),
        (0, b"\xb0\x40\x7f"),
        *note(62, 480),
    ],
    [(0, b"\xc1\x29"), (0, b"\x91\x40\x50"), (480, b"\x40\x00"), (0, b"\x41\x50"), (480, b"\x41\x00")],
)
"""A conductor, a track with a pedal, and one in running status."""


def test_a_file_that_nothing_is_done_to_stays_the_same_bytes():
    assert edit(SONG) == SONG


def test_only_the_track_that_changes_is_written_anew():
    # the file's third event of track 2 (from 0) is dropped; its running status is written out, all else is the same
    events = parse_source(SONG).events
    first = int(events.first_event[2])
    got = edit(SONG, drop=[first + 3], new=[NewEvent(track=2, tick=960, place=LAST, data=b"\x91\x43\x22")])
    head, _, third = SONG.rpartition(b"MTrk")
    assert got.startswith(head)
    assert got[len(head) :][8:] == (
        b"\x00\xc1\x29\x00\x91\x40\x50"
        + variable_length(480)
        + b"\x91\x40\x00"
        + variable_length(480)
        + b"\x91\x41\x00\x00\x91\x43\x22\x00\xff\x2f\x00"
    )
    assert third.startswith(b"\0\0\0")


def test_a_long_header_alien_chunks_and_bytes_behind_the_end_stay():
    chunk = b"XFIH\x00\x00\x00\x03abc"
    body = SONG[14:]
    at = body.index(b"MTrk", 4)
    long_header = b"MThd\x00\x00\x00\x08" + SONG[8:14] + b"zz"
    odd = long_header + chunk + body[:at] + chunk + body[at:] + chunk
    assert edit(odd) == odd
    got = edit(odd, drop=[int(parse_source(odd).events.first_event[1])])
    assert got.startswith(long_header + chunk)
    assert got.endswith(chunk)
    assert got.count(chunk) == 3
    # bytes behind a track's End of Track
    tail = smf(note(60, 480))[:-4] + b"\x00\xff\x2f\x00" + b"\x01\x02\x03"
    tail = tail[:18] + (len(tail) - 22).to_bytes(4, "big") + tail[22:]
    assert edit(tail, drop=[1]).endswith(b"\x83\x60\xff\x2f\x00\x01\x02\x03")


def test_new_events_stand_first_behind_and_last_in_their_tick():
    data = smf([(0, b"\x90\x3c\x40"), (480, b"\xb0\x01\x01"), (0, b"\x80\x3c\x00"), (0, b"\xb0\x01\x02")])
    new = [NewEvent(track=0, tick=480, place=place, data=bytes([0xB0, 2, place])) for place in (2, 0, 1)]
    got = read_file(edit(data, new=new)).tracks[0].events
    assert [e.data for e in got if e.tick == 480] == [
        b"\x02\x00",
        b"\x01\x01",
        b"\x3c\x00",
        b"\x01\x02",
        b"\x02\x01",
        b"\x02\x02",
    ]


def test_ticks_are_multiplied_only_where_that_fits():
    events = parse_source(SONG).events
    assert finer_factor(events, 12, 0) == 1
    assert finer_factor(events, 960, 0) == 2
    assert finer_factor(events, 480 * 69, 0) == 1  # 33,120 ticks a quarter are more than a file can have
    assert finer_factor(events, 960, (1 << 28) - 1) == 1  # no delta time could say so late an end
    twice = edit(SONG, factor=2)
    assert events_of(twice) == events_of(SONG, factor=2)
    assert ends_of(twice) == [2 * tick for tick in ends_of(SONG)]
    assert twice[12:14] == (960).to_bytes(2, "big")


def test_events_too_far_apart_for_a_midi_file_are_an_error():
    with pytest.raises(MeloError, match="ticks between two events"):
        edit(SONG, end_tick=[0, 0, 1 << 29])


# property: whatever the file, what is outside of the edit stays


@settings(max_examples=150)
@given(midi_files(), st.data())
def test_an_infill_keeps_all_that_is_outside_of_it(data, draw):
    old = play(data)
    first = draw.draw(st.integers(0, old.n_bars - 1))
    bars = range(first, draw.draw(st.integers(first, min(old.n_bars - 1, first + 3))) + 1)
    parts = draw.draw(st.one_of(st.none(), st.sets(st.sampled_from(ids_of(data)), min_size=1).map(sorted).map(tuple)))
    try:
        infill, edited = fill(data, bars, parts, seed=draw.draw(st.integers(0, 99)))
    except MeloError as error:
        if (
            "nothing would be kept" not in str(error)
            and "would change" not in str(error)
            and "too coarse" not in str(error)
        ):
            raise
        assume(False)
    factor, new = edited.source.piece.ticks_per_quarter // old.file.ticks_per_quarter, play(edited.data)
    # what a plain player says is masked: the notes of these bars
    masked = masked_places(infill)
    assert all((n.bar in bars) >= ((n.track, n.on) in masked) for n in old.notes)
    if parts is None:
        assert masked == {(n.track, n.on) for n in old.notes if n.bar in bars}
    # events
    before, after = events_of(data, factor=factor), events_of(edited.data)
    gone = before - after
    assert all(is_note(event) for event in gone)
    own = {(n.track, factor * n.onset, n.pitch) for n in old.notes if (n.track, n.on) in masked}
    own |= {(n.track, factor * n.end, n.pitch) for n in old.notes if (n.track, n.on) in masked}
    assert {(e[0], e[1], e[4][0]) for e in gone} <= own
    assert {e[3] & 0xF0 for e in after - before if not is_note(e)} <= {0xB0, 0xC0}  # what sets up a free channel
    # notes and bars
    kept = notes_of(data, factor=factor, which=lambda n: (n.track, n.on) not in masked)
    assert kept - notes_of(edited.data) == Counter()
    assert new.n_bars == old.n_bars
    assert [(factor * r.tick, *r[1:]) for r in old.signatures] == [tuple(r) for r in new.signatures]


@settings(max_examples=150)
@given(midi_files(), st.integers(1, 3), st.data())
def test_a_continuation_keeps_all_that_is_before_it(data, bars, draw):
    old = play(data)
    keep = draw.draw(st.one_of(st.none(), st.integers(min(n.bar for n in old.notes) + 1, old.n_bars)))
    try:
        prompt, edited = go_on(data, keep, bars, seed=draw.draw(st.integers(0, 99)))
    except MeloError as error:
        if (
            "would change" not in str(error)
            and "no time signature" not in str(error)
            and "too coarse" not in str(error)
        ):
            raise
        assume(False)
    factor, new = edited.source.piece.ticks_per_quarter // old.file.ticks_per_quarter, play(edited.data)
    cut = factor * int(prompt.kept.source.piece.bars.start_tick(prompt.bars))
    lost = events_of(data, factor=factor) - events_of(edited.data)
    end = ends_of(edited.data)[0]  # no kept note outlasts the last new bar
    if prompt.bars == old.n_bars:  # all events stay, but for the metre and the tempo of what comes now
        lost -= Counter({e: n for e, n in lost.items() if e[1] > end})  # nothing stands behind them
        assert all(e[3] == 0xFF and e[4][0] in (0x51, 0x58) and e[1] >= cut for e in lost)
    else:
        assert all(e[1] >= cut for e in lost if not is_note(e))
    kept = notes_of(data, factor=factor, which=lambda n: n.bar < prompt.bars)
    again = notes_of(edited.data, which=lambda n: n.bar < prompt.bars)
    assert again == Counter({(*note[:3], min(note[3], end), *note[4:]): n for note, n in kept.items()})
    assert new.n_bars == prompt.bars + bars
    assert len(set(ends_of(edited.data))) == 1
    assert new.signatures[0][1:3] == old.signatures[0][1:3]
