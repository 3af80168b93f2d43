"""One `meloctl report`: from files of finished runs to a page."""

from dataclasses import dataclass, replace
from pathlib import Path

from analysis.atomic_write import atomic_write_text
from analysis.errors import MeloError
from meloctl.masking.costed_corpus import CostedCorpus, costed_corpus
from meloctl.progress import ProgressReporter
from meloctl.report.mask_costs import PIECES
from meloctl.report.report_conclusions import conclusions_of
from meloctl.report.report_facts import read_facts
from meloctl.report.report_page import report_page
from meloctl.report.sources import ReportSources, find_sources
from meloctl.workspace import Recipe, RunOutput, Workspace

PAGE = "report.html"

_CHANGED = (
    "The corpus has changed since it was measured, and masks are costed on what is there now. Run meloctl stats again."
)


@dataclass(frozen=True, kw_only=True)
class ReportPlan:
    """A report to be written."""

    recipe: Recipe
    sources: ReportSources
    corpus: CostedCorpus | None
    """On pieces of it masks are costed."""

    why_no_comparison: str | None
    """Why the rules are not compared, if they are not."""


def plan_report(space: Workspace, *, stats: Path | None, mask: Path | None) -> ReportPlan:
    """Find what a report is made of; nothing is written.

    Args:
        space: the workspace.
        stats: a folder that `meloctl stats` wrote or a table file; None is the latest run.
        mask: a mask file; None is the latest mask, if it was derived from the same numbers.

    Raises:
        MeloError: no table, or one of the files is damaged.
    """
    sources = find_sources(space, stats=stats, mask=mask)
    corpus, why_not = _find_corpus(sources)
    if corpus and sources.table.fingerprint not in (None, corpus.fingerprint):
        sources = replace(sources, notes=(*sources.notes, _CHANGED))
    inputs = {**sources.inputs(), "corpus": corpus.to_json() if corpus else None, "no comparison": why_not}
    recipe = Recipe(stage="report", command="report", inputs=inputs, options={"pieces": PIECES}, label=sources.name)
    return ReportPlan(recipe=recipe, sources=sources, corpus=corpus, why_no_comparison=why_not)


def write_report(plan: ReportPlan, folder: Path, reporter: ProgressReporter) -> RunOutput:
    """Write the page into a folder; `reporter` gets one stage, the pieces on which masks are costed.

    Raises:
        MeloError: a file is damaged.
    """
    pieces = plan.corpus.read(PIECES, progress=reporter) if plan.corpus else None
    facts = read_facts(plan.sources, pieces, plan.why_no_comparison)
    conclusions = conclusions_of(facts)
    atomic_write_text(folder / PAGE, report_page(facts, conclusions))
    return RunOutput(files=[PAGE], results={"headline": conclusions.headline, "conclusions": conclusions.as_text()})


def _find_corpus(sources: ReportSources) -> tuple[CostedCorpus | None, str | None]:
    """The corpus that was measured, or why there is none to cost masks on."""
    if sources.curves is None:
        return None, "the table lacks pc-jaccard within a part or between two parts"
    if sources.manifest is None:
        return None, "the table stands alone, without the files that were measured"
    try:
        return costed_corpus(sources.table_path, None), None
    except MeloError:
        return None, f"the files that were measured, {sources.table.corpus}, are gone"
