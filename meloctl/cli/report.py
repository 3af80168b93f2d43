"""meloctl report: all results on one HTML page."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from meloctl.cli.common import Json, Work, page_name, page_outcome, run_once, workspace
from meloctl.cli.common import report as print_result


def report(
    stats: Annotated[
        Path | None,
        typer.Option(
            "--stats",
            help="A run of meloctl stats, or an offsets.json file (default: the latest run).",
            show_default=False,
        ),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            "--mask",
            help="A mask file (default: the latest mask, if it was derived from the same table).",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Also write the page to this .html file.", show_default=False),
    ] = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Write all results as one HTML file: conclusions, curves, periods, instruments, mask and method.

    Example: meloctl report

    Example: meloctl report --out band.html
    """
    from meloctl.report.session import PAGE, plan_report, write_report

    page_name(out)
    space = workspace(work)
    plan = plan_report(space, stats=stats, mask=mask)
    run = run_once(space, plan.recipe, partial(write_report, plan))
    headline, conclusions = (run.manifest_value("results", key) for key in ("headline", "conclusions"))
    path, lines = page_outcome(run, PAGE, out)
    data = {"path": str(path), "headline": headline, "conclusions": conclusions}
    print_result([headline, *(f"  {line}" for line in conclusions), *lines], data, as_json=as_json)
