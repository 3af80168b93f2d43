"""Rows: the round trip is exact on the grid, the grammar refuses what it should, and the grid's cost is counted."""

import json
from fractions import Fraction

import numpy as np
import pytest
from conftest import piece_of
from hypothesis import given
from hypothesis import strategies as st
from strategies import pieces

from analysis.errors import MeloError
from analysis.midi import read_midi
from analysis.piece import Part
from meloctl.rows.codec import GridLoss, decode, encode
from meloctl.rows.grammar import FIELDS_OF, GrammarState, allowed_values, check_rows, kind_of, next_state
from meloctl.rows.parts import general_midi_part, is_drum_part, part_ids, part_names, row_parts
from meloctl.rows.vocabulary import (
    ABSENT,
    DURATION,
    FIELDS,
    INSTANCE,
    INSTRUMENT,
    NOTE_FIELDS,
    PITCH,
    POSITION,
    TEMPO,
    TIME_SIGNATURE,
    VELOCITY,
    Vocabulary,
    default_vocabulary,
)

V = default_vocabulary()
_ = ABSENT


def rows_of(piece):
    return encode(piece, V)[0]


def name(field, value):
    lists = {
        INSTRUMENT: V.instruments,
        DURATION: V.durations,
        VELOCITY: V.velocities,
        TIME_SIGNATURE: V.time_signatures,
        TEMPO: V.tempos,
    }
    return None if value == ABSENT else lists[field][value] if field in lists else int(value)


def spelled(rows):
    return [[name(f, v) for f, v in enumerate(row)] for row in rows.tolist()]


def test_three_notes_and_two_bars_spelled_out():
    parts = (Part(program=40, is_drum=False), Part(program=33, is_drum=False), Part(program=0, is_drum=True))
    # violin c' on beat 2, bass note with it, a drum on bar 1
    piece = piece_of([(0, 12, 12, 60), (1, 12, 24, 36), (2, 36, 6, 38)], parts=parts, signatures=[(0, 3, 4)])
    n = None
    assert spelled(rows_of(piece)) == [
        ["bar", n, n, n, n, n, "3/4", 120.0],
        ["program 33", 0, 12, 36, 24, 80, n, n],
        ["program 40", 0, 12, 60, 12, 80, n, n],
        ["bar", n, n, n, n, n, "3/4", 120.0],
        ["drums", 0, 0, 38, 6, 80, n, n],
        ["end", n, n, n, n, n, n, n],
    ]


def test_parts_that_share_an_instrument_are_instances_of_it():
    parts = (Part(program=52, is_drum=False),) * 3
    rows = rows_of(piece_of([(0, 0, 12, 60), (1, 0, 12, 60), (2, 0, 12, 55)], parts=parts))
    assert rows[1:4, [INSTANCE, PITCH]].tolist() == [[0, 60], [1, 60], [2, 55]]


def test_parts_are_pairs_and_integers_in_one_order():
    parts = (Part(program=40, is_drum=False), Part(program=40, is_drum=False), Part(program=0, is_drum=True))
    violin = V.instrument_of(40, is_drum=False)
    assert part_ids(parts, V) == [(violin, 0), (violin, 1), (V.drums, 0)]
    rows = rows_of(piece_of([(0, 0, 12, 60), (1, 0, 12, 60), (2, 0, 12, 38)], parts=parts))
    assert row_parts(rows, V)[1:4].tolist() == [64 * V.drums, 64 * violin, 64 * violin + 1]
    assert is_drum_part(row_parts(rows, V), V).tolist() == [False, True, False, False, False]
    assert [general_midi_part((violin, n), V).name for n in (0, 1)] == ["violin", "violin 2"]


def test_drums_come_first_then_basses():
    assert V.instruments[:4] == ("bar", "drums", "program 32", "program 33")
    assert V.instruments[10] == "program 0"
    assert len(V.instruments) == 133
    assert V.instruments[-3:] == ("end", "infill_bar", "masked_bar")


