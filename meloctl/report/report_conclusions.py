"""The conclusions: the results in a few sentences that a musician understands, most important first."""

from dataclasses import dataclass

from analysis.similarity import MEASURES, ONSET_JACCARD
from masks.cost.compare_masks import NO_SAVING
from masks.describe import format_offsets
from masks.spec import MOST_OFFSET, MaskSpec
from meloctl.formatting import count, count_range, interval, listed, number, one_decimal, percent, whole
from meloctl.report.mask_costs import MaskCostRow, RuleComparison
from meloctl.report.report_facts import ReportFacts
from meloctl.report.report_table import Point, ReportCurve, ReportTable
from meloctl.report.report_text import caution, p_equals, title_of, why_none

_PLAIN = 0.5
"""A period of a smaller effect size is called faint: half of a standard deviation is a medium one (Cohen 1988, section 2.2)."""

_LIKE_COST = 0.1
"""Masks whose costs differ by a smaller share count as equal in cost."""


@dataclass(frozen=True, kw_only=True)
class Conclusions:
    """The top of the page."""

    headline: str
    lines: tuple[tuple[str, str], ...]
    """(subject, sentence)"""

    figures: tuple[tuple[str, str], ...]
    """(number, its meaning)"""

    def as_text(self) -> list[str]:
        """The lines for a terminal."""
        return [f"{subject}: {sentence}" for subject, sentence in self.lines]


def conclusions_of(facts: ReportFacts) -> Conclusions:
    """Draw the conclusions from the facts of a report."""
    table = facts.table
    lines = (
        ("Period", _period(table)),
        ("Rhythm", _rhythm(table)),
        ("Own part against other parts", _parts(table)),
        ("Mask", _mask(facts)),
        ("Corpus", _corpus(facts)),
        ("Caution", caution(table)),
    )
    return Conclusions(
        headline=_headline(table),
        lines=tuple((subject, sentence) for subject, sentence in lines if sentence),
        figures=tuple(_figures(facts)),
    )


def lead_offset(table: ReportTable) -> int:
    """The offset at which own part and other parts are compared: the period, else the most similar one of the own part."""
    curve = _lead(table)
    return curve.period or _highest(curve).offset


def mask_in_words(spec: MaskSpec) -> str:
    """What a mask shows, after "a bar attends"."""
    own = "to its own part in this bar alone"
    if spec.same == "full":
        own = "to the whole past of its own part"
    elif spec.same:
        own = f"to its own part {format_offsets(spec.same)} {'bar' if spec.same == (1,) else 'bars'} back"
    if spec.near >= MOST_OFFSET:
        return f"{own}, and to the whole past of all other parts"
    others = ["in the same bar", *([f"up to {count(spec.near, 'bar')} back"] if spec.near else [])]
    others += [f"{format_offsets(spec.far)} back"] if spec.far else []
    drums = "; between drums and other parts nothing is hidden" if spec.drums == "exempt" else ""
    summaries = "; of every other bar it attends to a summary" if spec.summaries else ""
    return f"{own}; to other parts {listed(others)}{drums}{summaries}"


def _lead(table: ReportTable) -> ReportCurve:
    """The curve that the conclusions are about: the own part's, if it was measured."""
    return table.curve(table.lead, "same") or table.curves[table.lead, "cross"]


def _highest(curve: ReportCurve) -> Point:
    return max(curve.points, key=lambda p: (p.mean, -p.offset))


def _headline(table: ReportTable) -> str:
    curve = _lead(table)
    if curve.period:
        peak = next(p for p in curve.peaks if p.offset == curve.period)
        every = f"every {count(curve.period, 'bar')}"
        return (
            f"The music comes round {every}"
            if peak.effect >= _PLAIN or peak.pieces == 1
            else f"The music comes round faintly, {every}"
        )
    if curve.peaks:
        return "No period stands out"
    return f"Bars are most alike {_back(_highest(curve).offset)}"


def _corpus(facts: ReportFacts) -> str:
    table, sizes = facts.table, facts.sizes
    if table.pieces is None:
        return "how many pieces were measured is not recorded."
    line = count(table.pieces, "piece")
    if sizes:
        parts = sizes.parts
        line += (
            f", {count(int(sizes.notes.total), 'note')} in {count(int(sizes.bars.total), 'bar')}, "
            f"{count_range(int(parts.least), int(parts.most), 'part')} a piece"
        )
    skipped = len(table.skipped)
    return f"{line}. " + (f"{count(skipped, 'file')} could not be read." if skipped else "No file was skipped.")


