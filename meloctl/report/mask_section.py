"""The sections on the mask: its picture, its reasons, what it costs, and how the rules stand beside it."""

import shlex

from masks.cost.compare_masks import LAYERS
from masks.spec import MaskSpec
from meloctl.formatting import count, number
from meloctl.html.blocks import code, figure, items, paragraph, section, table
from meloctl.html.markup import Content, Html, tag
from meloctl.report.mask_chart import band_chart, shown_chart
from meloctl.report.mask_costs import MaskCostRow
from meloctl.report.report_conclusions import mask_in_words
from meloctl.report.report_facts import Facts

_RULES = {
    "seed": "seed: from these curves",
    "budget": "budget: the best offsets for the money",
    "museformer": "Museformer's offsets",
    "window": "window: the last bars",
    "random": "random: offsets by lot, mean of five",
    "causal": "causal: everything",
}


def mask_section(facts: Facts) -> Html:
    """The mask, drawn and explained; or how to make one."""
    spec = facts.sources.mask
    if spec is None:
        return section("mask", "The mask", *_no_mask(facts))
    shown = shown_chart(spec)
    return section(
        "mask",
        "The mask",
        paragraph(f"A bar listens {mask_in_words(spec)}."),
        tag("h3", "Why"),
        items(spec.reasons) if spec.reasons else paragraph("It records no reasons."),
        tag("h3", "Drawn"),
        _legend(spec),
        tag(
            "div",
            figure(band_chart(spec), "Who listens to whom, in a band of three parts", readout=False),
            figure(shown, "What was measured, and what the mask shows of it") if shown else None,
            class_="charts",
        ),
    )


def rules_section(facts: Facts) -> Html:
    """The mask beside every rule's."""
    found = facts.comparison
    if found is None:
        return section(
            "rules",
            "Other masks",
            paragraph(f"The rules were not compared: {facts.no_comparison or 'nothing to compare them on'}."),
            *_comparing(facts),
        )
    head = ["Mask", "pairs shown", "likeness shown", "likeness per pair", *_heard_heads()]
    rows = [_row(_RULES.get(cost.name, cost.name), cost) for cost in found.rules]
    if found.mask:
        rows.insert(0, _row("this mask", found.mask))
    return section(
        "rules",
        "Other masks",
        paragraph(
            f"Counted on {count(found.pieces, 'piece')} of the corpus. Pairs shown: of a note and another that may be heard, "
            "as a share of all; what a mask costs. Likeness shown: of the similarity above that of the least alike offset, the "
            "share that lies at offsets the mask shows. Per pair: the one divided by the other; a mask is worth having above 1, "
            "which is what showing everything gives. Heard: of offsets 0 to 32, through so many layers, in one's own part and "
            "in others."
        ),
        table(head, rows, caption="Masks side by side; budget, window and random cost what the seed rule's mask costs"),
        paragraph("With the work of the planned computation and the blocks it touches: ", code("meloctl mask compare")),
    )


def _comparing(facts: Facts) -> list[Html]:
    if facts.sources.curves is None:
        return []
    command = f"meloctl mask compare --table {shlex.quote(str(facts.sources.table_path))} --corpus FOLDER"
    return [paragraph("This command compares them: ", code(command))]


def _no_mask(facts: Facts) -> list[Html]:
    if facts.sources.curves is None:
        return [
            paragraph(
                "No mask can be derived from this table: it takes pc-jaccard within a part and between two parts, from pieces "
                "with two pitched parts and two bars or more."
            )
        ]
    command = f"meloctl derive-mask --table {shlex.quote(str(facts.sources.table_path))}"
    return [paragraph("There is none of these numbers yet. This command derives one: ", code(command))]


def _legend(spec: MaskSpec) -> Html:
    kinds = [("same", "own part"), ("cross", "another part"), ("hidden", "hidden")]
    if spec.drums == "exempt":
        kinds.insert(2, ("drums", "drums and another part"))
    swatches = [tag("span", tag("span", class_=f"swatch cell {kind}"), f" {said}") for kind, said in kinds]
    return paragraph(*swatches, class_="legend")


def _heard_heads() -> list[str]:
    return [f"heard, {count(n, 'layer')}" for n in LAYERS]


def _row(name: str, cost: MaskCostRow) -> tuple[Content, ...]:
    per_pair = cost.similarity_recall / cost.density if cost.density else None
    heard = (f"{own:.0f} and {other:.0f}" for own, other in cost.reach)
    return name, number(cost.density), number(cost.similarity_recall), number(per_pair), *heard
