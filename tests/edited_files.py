"""What tests of edited MIDI files share: their events as a plain reader sees them, made-up notes for a gap, and random files."""

from collections import Counter

import numpy as np
from conftest import smf
from hypothesis import strategies as st
from plain_events import read_file
from plain_player import play
from small_models import V

from analysis.midi import parse_source
from meloctl.generation.continuation import continued, encode_prompt
from meloctl.generation.infill import encode_infill, infilled
from meloctl.rows.parts import part_ids
from meloctl.rows.vocabulary import (
    ABSENT,
    DURATION,
    FIELDS,
    INSTANCE,
    INSTRUMENT,
    PITCH,
    POSITION,
    TEMPO,
    TIME_SIGNATURE,
    VELOCITY,
)


def events_of(data, *, factor=1):
    """All events of a file as a multiset of (track, tick, port, status, raw bytes behind the status)."""
    file = read_file(data)
    found = Counter()
    for track in file.tracks:
        for e in track.events:
            raw = file.data[e.start : e.stop]
            found[e.track, factor * e.tick, e.port, e.status, raw[1:] if raw[0] >= 0x80 else raw] += 1
    return found


def is_note(event):
    return event[3] & 0xE0 == 0x80


def notes_of(data, *, factor=1, which=lambda note: True):
    """Notes of a file as a multiset of (track, channel, onset, end, pitch, velocity, program or "drums")."""
    return Counter(
        (
            n.track,
            16 * n.port + n.channel,
            factor * n.onset,
            factor * n.end,
            n.pitch,
            n.velocity,
            "drums" if n.is_drum else n.program,
        )
        for n in play(data).notes
        if which(n)
    )


def ends_of(data):
    """The tick of each track's End of Track."""
    return [track.end_tick for track in read_file(data).tracks]


def random_row(random, part, signature):
    """A note row of a part somewhere in a bar of a signature."""
    row = np.full(len(FIELDS), ABSENT, dtype=np.int16)
    row[INSTRUMENT], row[INSTANCE] = part
    row[POSITION] = random.integers(V.bar_steps[signature])
    row[PITCH] = random.integers(128)
    row[DURATION] = random.integers(len(V.durations))
    row[VELOCITY] = random.integers(len(V.velocities))
    return row


def made_up_notes(infill, random, *, most=6):
    """New notes in the masked bars of an infill: as a model might write them, without one."""
    headers = infill.rows[infill.rows[:, INSTRUMENT] == V.bar]
    return [
        (bar, random_row(random, infill.parts[random.integers(len(infill.parts))], headers[bar, TIME_SIGNATURE]))
        for bar in infill.row_bars
        for _ in range(random.integers(most + 1) if infill.parts else 0)
    ]


def made_up_bars(prompt, random, bars, *, parts=None, signature=None, most=6):
    """Rows of a prompt with made-up bars behind it, the last of which has a note."""
    parts = sorted(parts or prompt.room.own or part_ids(prompt.piece.parts, V))
    rows = list(prompt.rows)
    for _ in range(bars):
        header = next(row for row in reversed(rows) if row[INSTRUMENT] == V.bar).copy()
        if signature is not None:
            header[TIME_SIGNATURE] = V.time_signatures.index(signature)
        elif random.random() < 0.5:
            header[TIME_SIGNATURE] = V.time_signatures.index(["4/4", "3/4", "7/8", "5/16", "3/64"][random.integers(5)])
            header[TEMPO] = random.integers(len(V.tempos))
        rows.append(header)
        for _ in range(random.integers(1, most + 1)):
            rows.append(random_row(random, parts[random.integers(len(parts))], header[TIME_SIGNATURE]))
    return np.stack(rows)


def fill(data, bars, parts=None, *, seed=0, notes=None, most=6):
    """An infill of a file with made-up notes, or those given: (infill, the edited file)."""
    source = parse_source(data)
    infill = encode_infill(source, bars, parts, V)
    new = made_up_notes(infill, np.random.default_rng(seed), most=most) if notes is None else notes
    return infill, infilled(infill, new, V)


def go_on(data, keep, bars, *, seed=0, **how):
    """A file continued with made-up bars: (prompt, the edited file)."""
    prompt = encode_prompt(parse_source(data), keep, V)
    rows = made_up_bars(prompt, np.random.default_rng(seed), bars, **how)
    return prompt, continued(prompt, rows, V)