def _period(table: ReportTable) -> str:
    curve = _lead(table)
    what = f"{title_of(curve.measure).lower()}, {'own part' if curve.relation == 'same' else 'other parts'}"
    if not curve.peaks:
        best = _highest(curve)
        return (
            f"not tested, so it is not known. The highest point of the curve ({what}) lies {_back(best.offset)}, at "
            f"{number(best.mean)}."
        )
    if curve.period is None:
        return f"none was found ({what}). {why_none(curve)}".rstrip()
    peak = next(p for p in curve.peaks if p.offset == curve.period)
    k = peak.offset
    spread = (
        f"{interval(peak.interval)}, 95 % over pieces; effect size {one_decimal(peak.effect)}; "
        if peak.pieces > 1
        else ""
    )
    return (
        f"a bar is more like the one {k} before it than like those {k - 1} and {k + 1} before it, by {number(peak.height)} "
        f"({spread}{what}). Shuffled bars rarely show so clear a peak: "
        f"{p_equals(peak.p)}.{_between_parts(table, curve, peak.height)}"
    )


def _between_parts(table: ReportTable, own: ReportCurve, height: float) -> str:
    other = table.curve(own.measure, "cross") if own.relation == "same" else None
    if other is None or not other.peaks:
        return ""
    if other.period is None:
        return " Between different parts no period was found."
    theirs = next(p.height for p in other.peaks if p.offset == other.period)
    same = "the same" if other.period == own.period else count(other.period, "bar")
    return (
        f" Between different parts the period is {same}{', and weaker' if theirs < height else ''} ({number(theirs)})."
    )


def _rhythm(table: ReportTable) -> str | None:
    """A sentence where the period of rhythm is another than that of pitch; else None."""
    lead = _lead(table)
    rhythm = table.curve(ONSET_JACCARD.name, lead.relation)
    if rhythm is None or rhythm is lead or not rhythm.peaks or rhythm.period == lead.period:
        return None
    if rhythm.period is None:
        return "in onsets alone, drums too, no period was found."
    return f"in onsets alone, drums too, the period is {count(rhythm.period, 'bar')}."


def _parts(table: ReportTable) -> str:
    own, other = (table.curve(table.lead, relation) for relation in ("same", "cross"))
    if own is None or other is None:
        missing = "two different parts" if other is None else "two bars of one part"
        return f"no piece has {missing} that could be compared, so there is nothing to say."
    k = lead_offset(table)
    mine, theirs, now = own.at(k), other.at(k), other.at(0)
    if mine is None or theirs is None:
        return f"they were not both measured {_back(k)}."
    shared = next((m.shared for m in MEASURES if m.name == table.lead), None)
    values = (
        f"{number(mine.mean)} {f'{shared} ' if shared else ''}with its own part and {number(theirs.mean)} with another"
    )
    line = f"{_back(k)}, a bar {'shares' if shared else 'has a similarity of'} {values}"
    if mine.chance is not None and theirs.chance is not None:
        line += f" (by chance {number(mine.chance)} and {number(theirs.chance)})"
    return f"{line}." + (f" In the same bar, two parts share {number(now.mean)}." if now and shared else "")


def _mask(facts: ReportFacts) -> str | None:
    spec, comparison = facts.sources.mask, facts.comparison
    if spec is None:
        return None
    line = f"a bar attends {mask_in_words(spec)}."
    if comparison is None or comparison.mask is None or comparison.planned is None:
        return line
    return f"{line} {_cost(comparison, comparison.mask, comparison.planned)}"


def _cost(comparison: RuleComparison, mask: MaskCostRow, planned: float) -> str:
    line = (
        f"That is {percent(mask.density)} of the pairs that full attention computes, and it shows "
        f"{percent(mask.similarity_recall)} of the measured similarity"
    )
    chance = next((r for r in comparison.rules if r.name == "random"), None)
    if chance and abs(chance.density - mask.density) <= _LIKE_COST * mask.density:
        line += f" (random offsets of the same cost: {percent(chance.similarity_recall)})"
    short = ": on pieces as short as these it saves nothing" if planned >= NO_SAVING else ""
    return f"{line}. As planned, it takes {percent(planned)} of full attention's work{short}."


def _figures(facts: ReportFacts) -> list[tuple[str, str]]:
    table, curve, found = facts.table, _lead(facts.table), []
    if curve.peaks:
        period = count(curve.period, "bar") if curve.period else "none"
        found.append((period, f"period, {title_of(curve.measure).lower()}"))
    k = lead_offset(table)
    own, other = (table.curve(table.lead, r) for r in ("same", "cross"))
    mine, theirs = own.at(k) if own else None, other.at(k) if other else None
    if mine and theirs:
        found.append((f"{number(mine.mean)} : {number(theirs.mean)}", f"alike {_back(k)}, own part : other parts"))
    if facts.comparison and facts.comparison.mask:
        mask = facts.comparison.mask
        found.append(
            (
                percent(mask.density),
                f"of full attention shown, with {percent(mask.similarity_recall)} of the similarity",
            )
        )
    if table.pieces is not None:
        found.append((whole(table.pieces), "piece measured" if table.pieces == 1 else "pieces measured"))
    return found


def _back(offset: int) -> str:
    return f"{count(offset, 'bar')} back" if offset else "in the same bar"
