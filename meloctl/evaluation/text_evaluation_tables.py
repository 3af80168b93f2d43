"""text_evaluation.json as tables of cells: lines for the terminal, and one HTML file that needs nothing else."""

from collections.abc import Sequence
from typing import Any

from meloctl.evaluation.text_cells import NULLS, RIVALS
from meloctl.formatting import NOTHING, count, interval, number, one_decimal, percent, text_table, with_interval
from meloctl.html.blocks import items, paragraph, section, table
from meloctl.html.document import chart_document
from meloctl.html.markup import tag

Table = list[list[str]]
"""Rows of cells, the header row first; its first cell is empty."""

NULL_NAMES = dict(zip(NULLS, ("no plan", "zero plan", "shuffled", "another text"), strict=True))
RIVAL_NAMES = dict(zip(RIVALS, ("nearest piece", "difference in means", "linear map", "levels, no words"), strict=True))

WANTED_NAMES = {"captions": "in words", "unseen captions": "in words new to the reader", "random": "as levels"}

_YES, _NO = "yes", "no"


def summary_lines(found: dict[str, Any]) -> list[str]:
    """What was evaluated, and how it came out in numbers."""
    total = found["summary"]
    return [
        f"{count(found['pieces'], 'piece')} of {count(found['bars'], 'bar')} a text, seeds from {found['seed']}",
        f"Music model {found['model']}: its weights' hash before {found['weights_before'][:12]}, after "
        f"{found['weights_after'][:12]}",
        f"{total['clear']} of {total['pairs']} pairs move the wanted way, clear of all nulls; median effect size "
        f"{one_decimal(total['median_effect'])}",
        f"Where the reader knows the words of training captions alone: {total['unseen_clear']}; median "
        f"{one_decimal(total['unseen_median_effect'])}",
        f"Scenes: {total['scene_sides_right']} of {total['scene_sides']} attributes on the wanted side of pieces without a plan",
    ]


def pair_table(pairs: Sequence[dict[str, Any]]) -> Table:
    """Effect sizes of the texts of each pair, of nulls and of rivals."""
    head = ["", "effect size", "95 %", "words new to the reader", *NULL_NAMES.values(), "clear", *RIVAL_NAMES.values()]
    rows = [head]
    for pair in pairs:
        effect = pair["effect"]
        rows.append(
            [
                f"{pair['attribute']}, {pair['language']}",
                number(effect["value"], sign=True),
                interval(effect["interval"], sign=True),
                with_interval(*pair["unseen"].values(), sign=True),
                *(number(pair["nulls"][name]["value"], sign=True) for name in NULL_NAMES),
                _YES if pair["clear"] else _NO,
                *(with_interval(*pair["rivals"][name].values(), sign=True) for name in RIVAL_NAMES),
            ]
        )
    return rows


def scene_table(scenes: Sequence[dict[str, Any]]) -> Table:
    """How far each attribute that a scene implies lies from pieces without a plan, in levels."""
    rows = [["", "wanted", "moved (levels)", "95 %", "right side"]]
    for scene in scenes:
        for side in scene["attributes"]:
            moved = side["moved"]
            rows.append(
                [
                    f"{scene['text']}: {side['attribute']}",
                    "high" if side["side"] > 0 else "low",
                    number(moved["value"], sign=True),
                    interval(moved["interval"], sign=True),
                    _NO if not side["right"] else _YES if side["clear"] else f"{_YES}, not clear",
                ]
            )
    return rows


def course_table(courses: Sequence[dict[str, Any]]) -> Table:
    """Correlation over the bars of what a course wants with what is measured."""
    rows = [["", "correlation over bars", "95 %", *NULL_NAMES.values(), "clear"]]
    for course in courses:
        name = f"{course['attribute']} {'rises' if course['rises'] else 'falls'}, {course['language']}"
        rows.append(
            [
                f"{name}{'' if len(course['texts']) == 1 else ', two texts'}",
                number(course["followed"]["value"], sign=True),
                interval(course["followed"]["interval"], sign=True),
                *(number(course["nulls"][null]["value"], sign=True) for null in NULL_NAMES),
                _YES if course["clear"] else _NO,
            ]
        )
    return rows


