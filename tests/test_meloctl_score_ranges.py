"""No new note lies outside its instrument's range, and no choice of a model leads to where nothing may follow."""

import numpy as np
import pytest
from conftest import piece_of
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import SEED, V, always, generate_rows, row_writers, small
from written_pieces import out_of_range, write_rows

from analysis.midi import parse_source, read_midi
from analysis.midi_write import midi_bytes
from analysis.piece import Part
from meloctl.generation.constraints import Constraints
from meloctl.generation.continuation import encode_prompt
from meloctl.generation.options import Sampling
from meloctl.generation.parse_options import parse_instruments
from meloctl.generation.sampler import generate
from meloctl.rows.grammar import check_rows
from meloctl.rows.vocabulary import ABSENT, INSTRUMENT, PITCH, POSITION
from meloctl.score.ranges import RANGES, range_of


def test_every_program_has_one_range_of_an_octave_or_more():
    assert [p for first, last, _, _ in RANGES for p in range(first, last + 1)] == list(range(128))
    assert all(0 <= low <= high - 11 and high <= 127 for _, _, low, high in RANGES)


@pytest.mark.parametrize(
    ("program", "low", "high"),
    [
        (0, 21, 108),  # 88 keys
        (40, 55, 103),  # from the open G string
        (41, 48, 91),  # from the open C string
        (42, 36, 84),
        (33, 23, 67),  # a fifth string on B; 24 frets above the G string, 43
        (72, 74, 108),
        (47, 36, 60),
        (120, 0, 127),  # a noise has no pitch
    ],
)
def test_ranges_that_musicians_know(program, low, high):
    assert range_of(program) == (low, high)


def test_drums_have_the_keys_of_general_midi_2():
    assert range_of(0, is_drum=True) == range_of(40, is_drum=True) == (27, 87)


@pytest.mark.parametrize("name", ["chorales", "quartets", "lieder", "pop909", "band"])
def test_hardly_any_note_of_real_music_lies_outside(real, name):
    out_of_range = count = 0
    for path in real(name)[:25]:
        piece = read_midi(path)
        low, high = np.array([range_of(part.program, is_drum=part.is_drum) for part in piece.parts]).T
        pitch, part = piece.notes.pitch, piece.notes.part
        out_of_range += int(((pitch < low[part]) | (pitch > high[part])).sum())
        count += len(pitch)
    assert count > 1000
    assert out_of_range / count < 0.005


EXTREMES = {"first": lambda allowed: allowed[0], "last": lambda allowed: allowed[-1]}


@settings(max_examples=60)
@given(
    st.sampled_from([None, "violin,violin,piccolo", "drums,piano,timpani", "127,126,drums", "timpani"]),
    st.sampled_from(["first", "last", "any"]),
    st.sampled_from(["last", "any"]),
    st.sampled_from(["first", "last", "any"]),
    st.integers(1, 4),
    st.integers(0, 10**6),
)
def test_there_is_always_a_way_on(instruments, pitch, position, rest, bars, seed):
    # the hardest case is the highest pitch at the last position, again and again: then nothing is left of a part, an instance …
    random = np.random.default_rng(seed)
    wanted = {PITCH: pitch, POSITION: position}

    def choose(field, allowed, row):
        if field == INSTRUMENT and rest != "any" and random.random() < 0.05:
            return allowed[0]  # closes the bar where it may be closed
        return EXTREMES.get(wanted.get(field, rest), random.choice)(allowed)

    parts = None if instruments is None else parse_instruments(instruments, V)
    rows = write_rows(Constraints(bars=bars, parts=parts), choose)
    assert check_rows(rows, V) == []
    assert out_of_range(rows) == []
    assert (rows[:, INSTRUMENT] == V.bar).sum() == bars


def test_the_last_note_of_a_bar_leaves_nothing_of_its_part():
    # one timpani part: after the highest drum at the last position, no instrument is left, and the bar closes
    parts = parse_instruments("timpani", V)
    rows = write_rows(
        Constraints(bars=2, parts=parts), lambda field, allowed, row: max(v for v in allowed if field or v != V.end)
    )
    notes = rows[rows[:, PITCH] != ABSENT]
    assert notes[0, PITCH] == range_of(47)[1]
    assert len(notes) == 2  # one a bar


def test_a_model_that_wants_the_highest_pitch_gets_the_highest_in_range():
    violin = V.instrument_of(40, is_drum=False)
    model = always(small(SEED), violin)
    model.heads.heads[PITCH].outer.bias.data[127] = 1e4
    model.heads.heads[PITCH].outer.bias.data[103] = 1e3
    rows = generate_rows(model, bars=2, parts=((violin, 0),), top_p=1.0)
    pitches = set(rows[rows[:, PITCH] != ABSENT][:, PITCH].tolist())
    assert max(pitches) == 103


def test_kept_bars_keep_notes_that_lie_outside():
    parts = (Part(program=40, is_drum=False), Part(program=47, is_drum=False))
    piece = piece_of([(0, 0, 12, 20), (1, 12, 12, 99), (0, 47, 1, 127)], parts=parts)
    prompt = encode_prompt(parse_source(midi_bytes(piece)), None, V)
    writers = row_writers(Constraints(bars=3), prompt=prompt.rows)
    generate(small(SEED), writers, Sampling(top_p=1.0))
    rows = writers.rows(0)
    assert len(out_of_range(rows)) == 3
    assert len(rows) > 12
    assert out_of_range(rows[len(prompt.rows) :]) == []
