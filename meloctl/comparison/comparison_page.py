"""A comparison as one HTML file that needs nothing else, in the form of `meloctl report`."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from meloctl.comparison.comparison_charts import Mark, colour, cost_chart, interval_chart
from meloctl.comparison.comparison_text import (
    called,
    copy_rows,
    cost_rows,
    error_rows,
    field_rows,
    metric_rows,
    named,
    quality_rows,
    share,
    silent,
)
from meloctl.evaluation.evaluation_page import curve_chart
from meloctl.evaluation.evaluation_text import RELATION, count, interval, number
from meloctl.html.blocks import code, figure, items, paragraph, section, table
from meloctl.html.document import chart_document
from meloctl.html.markup import Html, tag


def page(facts: dict[str, Any]) -> str:
    """The whole document, from the object of comparison.json."""
    corpus = PurePath(facts["corpus"]["path"]).name
    sections = [_runs(facts), _quality(facts), _cost(facts)]
    if facts["music"]:
        sections.append(_music(facts))
    sections.append(section("notes", "Before you believe it", items(f"{note}." for note in facts["notes"])))
    top = tag(
        "header",
        paragraph("meloctl compare", class_="kicker"),
        tag("h1", tag("span", corpus, class_="corpus"), " ", tag("span", f"{len(facts['runs'])} runs side by side")),
        items(facts["verdict"]),
        _legend(facts["runs"]),
    )
    return chart_document(f"{corpus}: {len(facts['runs'])} runs side by side", top, tag("main", *sections))


def _runs(facts: dict[str, Any]) -> Html:
    rows = []
    for run in facts["runs"]:
        training = run["training"]
        rows.append(
            [
                named(run),
                run["architecture"],
                tag("span", run["mask"], class_="sight"),
                f"{run['parameters'] / 1e6:.1f}M",
                share(run["density"]),
                "–" if training["minutes"] is None else f"{training['minutes']:.1f}",
                "–" if training["steps"] is None else f"{training['steps']:,}",
                str(training["seed"]) if training["seed"] is not None else "–",
            ]
        )
    head = ["run", "architecture", "mask", "parameters", "mask shows", "minutes", "steps", "seed"]
    said = "Mask shows: of the pairs of rows that dense causal attention sees. Steps are those of training, not of the best."
    return section("runs", "Runs", paragraph(said), table(head, rows, caption="What was trained", words=3))


def _quality(facts: dict[str, Any]) -> Html:
    side, first = facts["heard"]["side"], facts["runs"][0]["letter"]
    heard = facts["heard"][side]
    said = (
        f"Bits a note on {count(heard['pieces'], f'{side} piece')} ({count(heard['notes'], 'note')}), less is better. "
        "Intervals are 95 % over pieces drawn with replacement; for a difference the same pieces are drawn for both runs, so it "
        "is surer than two intervals that overlap would have it. * leaves out 0."
    )
    marks = _marks(facts, "bits_per_note", "interval")
    charts = [figure(interval_chart(marks, across="bits a note"), "Bits a note")] if marks else []
    if apart := _marks(facts, "difference", "difference_interval"):
        chart = interval_chart(apart, across=f"bits a note less {first}'s", zero=True)
        charts.append(figure(chart, f"Less {first}'s, on the same pieces; left of 0 is better"))
    (head, *rows), (fields_head, *fields) = quality_rows(facts), field_rows(facts)
    return section(
        "quality",
        "Quality",
        paragraph(said),
        tag("div", *charts, class_="charts"),
        table(["run", *head[1:]], rows, caption="Bits a note", words=2),
        table(["field", *fields_head[1:]], fields, caption=f"By field, on {side} pieces"),
    )


def _marks(facts: dict[str, Any], value: str, ends: str) -> list[Mark]:
    """Of each run that has it, a number on the side that counts."""
    out = []
    for run in facts["runs"]:
        told = run["bits"][facts["heard"]["side"]]
        if told[value] is None:
            continue
        low, high = told[ends]
        seconds = run["forward"]["seconds_per_thousand_rows"]
        said = f"{called(run)}: {number(told[value], sign=value == 'difference')} bits a note {interval(told[ends])}"
        out.append(
            Mark(
                letter=run["letter"],
                value=told[value],
                interval=None if low is None else (low, high),
                said=f"{said}\n{seconds:.3g} s for 1,000 rows",
                cost=seconds,
            )
        )
    return out


def _cost(facts: dict[str, Any]) -> Html:
    machine, first = facts["machine"], facts["runs"][0]["letter"]
    rounds = facts["runs"][0]["forward"]["rounds"]
    said = (
        f"Seconds for a thousand rows of the full forward pass: the median of {rounds} rounds on this machine's CPU "
        f"({count(machine['threads'], 'thread')}{', products in bf16' if machine['bf16'] else ''}), in which the runs took turns "
        f"on the same rows. Times: how many times {first}'s, round by round, the median and the middle half. Training speed is "
        "what each run recorded of itself, on whatever machine it had. Keys and values: the most memory they took while pieces "
        "were written side by side, and the same divided by the rows of those pieces."
    )
    marks = _marks(facts, "bits_per_note", "interval")
    charts = (
        [figure(cost_chart(marks, across="s for 1,000 rows", up="bits a note"), "Cost against quality")]
        if marks
        else []
    )
    head, *rows = cost_rows(facts)
    return section(
        "cost",
        "Cost",
        paragraph(said),
        tag("div", *charts, class_="charts"),
        table(["run", *head[1:]], rows, caption="Time and memory"),
        *(paragraph(f"{line}.") for line in silent(facts)),
    )


def _music(facts: dict[str, Any]) -> Html:
    told, writers = facts["music"], [run for run in facts["runs"] if run["music"]]
    said = (
        f"{count(told['pieces'], 'piece')} of {count(told['bars'], 'bar')} by each run, from the same seeds, against "
        f"{count(told['reference']['pieces'], 'piece')} of {told['reference']['path']}. Nearer to it is better, not higher."
    )
    (errors_head, *errors), (metrics_head, *metrics), (copies_head, *copies) = (
        error_rows(facts),
        metric_rows(facts),
        copy_rows(facts),
    )
    listen = [[called(run), " ", code(f"{run['music']['folder']}/")] for run in writers]
    return section(
        "music",
        "Music",
        paragraph(said),
        items(listen),
        table(["similarity", *errors_head[1:]], errors, caption="Similarity Error: * beyond what real pieces make"),
        _legend(writers, corpus=True),
        tag("div", *_curves(facts), class_="charts"),
        table(
            ["metric", *metrics_head[1:]], metrics, caption="Means over pieces: * farther from the corpus than chance"
        ),
        table(["", *copies_head[1:]], copies, caption="Shared with the corpus"),
    )


def _legend(runs: Sequence[dict[str, Any]], *, corpus: bool = False) -> Html:
    """Which colour is whose; `corpus`: that of the corpus too."""
    swatches = [tag("span", tag("span", class_="swatch line corpus"), " corpus")] if corpus else []
    for run in runs:
        swatches.append(tag("span", tag("span", class_=f"swatch line {colour(run['letter'])}"), f" {called(run)}"))
    return paragraph(*swatches, class_="legend")


def _curves(facts: dict[str, Any]) -> list[Html]:
    """How alike bars are by distance, in the corpus and in what each run wrote, a chart a variant."""
    writers = [run for run in facts["runs"] if run["music"]]
    charts = []
    for v, curve in enumerate(writers[0]["music"]["curves"]):
        sets = [("corpus", "corpus", curve["reference_mean"])]
        for run in writers:
            sets.append((f"{colour(run['letter'])}", run["letter"], run["music"]["curves"][v]["mean"]))
        if any(x is not None for _, _, values in sets for x in values):
            name = f"{curve['similarity']}, {RELATION[curve['relation']]}"
            charts.append(figure(curve_chart(sets, name), name))
    return charts
