"""Sections are found where they were planted, with the letters that they were given, and none where nothing was."""

import numpy as np
import pytest
from conftest import piece_of
from hypothesis import given
from hypothesis import strategies as st
from strategies import pieces

from analysis.midi import read_midi
from analysis.piece import Part
from meloctl.corpus.composer.compose import compose_piece
from meloctl.score.piano_roll import draw_piano_roll
from meloctl.score.sections import bar_similarity, sections_of

PARTS = (Part(program=0, is_drum=False), Part(program=33, is_drum=False), Part(program=0, is_drum=True))


def random_bar(random, pitches=(48, 73)):
    """(part, onset in the bar, duration, pitch) of a random bar of 48 ticks: eight chord notes, four of bass, six strokes."""
    notes = [
        (0, int(t), 4, int(p)) for t, p in zip(random.choice(16, 8) * 3, random.integers(*pitches, 8), strict=True)
    ]
    notes += [(1, int(t), 6, int(p)) for t, p in zip(random.choice(8, 4) * 6, random.integers(28, 50, 4), strict=True)]
    return notes + [
        (2, int(t), 1, int(p)) for t, p in zip(random.choice(16, 6) * 3, random.integers(36, 47, 6), strict=True)
    ]


def piece_from(bars):
    """A piece of bars, each a list of notes."""
    notes = [(q, 48 * b + t, d, p) for b, bar in enumerate(bars) for q, t, d, p in bar]
    return piece_of(notes, parts=PARTS)


def form_of(piece):
    """ "A1 A9 B17": letters with their first bar, from 1."""
    return " ".join(f"{s.letter}{s.first_bar + 1}" for s in sections_of(piece))


def planted(form, lengths, seed=0):
    """A random piece in which equal letters are equal bars."""
    random = np.random.default_rng(seed)
    material = {x: [random_bar(random) for _ in range(lengths[x])] for x in sorted(set(form))}
    return piece_from([bar for x in form for bar in material[x]])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("form", "lengths", "expected"),
    [
        ("AABA", {"A": 8, "B": 8}, "A1 A9 B17 A25"),
        ("AABB", {"A": 8, "B": 8}, "A1 A9 B17 B25"),
        ("ABCA", {"A": 8, "B": 8, "C": 8}, "A1 B9 A25"),  # nothing says where C begins: neither comes back
        ("ABAB", {"A": 8, "B": 8}, "A1 A17"),  # sixteen bars twice: nothing says where B begins
        ("ABACA", {"A": 8, "B": 4, "C": 12}, "A1 B9 A13 C21 A33"),
        ("AABBA", {"A": 12, "B": 10}, "A1 A13 B25 B35 A45"),
        ("AAA", {"A": 10}, "A1 A11 A21"),
    ],
)
def test_planted_forms_are_found_to_the_bar(form, lengths, expected, seed):
    assert form_of(planted(form, lengths, seed)) == expected


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("phrase", [4, 8])
def test_the_form_of_a_composed_piece_is_found(phrase, seed):
    # its sections vary a little from time to time, with fills and an ending, as a band's would
    piece = compose_piece(np.random.default_rng(seed), form="AABA", phrase=phrase)
    assert form_of(piece).replace("′", "") == "A1 A9 B17 A25"


def test_a_variant_is_marked():
    random = np.random.default_rng(3)
    a, b = ([random_bar(random) for _ in range(8)] for _ in range(2))
    other_bass = [random_bar(random) for _ in range(8)]
    varied = [[n for n in x if n[0] != 1] + [n for n in y if n[0] == 1] for x, y in zip(a, other_bass, strict=True)]
    assert form_of(piece_from(a + b + varied + a)) == "A1 B9 A′17 A25"


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_one_section(seed):
    random = np.random.default_rng(seed)
    assert form_of(piece_from([random_bar(random) for _ in range(48)])) == "A1"


@pytest.mark.parametrize("bars", [1, 2, 4])
def test_one_long_figure_is_one_section(bars):
    random = np.random.default_rng(bars)
    figure = [random_bar(random) for _ in range(bars)]
    assert form_of(piece_from((figure * 48)[:48])) == "A1"


def test_what_is_short_or_very_long_is_one_section():
    assert form_of(planted("AB", {"A": 3, "B": 4})) == "A1"
    a = piece_of([(0, 48 * b, 12, 60 + b // 500) for b in range(1500)])
    assert form_of(a) == "A1"


@given(pieces())
def test_sections_follow_each_other_from_the_first_bar(piece):
    found = sections_of(piece)
    starts = [s.first_bar for s in found]
    assert starts[0] == 0
    assert all(b - a >= 4 for a, b in zip(starts, [*starts[1:], piece.n_bars], strict=True)) or len(found) == 1
    new = list(dict.fromkeys(s.letter.rstrip("′") for s in found))
    assert new == [chr(65 + i) for i in range(len(new))]


@given(st.integers(0, 10**6))
def test_the_similarity_of_bars_is_symmetric(seed):
    random = np.random.default_rng(seed)
    similarity = bar_similarity(piece_from([random_bar(random) for _ in range(5)]))
    np.testing.assert_allclose(similarity, similarity.T)
    np.testing.assert_allclose(np.diagonal(similarity), 1)
    assert ((similarity >= 0) & (similarity <= 1)).all()


def test_the_similarity_of_bars_by_hand():
    # bar 0: C and E at once; bar 1: C alone, then a drum alone; bar 2 is empty; bar 3: C alone
    piece = piece_of([(0, 0, 12, 60), (0, 0, 12, 64), (0, 48, 12, 60), (2, 60, 1, 38), (0, 144, 12, 60)], parts=PARTS)
    similarity = bar_similarity(piece)
    assert similarity[1, 3] == pytest.approx(2 / 3)  # notes equal, onsets equal, drums in one of them alone
    assert similarity[0, 3] == pytest.approx((1 / 2 + 1) / 2)
    assert similarity[0, 2] == 0
    assert similarity[2, 2] == 1


def test_real_songs_have_a_form(real):
    several = 0
    for path in real("pop909")[:6]:
        found = sections_of(read_midi(path))
        lengths = np.diff([s.first_bar for s in found])
        several += 4 <= len(found) <= 30 and len({s.letter[0] for s in found}) < len(found)
        assert (lengths >= 4).all()
    assert several >= 5


def test_the_band_is_drawn_above_the_roll(tmp_path):
    draw_piano_roll(planted("AABA", {"A": 8, "B": 8}), tmp_path / "several.png", title="A band")
    draw_piano_roll(planted("A", {"A": 32}), tmp_path / "one.png", title="No band")
    heights = [int.from_bytes((tmp_path / f"{n}.png").read_bytes()[20:24], "big") for n in ("several", "one")]
    assert heights[0] > heights[1]
