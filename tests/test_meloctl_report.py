"""The report: every number is the table's, every text from a file comes out as text, the page stands alone and is sound."""

import base64
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from html_page import Page
from small_report import HOSTILE, run, small_report

from analysis.offset_table_file import read_curves
from analysis.similarity import MEASURES
from masks.cost.compare_masks import rules_to_compare
from masks.cost.row_pairs import mean_pairs
from masks.cost.similarity_recall import similarity_recall
from masks.describe import density
from masks.rules.seed import derive_mask
from masks.spec import MaskSpec
from meloctl.masking.costed_corpus import costed_corpus
from meloctl.progress import SilentReporter
from meloctl.report.family_maps import read_families
from meloctl.report.mask_chart import band_chart
from meloctl.report.mask_costs import compare_costs


def minus(text):
    return text.replace("-", "\N{MINUS SIGN}")


def interval_text(interval):
    """An offset that only some pieces reach has none: not every draw of pieces holds one of them."""
    return "–" if None in interval else "{:.3f} to {:.3f}".format(*interval)


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    return small_report(tmp_path_factory.mktemp("report"))


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
