"""The section on the method: definitions, command lines, and the origin of every number (files, hashes, versions, dates)."""

import shlex
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from analysis.reading import Reading
from analysis.similarity import MEASURES
from meloctl import __version__
from meloctl.formatting import count
from meloctl.html.blocks import code, items, paragraph, section, table
from meloctl.html.markup import Html, tag
from meloctl.report.report_facts import ReportFacts
from meloctl.report.sources import ReportSources

_TERMS = {
    "Part, cell, offset": "A part is one instrument's line in one piece. A cell is one part's notes in one bar; an empty one is "
    "compared with nothing. Offset k is the bar k before a bar, offset 0 the bar itself.",
    "Own part, other parts": "Own part compares two bars of one part. Other parts compares bar b of one part with bar b − k of "
    "another, in both directions; in the same bar each pair of parts counts once.",
    "All pairs, mean of pieces": "The mean over all pairs lets long pieces weigh more; the mean of the pieces' own means lets "
    "every piece weigh the same.",
    "95 % interval": "A thousand corpora were sampled from these pieces with replacement; 95 % of their means lie inside. It "
    "shows how far the number would move with other pieces of the kind.",
    "Chance": "The bars of each part were shuffled inside their piece and measured again. What is left is how alike bars are "
    "that merely belong to one piece.",
    "Peak, effect size, p": "The height of a peak is its similarity less the mean of its two neighbours'. Effect size is the "
    "height in standard deviations over pieces. p is the share of shuffled corpora with a peak as certain anywhere in the curve.",
}


_ORIGIN = "Where the numbers come from"


def method_section(facts: ReportFacts) -> Html:
    """Definitions of measures and terms, the commands, and the origin of every number."""
    sources = facts.sources
    measures = [
        [tag("dt", f"{m.title} ", code(m.name)), tag("dd", m.definition)]
        for m in MEASURES
        if m.name in sources.table.measures
    ]
    terms = [*measures, *([tag("dt", term), tag("dd", meaning)] for term, meaning in _TERMS.items())]
    return section(
        "method",
        "How this was measured",
        tag("dl", *terms),
        _shuffles(sources),
        tag("h3", "Commands"),
        items([code(line) for line in _commands(sources)]),
        tag("h3", _ORIGIN),
        table(["What", "which"], list(_origin(sources).items()), caption=_ORIGIN, words=2, headed=True),
    )


def _shuffles(sources: ReportSources) -> Html | None:
    shuffled, shuffles_of_each = sources.table.shuffled_pieces, sources.table.shuffles_of_each
    if not shuffled or not shuffles_of_each:
        return None
    return paragraph(f"For chance, {count(shuffled, 'piece')} were shuffled {count(shuffles_of_each, 'time')} each.")


def _commands(sources: ReportSources) -> list[str]:
    lines = []
    if sources.manifest:
        options = Reading.from_json(sources.manifest["options"], where="manifest").to_json()
        lines.append(_command("meloctl stats", [sources.table.corpus or "FOLDER"], options))
    if sources.mask_manifest:
        lines.append(_command("meloctl derive-mask", [], sources.mask_manifest["options"]))
    shown = {"stats": sources.table_path, "mask": sources.mask_path}
    return [*lines, _command("meloctl report", [], shown)]


def _command(name: str, arguments: Sequence[str], options: Mapping[str, Any]) -> str:
    """A command line, quoted for a shell; options of None and False are left out."""
    given = [
        (f"--{key.replace('_', '-')}", *(() if value is True else [str(value)]))
        for key, value in options.items()
        if value is not None and value is not False
    ]
    return " ".join([name, *map(shlex.quote, [*arguments, *chain.from_iterable(given)])])


def _origin(sources: ReportSources) -> dict[str, str]:
    table, manifest, mask = sources.table, sources.manifest or {}, sources.mask
    versions = manifest.get("versions", {})
    origin = {
        "Corpus": table.corpus,
        "Fingerprint of its files": table.fingerprint,
        "Table": str(sources.table_path),
        "Hash of its numbers": sources.curves.table_hash if sources.curves else None,
        "Measured at": manifest.get("time"),
        "Measured with": ", ".join(f"{name} {version}" for name, version in versions.items()) or None,
        "Mask": str(sources.mask_path) if sources.mask_path else None,
        "Mask derived from": str(mask.source.get("table", "")) or None if mask else None,
        "Mask derived at": (sources.mask_manifest or {}).get("time"),
        "Corpus check": str(sources.check_path) if sources.check_path else None,
        "Report written by": f"meloctl {__version__}",
    }
    return {what: str(which) for what, which in origin.items() if which is not None}