def test_a_note_that_rounds_to_the_bar_line_opens_the_next_bar():
    # 100 ticks a quarter: tick 399 of 400 is nearer to the bar line than to step 47
    rows, loss = encode(piece_of([(0, 0, 100, 60), (0, 399, 100, 62)], ticks_per_quarter=100), V)
    assert rows[:, POSITION].tolist() == [_, 0, _, 0, _]
    assert loss == GridLoss(notes=2, moved=1)


def test_notes_that_meet_on_the_grid_become_one():
    piece = piece_of([(0, 0, 100, 60), (0, 1, 300, 60)], ticks_per_quarter=100)
    rows, loss = encode(piece, V)
    assert rows[1, [POSITION, PITCH]].tolist() == [0, 60]
    assert V.durations[rows[1, DURATION]] == 36
    assert loss == GridLoss(notes=2, moved=1, merged=1)


def test_lengths_off_the_grid_are_counted_and_one_tick_is_forgiven():
    piece = piece_of([(0, 0, 479, 60), (0, 480, 500, 60)], ticks_per_quarter=480)
    assert encode(piece, V)[1] == GridLoss(notes=2, resized=1)


def test_a_long_bar_is_written_as_several():
    rows = rows_of(piece_of([(0, 0, 12, 60), (0, 12 * 78, 12, 62)], signatures=[(0, 79, 4)]))
    assert [name(TIME_SIGNATURE, t) for t in rows[:, TIME_SIGNATURE] if t != _] == ["16/4"] * 4 + ["15/4"]
    assert decode(rows, V).notes.onset_tick.tolist() == [0, 480 * 78]


def test_a_bar_cut_short_keeps_its_true_length():
    # 4/4 cut after one quarter by 3/4
    rows = rows_of(piece_of([(0, 0, 12, 60), (0, 12, 12, 62)], signatures=[(0, 4, 4), (12, 3, 4)]))
    assert [name(TIME_SIGNATURE, t) for t in rows[:, TIME_SIGNATURE] if t != _] == ["1/4", "3/4"]


def on_grid(piece):
    """The round trip's answer, the slow way: {(part key, bar start, onset, pitch): (length, velocity)} in quarters."""
    out = {}
    counts = {}
    keys = []
    for p in piece.parts:
        instrument = "drums" if p.is_drum else p.program
        counts[instrument] = counts.get(instrument, -1) + 1
        keys.append((str(instrument), counts[instrument]))
    for i in range(len(piece.notes)):
        onset, duration = (
            Fraction(int(c[i]), piece.ticks_per_quarter) for c in (piece.notes.onset_tick, piece.notes.duration_tick)
        )
        out.setdefault((keys[piece.notes.part[i]], onset, int(piece.notes.pitch[i])), []).append(
            (duration, int(piece.notes.velocity[i]))
        )
    return {k: (max(d for d, _ in v), max(x for _, x in v)) for k, v in out.items()}


@st.composite
def grid_pieces(draw):
    """Pieces whose every number lies on the grid already."""
    programs = draw(st.lists(st.sampled_from(["drums", 0, 0, 33, 127]), min_size=1, max_size=5))
    parts = tuple(Part(program=0 if p == "drums" else p, is_drum=p == "drums") for p in programs)
    signs, tick = [], 0
    for _n in range(draw(st.integers(1, 4))):
        n, d = draw(st.sampled_from([(4, 4), (3, 4), (6, 8), (5, 8), (1, 4), (7, 16), (2, 2)]))
        signs.append((tick, n, d))
        tick += 48 * n // d * draw(st.integers(1, 3))
    note = st.tuples(
        st.integers(0, len(parts) - 1), st.integers(0, tick - 1), st.sampled_from(V.durations), st.integers(0, 127)
    )
    notes = draw(st.lists(note, min_size=1, max_size=30))
    used = sorted({n[0] for n in notes})
    notes = [(used.index(p), *rest) for p, *rest in notes]
    return piece_of(notes, parts=tuple(parts[i] for i in used), signatures=signs, tempo=draw(st.sampled_from(V.tempos)))


@given(grid_pieces())
def test_the_round_trip_is_exact_on_the_grid(piece):
    rows, loss = encode(piece, V)
    again = decode(rows, V)
    assert on_grid(again) == on_grid(piece)
    assert (loss.moved, loss.resized) == (0, 0)
    assert again.n_bars == piece.n_bars
    assert [again.bars.signature(b) for b in range(again.n_bars)] == [
        piece.bars.signature(b) for b in range(piece.n_bars)
    ]
    assert again.tempo.tolist() == piece.tempo.tolist()


