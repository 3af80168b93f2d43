"""`meloctl report`: what is reused, other tables and corpora, small corpora, mistakes, and the page in a browser."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import DIARY
from html_page import Page
from small_report import run, small_report, write_song

from analysis.errors import MeloError
from analysis.offset_table_file import read_curves
from masks.spec import MaskSpec


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    return small_report(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def folder(card):
    (found,) = [p for p in (card[1] / "stats").iterdir() if p.is_dir()]
    return found


def test_nothing_is_redone_until_an_input_changes(card, tmp_path):
    root, work, result = card
    path = Path(result["path"])
    before = path.stat().st_mtime_ns
    manifest = json.loads((path.parent / "manifest.json").read_text())
    assert manifest["command"] == "report"
    assert manifest["files"].keys() == {"report.html"}
    assert {"table", "families.csv", "pieces.parquet", "mask", "check", "corpus"} <= manifest["inputs"].keys()
    again = run("report", "--work", work)
    assert "nothing redone" in again
    assert path.stat().st_mtime_ns == before
    out = tmp_path / "copy.html"
    assert str(out) in run("report", "--work", work, "--out", out)
    assert out.read_bytes() == path.read_bytes()
    assert json.loads(run("report", "--work", work, "--out", out, "--json"))["path"] == str(out)
    mask = tmp_path / "mask.json"
    mask.write_text(MaskSpec(same="full", near=3, far=(), summaries=True, reasons=("because",)).to_text())
    other = json.loads(run("report", "--work", work, "--mask", mask, "--json"))
    assert other["path"] != result["path"]
    assert "because" in Page(Path(other["path"]).read_text()).section("mask").text
    assert json.loads(run("report", "--work", work, "--json"))["path"] == result["path"]


def test_music_in_other_forms_is_named(tmp_path):
    """After a check the page says which files of the folder were passed over."""
    corpus = tmp_path / "songs"
    corpus.mkdir()
    write_song(corpus / "a.mid", 1)
    write_song(corpus / "b.mid", 2)
    (corpus / "c.musicxml").write_text("<score/>")
    for command in (["stats", corpus], ["corpus", "check", corpus]):
        run(*command, "--work", tmp_path / "melo")
    path = json.loads(run("report", "--work", tmp_path / "melo", "--json"))["path"]
    section = Page(Path(path).read_text()).section("corpus").text
    assert "1 .musicxml passed over, only MIDI is read: export notation and projects as MIDI" in section


def test_a_folder_or_a_file_of_stats_may_be_named(card, folder, tmp_path):
    pages = []
    for named in (folder, folder / "offsets.json"):
        out = tmp_path / "r.html"
        run("report", "--work", card[1], "--stats", named, "--out", out)
        pages.append(out.read_bytes())
    assert pages[0] == pages[1] == Path(card[2]["path"]).read_bytes()


def test_a_changed_table_is_reported_as_such(card, folder, tmp_path):
    copy = tmp_path / "stats"
    shutil.copytree(folder, copy)
    (copy / "families.csv").unlink()
    data = json.loads((copy / "offsets.json").read_text())
    data["offsets"][0]["mean"] = 0.123456
    (copy / "offsets.json").write_text(json.dumps(data))
    out = tmp_path / "r.html"
    run("report", "--work", card[1], "--stats", copy, "--out", out)
    found = Page(out.read_text())
    top = found.all("header")[0].text
    assert "offsets.json is not as meloctl stats wrote it" in top
    assert "families.csv is not as meloctl stats wrote it" in top
    assert "The latest mask, " in top
    assert "no families.csv lies beside it" in found.section("families").text
    assert "0.123" in found.section("curves").text
    assert "meloctl derive-mask --table" in found.section("mask").text


def test_a_changed_corpus_is_reported(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    write_song(corpus / "a.mid", 1)
    run("stats", corpus, "--work", tmp_path)
    run("report", "--work", tmp_path, "--out", tmp_path / "a.html")
    write_song(corpus / "b.mid", 2)
    run("report", "--work", tmp_path, "--out", tmp_path / "b.html")
    shutil.rmtree(corpus)
    run("report", "--work", tmp_path, "--out", tmp_path / "c.html")
    tops, rules = zip(
        *(
            (found.all("header")[0].text, found.section("rules").text)
            for found in (Page((tmp_path / f"{name}.html").read_text()) for name in "abc")
        ),
        strict=True,
    )
    assert ["The corpus has changed" in t for t in tops] == [False, True, False]
    assert [f"{corpus}, are gone" in r for r in rules] == [False, False, True]


def test_a_table_without_evidence(tmp_path):
    result = json.loads(
        run("report", "--stats", DIARY, "--work", tmp_path / "melo", "--out", tmp_path / "r.html", "--json")
    )
    assert result["headline"] == "Bars are most alike 4 bars back"
    assert "not tested" in result["conclusions"][0]
    assert any(line.startswith("Caution: This table holds means only") for line in result["conclusions"])
    found = Page((tmp_path / "r.html").read_text())
    assert "chance and intervals: unknown" in found.section("curves").text
    assert "holds no test" in found.section("period").text
    assert "stands alone" in found.section("rules").text
    assert len(found.all("svg")) == 1
    assert "chance" not in "".join(t.text for t in found.all("title"))


@pytest.mark.filterwarnings("ignore:Attempting to set identical low and high:UserWarning")  # matplotlib's, in stats
@pytest.mark.parametrize(("pieces", "bass", "drums"), [(3, False, False), (1, False, True)])
def test_small_corpora(tmp_path, pieces, bass, drums):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for i in range(pieces):
        write_song(corpus / f"{i}.mid", i, bass=bass, drums=drums)
    run("stats", corpus, "--work", tmp_path / "melo")
    result = json.loads(run("report", "--work", tmp_path / "melo", "--json"))
    found = Page(Path(result["path"]).read_text())
    text = " ".join(result["conclusions"])
    assert ("This is one piece" in text) == (pieces == 1)
    assert ("Only 3 pieces" in text) == (pieces == 3)
    assert ("95 % over pieces" in text) == (pieces > 1)
    assert ("two different parts that could be compared" in text) == (not bass)
    assert ("No mask can be derived" in found.section("mask").text) == (not bass)
    assert ("drums" in "".join(t.text for t in found.section("families").all("th"))) == drums


def test_mistakes_are_one_line(tmp_path, card):
    work = card[1]
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "junk.json").write_text("{}")
    for arguments, message in (
        (["--work", empty], "run first: meloctl stats FOLDER"),
        (["--work", work, "--stats", empty], "no offsets.json in it"),
        (["--work", work, "--stats", tmp_path / "absent.json"], "cannot read this table of offsets"),
        (["--work", work, "--stats", tmp_path / "junk.json"], "not a table of offsets"),
        (["--work", work, "--mask", tmp_path / "junk.json"], "not a mask"),
        (["--work", work, "--out", tmp_path / "r.pdf"], "ends in .html"),
        (["--work", work, "--out", empty], "ends in .html"),
    ):
        with pytest.raises(MeloError, match=re.escape(message)) as error:
            run("report", *arguments)
        assert "\n" not in str(error.value)


# In a browser

PROBE = """<!DOCTYPE html><title>probe</title><body><iframe id="a" style="width:{width}px;height:900px" src="{page}"></iframe>
<script>addEventListener("load", () => {{
  const page = document.getElementById("a").contentDocument, root = page.documentElement, chart = page.querySelector("svg");
  for (let i = 0; i < 5; i++) chart.dispatchEvent(new KeyboardEvent("keydown", {{key: "ArrowRight"}}));
  const small = Math.min(...[...page.querySelectorAll("svg text")].map((t) => t.getBoundingClientRect().height));
  const readout = page.querySelector(".readout").textContent;
  document.title = JSON.stringify({{scroll: root.scrollWidth, client: root.clientWidth, small, readout}});
  document.body.innerHTML = "";
}});</script>"""


@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_scrolls_sideways_in_a_browser(card, folder, tmp_path, width):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium is installed")
    shutil.copy(card[2]["path"], tmp_path / "report.html")
    (tmp_path / "probe.html").write_text(PROBE.format(width=width, page="report.html"))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--window-size=1400,1000"]
    data = [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom"]
    done = subprocess.run(
        [browser, *flags, *data, (tmp_path / "probe.html").as_uri()], capture_output=True, text=True, timeout=120
    )
    if not done.stdout:
        pytest.skip(f"Chromium does not run here: {done.stderr.strip().splitlines()[-1:]}")
    found = json.loads(Page(done.stdout).all("title")[0].text)
    assert found["client"] in range(width - 30, width + 1)
    assert found["scroll"] <= found["client"]
    assert found["small"] >= 10  # px a line: text of 9 px
    mean = read_curves(folder / "offsets.json").same[4]
    assert found["readout"].startswith(f"4 back\nown part {mean:.3f} (")  # the first column is the same bar
