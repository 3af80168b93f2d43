import math

import numpy as np
import pytest
from conftest import piece_of
from hypothesis import given
from strategies import pieces

from analysis.accents import ACCENTS, beat_shift, eighth_accents
from analysis.piece import Part

TICKS = 24
"""A quarter; an eighth has 12."""


def accents_of(piece, count, *, start=0):
    drums = np.array([p.is_drum for p in piece.parts])[piece.notes.part]
    tpq = piece.ticks_per_quarter
    return eighth_accents(piece.notes, drums, start=start, ticks_per_quarter=tpq, count=count)


def column(piece, name, count):
    return accents_of(piece, count)[:, ACCENTS.index(name)].tolist()


def played(*notes, drums=False):
    """A piece of 24 ticks a quarter from (eighth, eighths long, pitch)."""
    rows = [(0, 12 * at, 12 * long, pitch) for at, long, pitch in notes]
    return piece_of(rows, parts=(Part(program=0, is_drum=drums),), ticks_per_quarter=TICKS)


def test_notes_struck_and_their_length_count_by_their_root():
    chord = played((1, 2, 60), (1, 2, 64), (1, 4, 67), (1, 20, 72))  # 1, 1, 2 and 10 quarters, of which 4 count
    assert column(chord, "count", 3) == [0, 2, 0]
    assert column(chord, "length", 3) == [0, math.sqrt(8), 0]


def test_newness_compares_what_comes_with_what_was():
    # C is struck, two eighths later G: from either eighth before G on, the next two hold G alone, the last two C alone
    piece = played((0, 2, 60), (2, 2, 67))
    assert column(piece, "quarter_newness", 4) == [0, 1, 1, 0]
    assert column(played((0, 2, 60), (2, 2, 72)), "quarter_newness", 4) == [0, 0, 0, 0]  # C again, an octave higher
    # C and G, a quarter each, then C for a half: the cosine is 1/√2
    piece = played((0, 2, 60), (2, 2, 67), (4, 4, 60))
    assert column(piece, "half_newness", 8)[4] == pytest.approx(1 - 1 / math.sqrt(2))


def test_the_share_that_is_held_and_a_half_where_nothing_sounds():
    piece = played((0, 4, 60), (2, 2, 64), (2, 2, 67))
    assert column(piece, "held", 6) == [0, 1, 1 / 3, 1, 0.5, 0.5]


def test_a_bass_is_low_among_its_neighbours_and_long():
    piece = played((0, 2, 40), (1, 8, 45))
    assert column(piece, "bass", 2) == pytest.approx([1, 2 * math.exp(-1)])


def test_bass_drums_and_crash_cymbals_are_struck_or_not():
    kit = played((0, 1, 36), (0, 1, 35), (1, 1, 49), (2, 1, 38), drums=True)
    assert column(kit, "kick", 3) == [1, 0, 0]
    assert column(kit, "crash", 3) == [0, 1, 0]
    assert column(kit, "count", 3) == [0, 0, 0]
    assert column(played((0, 1, 36)), "kick", 1) == [0]  # a low C of another instrument


def test_triplets_mark_no_eighth_but_late_notes_do():
    piece = piece_of([(0, 8, 4, 60), (0, 14, 4, 60), (0, 26, 4, 60)], ticks_per_quarter=TICKS)
    assert column(piece, "count", 3) == [0, 1, 1]


def test_notes_between_two_places_give_a_shift_as_well():
    assert beat_shift(np.array([432, 475, 528]) / 1024) == pytest.approx(432 / 1024)


@given(pieces())
def test_all_accents_equal_those_of_plain_loops(piece):
    count, start = 11, piece.ticks_per_quarter / 3
    assert accents_of(piece, count, start=start) == pytest.approx(plain_accents(piece, count, start), abs=1e-9)


def plain_accents(piece, count, start):
    """The same from one place and one note at a time."""
    eighth = piece.ticks_per_quarter / 2
    notes = []
    for onset, duration, pitch, _, part in zip(*piece.notes.columns, strict=True):
        at, end = (onset - start) / eighth, (onset + duration - start) / eighth
        notes.append((at, round(at), end, min(duration / piece.ticks_per_quarter, 4), pitch, piece.parts[part].is_drum))
    table = np.zeros((count, 8))
    marks = [[n for n in notes if n[1] == i and abs(n[0] - i) < 1 / 4] for i in range(count)]
    lowest = [min((n[4] for n in m if not n[5]), default=None) for m in marks]
    for i, mine in enumerate(marks):
        struck = [n for n in mine if not n[5]]
        held = sum(n[0] + 1 / 4 < i and n[2] - 1 / 4 > i for n in notes if not n[5])
        table[i, 0] = math.sqrt(len(struck))
        table[i, 1] = math.sqrt(sum(n[3] for n in struck))
        table[i, 2:4] = [newness(notes, i, reach, count) for reach in (2, 4)]
        table[i, 4] = held / (held + len(struck)) if held + len(struck) else 0.5
        if struck:
            floor = min(p for p in lowest[max(i - 8, 0) : i + 9] if p is not None)
            longest = max(n[3] for n in struck if n[4] == lowest[i])
            table[i, 5] = math.sqrt(longest) * math.exp((floor - lowest[i]) / 5)
        table[i, 6] = any(n[5] and n[4] in (35, 36) for n in mine)
        table[i, 7] = any(n[5] and n[4] in (49, 52, 55, 57) for n in mine)
    return table


def newness(notes, place, reach, count):
    def classes(first, end):
        total = np.zeros(12)
        for _, at, _, length, pitch, drum in notes:
            if not drum and max(first, 0) <= at < min(end, count):
                total[pitch % 12] += math.sqrt(length)
        return total

    before, after = classes(place - reach, place), classes(place, place + reach)
    norms = np.linalg.norm(before) * np.linalg.norm(after)
    return 1 - float(before @ after) / norms if norms and place else 0
