"""A piece goes on: its kept bars are untouched to the tick, whatever they are, and the new bars are exact."""

from fractions import Fraction

import numpy as np
import pytest
from conftest import piece_of
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_models import SEED, V, row_writers, small
from strategies import pieces

from analysis.errors import MeloError
from analysis.midi import parse_source, read_source
from analysis.midi_write import midi_bytes
from analysis.piece import Part
from meloctl.generation.constraints import Constraints
from meloctl.generation.continuation import continued, encode_prompt
from meloctl.generation.options import Sampling
from meloctl.generation.sampler import generate
from meloctl.rows.grammar import check_rows
from meloctl.rows.vocabulary import ABSENT, DURATION, FIELDS, INSTANCE, INSTRUMENT, PITCH, POSITION, TIME_SIGNATURE

MODEL = small(SEED, layers=1)


def source_of(piece):
    return parse_source(midi_bytes(piece))


def go_on(piece, keep, bars, seed=0, **constraints):
    """(prompt, rows of the whole, piece with its new bars)."""
    return go_on_from(source_of(piece), keep, bars, seed, **constraints)


def go_on_from(source, keep, bars, seed=0, **constraints):
    prompt = encode_prompt(source, keep, V)
    writers = row_writers(Constraints(bars=bars, **constraints), [seed], prompt.rows, prompt.room)
    generate(MODEL, writers, Sampling(top_p=1.0))
    rows = writers.rows(0)
    return prompt, rows, continued(prompt, rows, V).source.piece


def notes_of(piece, bars):
    """All notes of the first bars, onset and length in quarters, each with its instrument."""
    notes, tpq = piece.notes, piece.ticks_per_quarter
    chosen = piece.note_bar < bars
    times = [[Fraction(t, tpq) for t in c[chosen].tolist()] for c in (notes.onset_tick, notes.duration_tick)]
    parts = [
        (piece.parts[p].program * (not piece.parts[p].is_drum), piece.parts[p].is_drum) for p in notes.part[chosen]
    ]
    return sorted(zip(*times, notes.pitch[chosen].tolist(), notes.velocity[chosen].tolist(), parts, strict=True))


@settings(max_examples=25)
@given(pieces(), st.integers(1, 4), st.integers(0, 10**6), st.data())
def test_kept_bars_are_untouched_and_new_ones_exact(piece, bars, seed, data):
    piece = source_of(piece).piece
    first = int(piece.note_bar[0]) + 1
    keep = data.draw(st.integers(first, max(first, min(piece.n_bars, first + 3))))
    try:
        prompt, rows, whole = go_on(piece, keep, bars, seed)
    except MeloError as error:
        if "cut short at a length" not in str(error) and "too coarse" not in str(error):
            raise
        assume(False)
    assert check_rows(rows, V) == []
    end = Fraction(int(whole.end_tick), whole.ticks_per_quarter)
    shortened = [(*n[:1], min(n[1], end - n[0]), *n[2:]) for n in notes_of(piece, keep)]
    assert notes_of(whole, keep) == sorted(shortened)
    assert whole.note_bar.max() >= keep
    assert whole.n_bars == keep + bars
    finer = whole.ticks_per_quarter // piece.ticks_per_quarter
    for b in range(keep + 1):
        assert finer * int(piece.bars.start_tick(b)) == int(whole.bars.start_tick(b))


@pytest.mark.parametrize(
    ("before", "after"),
    [(480, 480), (96, 96), (100, 100), (1024, 1024), (32767, 32767), (24, 24), (50, 300), (64, 192), (1, 12)],
)
def test_ticks_stay_where_they_are_fine_enough_and_where_no_finer_fit(before, after):
    piece = piece_of([(0, 0, before, 60)], ticks_per_quarter=before)
    _, _, whole = go_on(piece, 1, 2, time_signature=V.time_signatures.index("4/4"))
    assert whole.ticks_per_quarter == after
    assert whole.n_bars == 3


