"""The composed band: its form is the given one, nothing else recurs, and it is a band."""

import numpy as np
import pytest

from meloctl.corpus.composer.band_parts import BASS_RANGE, CHORDS_RANGE, LEAD_RANGE
from meloctl.corpus.composer.compose import (
    compose_piece,
    planted_share,
    section_bars,
)
from meloctl.corpus.composer.harmony import BandKey, progression, tonic_chord, voicings, wandering
from meloctl.corpus.composer.rhythm import bar_rhythms, edited, feel_of

DRUMS, BASS, CHORDS, LEAD = range(4)
FARTHEST = 16


def composed(seed, index=0, **options):
    return compose_piece(np.random.default_rng([seed, index]), **options)


def cells(piece):
    """Sets of each (part, bar): onsets on the grid of 12 steps a quarter, and pitch classes, these without drums."""
    onsets, classes = {}, {}
    start = piece.bars.start_tick(piece.note_bar)
    steps = (piece.notes.onset_tick - start) * 12 // piece.ticks_per_quarter
    rows = zip(
        piece.notes.part.tolist(), piece.note_bar.tolist(), steps.tolist(), piece.notes.pitch.tolist(), strict=True
    )
    for part, bar, step, pitch in rows:
        onsets.setdefault((part, bar), set()).add(step)
        if not piece.parts[part].is_drum:
            classes.setdefault((part, bar), set()).add(pitch % 12)
    return {"onset": onsets, "pc": classes}


def alike(sets, offset):
    """Mean Jaccard of each (part, bar) with the same part `offset` bars before."""
    pairs = [(mine, sets[p, b - offset]) for (p, b), mine in sets.items() if (p, b - offset) in sets]
    return sum(len(a & b) / len(a | b) for a, b in pairs) / len(pairs)


def rises(*, phrase, form, seed, pieces=24, meter=(4, 4)):
    """D(k) = s(k) - (s(k-1) + s(k+1)) / 2, shape (pieces, k = 2..15), for each measure."""
    out = {"onset": [], "pc": []}
    for i in range(pieces):
        for name, sets in cells(composed(seed, i, phrase=phrase, form=form, meter=meter)).items():
            s = np.array([alike(sets, k) for k in range(1, FARTHEST + 1)])
            out[name].append(s[1:-1] - (s[:-2] + s[2:]) / 2)
    return {name: np.array(rows) for name, rows in out.items()}


def assert_planted(found, phrase, *, most):
    """The phrase has the highest rise of all offsets; an offset that is no multiple of it rises by `most` at the most."""
    for rows in found.values():
        mean = dict(enumerate(rows.mean(axis=0).tolist(), start=2))
        assert max(mean, key=mean.get) == phrase
        assert mean[phrase] > 0.05
        assert max(rise for k, rise in mean.items() if k % phrase) <= most


def assert_flat(found):
    """No offset departs from its neighbours by more than chance: 3.5 standard errors for the largest of 28."""
    for rows in found.values():
        error = rows.std(axis=0, ddof=1) / np.sqrt(len(rows))
        assert np.abs(rows.mean(axis=0) / error).max() < 3.5
        assert np.abs(rows.mean(axis=0)).max() < 0.025


# --- The planted form ---


def test_a_phrase_of_four_bars_is_there_and_nothing_shorter():
    assert_planted(rises(phrase=4, form="AABA", seed=0), 4, most=0.01)


@pytest.mark.parametrize("phrase", [6, 8])
def test_other_phrases_are_there(phrase):
    assert_planted(rises(phrase=phrase, form="AABA", seed=0, pieces=8), phrase, most=0.02)


def test_a_through_composed_piece_is_flat():
    assert_flat(rises(phrase=0, form="ABCD", seed=0, pieces=16))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
@pytest.mark.parametrize("phrase", [4, 6, 8])
def test_phrases_are_there_whatever_the_seed(phrase, seed):
    assert_planted(rises(phrase=phrase, form="AABA", seed=seed), phrase, most=0.015)


@pytest.mark.slow
@pytest.mark.parametrize("phrase", [4, 6, 8])
def test_many_pieces_show_no_other_period(phrase):
    assert_planted(rises(phrase=phrase, form="AABA", seed=9, pieces=150), phrase, most=0.005)


