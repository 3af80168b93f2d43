from dataclasses import replace

import numpy as np
import pytest
from conftest import note, piece_of, signature, smf
from hypothesis import given
from shifted_songs import TICKS as SONG_TICKS
from shifted_songs import later, song
from strategies import pieces

from analysis.accents import SCATTERED, accents
from analysis.departures import Departures
from analysis.findings import meter_to_pass, piece_findings
from analysis.midi import parse_source, read_midi
from analysis.piece import Bars, Part
from analysis.piece_check import (
    FEW_NOTES,
    OFF_GRID,
    check_piece,
    check_source,
)


def facts(piece, **stated):
    given = {"meter_stated": True, "tempo_stated": True, "departures": Departures(), "channels": len(piece.parts)}
    return check_piece(piece, **{**given, **stated})


def findings_of(*facts):
    """Names of the findings, with the files they concern."""
    return {f.name: f.files for f in piece_findings(facts)}


def quarters(count, *, shift=0, signatures=None, ticks_per_quarter=48):
    notes = [(0, ticks_per_quarter * i + shift, 12, 60 + i % 7) for i in range(count)]
    return piece_of(notes, signatures=signatures, ticks_per_quarter=ticks_per_quarter)


def marked(period, beats=96, *, shift=0):
    """A bass note on every beat, with a chord on top of every `period`th that lasts until the next."""
    notes = [(0, 12 * b + shift, 6, 40 + b // period % 5) for b in range(beats)]
    notes += [
        (1, 12 * b + shift, 12 * period, 60 + p + b // period % 5) for b in range(0, beats, period) for p in (0, 4)
    ]
    return piece_of(notes)


def test_sizes_and_cells_are_counted():
    # bars 0 and 2 of part 0, bar 0 of part 1: three of six cells hold notes
    piece = piece_of([(0, 0, 12, 60), (0, 6, 6, 62), (1, 3, 6, 40), (0, 96, 24, 60)])
    own = facts(piece)
    assert (own.bars, own.notes, own.cells, own.empty_cells, own.busiest_bar) == (3, 4, 3, 3, 3)
    assert own.seconds == 5.0  # 120 ticks of 1/24 s: twelve a quarter at tempo 120
    assert own.tempo == 120


def test_the_metre_of_most_bars_is_reported_and_its_changes():
    piece = quarters(20, signatures=[(0, 4, 4), (4 * 48, 3, 4), (13 * 48, 4, 4)])
    metre = facts(piece).metre
    assert (metre.commonest, metre.changes, metre.one_beat) == ("3/4", 2, False)


def test_bars_of_one_beat():
    assert facts(quarters(20, signatures=[(0, 1, 4)])).metre.one_beat
    assert facts(quarters(20, signatures=[(0, 2, 8)])).metre.one_beat
    assert not facts(quarters(20, signatures=[(0, 3, 8)])).metre.one_beat
    half = quarters(20, signatures=[(0, 1, 4), (8 * 48, 4, 4)])  # 8 bars of one beat, 3 of four
    assert facts(half).metre.one_beat
    assert not facts(quarters(40, signatures=[(0, 1, 4), (4 * 48, 4, 4)])).metre.one_beat  # 4 and 9


def test_a_pickup_is_a_first_bar_shorter_than_the_second():
    assert facts(quarters(17, signatures=[(0, 1, 4), (48, 4, 4)])).metre.pickup
    assert not facts(quarters(17)).metre.pickup
    assert not facts(quarters(1, signatures=[(0, 1, 4)])).metre.pickup


@pytest.mark.parametrize(
    ("signatures", "short"),
    [
        ([(0, 4, 4)], 0),
        ([(0, 1, 4), (1, 4, 4)], 0),  # a pickup is none
        ([(0, 4, 4), (8, 1, 4), (9, 3, 4), (12, 4, 4)], 2),  # one bar split in two
        ([(0, 4, 4), (10, 4, 4)], 1),  # a signature cuts the third bar
        ([(0, 4, 4), (8, 2, 4), (20, 4, 4)], 0),  # six bars of two: another metre, no split
    ],
)
def test_split_bars_are_counted(signatures, short):
    piece = quarters(80, signatures=[(48 * at, n, d) for at, n, d in signatures])
    assert facts(piece).metre.short_bars == short


def test_off_the_grid_is_farther_than_a_48th_of_a_quarter():
    # 48 ticks a quarter: a step is 4 ticks, so 1 tick off is within a 48th, and 2 ticks are not
    def share(*onsets):
        return facts(piece_of([(0, o, 6, 60) for o in onsets], ticks_per_quarter=48)).timing.off_grid

    assert share(0, 4, 49, 191) == 0
    assert share(0, 2, 6, 49) == 2 / 4


def test_the_grid_begins_at_the_bar():
    bars = [(0, 4, 4), (54, 4, 4)]  # cut 6 ticks after a quarter, half a step beside the grid
    piece = quarters(12, shift=0, signatures=bars)
    assert facts(piece).timing.off_grid == 10 / 12
    moved = piece_of([(0, 54 + 48 * i, 6, 60) for i in range(12)], signatures=bars, ticks_per_quarter=48)
    assert facts(moved).timing.off_grid == 0


@pytest.mark.parametrize("shift", [0, 1, 5, 24, 40, 47])
def test_notes_beside_the_beat_show_their_shift(shift):
    piece = quarters(40, shift=shift)
    expected = shift / 48 if 1 < shift < 47 else 0  # a 48th away is still on the beat
    assert facts(piece).timing.shift == pytest.approx(expected, abs=1e-9)
    assert ("beside-the-beat" in findings_of(facts(piece))) == (expected > 0)


def test_offbeats_are_not_beside_the_beat():
    ska = piece_of([(0, 12 * (i // 4) + (6 if i % 4 else 0), 6, 60 + i % 4) for i in range(160)])
    assert facts(ska).timing.shift == 0  # a quarter of the notes lie on the beat


def test_free_playing_is_scattered_and_a_score_is_not():
    random = np.random.default_rng(3)
    free = piece_of([(0, int(t), 40, 60) for t in random.integers(0, 96 * 480, 2000)], ticks_per_quarter=480)
    timing = facts(free).timing
    assert 0.75 < timing.scattered < 0.83  # 16 of 96 places, and a little luck
    assert 0.45 < timing.off_grid < 0.55
    assert findings_of(facts(free))["played-freely"] == (0,)
    thirty_seconds = piece_of([(0, 60 * i, 40, 60) for i in range(2000)], ticks_per_quarter=480)
    assert facts(thirty_seconds).timing.scattered == 0
    assert findings_of(facts(thirty_seconds))["off-grid"] == (0,)  # half of the 32nds lie between steps


@pytest.mark.parametrize(("period", "expected"), [(3, 3), (4, 4), (2, 4)])
@pytest.mark.parametrize("shift", [0, 5])
def test_accents_are_found_wherever_the_beat_lies(period, expected, shift):
    assert accents(marked(period, shift=shift)) == expected


def test_where_nothing_is_marked_nothing_is_said():
    assert accents(piece_of([(0, 12 * b, 12, 60) for b in range(200)])) == 0
    assert accents(marked(3, beats=40)) == 0  # too short


def test_accents_that_contradict_the_bars_are_a_finding():
    in_four, in_three = facts(marked(3)), facts(replace(marked(3), bars=Bars.of([(0, 3, 4)], 12)))
    assert findings_of(in_four, in_three)["doubtful-metre"] == (0,)


def stated_in(data, **given):
    found = check_source(parse_source(data), **{"meter_given": False, **given})
    return found.metre.stated, found.timing.tempo_stated


def test_what_a_file_states():
    tempo = (0, b"\xff\x51\x03\x07\xa1\x20")
    assert stated_in(smf(note(60, 480))) == (False, False)
    assert stated_in(smf(note(60, 480)), meter_given=True) == (True, False)
    assert stated_in(smf([signature(3, 2), *note(60, 480)])) == (True, False)
    assert stated_in(smf([tempo, *note(60, 480)])) == (False, True)
    assert stated_in(smf(note(60, 480), [signature(0, 2), (0, b"\xff\x51\x00")])) == (False, False)  # without a meaning
    text = b"\xff\x58\x04\x04\x02\x18\x08\xff\x51\x03\x07\xa1\x20"
    assert stated_in(smf([(0, b"\xff\x01" + bytes([len(text)]) + text), *note(60, 480)])) == (False, False)  # a text


def test_what_a_file_does_not_state_is_a_finding():
    silent = facts(quarters(40), meter_stated=False, tempo_stated=False)
    assert set(findings_of(silent)) == {"no-metre", "no-tempo"}
    assert findings_of(facts(quarters(40))) == {}


def test_parts_are_looked_through():
    parts = (
        Part(program=0, is_drum=False, name="Piano"),
        Part(program=0, is_drum=False, name="DRUMS"),
        Part(program=114, is_drum=False, name="Steel Drums"),
        Part(program=0, is_drum=True, name="drums"),
        Part(program=33, is_drum=False, name="Conundrum"),
    )
    notes = [(p, 12 * i, 6, 60) for p in range(4) for i in range(FEW_NOTES)] + [(4, 0, 6, 40)]
    own = facts(piece_of(notes, parts=parts)).instruments
    assert (own.programs, own.drums, own.parts) == ((0, 0, 114, 33), 1, 5)
    assert (own.hidden_drums, own.sharing, own.sparse) == (1, 2, 1)


def test_many_parts_long_short_and_dense_pieces_are_found():
    many = piece_of([(p, 0, 6, 60) for p in range(17)])
    long = piece_of([(0, 48 * b, 6, 60) for b in range(1000)], tempo=120)
    dense = piece_of([(0, i % 48, 6, 60 + i % 40) for i in range(257)] + [(0, 48 * 8, 6, 60)])
    found = findings_of(facts(many), facts(long), facts(dense))
    assert found["many-parts"] == (0,)
    assert found["short"] == (0,)
    assert found["long"] == (1,)
    assert found["dense"] == (2,)


def test_meter_is_only_advised_where_most_files_need_it():
    beats, whole = facts(quarters(60, signatures=[(0, 1, 4)])), facts(quarters(60))
    assert meter_to_pass([beats, beats, whole]) == "4/4"
    assert meter_to_pass([beats, whole]) is None
    in_three = facts(replace(marked(3), bars=Bars.of([(0, 1, 4)], 12)))
    assert meter_to_pass([in_three]) == "3/4"
    (found,) = [f for f in piece_findings([beats, whole]) if f.name == "one-beat-bars"]
    assert "overrides every file" in found.advice
    assert "--meter" not in found.phrase


@given(pieces())
def test_any_piece_has_facts(piece):
    own = facts(piece)
    assert 0 < own.cells <= own.bars * own.instruments.parts
    assert own.instruments.parts == len(piece.parts)
    assert 0 <= own.timing.off_grid <= 1
    assert 0 <= own.timing.shift < 1
    assert 0 <= own.timing.scattered <= 1 - 16 / 96 + 1e-9
    assert 0 <= own.metre.short_bars <= max(own.bars - 2, 0)
    assert own.busiest_bar <= own.notes
    assert all(f.files == (0,) for f in piece_findings([own]))


def timing_is_flagged(piece):
    timing = facts(piece).timing
    return timing.off_grid >= OFF_GRID or timing.shift > 0 or timing.scattered >= SCATTERED


@pytest.mark.parametrize(("name", "least", "most"), [("pop909", 0.8, 1), ("quartets", 0, 0), ("chorales", 0, 0)])
def test_loose_timing_is_named_in_pop909_and_not_in_scores(real, name, least, most):
    files = real(name)[::4]
    assert least * len(files) <= sum(timing_is_flagged(read_midi(p)) for p in files) <= most * len(files)


def test_accents_agree_with_the_metre_of_scores(real):
    right = wrong = 0
    for path in real("quartets")[::3]:
        piece = read_midi(path)
        metre = facts(piece).metre
        if metre.changes == 0 and metre.accents and metre.commonest in ("2/4", "3/4", "4/4"):
            agree = (metre.accents == 3) == (metre.commonest == "3/4")
            right, wrong = right + agree, wrong + (not agree)
    assert right > 30
    assert wrong <= 0.02 * right


def test_bar_lines_beside_the_accents_are_said_with_how_far_and_from_where():
    late = facts(later(song(), SONG_TICKS, start=80 * SONG_TICKS))
    [stretch] = late.metre.beside
    [finding] = [f for f in piece_findings([facts(song()), late]) if f.name == "bars-beside-accents"]
    assert finding.files == (1,)
    assert finding.what == f"bar lines so many quarters beside the accents: 1 from bar {stretch.first_bar + 1} on"
    assert stretch.first_bar in (19, 20)


@pytest.mark.parametrize(
    "name",
    [
        "Drums",
        "Kick 1",
        "SNARE",
        "Hi-Hat closed",
        "Perc. 2",
        "BATERÍA",
        "Percussão",
        "Ударные",
        "ドラムセット",
        "架子鼓",
        "드럼",
    ],
)
def test_drums_are_known_by_their_name_in_many_languages(name):
    organs = ("Percussive Organ", "Perc. Organ")
    parts = (Part(program=0, is_drum=False, name=name), *(Part(program=17, is_drum=False, name=n) for n in organs))
    assert facts(piece_of([(0, 0, 6, 36), (1, 0, 6, 60)], parts=parts)).instruments.hidden_drums == 1