def test_new_bars_go_on_in_the_prompts_ticks_and_parts():
    # two violins and drums at 96 ticks a quarter, three bars of 3/4, the last of them empty and kept
    parts = (Part(program=40, is_drum=False), Part(program=40, is_drum=False), Part(program=0, is_drum=True))
    piece = piece_of(
        [(0, 0, 96, 70), (1, 0, 96, 62), (2, 288, 24, 36)],
        parts=parts,
        signatures=[(0, 3, 4)],
        ticks_per_quarter=96,
    )
    longer = piece_of(
        [(0, 0, 96, 70), (1, 0, 96, 62), (2, 288, 24, 36), (0, 900, 9, 60)],
        parts=parts,
        signatures=[(0, 3, 4)],
        ticks_per_quarter=96,
    )
    constraints = {
        "parts": ((V.drums, 0), (V.instrument_of(40, False), 1)),
        "time_signature": V.time_signatures.index("3/4"),
    }
    prompt, rows, whole = go_on(longer, 3, 2, **constraints)
    assert prompt.row_bars == 3
    end_tick = 3 * 288
    assert notes_of(whole, 3) == notes_of(piece, 3)
    new = whole.notes.onset_tick >= end_tick
    assert set() < set(whole.notes.part[new].tolist()) <= {1, 2}  # the first violin is not among the parts
    assert [(p.program, p.is_drum) for p in whole.parts] == [(p.program, p.is_drum) for p in parts]
    assert ((whole.notes.onset_tick[new] - end_tick) % 8 == 0).all()  # 12 steps a quarter
    assert whole.bars.signature(4) == (3, 4)


def test_a_note_that_is_still_held_is_not_struck_again():
    # a pitch is held to the end of the second bar: a note inside it is left out, one that outlasts it begins where it ends, up to
    # where the third strikes again
    piece = piece_of([(0, 0, 96, 60)], ticks_per_quarter=12)
    prompt = encode_prompt(source_of(piece), 1, V)
    end = np.full(len(FIELDS), ABSENT)
    end[INSTRUMENT] = V.end
    header, note = prompt.rows[0], prompt.rows[1].copy()
    note[PITCH] = 60

    def at(position, duration):
        row = note.copy()
        row[[POSITION, DURATION]] = position, V.durations.index(duration)
        return row

    rows = np.stack([*prompt.rows, header, at(0, 6), at(24, 48), header, at(12, 6), end]).astype(np.int16)
    whole = continued(prompt, rows, V).source.piece
    got = list(zip(whole.notes.onset_tick.tolist(), whole.notes.duration_tick.tolist(), strict=True))
    assert got == [(0, 96), (96, 12), (108, 6)]


def test_a_bar_without_a_name_and_empty_bars_are_bars_of_the_prompt():
    # 79/4 is five bars of rows; the empty bar behind it is one
    piece = piece_of([(0, 0, 12, 60), (0, 12 * 83, 12, 60)], signatures=[(0, 79, 4), (12 * 79, 4, 4), (12 * 83, 4, 4)])
    prompt = encode_prompt(source_of(piece), 2, V)
    assert prompt.bars == 2
    names = [V.time_signatures[t] for t in prompt.rows[:, TIME_SIGNATURE] if t >= 0]
    assert names == ["16/4"] * 4 + ["15/4", "4/4"]
    assert (prompt.rows[:, INSTRUMENT] > V.bar).sum() == 1


def test_a_note_just_before_a_bar_line_goes_with_the_bar_that_it_opens():
    piece = piece_of([(0, 0, 10, 60), (0, 1919, 10, 62)], ticks_per_quarter=480)
    prompt, rows, whole = go_on(piece, 1, 1)
    assert (prompt.rows[:, INSTANCE] >= 0).sum() == 1
    assert prompt.kept.left_out == {"note": 1}
    assert notes_of(whole, 1) == notes_of(piece, 1)
    assert 62 in encode_prompt(source_of(piece), None, V).rows[:, PITCH]


@pytest.mark.parametrize(
    ("keep", "says"), [(0, "the prompt has 2 bars"), (3, "1 to 2"), (1, "no note in its first bars")]
)
def test_prompts_that_cannot_be_kept_are_refused(keep, says):
    with pytest.raises(MeloError, match=says):
        encode_prompt(source_of(piece_of([(0, 48, 12, 60)])), keep, V)


def test_files_keep_their_notes(real):
    for path in real("band")[::40]:
        source = read_source(path)
        _, _, whole = go_on_from(source, 8, 2)
        assert notes_of(whole, 8) == notes_of(source.piece, 8)
        assert whole.n_bars == 10
