"""The page: one HTML file that needs nothing else, on any screen, on paper, in a light and a dark room."""

from meloctl.formatting import capitalised
from meloctl.html.blocks import items, paragraph
from meloctl.html.document import chart_document
from meloctl.html.markup import Html, tag
from meloctl.report.corpus_section import corpus_section
from meloctl.report.mask_section import mask_section, rules_section
from meloctl.report.method_section import method_section
from meloctl.report.report_conclusions import Verdict
from meloctl.report.report_facts import Facts
from meloctl.report.similarity_section import curves_section, families_section, period_section

_CONTENTS = (
    ("corpus", "Corpus"),
    ("curves", "Curves"),
    ("period", "Period"),
    ("families", "Instruments"),
    ("mask", "Mask"),
    ("rules", "Other masks"),
    ("method", "Method"),
)


def page(facts: Facts, verdict: Verdict) -> str:
    """The whole document."""
    main = tag(
        "main",
        corpus_section(facts),
        curves_section(facts),
        period_section(facts),
        families_section(facts),
        mask_section(facts),
        rules_section(facts),
        method_section(facts),
    )
    return chart_document(f"{facts.sources.name}: how alike its bars are", _top(facts, verdict), main)


def _top(facts: Facts, verdict: Verdict) -> Html:
    figures = [tag("div", tag("dt", what), tag("dd", said)) for said, what in verdict.figures]
    links = [tag("a", title, href=f"#{name}") for name, title in _CONTENTS]
    notes = facts.sources.notes
    return tag(
        "header",
        paragraph("meloctl report", class_="kicker"),
        tag("h1", tag("span", facts.sources.name, class_="corpus"), " ", tag("span", verdict.headline)),
        tag("dl", *figures, class_="figures") if figures else None,
        items([tag("strong", about), " ", tag("span", capitalised(found))] for about, found in verdict.lines),
        tag("div", *(paragraph(note) for note in notes), class_="notes", role="note") if notes else None,
        tag("nav", *([link, " "] for link in links), aria_label="Contents"),
    )