@pytest.mark.slow
@pytest.mark.parametrize("meter", [(3, 4), (6, 8)])
@pytest.mark.parametrize("phrase", [4, 8])
def test_phrases_are_there_in_other_meters(phrase, meter):
    assert_planted(rises(phrase=phrase, form="AABA", seed=1, meter=meter), phrase, most=0.015)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "meter"), [(1, (4, 4)), (2, (4, 4)), (3, (3, 4)), (4, (6, 8))])
def test_through_composed_pieces_are_flat_whatever_the_seed(seed, meter):
    assert_flat(rises(phrase=0, form="ABCD", seed=seed, pieces=60, meter=meter))


def test_the_check_sees_a_shorter_period():
    found = rises(phrase=2, form="AABA", seed=0, pieces=4)
    with pytest.raises(AssertionError):
        assert_planted(found, 4, most=0.01)
    with pytest.raises(AssertionError):
        assert_flat(found)


def test_the_same_letter_is_the_same_music_and_another_is_not():
    first, second, bridge, last = [], [], [], []
    for i in range(6):
        sets = cells(composed(3, i))["pc"]
        at = lambda b, sets=sets: [sets[p, b] for p in (BASS, CHORDS, LEAD)]  # noqa: E731
        for b in range(7):  # the last bar of the piece is its ending
            for into, start in ((first, 0), (second, 8), (bridge, 16), (last, 24)):
                into += at(start + b)
    jaccard = lambda x, y: np.mean([len(a & b) / len(a | b) for a, b in zip(x, y, strict=True)])  # noqa: E731
    assert jaccard(first, second) > 0.9
    assert jaccard(first, last) > 0.9
    assert jaccard(first, bridge) < 0.5
    assert first != second


def test_planted_shares_by_hand():
    # AABA of 8 bars: 4 apart in a section 4 x 4 pairs, over the seam between the two A's another 4, of 28 in all.
    assert planted_share("AABA", 4, 4) == 20 / 28
    assert planted_share("AABA", 4, 8) == 8 / 24
    assert planted_share("AABA", 8, 16) == 8 / 16
    assert planted_share("AABA", 4, 3) == 0
    assert planted_share("AABA", 4, 32) == 0
    assert all(planted_share("ABCD", 0, k) == 0 for k in range(1, 32))


@pytest.mark.parametrize(("phrase", "bars"), [(0, 8), (2, 8), (3, 9), (4, 8), (5, 10), (6, 12), (8, 8), (12, 12)])
def test_sections_are_whole_phrases(phrase, bars):
    assert section_bars(phrase) == bars
    form = "AB" if phrase == 0 else "AA"
    assert composed(0, phrase=phrase, form=form).n_bars == 2 * bars


# --- The band ---


@pytest.mark.parametrize("meter", [(4, 4), (3, 4), (6, 8)])
@pytest.mark.parametrize(("form", "phrase"), [("AABA", 4), ("AB", 3), ("AA", 8), ("ABC", 0), ("A", 2)])
def test_every_part_plays_in_every_bar_and_in_its_range(meter, form, phrase):
    for i in range(2):
        piece = composed(1, i, form=form, phrase=phrase, meter=meter)
        notes = piece.notes
        bars = len(form) * section_bars(phrase)
        assert piece.n_bars == bars
        assert set(cells(piece)["onset"]) == {(p, b) for p in range(4) for b in range(bars)}
        assert piece.bars.signature(0) == meter
        assert [p.is_drum for p in piece.parts] == [True, False, False, False]
        assert piece.parts[BASS].program in range(32, 40)
        assert len({p.name for p in piece.parts}) == 4
        assert 70 <= piece.tempo[0] <= 160
        assert len(np.unique(notes.velocity)) > 20
        for part, (low, high) in ((BASS, BASS_RANGE), (CHORDS, CHORDS_RANGE), (LEAD, LEAD_RANGE), (DRUMS, (35, 59))):
            pitch = notes.pitch[notes.part == part]
            assert low <= pitch.min()
            assert pitch.max() <= high


