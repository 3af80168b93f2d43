"""The section on the corpus: its sizes, what was skipped and why, what the corpus check found."""

from collections.abc import Sequence
from pathlib import Path

from meloctl.formatting import count, whole
from meloctl.html.blocks import code, details, items, paragraph, section, table
from meloctl.html.markup import Content, Html, tag
from meloctl.report.corpus_facts import CheckFinding, CheckFound, Reason, Sizes, Spread
from meloctl.report.report_facts import Facts

_EXAMPLES = 3
_MOST_NAMED = 200
"""Files of one reason that are named; the rest is in skipped.csv."""


def corpus_section(facts: Facts) -> Html:
    """Pieces, notes, bars, parts; skipped files; findings."""
    return section(
        "corpus",
        "The corpus",
        _sizes(facts.sizes) if facts.sizes else paragraph("Its pieces are not recorded beside the table."),
        _not_compared(facts),
        *_skipped(facts.skipped),
        *_check(facts),
    )


def _sizes(sizes: Sizes) -> Html:
    minutes = [v / 60 for v in (sizes.seconds.least, sizes.seconds.median, sizes.seconds.most)]
    rows = [
        ("Notes", *_of(sizes.notes)),
        ("Bars", *_of(sizes.bars)),
        ("Parts", *_of(sizes.parts)),
        ("Minutes", *(f"{m:,.1f}" for m in minutes), f"{sizes.seconds.total / 60:,.0f}"),
    ]
    drums = (
        f"all {whole(sizes.pieces)}"
        if sizes.with_drums == sizes.pieces
        else f"{sizes.with_drums:,} of {sizes.pieces:,}"
    )
    return tag(
        "div",
        table(["A piece has", "least", "median", "most", "together"], rows, caption="Sizes of the pieces"),
        paragraph(f"Drums play in {drums} pieces." if sizes.pieces > 1 else None),
    )


def _of(spread: Spread) -> tuple[str, str, str, str]:
    median = f"{spread.median:,.1f}".removesuffix(".0")
    return whole(int(spread.least)), median, whole(int(spread.most)), whole(int(spread.total))


def _not_compared(facts: Facts) -> Html | None:
    pieces, sizes = facts.table.pieces, facts.sizes
    if pieces is None or sizes is None or pieces <= sizes.pieces:
        return None
    left = pieces - sizes.pieces
    return paragraph(
        f"{count(left, 'more piece was', 'more pieces were')} read, too short for two bars of a part, or two parts of a bar, "
        "to be compared."
    )


def _skipped(reasons: Sequence[Reason]) -> list[Html]:
    if not reasons:
        return []
    files = sum(len(r.paths) for r in reasons)
    named = [tag("div", paragraph(r.said), items(_paths(r.paths))) for r in reasons]
    return [
        tag("h3", f"Skipped: {count(files, 'file')}"),
        items(
            [[tag("strong", count(len(r.paths), "file")), f": {r.said}", _examples(_names(r.paths))] for r in reasons]
        ),
        details("Their names", *named),
    ]


def _paths(paths: Sequence[str]) -> list[Content]:
    more = len(paths) - _MOST_NAMED
    return [*paths[:_MOST_NAMED], *([f"and {more:,} more, all in skipped.csv"] if more > 0 else [])]


def _names(paths: Sequence[str], count: int | None = None) -> str:
    more = (count or len(paths)) > _EXAMPLES
    return ", ".join(Path(p).name for p in paths[:_EXAMPLES]) + (", …" if more else "")


def _check(facts: Facts) -> list[Content]:
    found: CheckFound | None = facts.check
    if found is None:
        folder = facts.table.corpus or "FOLDER"
        said = paragraph(
            "What in these files would hurt training, this command says: ", code(f"meloctl corpus check {folder}")
        )
        return [said]
    kinds = (("To mend before training", True), ("Good to know", False))
    chosen = [(title, [f for f in found.findings if f.mend is mend]) for title, mend in kinds]
    return [
        tag("h3", "Checked for training"),
        paragraph(found.verdict + "."),
        *(
            [tag("p", title, class_="caption"), items(map(_finding, findings))]
            for title, findings in chosen
            if findings
        ),
    ]


def _finding(finding: CheckFinding) -> list[Content]:
    names = _names(finding.examples, finding.files)
    return [tag("strong", count(finding.files, "file")), f": {finding.what}. → {finding.advice}.", _examples(names)]


def _examples(names: str) -> Html | None:
    return tag("span", names, class_="examples") if names else None