def correlation_table(correlations: Sequence[dict[str, Any]]) -> Table:
    """Correlation over pieces of random wanted levels with measured ones."""
    head = [[name, "95 %", "by chance"] for name in WANTED_NAMES.values()]
    rows = [["", *(cell for cells in head for cell in cells)]]
    for entry in correlations:
        cells = [entry["attribute"]]
        for condition in WANTED_NAMES:
            found, other = entry[condition], entry[f"{condition}_other"]
            cells += [number(found["value"], sign=True), interval(found["interval"], sign=True)]
            cells.append(number(other["value"], sign=True))
        rows.append(cells)
    return rows


def tempo_table(tempo: dict[str, Any]) -> Table:
    """Share of pieces whose tempo lies in the wanted bin, and in it or beside it."""
    rows = [["", "in the bin", "95 %", "by chance", "or beside it", "95 %", "by chance"]]
    for condition, name in WANTED_NAMES.items():
        found, cells = tempo[condition], [name]
        for share in ("same", "near"):
            ends = found[share]["interval"]
            known = NOTHING if None in ends else f"{percent(ends[0])} to {percent(ends[1])}"
            cells += [percent(found[share]["value"]), known, percent(found[f"other_{share}"]["value"])]
        rows.append(cells)
    return rows


def plan_table(plans: dict[str, Any]) -> Table:
    """How plans differ between bars, beside those of real pieces."""
    names = {"text": "of texts", "random": "of levels", "real": "of real pieces"}
    rows = [["", "variance between bars", *(f"{lag} apart" for lag in plans["text"]["autocorrelation"])]]
    for key, name in names.items():
        if found := plans[key]:
            each = [found["variance"], *found["autocorrelation"].values()]
            rows.append([name, *(with_interval(*one.values()) for one in each)])
    return rows


def understood_lines(understood: dict[str, list[str]]) -> list[str]:
    """What each text was taken to ask for, in use and where its words are new to the reader."""
    return [
        f"{text}: {line}" if line == unseen else f"{text}: {line}. Where its words are new, {unseen}"
        for text, (line, unseen) in understood.items()
    ]


def _tables(found: dict[str, Any]) -> list[tuple[str, str, Table]]:
    """Heading, what it says, and the table of each part."""
    return [
        (
            "Pairs of opposites",
            "Cohen's d of the attribute between the pieces of both texts; clear: the whole interval lies above 0 and all nulls.",
            pair_table(found["pairs"]),
        ),
        ("Scenes", "Against pieces without a plan, in standard units of a bar.", scene_table(found["scenes"])),
        ("Courses", "Mean over pieces of the correlation over their bars.", course_table(found["courses"])),
        (
            "Wanted and measured",
            "Pearson's correlation over pieces; four levels are drawn at random for each piece.",
            correlation_table(found["correlations"]),
        ),
        ("Tempo", "Bins of Text2midi; by chance: against what another piece was to be.", tempo_table(found["tempo"])),
        ("Plans", "The bridge's plans beside those of spans of real pieces.", plan_table(found["plans"])),
    ]


def text_evaluation_lines(found: dict[str, Any]) -> list[str]:
    """The object of text_evaluation.json as lines."""
    lines = summary_lines(found)
    for heading, about, rows in _tables(found):
        lines += ["", f"{heading}. {about}", *text_table(rows)]
    return [*lines, "", "The texts:", *(f"  {line}" for line in understood_lines(found["understood"]))]


def text_evaluation_page(found: dict[str, Any]) -> str:
    """The whole document."""
    sections = []
    for n, (heading, about, rows) in enumerate(_tables(found)):
        body = table(rows[0], rows[1:], caption=heading, headed=True)
        sections.append(section(f"part-{n}", heading, paragraph(about), body))
    sections.append(section("texts", "The texts", items(understood_lines(found["understood"]))))
    title = "Words to music"
    top = tag("header", paragraph("meloctl evaluate", class_="kicker"), tag("h1", title), items(summary_lines(found)))
    return chart_document(f"{title}: evaluation", top, tag("main", *sections))
