"""All facts of a report, read and computed once; the sections only put them into words and charts."""

from dataclasses import dataclass

from analysis.errors import MeloError
from analysis.family_map import FamilyMap
from masks.cost.row_pairs import PieceRows
from meloctl.report.corpus_facts import CheckResult, CorpusSizes, SkipReason, group_by_reason, read_check, read_sizes
from meloctl.report.family_maps import read_families
from meloctl.report.mask_costs import RuleComparison, compare_costs
from meloctl.report.report_table import ReportTable
from meloctl.report.sources import ReportSources


@dataclass(frozen=True, kw_only=True)
class ReportFacts:
    """What is known; None where its file is missing."""

    sources: ReportSources
    sizes: CorpusSizes | None
    families: dict[str, FamilyMap]
    skipped: list[SkipReason]
    check: CheckResult | None
    comparison: RuleComparison | None
    why_no_comparison: str | None
    """Why the rules are not compared, if they are not."""

    @property
    def table(self) -> ReportTable:
        """The table of offsets."""
        return self.sources.table


def read_facts(sources: ReportSources, pieces: list[PieceRows] | None, why_no_comparison: str | None) -> ReportFacts:
    """Read the files of the sources and compare the rules on pieces of the corpus.

    Args:
        sources: the files.
        pieces: on which masks are costed; None leaves the comparison out.
        why_no_comparison: why, if so.

    Raises:
        MeloError: a file is damaged.
    """
    files = sources.stats_files
    comparison = None
    if pieces and sources.curves:
        try:
            comparison = compare_costs(sources.mask, sources.curves, pieces)
        except MeloError as error:  # curves of one offset, say, from which no rule makes a mask
            why_no_comparison = str(error)
    return ReportFacts(
        sources=sources,
        sizes=read_sizes(files["pieces.parquet"]) if "pieces.parquet" in files else None,
        families=read_families(files["families.csv"]) if "families.csv" in files else {},
        skipped=group_by_reason(sources.table.skipped),
        check=read_check(sources.check_path) if sources.check_path else None,
        comparison=comparison,
        why_no_comparison=why_no_comparison,
    )
