"""How numbers are written for people: each kind of number has one form."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meloctl.formatting import (
    NOTHING,
    byte_size,
    capitalised,
    clock,
    count,
    count_range,
    duration,
    examples,
    interval,
    listed,
    millions,
    number,
    one_decimal,
    percent,
    piece_line,
    text_table,
    whole,
    with_interval,
)


def test_measured_values_have_three_decimals_below_ten_and_one_above():
    values = (0.12345, -0.5, -0.0001, 9.876, 12.345, -1234.56, 0)
    assert [number(v) for v in values] == ["0.123", "−0.500", "0.000", "9.876", "12.3", "−1,234.6", "0.000"]
    assert [number(v, sign=True) for v in (0.5, -0.5, 0.0001, -0.0001)] == ["+0.500", "−0.500", "0.000", "0.000"]
    assert [one_decimal(v) for v in (1.06, -0.5, 1234)] == ["1.1", "−0.5", "1,234.0"]


@pytest.mark.parametrize("form", [number, one_decimal, percent, whole, byte_size, interval])
def test_what_is_not_known_is_a_dash(form):
    assert form(None) == NOTHING
    if form is not interval:
        assert [form(math.nan), form(math.inf)] == [NOTHING, NOTHING]


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_number_read_back_is_near(value):
    text = number(value, sign=True).replace("−", "-").replace(",", "")
    assert float(text) == pytest.approx(value, abs=0.05 if abs(value) >= 10 else 0.0005)
    assert (text[0] in "+-") == (float(text) != 0)


def test_intervals():
    assert interval((0.2111, 0.2689)) == "0.211 to 0.269"
    assert interval([-0.2, 0.1], sign=True) == "−0.200 to +0.100"
    assert [interval(ends) for ends in ((None, 0.1), (0.1, math.nan))] == [NOTHING, NOTHING]
    assert with_interval(0.24, (0.2111, 0.2689)) == "0.240 (0.211 to 0.269)"
    assert with_interval(0.24, [None, None]) == "0.240"
    assert with_interval(0.5, (0.25, 0.75), sign=True) == "+0.500 (+0.250 to +0.750)"


def test_shares_are_percents():
    assert [percent(v) for v in (0.834, 0, 1)] == ["83 %", "0 %", "100 %"]
    assert percent(0.01234, decimals=2) == "1.23 %"


def test_counts():
    assert [count(n, "piece") for n in (0, 1, 1200)] == ["0 pieces", "1 piece", "1,200 pieces"]
    assert [count(n, "piece was", "pieces were") for n in (1, 2)] == ["1 piece was", "2 pieces were"]
    assert [count_range(*ends, "part") for ends in ((2, 5), (1, 1), (3, 3))] == ["2 to 5 parts", "1 part", "3 parts"]
    assert [whole(1200), whole(2.0)] == ["1,200", "2"]
    assert millions(16_949_120) == "16.9M"


def test_bytes():
    sizes = (512, 1_400, 2_500_000, 3e9, 12_345e9)
    assert [byte_size(n) for n in sizes] == ["512 bytes", "1.4 kB", "2.5 MB", "3.0 GB", "12,345.0 GB"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.314, "0.31 s"),
        (8.04, "8 s"),
        (9.96, "10 s"),
        (42, "42 s"),
        (99.4, "99 s"),
        (100, "1.7 minutes"),
        (150, "2.5 minutes"),
        (700, "12 minutes"),
        (5999, "100 minutes"),
        (6000, "1.7 hours"),
        (40 * 3600, "40 hours"),
        (50 * 3600, "2 days"),
        (3e8, "3,472 days"),
    ],
)
def test_durations_of_work(seconds, words):
    assert duration(seconds) == words


def test_music_lasts_minutes_and_seconds():
    assert [clock(s) for s in (0, 5.6, 59.6, 93, 4_000)] == ["0:00", "0:06", "1:00", "1:33", "66:40"]
    facts = {"bars": 32, "notes": 1563, "parts": 2, "instruments": ["piano", "drums"], "seconds": 93.2}
    assert piece_line(facts) == "32 bars, 1,563 notes in 2 parts (piano, drums), 1:33"
    one = {"bars": 1, "notes": 1, "parts": 1, "instruments": ["oboe"], "seconds": 2}
    assert piece_line(one) == "1 bar, 1 note in 1 part (oboe), 0:02"


def test_words_in_a_row():
    assert [listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
    assert examples(["a", "b", "c", "d"], of=4) == "a, b, c, …"
    assert examples(["a", "b"], of=2) == "a, b"
    assert examples([], of=0) == ""
    assert [capitalised(t) for t in ("", "a bar of 4/4", "C sharp")] == ["", "A bar of 4/4", "C sharp"]


def test_a_table_of_text():
    assert text_table([["", "mean"], ["notes a bar", "7.125"]]) == ["                mean", "  notes a bar  7.125"]
