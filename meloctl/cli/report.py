"""meloctl report: everything that was found, on one page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meloctl.cli.common import Json, Work, page_name, progress, workspace
from meloctl.cli.common import report as tell

if TYPE_CHECKING:
    from meloctl.masking.costed_corpus import CostedCorpus
    from meloctl.report.sources import Sources


def report(
    stats: Annotated[
        Path | None,
        typer.Option(
            "--stats",
            help="A folder that meloctl stats wrote, or a table of offsets (default: the latest).",
            show_default=False,
        ),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            "--mask", help="A mask file (default: the latest, if it is of these numbers).", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write a copy of the page here, a .html file.", show_default=False),
    ] = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Write everything that was found as one HTML file: the verdict, curves, period, instruments, mask and method.

    Example: meloctl report

    Example: meloctl report --out band.html
    """
    from meloctl.report.mask_costs import PIECES
    from meloctl.report.session import PAGE, copy_page, plan_report, write_report
    from meloctl.report.sources import gather

    page_name(out)
    space = workspace(work)
    sources = gather(space, stats=stats, mask=mask)
    counted, why_not = _corpus(sources)
    plan = plan_report(sources, corpus=counted.to_json() if counted else None, no_comparison=why_not)
    path = space.folder(plan.recipe) / PAGE
    run = space.finished(plan.recipe)
    if not run:
        with progress() as reporter:
            rows = counted.read(PIECES, progress=reporter) if counted else None
        run = write_report(space, plan, rows)
        said = f"Wrote {path}"
    else:
        said = f"Unchanged since {run.time}, nothing redone: {path}"
    lines = [
        run.manifest_value("results", "headline"),
        *(f"  {line}" for line in run.manifest_value("results", "verdict")),
        said,
    ]
    if out is not None:
        copy_page(path, out)
        lines.append(f"Wrote {out}")
    shown = out or path
    data = {"path": str(shown), "headline": lines[0], "verdict": run.manifest_value("results", "verdict")}
    tell([*lines, f"Open it in a browser: {shown.resolve().as_uri()}"], data, as_json=as_json)


def _corpus(sources: "Sources") -> "tuple[CostedCorpus | None, str | None]":
    """The corpus on whose pieces masks are costed, or why there is none."""
    from analysis.errors import MeloError
    from meloctl.masking.costed_corpus import costed_corpus

    if sources.curves is None:
        return None, "the table lacks pc-jaccard within a part or between two parts"
    if sources.manifest is None:
        return None, "the table stands alone, without the files that were measured"
    try:
        return costed_corpus(sources.table_path, None), None
    except MeloError:
        return None, f"the files that were measured, {sources.table.corpus}, are gone"
