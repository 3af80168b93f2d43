"""evaluation.html: the object of evaluation.json as one HTML file that needs nothing else."""

from typing import Any

from meloctl.evaluation.evaluation_charts import Curve, Histogram, curve_chart, histogram_chart
from meloctl.evaluation.evaluation_text import (
    copying_note,
    copying_table,
    error_table,
    field_caption,
    field_table,
    held_out_line,
    loss_table,
    metric_table,
    set_line,
    variant_name,
)
from meloctl.evaluation.metrics import METRICS
from meloctl.formatting import capitalised
from meloctl.html.blocks import figure, items, paragraph, section, table
from meloctl.html.document import chart_document
from meloctl.html.markup import Html, tag

_SETS = (("music", "cross", ""), ("reference", "chance same", "reference_"))
"""Name, CSS classes and prefix of the JSON keys of both sets; the reference is dotted: colour alone must not tell them apart."""


def evaluation_page(evaluation: dict[str, Any], name: str) -> str:
    """The whole document.

    Args:
        evaluation: the object of evaluation.json.
        name: of the music or the model that was evaluated.
    """
    sections = []
    if evaluation["music"]:
        sections += [_metrics_section(evaluation), _bars_section(evaluation)]
    if evaluation["reference"]:
        sections.append(_copies_section(evaluation["copying"]))
    if evaluation["model"]:
        sections.append(_model_section(evaluation["model"]))
    sets = [set_line(capitalised(kind), music) for kind, _, _ in _SETS if (music := evaluation[kind])]
    top = tag("header", paragraph("meloctl evaluate", class_="kicker"), tag("h1", name), items(sets) if sets else None)
    return chart_document(f"{name}: evaluation", top, tag("main", *sections))


def _metrics_section(evaluation: dict[str, Any]) -> Html:
    head, *rows = metric_table(evaluation["metrics"], compared=evaluation["reference"] is not None)
    text = (
        "Nearer to the reference is better, not higher. * differs from it by more than the choice of pieces explains. "
        "Charts: share of the pieces by value, with a line at the mean."
    )
    return section(
        "metrics",
        "Metrics",
        paragraph(text),
        table(["metric", *head[1:]], rows, caption="Means over pieces"),
        _legend(evaluation),
        tag("div", *_histograms(evaluation), class_="charts"),
    )


def _histograms(evaluation: dict[str, Any]) -> list[Html]:
    figures = []
    definitions = {metric.name: metric.definition for metric in METRICS}
    for metric, histogram in zip(evaluation["metrics"], evaluation["histograms"], strict=True):
        if not histogram["edges"]:
            continue
        sets = [
            Histogram(name=name, style=style, shares=histogram[f"{prefix}share"], mean=metric[f"{prefix}mean"])
            for name, style, prefix in _SETS
            if f"{prefix}share" in histogram
        ]
        chart = histogram_chart(sets, histogram["edges"], across=f"{metric['name']} ({metric['unit']})")
        figures.append(figure(chart, f"{capitalised(metric['name'])}: {definitions[metric['name']]}"))
    return figures


def _bars_section(evaluation: dict[str, Any]) -> Html:
    content: list[Html] = []
    if evaluation["reference"]:
        head, *rows = error_table(evaluation["similarity_error"])
        text = "Mean distance of both curves, 1 to 40 bars back; real: of as many random reference pieces."
        content = [paragraph(text), table(["similarity", *head[1:]], rows, caption="Similarity Error")]
    charts = []
    for curve in evaluation["curves"]:
        lines = [
            Curve(name=name, style=style, values=curve[f"{prefix}mean"])
            for name, style, prefix in _SETS
            if f"{prefix}mean" in curve
        ]
        if any(x is not None for line in lines for x in line.values):
            charts.append(figure(curve_chart(lines, variant_name(curve)), variant_name(curve)))
    return section("bars", "How bars repeat", *content, _legend(evaluation), tag("div", *charts, class_="charts"))


def _legend(evaluation: dict[str, Any]) -> Html:
    """Which line is which set's."""
    swatches = [
        tag("span", tag("span", class_=f"swatch line {style}"), f" {name}")
        for name, style, _ in _SETS
        if evaluation[name]
    ]
    return paragraph(*swatches, class_="legend")


def _copies_section(copying: dict[str, Any]) -> Html:
    head, *rows = copying_table(copying)
    return section(
        "copies",
        "Copies",
        paragraph(f"{capitalised(copying_note(copying))}."),
        table(["", *head[1:]], rows, caption="Shared with the reference"),
    )


def _model_section(model: dict[str, Any]) -> Html:
    (head, *rows), fields = loss_table(model), field_table(model)
    content = [
        paragraph(f"{held_out_line(model)}."),
        table(["pieces", *head[1:]], rows, caption="Loss on held-out music"),
    ]
    if fields:
        content.append(table(["field", *fields[0][1:]], fields[1:], caption=field_caption(model)))
    return section("model", "Model", *content)
