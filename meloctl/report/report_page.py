"""The page of a report: its top with the conclusions, then its sections."""

from meloctl.formatting import capitalised
from meloctl.html.blocks import items, paragraph
from meloctl.html.document import chart_document
from meloctl.html.markup import Html, tag
from meloctl.report.corpus_section import corpus_section
from meloctl.report.mask_section import mask_section, rules_section
from meloctl.report.method_section import method_section
from meloctl.report.report_conclusions import Conclusions
from meloctl.report.report_facts import ReportFacts
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


def report_page(facts: ReportFacts, conclusions: Conclusions) -> str:
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
    return chart_document(f"{facts.sources.name}: how alike its bars are", _top(facts, conclusions), main)


def _top(facts: ReportFacts, conclusions: Conclusions) -> Html:
    figures = [tag("div", tag("dt", what), tag("dd", value)) for value, what in conclusions.figures]
    links = [tag("a", title, href=f"#{name}") for name, title in _CONTENTS]
    notes = facts.sources.notes
    return tag(
        "header",
        paragraph("meloctl report", class_="kicker"),
        tag("h1", tag("span", facts.sources.name, class_="corpus"), " ", tag("span", conclusions.headline)),
        tag("dl", *figures, class_="figures") if figures else None,
        items([tag("strong", subject), " ", tag("span", capitalised(text))] for subject, text in conclusions.lines),
        tag("div", *(paragraph(note) for note in notes), class_="notes", role="note") if notes else None,
        tag("nav", *([link, " "] for link in links), aria_label="Contents"),
    )
