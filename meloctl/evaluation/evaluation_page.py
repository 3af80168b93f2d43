"""What was found as one HTML file that needs nothing else, in the form of `meloctl report`."""

from collections.abc import Sequence
from typing import Any

from meloctl.evaluation.evaluation_text import (
    RELATION,
    copying_rows,
    cost_rows,
    count,
    error_rows,
    field_rows,
    metric_rows,
)
from meloctl.formatting import number
from meloctl.html.blocks import figure, items, paragraph, section, table
from meloctl.html.document import chart_document
from meloctl.html.markup import Html, tag
from meloctl.html.offset_chart import OffsetLine, offset_chart

_SETS = (("cross", "judged", "mean"), ("chance same", "reference", "reference_mean"))
"""How both sets are drawn, their names and keys; the reference is dotted: colour alone must not tell them apart."""


def page(facts: dict[str, Any], name: str) -> str:
    """The whole document, from the object of evaluation.json; `name` is what was judged."""
    sections = []
    if facts["judged"]:
        sections += [_metrics(facts), _bars(facts)]
    if facts["reference"]:
        sections.append(_copies(facts["copying"]))
    if facts["model"]:
        sections.append(_model(facts["model"]))
    sets = [
        f"{what}: {it['path']}: {count(it['pieces'], 'piece')}, {count(it['bars'], 'bar')}; {len(it['skipped']):,} skipped"
        for what, it in (("Judged", facts["judged"]), ("Reference", facts["reference"]))
        if it
    ]
    top = tag("header", paragraph("meloctl evaluate", class_="kicker"), tag("h1", name), items(sets) if sets else None)
    return chart_document(f"{name}: judged", top, tag("main", *sections))


def _metrics(facts: dict[str, Any]) -> Html:
    head, *rows = metric_rows(facts["metrics"], compared=facts["reference"] is not None)
    return section(
        "metrics",
        "Metrics",
        paragraph(
            "Nearer to the reference is better, not higher. * farther from it than the choice of pieces explains."
        ),
        table(["metric", *head[1:]], rows, caption="Means over pieces"),
    )


def _bars(facts: dict[str, Any]) -> Html:
    charts = [
        figure(curve_chart(sets, name), name)
        for c in facts["curves"]
        if (sets := _sets(c)) and (name := f"{c['similarity']}, {RELATION[c['relation']]}")
    ]
    content: list[Html] = []
    if facts["reference"]:
        head, *rows = error_rows(facts["similarity_error"])
        said = "Mean distance of both curves, 1 to 40 bars back; real: of as many reference pieces, drawn by lot."
        content = [paragraph(said), table(["similarity", *head[1:]], rows, caption="Similarity Error")]
    swatches = [tag("span", tag("span", class_=f"swatch line {style}"), f" {name}") for style, name, _ in _SETS]
    legend = paragraph(*swatches if facts["reference"] else swatches[:1], class_="legend")
    return section("bars", "How bars come back", *content, legend, tag("div", *charts, class_="charts"))


def _sets(curve: dict[str, Any]) -> "list[Drawn]":
    """Both sets of one variant; nothing where neither has a pair of bars."""
    sets = [(kind, name, curve[key]) for kind, name, key in _SETS if key in curve]
    return sets if any(x is not None for _, _, values in sets for x in values) else []


Drawn = tuple[str, str, list[float | None]]
"""A curve: the CSS classes of its line, its name, and L_t at offsets 0, 1, …"""


def curve_chart(sets: Sequence[Drawn], variant: str) -> Html:
    """Similarity by offset of several sets of music, as SVG."""
    curves = [(style, name, {t: x for t, x in enumerate(values) if x is not None}) for style, name, values in sets]
    readouts = {}
    for t in range(len(sets[0][2])):
        known = [f"{name} {number(values[t])}" for _, name, values in curves if t in values]
        if known:
            readouts[t] = "; ".join([f"{t} back", *known])
    lines = [OffsetLine(style=style, values=values) for style, _, values in curves]
    return offset_chart(lines, last=len(sets[0][2]) - 1, readouts=readouts, label=f"Similarity by bars back: {variant}")


def _copies(copying: dict[str, Any]) -> Html:
    head, *rows = copying_rows(copying)
    said = (
        "Notes of one part in a row with equal intervals and waits, repeated figures counted once; "
        f"copied from {copying['run_counts_from']} notes, near copy from a likeness of {copying['near_copy_from']}."
    )
    return section(
        "copies", "Copies", paragraph(said), table(["", *head[1:]], rows, caption="Shared with the reference")
    )


def _model(model: dict[str, Any]) -> Html:
    (head, *rows), fields = cost_rows(model), field_rows(model)
    sides = ", ".join(f"{n:,} {side}" for side, n in model["pieces"].items())
    content = [
        paragraph(f"{model['run']}; pieces held out: {sides}."),
        table(["pieces", *head[1:]], rows, caption="What held-out music costs"),
    ]
    if fields:
        content.append(table(["field", *fields[0][1:]], fields[1:], caption="By field, of the longest stretches"))
    return section("model", "Model", *content)
