"""The section on the corpus: sizes of its pieces, skipped files by reason, findings of the corpus check."""

from collections.abc import Sequence
from pathlib import Path

from meloctl.formatting import count, examples, one_decimal, whole
from meloctl.html.blocks import code, details, items, paragraph, section, table
from meloctl.html.markup import Content, Html, tag
from meloctl.report.corpus_facts import CheckFinding, CheckResult, CorpusSizes, SkipReason, Spread
from meloctl.report.report_facts import ReportFacts

_MOST_NAMED = 200
"""Files of one reason that are named; skipped.csv has all."""


def corpus_section(facts: ReportFacts) -> Html:
    """The section, as far as the facts are known."""
    return section(
        "corpus",
        "The corpus",
        _sizes(facts.sizes) if facts.sizes else paragraph("Its pieces are not recorded beside the table."),
        _not_compared(facts),
        *_skipped(facts.skipped),
        *_check(facts),
    )


def _sizes(sizes: CorpusSizes) -> Html:
    minutes = [v / 60 for v in (sizes.seconds.least, sizes.seconds.median, sizes.seconds.most)]
    rows = [
        ("Notes", *_cells(sizes.notes)),
        ("Bars", *_cells(sizes.bars)),
        ("Parts", *_cells(sizes.parts)),
        ("Minutes", *map(one_decimal, minutes), whole(sizes.seconds.total / 60)),
    ]
    drums = (
        f"all {whole(sizes.pieces)}"
        if sizes.with_drums == sizes.pieces
        else f"{whole(sizes.with_drums)} of {whole(sizes.pieces)}"
    )
    return tag(
        "div",
        table(["A piece has", "least", "median", "most", "together"], rows, caption="Sizes of the pieces"),
        paragraph(f"Drums play in {drums} pieces." if sizes.pieces > 1 else None),
    )


def _cells(spread: Spread) -> tuple[str, str, str, str]:
    median = one_decimal(spread.median).removesuffix(".0")
    return whole(spread.least), median, whole(spread.most), whole(spread.total)


def _not_compared(facts: ReportFacts) -> Html | None:
    pieces, sizes = facts.table.pieces, facts.sizes
    if pieces is None or sizes is None or pieces <= sizes.pieces:
        return None
    left = pieces - sizes.pieces
    return paragraph(
        f"{count(left, 'more piece was', 'more pieces were')} read, too short for two bars of a part, or two parts of a bar, "
        "to be compared."
    )


def _skipped(reasons: Sequence[SkipReason]) -> list[Html]:
    if not reasons:
        return []
    files = sum(len(r.paths) for r in reasons)
    named = [tag("div", paragraph(r.text), items(_paths(r.paths))) for r in reasons]
    return [
        tag("h3", f"Skipped: {count(files, 'file')}"),
        items(
            [
                [tag("strong", count(len(r.paths), "file")), f": {r.text}", _example_line(r.paths, len(r.paths))]
                for r in reasons
            ]
        ),
        details("Their names", *named),
    ]


def _paths(paths: Sequence[str]) -> list[Content]:
    more = len(paths) - _MOST_NAMED
    return [*paths[:_MOST_NAMED], *([f"and {whole(more)} more, all in skipped.csv"] if more > 0 else [])]


def _check(facts: ReportFacts) -> list[Content]:
    found: CheckResult | None = facts.check
    if found is None:
        folder = facts.table.corpus or "FOLDER"
        command = code(f"meloctl corpus check {folder}")
        return [paragraph("This command reports what in these files would hurt training: ", command)]
    kinds = (("To fix before training", True), ("Good to know", False))
    chosen = [(title, [f for f in found.findings if f.fix is fix]) for title, fix in kinds]
    return [
        tag("h3", "Checked for training"),
        paragraph(found.summary + "."),
        paragraph(found.passed_over + "." if found.passed_over else None),
        *(
            [tag("p", title, class_="caption"), items(map(_finding, findings))]
            for title, findings in chosen
            if findings
        ),
    ]


def _finding(finding: CheckFinding) -> list[Content]:
    example_line = _example_line(finding.examples, finding.files)
    return [tag("strong", count(finding.files, "file")), f": {finding.what}. → {finding.advice}.", example_line]


def _example_line(paths: Sequence[str], of: int) -> Html | None:
    """Names of the first of `of` files; None where no path is known."""
    names = (Path(p).name for p in paths)
    return tag("span", examples(names, of=of), class_="examples") if paths else None