@given(pieces())
def test_rows_are_a_fixed_point_and_keep_the_grammar(piece):
    rows, loss = encode(piece, V)
    assert check_rows(rows, V) == []
    again, second = encode(decode(rows, V), V)
    assert np.array_equal(rows, again)
    assert (second.moved, second.resized, second.merged) == (0, 0, 0)
    assert loss.notes == len(piece.notes) == (rows[:, PITCH] != ABSENT).sum() + loss.merged


@pytest.mark.parametrize("set_name", ["band", "quartets", "lieder", "chorales", "pop909"])
def test_real_pieces_round_trip(real, set_name):
    for path in real(set_name)[::13]:
        rows = rows_of(read_midi(path))
        assert check_rows(rows, V) == [], path
        assert np.array_equal(rows_of(decode(rows, V)), rows), path


@pytest.mark.slow
@pytest.mark.parametrize("set_name", ["band", "quartets", "lieder", "chorales", "pop909"])
def test_every_real_piece_round_trips(real, set_name):
    total = GridLoss()
    for path in real(set_name):
        rows, loss = encode(read_midi(path), V)
        total += loss
        assert check_rows(rows, V) == [], path
        assert np.array_equal(rows_of(decode(rows, V)), rows), path
    print(f"{set_name}: {total}")


# the grammar


def row_of(**values):
    """A row with these fields, the others absent."""
    return [values.get(name, ABSENT) for name in FIELDS]


TWO_FOUR = V.time_signatures.index("2/4")


def header_row(instrument=V.bar, time_signature=TWO_FOUR, tempo=0):
    return row_of(instrument=instrument, time_signature=time_signature, tempo=tempo)


def note_row(instrument=V.drums, instance=0, position=0, pitch=60, **others):
    values = {FIELDS[field]: 0 for field in NOTE_FIELDS}
    return row_of(
        **{**values, "instrument": instrument, "instance": instance, "position": position, "pitch": pitch}, **others
    )


HEADER, INFILL_HEADER, MASKED_HEADER = (header_row(x) for x in (V.bar, V.infill_bar, V.masked_bar))
END = row_of(instrument=V.end)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([], "does not end with an end row"),
        ([HEADER], "does not end with an end row"),
        ([note_row(), END], "row 0: note may not follow start"),
        ([END], "row 0: end may not follow start"),
        ([HEADER, END, END], "row 2: end may not follow end"),
        ([HEADER, END, HEADER], "row 2: header may not follow end"),
        ([HEADER, note_row(position=24), END], "row 1: position 24 may not stand here"),
        ([HEADER, note_row(), note_row(), END], "row 2: pitch 60 may not stand here"),
        ([HEADER, note_row(pitch=61), note_row(pitch=60), END], "row 2: pitch 60 may not"),
        ([HEADER, note_row(position=1), note_row(position=0), END], "row 2: position 0 may not"),
        ([HEADER, note_row(instance=1), note_row(instance=0), END], "row 2: instance 0 may not"),
        ([HEADER, note_row(instrument=5), note_row(instrument=4), END], "row 2: instrument 4 may not"),
        ([HEADER, note_row(pitch=128), END], "row 1: 128 is no value of pitch"),
        ([HEADER, note_row(instrument=133), END], "row 1: 133 is no value of instrument"),
        (
            [HEADER, note_row(instrument=131), END],
            "row 1: a row of kind infill header has no instance, yet it holds value 0",
        ),
        ([HEADER, INFILL_HEADER, MASKED_HEADER, END], "row 2: header may not follow infill header"),
        ([INFILL_HEADER, END], "row 0: infill header may not follow start"),
        ([HEADER, INFILL_HEADER, note_row(), HEADER, END], "row 3: header may not follow note"),
        ([HEADER, INFILL_HEADER, HEADER, END], "row 2: header may not follow infill header"),
        ([HEADER, INFILL_HEADER, note_row(position=24), END], "row 2: position 24 may not stand here"),
        ([HEADER, note_row(tempo=3), END], "row 1: a row of kind note has no tempo, yet it holds value 3"),
        ([header_row(time_signature=1, tempo=ABSENT), END], "row 0: -1 is no value of tempo"),
    ],
)
def test_the_grammar_says_what_is_wrong(rows, problem):
    assert problem in check_rows(np.array(rows, dtype=np.int16).reshape(-1, len(FIELDS)), V)[0]


