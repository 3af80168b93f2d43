"""The HTML kit: any text survives as text, ticks are round, lines break where a value is missing, colours differ enough."""

import base64
import hashlib
import json
import math
import re

import pytest
from conftest import ROOT
from html_page import Page
from hypothesis import given
from hypothesis import strategies as st

from analysis.plots import CROSS, SAME
from meloctl.html.axes import tick_step, ticks
from meloctl.html.document import chart_document, document
from meloctl.html.markup import coordinate, tag, text
from meloctl.html.offset_chart import OffsetLine, consecutive, offset_chart
from meloctl.html.shades import DARK, LIGHT, STEPS, contrast, shade, shade_class

HOSTILE = '</script><script>alert("1")<!--&'


def test_coordinates_have_two_decimals_at_most():
    assert [coordinate(v) for v in (1, 0.5, -0.001, 12.345, 100.0)] == ["1", "0.5", "0", "12.35", "100"]


@given(st.text(max_size=60))
def test_any_text_survives_as_text(plain):
    turning = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    kept = re.sub(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{turning}\ud800-\udfff\ufffe\uffff]", "\ufffd", plain)
    made = Page(tag("p", plain, title=plain))
    (paragraph,) = made.all("p")
    assert (paragraph.text, paragraph.attributes["title"]) == (kept, kept)
    assert paragraph.inside == []
    assert text([plain, [plain]]).encode() == 2 * text(plain).encode()


def colours(css):
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", css))


def rgb(colour):
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def test_colours_differ_enough_in_the_light_and_the_dark_theme():
    css = (ROOT / "meloctl" / "html" / "base.css").read_text()
    light, dark = css.split("@media screen and (prefers-color-scheme: dark)")
    schemes = [colours(light), colours(dark[: dark.index("* {")])]
    assert set(schemes[0]) == set(schemes[1])
    assert (schemes[0]["same"], schemes[0]["cross"]) == (SAME, CROSS)
    for scheme in schemes:
        paper = rgb(scheme["paper"])
        for name in ("ink", "quiet", "link"):
            assert contrast(rgb(scheme[name]), paper) >= 4.5
        for name in ("same", "cross", "drums"):  # graphics
            assert contrast(rgb(scheme[name]), paper) >= 3
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    for stops in (LIGHT, DARK):
        shades = [shade(i, stops) for i in range(STEPS)]
        assert (shades[0], shades[-1]) == (stops[0], stops[-1])
        for colour in shades:
            assert max(contrast(colour, (0, 0, 0)), contrast(colour, (255, 255, 255))) >= 4.5
        steps = [contrast(colour, stops[0]) for colour in shades]
        assert steps == sorted(steps)  # more is always darker, or always lighter


def test_a_value_has_the_shade_of_its_share():
    assert [shade_class(v, 0.5) for v in (-0.1, 0, 0.25, 0.5, 0.9)] == ["h0", "h0", "h8", "h15", "h15"]


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_ticks_are_round_few_and_inside(low, width):
    found = ticks(low, low + width, step=tick_step(width, most=8))
    assert 2 <= len(found) <= 9
    values = [value for value, _ in found]
    assert values[0] >= low - 1e-6 * width
    assert values[-1] <= low + width * (1 + 1e-6)
    step = values[1] - values[0]
    leading = step / 10 ** math.floor(math.log10(step) + 1e-6)
    assert min(abs(leading - n) for n in (1, 2, 2.5, 5)) < 1e-3
    for value, written in found:
        assert float(written.replace("\N{MINUS SIGN}", "-").replace(",", "")) == pytest.approx(value, abs=1e-9)


def test_ticks_of_differences():
    found = ticks(-0.25, 0.5, step=tick_step(0.75, most=8))
    assert [written for _, written in found] == ["−0.2", "−0.1", "0", "0.1", "0.2", "0.3", "0.4", "0.5"]
    assert [written for _, written in ticks(0, 1, step=tick_step(1, most=4))] == ["0", "0.25", "0.50", "0.75", "1.00"]


@given(st.sets(st.integers(0, 40)))
def test_runs_of_offsets_are_consecutive_and_leave_none_out(offsets):
    runs = consecutive(dict.fromkeys(offsets, 0.5))
    assert [k for run in runs for k in run] == sorted(offsets)
    assert all(b - a == 1 for run in runs for a, b in zip(run, run[1:], strict=False))
    assert all(b[0] - a[-1] > 1 for a, b in zip(runs, runs[1:], strict=False))


def test_a_curve_is_broken_where_an_offset_is_missing():
    line = OffsetLine(
        style="same",
        values={1: 0.5, 2: 0.25, 4: 0.75},
        intervals={1: (0.4, 0.6), 2: (0.2, 0.3)},
        rings={2: 0.3},
        dots="round",
    )
    drawn = Page(offset_chart([line], last=4, readouts={1: "1 back: 0.500"}, label="one curve"))
    paths = {(p.attributes["class"], p.attributes["d"].count("L") + 1) for p in drawn.all("path")}
    assert paths == {("band same", 4), ("line same", 2), ("line same", 1)}
    circles = [c.attributes for c in drawn.all("circle")]
    assert [c["class"] for c in circles] == ["ring same", "dot same", "dot same", "dot same"]
    heights = [float(c["cy"]) for c in circles[1:]]
    assert heights[2] < heights[0] < heights[1]  # higher values lie higher, which is a smaller y
    assert [t.text for t in drawn.all("title")] == ["1 back: 0.500"]
    assert drawn.all("svg")[0].attributes["aria-label"] == "one curve"


def test_small_similarities_leave_room_for_their_labels():
    def left(value):
        drawn = Page(offset_chart([OffsetLine(style="same", values={0: value})], last=0, readouts={}, label="x"))
        return min(float(x.attributes["x1"]) for x in drawn.all("line"))

    assert left(0.005) > left(0.5)


def test_a_document_runs_its_own_style_and_script_alone():
    page = Page(
        document("a <b>", tag("main", "text"), style="p{}", script="let a;", data={"d": HOSTILE}, allow=("x 'y'",))
    )
    assert page.declared == "DOCTYPE html"
    (policy,) = [m.attributes["content"] for m in page.all("meta") if "http-equiv" in m.attributes]
    (style,), (data, script) = page.all("style"), page.all("script")
    assert style.text.endswith("p{}")
    assert script.text == "let a;"
    for kind, content in (("style", style.text), ("script", script.text)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert policy.endswith("; x 'y'")
    assert json.loads(data.text) == HOSTILE
    assert data.attributes == {"type": "application/json", "id": "d"}
    assert page.all("title")[0].text == "a <b>"


def test_pages_share_one_set_of_colours():
    """Each colour of the pages has one definition for the light and one for the dark theme; no other style sheet repeats it."""
    defined = colours((ROOT / "meloctl" / "html" / "base.css").read_text())
    for style in ((ROOT / "meloctl" / "html" / "charts.css"), (ROOT / "meloctl" / "play" / "player.css")):
        assert not set(colours(style.read_text())) & set(defined)
    (style,) = Page(chart_document("t")).all("style")
    assert style.text.count("--paper: ") == 2
