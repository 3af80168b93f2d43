"""What the playing page says of music that was asked for: the words, and each bar's level beside the wanted one."""

import json
import re
from pathlib import Path

import pytest
from conftest import note, smf
from html_page import Page
from typer.testing import CliRunner

from analysis.errors import MeloError
from meloctl.cli.main import app
from meloctl.play.asked import AskedBars, AskedPiece, asked_of
from meloctl.play.asked_section import asked_section
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.workspace import Recipe, RunOutput, Workspace

NOTHING = [None] * len(ATTRIBUTES)


def bar(**levels):
    return [levels.get(name) for name in ATTRIBUTES]


ASKED = {
    "first_bar": 3,
    "wanted": [bar(tempo=7.0), bar(tempo=7.0), bar(tempo=6.0, loudness=0.25), bar(tempo=6.0, loudness=0.25)],
    "texts": [{"bar": 1, "text": "fast"}, {"bar": 3, "text": "slow <b>& soft"}],
    "understood": ["from bar 1: understood: fast", "from bar 3: understood: slow, soft"],
}
MEASURED = [bar(tempo=6.9, loudness=0.5), bar(tempo=7.1, loudness=0.5), NOTHING, bar(tempo=6.0, loudness=0.75)]


def made_run(work, *, results=None):
    """A run of generate with one piece; the piece."""
    recipe = Recipe(stage="out", command="generate", inputs={}, options={}, label="test")

    def make(folder):
        (folder / "piece.mid").write_bytes(smf(*[[event for _ in range(24) for event in note(60, 480)]]))
        pieces = [{"file": "piece.mid", "attributes": MEASURED}]
        return RunOutput(
            files=["piece.mid"], results={"pieces": pieces, "asked": ASKED} if results is None else results
        )

    return Workspace(work).once(recipe, make).folder / "piece.mid"


def section(**changed):
    asked = AskedBars.from_json(ASKED | changed)
    return Page(f"<html>{asked_section(0, AskedPiece(asked=asked, measured=MEASURED))}</html>")


def places(svg, kind):
    """[(x, y), …] of the corners of the one line of a kind."""
    (d,) = re.findall(rf'<path class="line {kind}" d="M([^"]*)"', svg)
    return [tuple(map(float, point.split())) for point in d.split("L")]


def test_words_and_charts():
    page = section()
    paragraphs = [p.text for p in page.all("p")]
    assert paragraphs[0] == "Asked: “fast”, “slow <b>& soft” from new bar 3 on"
    assert paragraphs[1:3] == ["From bar 1: understood: fast", "From bar 3: understood: slow, soft"]
    assert [f.text for f in page.all("strong")] == ["tempo", "loudness"]  # of others nothing was said
    assert [t.text for t in page.all("text")] == ["64", "137", "bar 3", "6", "32", "95", "bar 3", "6"]


def test_a_line_like_a_file():
    page = section(texts=[], understood=[], like="song.mid")
    assert page.all("p")[0].text == "Asked to be like song.mid, bar by bar"


def test_lines_are_where_the_levels_are():
    svg = str(asked_section(0, AskedPiece(asked=AskedBars.from_json(ASKED), measured=MEASURED))).split("</svg>")[0]
    assert 'aria-label="tempo, quarter notes a minute: asked and measured by bar"' in svg
    x, y = zip(*places(svg, "wanted"), strict=True)
    assert y[0] == y[1] == y[2] == y[3] < y[4] == y[7]  # fast is above slow
    assert x[1] == x[2]  # bars lie side by side
    line = places(svg, "measured")
    assert len(line) == 2  # of the first two bars: the empty one cuts it, and the last is a dot
    assert line[0][1] > y[0] > line[1][1]
    assert svg.count("<circle") == 1


def test_it_is_read_beside_the_file_as_it_was_written(tmp_path):
    piece = made_run(tmp_path / "melo")
    found = asked_of([piece])[piece]
    assert found.asked == AskedBars.from_json(ASKED)
    assert [list(b) for b in found.measured] == MEASURED
    elsewhere = tmp_path / "piece.mid"
    elsewhere.write_bytes(piece.read_bytes())
    assert asked_of([elsewhere]) == {}
    (tmp_path / "manifest.json").write_text('{"name": "an app"}')  # other programs' manifests
    assert asked_of([elsewhere]) == {}
    piece.write_bytes(smf(note(61, 480)))
    assert asked_of([piece]) == {}


@pytest.mark.parametrize(
    "results",
    [
        {"asked": {**ASKED, "wanted": [[1.0]]}, "pieces": []},
        {"asked": {**ASKED, "more": 1}, "pieces": []},
        {"asked": ASKED, "pieces": [{"file": "piece.mid"}]},
        {"asked": ASKED, "pieces": [{"file": "piece.mid", "attributes": [["loud"] * 8]}]},
    ],
)
def test_a_damaged_record_is_one_line(tmp_path, results):
    piece = made_run(tmp_path / "melo", results=results)
    with pytest.raises(MeloError, match=r"manifest\.json"):
        asked_of([piece])


def test_the_page_shows_it(tmp_path):
    piece = made_run(tmp_path / "melo")
    done = CliRunner().invoke(app, ["play", str(piece), "--work", str(tmp_path / "melo"), "--json"])
    assert done.exit_code == 0, done.output
    page = Page(Path(json.loads(done.stdout)["path"]).read_text(encoding="utf-8"))
    (shown,) = [s for s in page.all("section") if s.attributes.get("class") == "asked"]
    assert shown.attributes["data-piece"] == "0"
    assert "hidden" not in shown.attributes
