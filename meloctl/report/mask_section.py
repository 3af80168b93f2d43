"""The sections on the mask: its reasons, its charts, its cost, and the masks of other rules."""

import shlex

from masks.cost.compare_masks import LAYERS
from masks.spec import MaskSpec
from meloctl.formatting import count, number
from meloctl.html.blocks import code, figure, items, paragraph, section, table
from meloctl.html.markup import Content, Html, tag
from meloctl.report.mask_chart import band_chart, prior_chart
from meloctl.report.mask_costs import MaskCostRow
from meloctl.report.report_conclusions import mask_in_words
from meloctl.report.report_facts import ReportFacts

_RULES = {
    "seed": "seed: from these curves",
    "budget": "budget: the best offsets for their cost",
    "museformer": "Museformer's offsets",
    "window": "window: the last bars",
    "random": "random: sampled offsets, mean of five",
    "causal": "causal: everything",
}


def mask_section(facts: ReportFacts) -> Html:
    """The mask with its reasons and charts; without one, how to derive it."""
    spec = facts.sources.mask
    if spec is None:
        return section("mask", "The mask", *_no_mask(facts))
    priors = prior_chart(spec)
    return section(
        "mask",
        "The mask",
        paragraph(f"A bar attends {mask_in_words(spec)}."),
        tag("h3", "Why"),
        items(spec.reasons) if spec.reasons else paragraph("It records no reasons."),
        tag("h3", "Drawn"),
        _legend(spec),
        tag(
            "div",
            figure(band_chart(spec), "Which bar attends to which, in a band of three parts", readout=False),
            figure(priors, "Measured similarity, and what the mask shows of it") if priors else None,
            class_="charts",
        ),
    )


def rules_section(facts: ReportFacts) -> Html:
    """A table of the mask and of every rule's."""
    found = facts.comparison
    if found is None:
        return section(
            "rules",
            "Other masks",
            paragraph(f"The rules were not compared: {facts.why_no_comparison or 'nothing to compare them on'}."),
            *_how_to_compare(facts),
        )
    head = [
        "Mask",
        "pairs shown",
        "similarity shown",
        "similarity per pair",
        *(f"reach, {count(n, 'layer')}" for n in LAYERS),
    ]
    rows = [_row(_RULES.get(cost.name, cost.name), cost) for cost in found.rules]
    if found.mask:
        rows.insert(0, _row("this mask", found.mask))
    return section(
        "rules",
        "Other masks",
        paragraph(
            f"Counted on {count(found.pieces, 'piece')} of the corpus. Pairs shown: of a note and one that it may attend to, "
            "as a share of all such pairs; this is the cost of a mask. Similarity shown: of the similarity above that of the "
            "least similar offset, the share that lies at offsets the mask shows. Per pair: the one divided by the other; it is "
            "1 where everything is shown, and a mask pays above that. Reach: how many of the offsets 0 to 32 a note receives "
            "information from through so many layers, in its own part and in others."
        ),
        table(head, rows, caption="Masks side by side; budget, window and random cost what the seed rule's mask costs"),
        paragraph("With the work of the planned computation and the blocks it touches: ", code("meloctl mask compare")),
    )


def _how_to_compare(facts: ReportFacts) -> list[Html]:
    if facts.sources.curves is None:
        return []
    command = f"meloctl mask compare --table {shlex.quote(str(facts.sources.table_path))} --corpus FOLDER"
    return [paragraph("This command compares them: ", code(command))]


def _no_mask(facts: ReportFacts) -> list[Html]:
    if facts.sources.curves is None:
        return [
            paragraph(
                "No mask can be derived from this table: it takes pc-jaccard within a part and between two parts, from pieces "
                "with two pitched parts and two bars or more."
            )
        ]
    command = f"meloctl derive-mask --table {shlex.quote(str(facts.sources.table_path))}"
    return [paragraph("None was derived from these numbers yet. This command derives one: ", code(command))]


def _legend(spec: MaskSpec) -> Html:
    kinds = [("same", "own part"), ("cross", "another part"), ("hidden", "hidden")]
    if spec.drums == "exempt":
        kinds.insert(2, ("drums", "drums and another part"))
    swatches = [tag("span", tag("span", class_=f"swatch cell {kind}"), f" {text}") for kind, text in kinds]
    return paragraph(*swatches, class_="legend")


def _row(name: str, cost: MaskCostRow) -> tuple[Content, ...]:
    per_pair = cost.similarity_recall / cost.density if cost.density else None
    reach = (f"{own:.0f} and {other:.0f}" for own, other in cost.reach)
    return name, number(cost.density), number(cost.similarity_recall), number(per_pair), *reach
