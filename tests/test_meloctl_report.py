"""The report: every number is the table's, every text from a file comes out as text, the page stands alone and is sound."""

import base64
import hashlib
import json
import random
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import DIARY, note, smf
from html_page import Page
from typer.testing import CliRunner

from analysis.errors import MeloError
from analysis.offset_table_file import read_curves
from analysis.similarity import MEASURES
from masks.cost.compare_masks import rules_to_compare
from masks.cost.row_pairs import mean_pairs
from masks.cost.similarity_recall import similarity_recall
from masks.describe import density
from masks.rules.seed import derive_mask
from masks.spec import MaskSpec
from meloctl.cli.main import app
from meloctl.masking.costed_corpus import costed_corpus
from meloctl.progress import SilentReporter
from meloctl.report.family_maps import read_families
from meloctl.report.mask_chart import band_chart
from meloctl.report.mask_costs import compare_costs

HOSTILE = '<script>alert("1")<&script>'


def minus(text):
    return text.replace("-", "\N{MINUS SIGN}")


def interval_text(interval):
    """An offset that only some pieces reach has none: not every draw of pieces holds one of them."""
    return "–" if None in interval else "{:.3f} to {:.3f}".format(*interval)


def run(*arguments):
    """stdout of a command in this process; a user's mistake comes out as MeloError."""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def write_song(path, seed, *, bass=True, drums=True, bars=16):
    """A tune of four bars, repeated, over a bass and a drum in time with it."""
    rng = random.Random(seed)
    tune = [rng.choice([60, 62, 64, 65, 67, 69]) for _ in range(16)]
    whole = (tune * bars)[: 4 * bars]
    parts = [[e for pitch in whole for e in note(pitch, 480)]]
    if bass:
        parts.append([(0, b"\xc1\x21")] + [e for p in whole[::4] for e in note(p - 24, 1920, channel=1)])
    if drums:
        parts.append([e for i in range(bars) for e in note(36 + i % 2, 480, rest=480 * 3 * (i > 0), channel=9)])
    path.write_bytes(smf(*parts))


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """stats, corpus check, derive-mask and report of twelve songs with hostile names, two files among them no music."""
    root = tmp_path_factory.mktemp("report")
    corpus, work = root / 'songs <b>&"', root / "melo"
    corpus.mkdir()
    for i in range(12):
        write_song(corpus / f"{HOSTILE}{i}.mid", i, bars=12 + 2 * (i % 4))
    for i in range(2):
        (corpus / f"{HOSTILE}broken{i}.mid").write_text("no music")
    for command in (["stats", corpus], ["corpus", "check", corpus], ["derive-mask"]):
        run(*command, "--work", work)
    result = json.loads(run("report", "--work", work, "--json"))
    return root, work, result


