"""meloctl stats: the similarity of bars at each offset."""

from functools import partial
from typing import Annotated

import typer

from meloctl.cli.common import (
    Corpus,
    FixBars,
    Json,
    Meter,
    Pedal,
    Work,
    following,
    importing,
    outcome,
    report,
    run_once,
    workspace,
)

Processes = Annotated[
    int | None,
    typer.Option(
        "--processes", help="Number of worker processes (default: one per core).", show_default=False, min=1, max=1024
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="Address of a Dask scheduler whose workers to use instead, such as tcp://HOST:8786; they must see the same files.",
        show_default=False,
    ),
]


def stats(
    corpus: Corpus,
    meter: Meter = None,
    pedal: Pedal = False,
    fix_bars: FixBars = False,
    processes: Processes = None,
    cluster: Cluster = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Measure the similarity of bars at each offset, within a part and across parts, and test it against chance.

    Example: meloctl stats corpus/
    """
    with importing():
        from analysis.passed_over import passed_over, passed_over_line
        from analysis.reading import Reading
        from meloctl.stats.session import StatsOptions, plan_stats, write_statistics

    reading = Reading.of(meter, pedal=pedal, fix_bars=fix_bars)
    plan = plan_stats(StatsOptions(corpus=corpus, reading=reading, processes=processes, cluster=cluster))

    run = run_once(workspace(work), plan.recipe, partial(write_statistics, plan))
    lines, table = (run.manifest_value("results", key) for key in ("lines", "table"))
    other = [line] if (line := passed_over_line(passed_over(corpus))) else []
    report([*lines[:1], *other, *lines[1:], outcome(run), following("derive-mask", work=work)], table, as_json=as_json)