def ids_of(data):
    return part_ids(parse_source(data).piece.parts, V)


def masked_places(infill):
    """(track, place in it) of the note-ons of the masked notes of an infill."""
    source = infill.kept.source
    on = source.note_on[infill.masked_notes]
    track = source.events.track[on]
    return set(zip(track.tolist(), (on - source.events.first_event[track]).tolist(), strict=True))


TEXTS = [b"la", "Flöte".encode("latin-1"), "ピアノ".encode("shift-jis"), "é".encode(), b"", b"\xff\x00\x7f"]


def meta(kind, data):
    return bytes([0xFF, kind, len(data)]) + data


@st.composite
def _event(draw, channel):
    value = st.integers(0, 127)
    texts = st.sampled_from(TEXTS)
    return draw(
        st.one_of(
            st.tuples(st.sampled_from([0, 1, 7, 10, 11, 32, 64, 66, 67, 69, 100, 101, 6, 38]), value).map(
                lambda c: bytes([0xB0 | channel, *c])
            ),
            st.sampled_from([bytes([0xB0 | channel, 123, 0]), bytes([0xB0 | channel, 121, 0])]),
            st.tuples(value, value).map(lambda v: bytes([0xE0 | channel, *v])),
            value.map(lambda v: bytes([0xD0 | channel, v])),
            st.tuples(st.integers(58, 64), value).map(lambda v: bytes([0xA0 | channel, *v])),
            st.integers(0, 5).map(lambda p: bytes([0xC0 | channel, 8 * p])),
            st.tuples(st.sampled_from([1, 2, 4, 5, 6, 7, 0x7F]), texts).map(lambda t: meta(*t)),
            st.sampled_from(
                [
                    b"\xf0\x03\x41\x10\xf7",
                    b"\xf7\x02\xf3\x01",
                    b"\xf0\x05\x7e\x7f\x09\x01\xf7",
                    meta(0x59, b"\xfd\x00"),
                    meta(0x54, bytes(5)),
                    meta(0x51, b"\x07\xa1\x20"),
                    meta(0x51, b"\x03\xd0\x90"),
                    meta(0x58, bytes([3, 2, 24, 8])),
                    meta(0x58, bytes([4, 2, 24, 8])),
                    meta(0x58, bytes([5, 4, 12, 8])),
                ]
            ),
        )
    )


@st.composite
def midi_files(draw):
    """Random files: events of all kinds, notes that overlap, have no length or no end, all formats and resolutions."""
    tpq = draw(st.sampled_from([1, 24, 96, 100, 480, 1024, 32_767]))
    kind = draw(st.sampled_from([0, 1, 1]))
    tracks = []
    for _ in range(1 if kind == 0 else draw(st.integers(1, 3))):
        channels = draw(st.lists(st.sampled_from([0, 1, 2, 9]), min_size=1, max_size=4 if kind == 0 else 2))
        timed = []
        for _ in range(draw(st.integers(1, 12))):
            channel, tick = draw(st.sampled_from(channels)), draw(st.integers(0, 16 * tpq))
            length = draw(st.sampled_from([0, tpq, tpq // 2, 5 * tpq]))
            pitch = draw(st.integers(58, 64))
            timed.append((tick, bytes([0x90 | channel, pitch, draw(st.integers(1, 127))])))
            if draw(st.integers(0, 9)):
                timed.append((tick + length, bytes([draw(st.sampled_from([0x80, 0x90])) | channel, pitch, 0])))
        for _ in range(draw(st.integers(0, 10))):
            timed.append((draw(st.integers(0, 18 * tpq)), draw(_event(draw(st.sampled_from(channels))))))
        timed = sorted(timed, key=lambda e: e[0])
        head = [(0, meta(0x03, draw(st.sampled_from(TEXTS))))]
        if draw(st.integers(0, 3)) == 0:
            head.append((0, meta(0x21, b"\x01")))
        if draw(st.booleans()):
            head.append((0, b"\xf0\x05\x7e\x7f\x09\x01\xf7"))
        ticks = [tick for tick, _ in timed]
        deltas = [b - a for a, b in zip([0, *ticks], ticks, strict=False)]
        tracks.append([*head, *((d, data) for d, (_, data) in zip(deltas, timed, strict=True))])
    return smf(*tracks, division=tpq, kind=kind)