@pytest.fixture(scope="module")
def page(card):
    return Page(Path(card[2]["path"]).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folder(card):
    (found,) = [p for p in (card[1] / "stats").iterdir() if p.is_dir()]
    return found


# What it says


def test_the_conclusions_name_the_planted_period(card, page):
    result = card[2]
    assert result["headline"] == "The music comes round every 4 bars" in page.all("h1")[0].text
    assert [line.split(":")[0] for line in result["conclusions"]] == [
        "Period",
        "Rhythm",
        "Own part against other parts",
        "Mask",
        "Corpus",
    ]
    top = page.all("header")[0].text
    for line in result["conclusions"]:
        subject, sentence = line.split(": ", 1)
        assert subject in top
        assert sentence[1:] in top
    assert "12 pieces, " in result["conclusions"][-1]
    assert "2 files could not be read" in result["conclusions"][-1]


def test_every_number_of_the_table_is_on_the_page(folder, page):
    data = json.loads((folder / "offsets.json").read_text())
    tables = page.tables()
    rows = {
        (label, row[0], int(row[1])): row[2:]
        for label, found in tables.items()
        for row in found
        if label in {f"{m.title} ({m.name})" for m in MEASURES}
    }
    words = {"same": "own part", "cross": "other parts"}
    assert len(rows) == len(data["offsets"]) > 100
    assert any(None in r["interval"] for r in data["offsets"])
    for row in data["offsets"]:
        (label,) = [k for k in tables if k.endswith(f"({row['measure']})")]
        assert rows[label, words[row["relation"]], row["offset"]] == [
            f"{row['pairs']:,}",
            f"{row['mean']:.3f}",
            interval_text(row["interval"]),
            f"{row['piece_mean']:.3f}",
            interval_text(row["piece_interval"]),
            f"{row['chance']:.3f}",
            interval_text(row["chance_interval"]),
        ]


def test_every_peak_is_on_the_page_and_none_has_p_0(folder, page):
    peaks = pd.read_csv(folder / "peaks.csv")
    tables = {k: v for k, v in page.tables().items() if k.endswith("every peak")}
    words = {"same": "own part", "cross": "other parts"}
    rows = {(k, row[0], int(row[1])): row[2:] for k, found in tables.items() for row in found}
    assert len(rows) == len(peaks) > 50
    for p in peaks.itertuples():
        (label,) = [k for k in tables if f"({p.measure})" in k]
        assert rows[label, words[p.relation], p.offset] == [
            minus(re.sub(r"^-(0\.000)$", r"\1", f"{p.height:.3f}")),
            "–"
            if np.isnan(p.interval_low)
            else minus(re.sub(r"-(0\.000)", r"\1", f"{p.interval_low:.3f} to {p.interval_high:.3f}")),
            minus(re.sub(r"^-(0\.000)$", r"\1", f"{p.effect:.3f}" if abs(p.effect) < 9.999 else f"{p.effect:.1f}")),
            "≤ 0.0005" if p.p <= 0.0005 else f"{p.p:.3f}",
            str(p.pieces),
            "yes" if p.real else "no",
        ]
    assert any(row[3] == "≤ 0.0005" for row in rows.values())
    assert not any(row[3] == "0.000" for row in rows.values())


def test_the_period_table_agrees_with_the_table_of_offsets(folder, page):
    periods = json.loads((folder / "offsets.json").read_text())["periods"]
    rows = page.tables()["The period of each curve, in bars"]
    found = {(row[0].split()[-1], row[1]): row[2] for row in rows}
    words = {"same": "own part", "cross": "other parts"}
    for measure, by_relation in periods.items():
        for relation, period in by_relation.items():
            period_text = found[measure, words[relation]]
            assert period_text == (f"every {period} bars" if period else "none found")


def test_a_curve_says_its_values_to_whoever_points_at_it(folder, page):
    data = json.loads((folder / "offsets.json").read_text())
    figure = page.section("curves").all("figure")
    titles = [t.text for t in next(iter(figure)).all("title")]
    at_4 = {r["relation"]: r for r in data["offsets"] if (r["measure"], r["offset"]) == ("pc-jaccard", 4)}
    (readout,) = [t for t in titles if t.startswith("4 back")]
    for relation, words in (("same", "own part"), ("cross", "other parts")):
        assert f"{words} {at_4[relation]['mean']:.3f} (" in readout
        assert f"by chance {at_4[relation]['chance']:.3f}" in readout


def test_heat_maps_hold_the_means_of_families_csv(folder, page):
    rows = pd.read_csv(folder / "families.csv")
    rows = rows[rows.measure == "onset-jaccard"]
    tables = {t.attributes["aria-label"]: t for t in page.section("families").all("table")}
    assert len(tables) == 4
    titles = {k: [c.attributes["title"] for c in t.all("td") if "title" in c.attributes] for k, t in tables.items()}
    same_bar = rows[(rows.relation == "cross") & (rows.offset == 0)]
    assert sorted(titles["Rhythm, drums too: two parts in the same bar"]) == sorted(
        f"{a} and {b}: {r.mean:.3f}, {r.pairs:,} pairs"
        for r in same_bar.itertuples()
        for a, b in ((r.later, r.earlier), (r.earlier, r.later))
    )
    assert len(same_bar) == 3  # piano and bass, piano and drums, bass and drums
    by_offset = titles["Rhythm, drums too: by offset in bars back, the families compared most often"]
    own = rows[rows.relation == "same"]
    assert {f"{r.later}, {r.offset} back: {r.mean:.3f}, {r.pairs:,} pairs" for r in own.itertuples()} <= set(by_offset)
    two = rows[(rows.relation == "cross") & (rows.offset == 4)]
    two = two[(two.later + two.earlier).isin(["pianobass", "basspiano"])]
    mean = np.average(two["mean"], weights=two["pairs"])
    assert f"piano – bass, 4 back: {mean:.3f}, {two.pairs.sum():,} pairs" in by_offset


def test_few_pairs_are_hatched_and_the_legend_says_so(folder, page):
    section = page.section("families")
    for cell in section.all("td"):
        title = cell.attributes.get("title")
        if title:
            pairs = int(re.search(r"([\d,]+) pairs", title).group(1).replace(",", ""))
            assert ("few" in cell.attributes["class"].split()) == (pairs < 50)
    assert "hatched: fewer than 50 pairs" in section.text
    assert any("few" in c.attributes.get("class", "").split() for c in section.all("td"))


def test_either_order_of_two_families_is_one_line(tmp_path):
    path = tmp_path / "families.csv"
    path.write_text(
        "measure,relation,offset,later,earlier,pairs,mean\n"
        "pc-jaccard,cross,3,piano,bass,10,0.5\npc-jaccard,cross,3,bass,piano,30,0.9\npc-jaccard,same,3,bass,bass,7,0.25\n"
    )
    found = read_families(path)["pc-jaccard"]
    (line,) = found.across
    assert (line.name, line.pairs) == ("piano – bass", 40)
    assert line.cells[3].mean == pytest.approx((10 * 0.5 + 30 * 0.9) / 40)
    assert found.own[0].cells[3].mean == 0.25
    assert found.same_bar == {}


def test_the_corpus_is_counted(folder, page):
    pieces = pd.read_parquet(folder / "pieces.parquet").drop_duplicates("path")
    rows = {row[0]: row[1:] for row in page.tables()["Sizes of the pieces"]}
    assert rows["Bars"] == ["12", "15", "18", f"{3 * (12 + 14 + 16 + 18)}"]
    assert rows["Parts"] == ["3", "3", "3", "36"]
    assert rows["Notes"][-1] == f"{pieces.notes.sum():,}"
    text = page.section("corpus").text
    assert "Drums play in all 12 pieces." in text
    assert "2 files: not a MIDI file" in text
    assert "Checked for training" in text


def test_rules_stand_as_mask_compare_has_them(card, folder, page):
    curves = read_curves(folder / "offsets.json")
    rows = costed_corpus(folder / "offsets.json", None).read(20, progress=SilentReporter())
    pairs = mean_pairs(rows)
    rules = rules_to_compare(curves, rows, random=np.random.default_rng(0))
    (found,) = [v for k, v in page.tables().items() if k.startswith("Masks side by side")]
    assert len(found) == len(rules) + 1
    for row, masks in zip(found[1:], rules.values(), strict=True):
        shown = np.mean([density(m, pairs) for m in masks])
        alike = np.mean([similarity_recall(m, curves, pairs) for m in masks])
        assert row[1:4] == [f"{shown:.3f}", f"{alike:.3f}", f"{alike / shown:.3f}"]
    assert found[0][1:] == found[1][1:]  # this mask is the seed rule's
    assert compare_costs(None, curves, rows).mask is None


def test_the_mask_is_drawn_as_the_spec_sees(folder):
    for spec in (
        derive_mask(read_curves(folder / "offsets.json")),
        MaskSpec(same=(1, 4), near=1, far=(4, 8), summaries=False),
        MaskSpec(same="full", near=0, far=(), summaries=True, drums="exempt"),
    ):
        blocks = {g.attributes.get("id"): g for g in Page(band_chart(spec)).all("g")}
        for offset in range(12):
            counts = dict.fromkeys(("same", "cross", "drums", "hidden"), 0)
            for part in range(3):
                for other in range(3 if offset else part + 1):
                    drums = spec.drums == "exempt" and 0 in (part, other)
                    relation = "same" if part == other else "drums" if drums else "cross"
                    counts[relation if spec.sees(relation, offset) else "hidden"] += 1
            drawn = {p.attributes["class"].split()[1]: p.attributes["d"] for p in blocks[f"mask-{offset}"].all("path")}
            assert {k: d.count("M") for k, d in drawn.items()} == {k: n for k, n in counts.items() if n}


# What files say comes out as text


def test_names_of_files_are_text(page, card):
    assert len(page.all("script")) == 1
    text = page.section("corpus").text
    assert f"{HOSTILE}broken0.mid, {HOSTILE}broken1.mid" in text
    assert page.all("title")[0].text == 'songs <b>&": how alike its bars are'
    markup = Path(card[2]["path"]).read_text(encoding="utf-8")
    assert "<b>" not in markup
    assert 'alert("1")' not in markup


def test_hostile_tables_and_masks_are_text(tmp_path):
    row = {"measure": HOSTILE, "relation": "same", "offset": 1, "pairs": 3, "mean": 0.5}
    table = {
        "format": "meloctl.offsets/1",
        "pieces": 2,
        "skipped": [{"path": HOSTILE, "reason": HOSTILE}],
        "offsets": [row, {**row, "measure": "pc-jaccard"}, {**row, "measure": "pc-jaccard", "relation": "cross"}],
        "source": {"corpus": f"/{HOSTILE}"},
    }
    (tmp_path / "t.json").write_text(json.dumps(table))
    mask = MaskSpec(same="full", near=0, far=(), summaries=True, reasons=(HOSTILE,), source={"table": HOSTILE})
    (tmp_path / "m.json").write_text(mask.to_text())
    run(
        "report",
        "--work",
        tmp_path,
        "--stats",
        tmp_path / "t.json",
        "--mask",
        tmp_path / "m.json",
        "--out",
        tmp_path / "r.html",
    )
    found = Page((tmp_path / "r.html").read_text())
    assert len(found.all("script")) == 1
    assert HOSTILE in found.section("mask").text
    assert HOSTILE in found.section("corpus").text
    assert HOSTILE in found.section("curves").text
    assert "was derived from other numbers" in found.all("header")[0].text


# The page itself


def test_the_page_is_sound(page):
    assert page.declared == "DOCTYPE html"
    (html,) = page.all("html")
    assert html.attributes["lang"] == "en"
    ids = [e.attributes["id"] for e in every(page.root) if "id" in e.attributes]
    assert len(ids) == len(set(ids)) > 20
    for e in every(page.root):
        if e.attributes.get("href", "").startswith("#"):
            assert e.attributes["href"][1:] in ids
        if "aria-labelledby" in e.attributes:
            assert e.attributes["aria-labelledby"] in ids
    levels = [int(e.name[1]) for e in every(page.root) if re.fullmatch("h[1-6]", e.name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False))


def every(element):
    for child in element.inside:
        yield child
        yield from every(child)


def test_every_picture_says_what_it_shows(page):
    pictures = page.all("svg")
    assert len(pictures) == 2 * len(MEASURES) + 2
    for picture in pictures:
        assert picture.attributes["role"] == "img"
        assert len(picture.attributes["aria-label"]) > 30
        assert picture.attributes["viewbox"].startswith("0 0 380 ")
    for section, charts in (("curves", len(MEASURES)), ("period", len(MEASURES))):
        assert len(list(page.section(section).all("svg"))) == charts
        assert len(list(page.section(section).all("details"))) == 1


def test_the_page_needs_nothing_else(page):
    for e in every(page.root):
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            assert e.attributes.get(name, "#").startswith(("#", "data:"))
        assert not any(name.startswith("on") or name == "style" for name in e.attributes)
    (style,), (script,) = page.all("style"), page.all("script")
    assert "@import" not in style.text
    assert "url(" not in style.text
    (policy,) = [m.attributes["content"] for m in page.all("meta") if "http-equiv" in m.attributes]
    for kind, content in (("style", style.text), ("script", script.text)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


# The workspace


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
