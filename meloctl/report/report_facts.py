"""Everything that a report says, read and reckoned once; the sections only put it into words and pictures."""

from dataclasses import dataclass

from analysis.errors import MeloError
from masks.cost.row_pairs import PieceRows
from meloctl.report.corpus_facts import CheckFound, Reason, Sizes, by_reason, read_check, read_sizes
from meloctl.report.family_maps import FamilyMap, read_families
from meloctl.report.mask_costs import Comparison, compare_costs
from meloctl.report.report_table import Table
from meloctl.report.sources import Sources


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known; None where its file is missing."""

    sources: Sources
    sizes: Sizes | None
    families: dict[str, FamilyMap]
    skipped: list[Reason]
    check: CheckFound | None
    comparison: Comparison | None
    no_comparison: str | None
    """Why the rules are not compared."""

    @property
    def table(self) -> Table:
        """The numbers."""
        return self.sources.table


def facts_of(sources: Sources, pieces: list[PieceRows] | None, no_comparison: str | None) -> Facts:
    """Read what the sources name.

    Args:
        sources: the files.
        pieces: of the corpus, on which masks are costed; None leaves the comparison out.
        no_comparison: why, if so.

    Raises:
        MeloError: a file is damaged.
    """
    beside = sources.beside
    comparison = None
    if pieces and sources.curves:
        try:
            comparison = compare_costs(sources.mask, sources.curves, pieces)
        except MeloError as error:  # curves of one offset, say, from which no rule makes a mask
            no_comparison = str(error)
    return Facts(
        sources=sources,
        sizes=read_sizes(beside["pieces.parquet"]) if "pieces.parquet" in beside else None,
        families=read_families(beside["families.csv"]) if "families.csv" in beside else {},
        skipped=by_reason(sources.table.skipped),
        check=read_check(sources.check_path) if sources.check_path else None,
        comparison=comparison,
        no_comparison=no_comparison,
    )
