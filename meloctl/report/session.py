"""One `meloctl report`: from files of finished runs to a page."""

from dataclasses import dataclass, replace
from pathlib import Path

from analysis.atomic_write import atomic_write_text
from masks.cost.row_pairs import PieceRows
from meloctl.report.mask_costs import PIECES
from meloctl.report.report_conclusions import verdict_of
from meloctl.report.report_facts import facts_of
from meloctl.report.report_page import page
from meloctl.report.sources import Sources
from meloctl.workspace import Recipe, Run, Workspace

PAGE = "report.html"


@dataclass(frozen=True, kw_only=True)
class ReportPlan:
    """A report to be written."""

    sources: Sources
    recipe: Recipe
    no_comparison: str | None
    """Why the rules are not compared, if they are not."""


_CHANGED = (
    "The corpus has changed since it was measured, and masks are costed on what is there now. Run meloctl stats again."
)


def plan_report(sources: Sources, *, corpus: dict[str, str | None] | None, no_comparison: str | None) -> ReportPlan:
    """What `meloctl report` will do; nothing is written.

    Args:
        sources: the files.
        corpus: its path, fingerprint and meter, where masks are costed on it.
        no_comparison: why they are not.
    """
    if corpus and sources.table.fingerprint not in (None, corpus["fingerprint"]):
        sources = replace(sources, notes=(*sources.notes, _CHANGED))
    recipe = Recipe(
        stage="report",
        command="report",
        inputs={**sources.inputs(), "corpus": corpus, "no comparison": no_comparison},
        options={"pieces": PIECES},
        label=sources.name,
    )
    return ReportPlan(sources=sources, recipe=recipe, no_comparison=no_comparison)


def write_report(space: Workspace, plan: ReportPlan, pieces: list[PieceRows] | None) -> Run:
    """Write the page; `pieces` are those on which masks are costed. Raises MeloError when a file is damaged."""
    facts = facts_of(plan.sources, pieces, plan.no_comparison)
    verdict = verdict_of(facts)
    atomic_write_text(space.folder(plan.recipe) / PAGE, page(facts, verdict))
    return space.finish(plan.recipe, files=[PAGE], results={"headline": verdict.headline, "verdict": verdict.said()})


def copy_page(page_path: Path, out: Path) -> None:
    """A copy at another place, whole."""
    atomic_write_text(out, page_path.read_text(encoding="utf-8"))
