"""comparison.html: the object of comparison.json as one HTML file that needs nothing else."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from meloctl.comparison.comparison_charts import Mark, cost_chart, interval_chart, run_css
from meloctl.comparison.comparison_text import (
    copying_table,
    cost_table,
    error_table,
    field_table,
    full_name,
    generation_errors,
    metric_table,
    quality_table,
    runs_with_music,
    short_name,
)
from meloctl.evaluation.evaluation_charts import Curve, curve_chart
from meloctl.evaluation.evaluation_text import variant_name
from meloctl.formatting import count, millions, number, one_decimal, percent, whole, with_interval
from meloctl.html.blocks import code, figure, items, paragraph, section, table
from meloctl.html.document import chart_document
from meloctl.html.markup import Html, tag


def comparison_page(comparison: dict[str, Any]) -> str:
    """The whole document, from the object of comparison.json."""
    corpus = PurePath(comparison["corpus"]["path"]).name
    sections = [_runs_section(comparison), _quality_section(comparison), _cost_section(comparison)]
    if comparison["music"]:
        sections.append(_music_section(comparison))
    sections.append(section("notes", "How far to trust it", items(f"{note}." for note in comparison["notes"])))
    title = f"{len(comparison['runs'])} runs side by side"
    top = tag(
        "header",
        paragraph("meloctl compare", class_="kicker"),
        tag("h1", tag("span", corpus, class_="corpus"), " ", tag("span", title)),
        items(comparison["conclusions"]),
        _legend(comparison["runs"]),
    )
    return chart_document(f"{corpus}: {title}", top, tag("main", *sections))


def _runs_section(comparison: dict[str, Any]) -> Html:
    rows = []
    for run in comparison["runs"]:
        training = run["training"]
        rows.append(
            [
                full_name(run),
                run["architecture"],
                tag("span", run["mask"], class_="mask-words"),
                millions(run["parameters"]),
                percent(run["density"]),
                one_decimal(training["minutes"]),
                whole(training["steps"]),
                whole(training["seed"]),
            ]
        )
    head = ["run", "architecture", "mask", "parameters", "mask shows", "minutes", "steps", "seed"]
    text = "Mask shows: share of the pairs of rows of dense causal attention. Steps are those of training, not of the best."
    return section("runs", "Runs", paragraph(text), table(head, rows, caption="What was trained", words=3))


def _quality_section(comparison: dict[str, Any]) -> Html:
    side, first = comparison["held_out"]["side"], comparison["runs"][0]["letter"]
    held_out = comparison["held_out"][side]
    text = (
        f"Bits a note on {count(held_out['pieces'], f'{side} piece')} ({count(held_out['notes'], 'note')}), less is better. "
        "Intervals are 95 % over pieces drawn with replacement; for a difference the same pieces are drawn for both runs, so it "
        "is more certain than the overlap of the two intervals suggests. * excludes 0."
    )
    marks = _marks(comparison, "bits_per_note", "interval")
    charts = [figure(interval_chart(marks, across="bits a note"), "Bits a note")] if marks else []
    if differences := _marks(comparison, "difference", "difference_interval"):
        chart = interval_chart(differences, across=f"bits a note less {first}'s", zero=True)
        charts.append(figure(chart, f"Less {first}'s, on the same pieces; left of 0 is better"))
    (head, *rows), (fields_head, *fields) = quality_table(comparison), field_table(comparison)
    return section(
        "quality",
        "Quality",
        paragraph(text),
        tag("div", *charts, class_="charts"),
        table(["run", *head[1:]], rows, caption="Bits a note", words=2),
        table(["field", *fields_head[1:]], fields, caption=f"By field, on {side} pieces"),
    )


def _marks(comparison: dict[str, Any], value: str, ends: str) -> list[Mark]:
    """A mark of each run that has the number, on the side that decides.

    Args:
        comparison: the object of comparison.json.
        value: key of the number in a QUALITY.
        ends: key of its interval.
    """
    out = []
    for run in comparison["runs"]:
        quality = run["bits"][comparison["held_out"]["side"]]
        if quality[value] is None:
            continue
        low, high = quality[ends]
        seconds = run["forward"]["seconds_per_thousand_rows"]
        bits = with_interval(quality[value], quality[ends], sign=value == "difference")
        out.append(
            Mark(
                letter=run["letter"],
                value=quality[value],
                interval=None if low is None else (low, high),
                readout=f"{short_name(run)}: {bits} bits a note\n{number(seconds)} s for 1,000 rows",
                cost=seconds,
            )
        )
    return out


def _cost_section(comparison: dict[str, Any]) -> Html:
    machine, first = comparison["machine"], comparison["runs"][0]["letter"]
    rounds = comparison["runs"][0]["forward"]["rounds"]
    bf16 = ", matrix products in bf16" if machine["bf16"] else ""
    text = (
        f"Seconds for 1,000 rows of the full forward pass: the median of {rounds} rounds on this machine's CPU "
        f"({count(machine['threads'], 'thread')}{bf16}), in each of which every run computes the same rows. Ratio: to "
        f"{first}'s, round by round, the median and the quartiles. Training speed is what each run recorded, on whatever machine "
        "it had. Keys and values: the most memory they took while a batch of pieces was generated, and the same divided by the "
        "rows of those pieces."
    )
    marks = _marks(comparison, "bits_per_note", "interval")
    chart = cost_chart(marks, across="s for 1,000 rows", up="bits a note") if marks else None
    head, *rows = cost_table(comparison)
    return section(
        "cost",
        "Cost",
        paragraph(text),
        tag("div", figure(chart, "Cost against quality") if chart else None, class_="charts"),
        table(["run", *head[1:]], rows, caption="Time and memory"),
        *(paragraph(f"{line}.") for line in generation_errors(comparison)),
    )


def _music_section(comparison: dict[str, Any]) -> Html:
    music, runs = comparison["music"], runs_with_music(comparison)
    text = (
        f"{count(music['pieces'], 'piece')} of {count(music['bars'], 'bar')} by each run, from the same seeds, compared with "
        f"{count(music['reference']['pieces'], 'piece')} of {music['reference']['path']}. Nearer to it is better, not higher."
    )
    errors_head, *errors = error_table(comparison)
    metrics_head, *metrics = metric_table(comparison)
    copies_head, *copies = copying_table(comparison)
    return section(
        "music",
        "Music",
        paragraph(text),
        items([short_name(run), " ", code(f"{run['music']['folder']}/")] for run in runs),
        table(["similarity", *errors_head[1:]], errors, caption="Similarity Error: * larger than real pieces explain"),
        _legend(runs, corpus=True),
        tag("div", *_curve_charts(runs), class_="charts"),
        table(["metric", *metrics_head[1:]], metrics, caption="Means over pieces: * differs from the corpus"),
        table(["", *copies_head[1:]], copies, caption="Shared with the corpus"),
    )


def _legend(runs: Sequence[dict[str, Any]], *, corpus: bool = False) -> Html:
    """Which colour is whose; `corpus`: that of the corpus too."""
    swatches = [tag("span", tag("span", class_="swatch line corpus"), " corpus")] if corpus else []
    for run in runs:
        swatches.append(tag("span", tag("span", class_=f"swatch line {run_css(run['letter'])}"), f" {short_name(run)}"))
    return paragraph(*swatches, class_="legend")


def _curve_charts(runs: Sequence[dict[str, Any]]) -> list[Html]:
    """Similarity by bars back, of the corpus and of each run's music, a chart a variant."""
    charts = []
    for v, curve in enumerate(runs[0]["music"]["curves"]):
        lines = [Curve(name="corpus", style="corpus", values=curve["reference_mean"])]
        for run in runs:
            values = run["music"]["curves"][v]["mean"]
            lines.append(Curve(name=run["letter"], style=run_css(run["letter"]), values=values))
        if any(x is not None for line in lines for x in line.values):
            charts.append(figure(curve_chart(lines, variant_name(curve)), variant_name(curve)))
    return charts
