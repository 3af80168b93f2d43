"""The report's words, colours and tables: what each says, without a page around it."""

import re

import pytest

from analysis.errors import MeloError
from analysis.offset_table_file import OffsetTableFile
from analysis.significance import Peak
from masks.spec import MaskSpec
from meloctl.formatting import number
from meloctl.report.mask_chart import prior_chart
from meloctl.report.report_conclusions import mask_in_words
from meloctl.report.report_table import ReportCurve, table_view
from meloctl.report.report_text import p_value, period_in_words, why_none


def test_a_mask_in_words():
    def words(**fields):
        return mask_in_words(MaskSpec(**{"same": "full", "near": 0, "far": (), "summaries": False, **fields}))

    assert words() == "to the whole past of its own part; to other parts in the same bar"
    assert words(near=2, far=(4,)).endswith("; to other parts in the same bar, up to 2 bars back and 4 back")
    assert words(same=()).startswith("to its own part in this bar alone;")
    assert words(same=(1, 2, 3, 8)).startswith("to its own part 1–3, 8 bars back;")
    assert words(drums="exempt", summaries=True).endswith(
        "; between drums and other parts nothing is hidden; of every other bar it attends to a summary"
    )
    assert words(near=10_000) == "to the whole past of its own part, and to the whole past of all other parts"


def test_a_mask_without_priors_has_no_picture_of_them():
    assert prior_chart(MaskSpec(same="full", near=0, far=(), summaries=True)) is None


def peak(**fields):
    base = {
        "measure": "pc-jaccard",
        "relation": "same",
        "offset": 4,
        "pieces": 9,
        "height": 0.1,
        "interval": (0.05, 0.2),
    }
    return Peak(**{**base, "effect": 1.0, "p": 0.0005, **fields})


def curve(*peaks):
    return ReportCurve(measure="pc-jaccard", relation="same", points=(), peaks=peaks)


def test_the_test_in_words():
    assert "a period of 4 bars: the bar 4 back stands out from its neighbours by 0.100" in period_in_words(
        curve(peak())
    )
    assert "(0.050 to 0.200; effect size 1.0; p ≤ 0.0005; 9 pieces)" in period_in_words(curve(peak()))
    assert period_in_words(curve()).startswith("not tested")
    assert (
        why_none(curve(peak(p=0.4))) == "The highest peak is 4 back, by 0.100; shuffled bars show as much: p = 0.400."
    )
    assert "certain (p ≤ 0.0005), but below the 0.005" in why_none(curve(peak(height=0.002, interval=(0.001, 0.003))))
    assert why_none(curve(peak(interval=(-0.1, 0.3)))).endswith("a few pieces carry it.")
    assert why_none(curve(peak(height=float("nan")))) == ""
    assert "interval" not in period_in_words(curve(peak(pieces=1)))
    assert "0.050" not in period_in_words(curve(peak(pieces=1)))  # one piece has no interval


def test_numbers_in_words():
    assert [number(v) for v in (0.12345, -0.5, -0.0001, None, float("nan"))] == ["0.123", "−0.500", "0.000", "–", "–"]
    assert [p_value(p) for p in (0.0, 0.0005, 0.001, 0.012, 1.0, None)] == [
        "≤ 0.0005",
        "≤ 0.0005",
        "0.001",
        "0.012",
        "1.000",
        "–",
    ]


def table_of(entries):
    file = OffsetTableFile.from_json({"format": "meloctl.offsets/1", "offsets": entries}, where="t.json")
    return table_view(file, where="t.json")


GOOD = {"measure": "pc-jaccard", "relation": "same", "offset": 1, "mean": 0.5}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"mean": 2}, "offsets[0].mean is 2; it must be a number from 0 to 1"),
        ({"mean": None}, "offsets[0].mean is None; it must be a number"),
        ({"mean": True}, "mean is True; it must be a number"),
        ({"chance": 1e300}, "chance is 1e+300; it must be a number"),
        ({"chance": 10**400}, "chance is 100000000000000000000000000000000000000…"),
        ({"interval": [0.1]}, "interval is [0.1]; it must be a list of 2"),
        ({"interval": [0.1, "x"]}, "interval[1] is 'x'; it must be a number"),
        ({"offset": -1}, "offset is -1; it must be a whole number, 0 to 10,000"),
        ({"offset": 1e9}, "offset is 1000000000.0; it must be a whole number"),
        ({"pairs": 1.5}, "pairs is 1.5; it must be a whole number"),
        ({"relation": ["same"]}, "relation is ['same']; it must be "),
        ({"measure": None}, "measure is None; it must be a text"),
    ],
)
def test_hostile_rows_are_refused(row, message):
    with pytest.raises(MeloError, match=re.escape(message)):
        table_of([{**GOOD, **row}])


def test_unmeasured_values_are_allowed():
    row = {**GOOD, "chance": None, "interval": [None, None], "piece_mean": None}
    found = table_of([row]).curves["pc-jaccard", "same"]
    (point,) = found.points
    assert (point.chance, point.interval, point.piece_mean, found.period) == (None, None, None, None)
    for data in ([], [GOOD, GOOD]):
        with pytest.raises(MeloError, match=r"nothing to report|twice"):
            table_of(data)