@pytest.mark.parametrize(
    "rows",
    [
        [HEADER, END],
        [HEADER, HEADER, note_row(), END],
        [
            MASKED_HEADER,
            note_row(),
            INFILL_HEADER,
            note_row(),
            INFILL_HEADER,
            INFILL_HEADER,
            note_row(instrument=1),
            END,
        ],
        [HEADER, note_row(pitch=60), note_row(pitch=61), note_row(position=1, pitch=0), END],
        [
            HEADER,
            note_row(instrument=9, pitch=127),
            note_row(instrument=10, pitch=0),
            HEADER,
            note_row(instrument=1),
            END,
        ],
    ],
)
def test_the_grammar_lets_music_pass(rows):
    assert check_rows(np.array(rows, dtype=np.int16), V) == []


@given(st.data())
def test_whatever_is_allowed_leads_on(data):
    # at every field something is allowed, even from the highest note of a bar; what is drawn is a valid piece
    state, rows = GrammarState(), []
    for _i in range(data.draw(st.integers(1, 12))):
        row = np.full(len(FIELDS), ABSENT, dtype=np.int16)
        high = data.draw(st.booleans())
        fields = [INSTRUMENT]
        while fields:
            field = fields.pop(0)
            allowed = np.flatnonzero(allowed_values(field, row, state, V))
            assert len(allowed)
            row[field] = allowed[-1] if high and field != INSTRUMENT else data.draw(st.sampled_from(allowed.tolist()))
            if field == INSTRUMENT:
                fields = list(FIELDS_OF[kind_of(row, V)][1:])
        rows.append(row)
        state = next_state(row, state, V)
        if state.kind == "end":
            break
    else:
        rows.append(np.array(END if state.kind != "start" else HEADER, dtype=np.int16))
    assert check_rows(np.stack(rows), V) == []


# the vocabulary


def test_the_vocabulary_round_trips_as_json():
    assert Vocabulary.from_json(json.loads(json.dumps(V.to_json()))) == V


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "meloctl.rows/2"}, "not a vocabulary"),
        ({"colours": []}, "unknown key 'colours'"),
        ({"instances": 63}, "its 'instances' is not what"),
        ({"durations": [1]}, "its 'durations' is not what"),
    ],
)
def test_another_vocabulary_is_refused(change, message):
    with pytest.raises(MeloError, match=message):
        Vocabulary.from_json({**V.to_json(), **change})


def test_levels_hold_what_they_should():
    assert 120.0 in V.tempos
    assert V.velocities[-1] == 127
    assert V.durations[:48] == tuple(range(1, 49))
    assert list(V.durations) == sorted(set(V.durations))
    assert V.bar_steps[V.time_signatures.index("4/4")] == 48
    assert V.bar_steps[V.time_signatures.index("3/32")] == 4
    assert max(V.bar_steps) == V.positions == 192


def test_a_row_where_none_may_stand_ends_the_check():
    # header, end, then a header whose time signature does not exist
    rows = np.array([HEADER, END, header_row(time_signature=9_999), HEADER], dtype=np.int16)
    assert check_rows(rows, V) == ["row 2: header may not follow end"]


def test_names_of_parts_are_printable_and_numbered():
    names = ("Lead\n\x1b[2J", "", "\u202eLead [2J", "主旋律 🎻", "\x00", "x" * 50)
    parts = tuple(Part(program=0, is_drum=False, name=name) for name in names)
    piece = piece_of([(i, 0, 6, 60) for i in range(len(parts))], parts=parts)
    long = "x" * 39 + "…"
    assert part_names(piece) == [
        "Lead [2J",
        "acoustic grand piano",
        "Lead [2J 2",
        "主旋律 🎻",
        "acoustic grand piano 2",
        long,
    ]
