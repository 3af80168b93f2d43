"""What `corpus check` says about files that are not read as they stand."""

from dataclasses import fields, replace

from conftest import piece_of

from analysis.departures import Departures
from analysis.piece_check import EARLY, SILENT_BARS, check_piece
from analysis.reading_findings import reading_findings

MISSING = {"behind_end", "further_files", "escapes", "not_understood"}
"""The departures by which music of a file is not read."""

PIECE = check_piece(
    piece_of([(0, 12 * i, 12, 60) for i in range(64)]),
    meter_stated=True,
    tempo_stated=True,
    departures=Departures(),
    channels=1,
)


def departed(**counts):
    return replace(PIECE, departures=Departures(**counts))


def test_a_piece_read_as_it_stands_has_no_finding():
    assert reading_findings([PIECE, PIECE]) == []
    assert reading_findings([]) == []


def test_every_departure_is_a_finding_with_its_count_and_what_to_do():
    names = []
    for field in fields(Departures):
        (found,) = reading_findings([PIECE, departed(**{field.name: 3}), departed(**{field.name: 1004})])
        assert found.files == (1, 2)
        assert found.what.endswith(" (1,007 in all)")
        assert found.advice
        assert found.phrase
        assert found.missing == (field.name in MISSING)
        names.append(found.name)
    assert len(set(names)) == len(fields(Departures))


def test_missing_music_is_always_to_be_fixed():
    found = reading_findings([departed(**{field.name: 1 for field in fields(Departures)})])
    assert len(found) == len(fields(Departures))
    assert all(f.fix for f in found if f.missing)
    assert {f.name for f in found if f.fix and not f.missing} == {
        "endless-notes",
        "mt32",
        "programs-overruled",
        "transposed",
        "signatures-contradicted",
        "signatures-ignored",
    }


def test_silence_behind_the_music():
    short, long = (replace(PIECE, silent_bars=bars) for bars in (SILENT_BARS - 1, SILENT_BARS))
    lost_in_many = replace(long, bars=101)  # 8 of 101 bars
    (found,) = reading_findings([short, long, long, lost_in_many])
    assert (found.name, found.files, found.fix, found.missing) == ("silent-end", (1, 2), True, False)
    assert found.what.endswith(f"({2 * SILENT_BARS} in all)")


def test_early_notes_from_one_in_a_hundred():
    few, many = (replace(PIECE, notes=200, early=early) for early in (round(200 * EARLY), round(200 * EARLY) + 1))
    (found,) = reading_findings([few, many])
    assert (found.name, found.files) == ("early-notes", (1,))
    assert found.what.endswith("(3 in all)")