def test_onsets_are_on_the_grid_and_no_note_runs_into_the_next_of_its_pitch():
    for i in range(4):
        piece = composed(2, i, phrase=[4, 8, 0, 3][i], form="AA" if i != 2 else "AB")
        notes = piece.notes
        assert not (notes.onset_tick * 12 % piece.ticks_per_quarter).any()
        assert notes.duration_tick.min() > 0
        assert (notes.onset_tick + notes.duration_tick).max() <= piece.bars.start_tick(piece.n_bars)
        order = np.lexsort((notes.onset_tick, notes.pitch, notes.part))
        end, start = (notes.onset_tick + notes.duration_tick)[order][:-1], notes.onset_tick[order][1:]
        same = (np.diff(notes.pitch[order]) == 0) & (np.diff(notes.part[order]) == 0)
        assert (end <= start)[same].all()
        for part in (BASS, LEAD):  # one note at a time
            mine = notes.part == part
            assert (np.diff(notes.onset_tick[mine]) >= notes.duration_tick[mine][:-1]).all()


def test_a_piece_ends_on_the_triad_of_its_bass():
    for notes in (composed(5, i).notes for i in range(6)):
        final = notes.onset_tick == notes.onset_tick[-1]
        bass = int(notes.pitch[final & (notes.part == BASS)][0])
        triad = {(int(p) - bass) % 12 for p in notes.pitch[final & (notes.part == CHORDS)]}
        assert triad in ({0, 3, 7}, {0, 4, 7})
        assert 24 < notes.pitch[final & (notes.part == DRUMS)].max() == 49  # a crash


def test_a_crash_opens_every_section_and_only_it():
    piece = composed(6)
    crashes = piece.note_bar[(piece.notes.part == DRUMS) & (piece.notes.pitch == 49)]
    assert crashes.tolist() == [0, 8, 16, 24, 31]


def test_the_dominant_of_minor_has_the_raised_leading_tone():
    rng, key, feel = np.random.default_rng(0), BandKey(tonic=9, minor=True), feel_of((4, 4), swing=False)
    for _ in range(20):
        last = progression(rng, key, feel, bars=4, sevenths=False)[-1]
        dominant = next(c for _, c in last if c.root == 4)
        assert dominant.tones == (4, 8, 11, 2)  # E G# B D
        assert dominant.scale == {9, 11, 0, 2, 4, 5, 8}


@pytest.mark.parametrize("minor", [False, True])
@pytest.mark.parametrize("sevenths", [False, True])
def test_chords_lie_in_their_scales_and_voices_move_little(minor, sevenths):
    rng, key, feel = np.random.default_rng(1), BandKey(tonic=2, minor=minor), feel_of((4, 4), swing=False)
    chords = [c for bar in wandering(rng, key, feel, bars=200, sevenths=sevenths) for _, c in bar]
    for chord in chords:
        assert len(chord.scale) == 7
        assert set(chord.tones) <= chord.scale
        assert chord.root == chord.tones[0]
    shapes = voicings(chords, low=48, high=72)
    for before, after in zip(shapes, shapes[1:], strict=False):
        assert max(min(abs(a - b) for b in before) for a in after) <= 5  # a fourth, where a voice is added
    for chord, shape in zip(chords, shapes, strict=True):
        assert set(chord.tones[1:]) <= {p % 12 for p in shape} <= set(chord.tones)


def test_a_walk_of_chords_uses_its_key():
    rng, key, feel = np.random.default_rng(2), BandKey(tonic=0, minor=False), feel_of((4, 4), swing=False)
    bars = wandering(rng, key, feel, bars=600, sevenths=False)
    chords = [c for bar in bars for _, c in bar]
    diatonic = sum(c.scale == tonic_chord(key).scale for c in chords) / len(chords)
    assert 0.75 < diatonic < 0.98  # secondary dominants now and then
    assert {c.root for c in chords} >= {0, 2, 5, 7, 9}


def test_bars_of_a_phrase_have_rhythms_of_their_own():
    feel = feel_of((4, 4), swing=False)
    for seed in range(10):
        rhythms = bar_rhythms(
            np.random.default_rng(seed), feel, bars=8, onsets=(4, 6), syncopation=1.0, edits=2, through=False
        )
        assert len(set(rhythms)) == 8


def test_an_edited_rhythm_keeps_what_it_must():
    rng, feel = np.random.default_rng(0), feel_of((6, 8), swing=False)
    for _ in range(100):
        bar = edited(rng, (0, 6), feel, edits=3, syncopation=1.0, keep={0, 18})
        assert {0, 18} <= set(bar) <= set(feel.grid)
        assert list(bar) == sorted(set(bar))


def test_swing_puts_the_eighths_on_the_triplet():
    assert feel_of((3, 4), swing=True).pulse == (0, 8, 12, 20, 24, 32)
