"""meloctl stats: how alike bars are at each offset."""

from typing import Annotated

import typer

from meloctl.cli.common import Corpus, Json, Meter, Work, following, progress, report, workspace, wrote

Processes = Annotated[
    int | None,
    typer.Option(
        "--processes", help="How many processes work (default: one a core).", show_default=False, min=1, max=1024
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="Address of a Dask scheduler whose workers do the work, as tcp://HOST:8786; they must see the same files.",
        show_default=False,
    ),
]


def stats(
    corpus: Corpus,
    meter: Meter = None,
    processes: Processes = None,
    cluster: Cluster = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Measure how alike bars are at each offset, within a part and across parts, and whether it is more than chance.

    Example: meloctl stats corpus/
    """
    from importlib.metadata import version

    from analysis.chunked_map import Workers
    from analysis.corpus import find_files, fingerprint
    from analysis.errors import MeloError
    from analysis.measure_corpus import METHOD, MeasureChunk
    from analysis.piece import meter as parse_meter
    from meloctl.stats.session import measure_run
    from meloctl.workspace import Recipe

    if processes and cluster:
        raise MeloError("--processes and --cluster: give one of them; a cluster has its own workers")
    override = parse_meter(meter) if meter is not None else None
    meter = f"{override[0]}/{override[1]}" if override else None
    found = find_files(corpus)
    space = workspace(work)
    recipe = Recipe(
        stage="stats",
        command="stats",
        inputs={
            "corpus": str(corpus.resolve()),
            "fingerprint": fingerprint(found, corpus),
            "method": METHOD,
            "libraries": {name: version(name) for name in ("numpy", "symusic")},
        },
        options={"meter": meter, "seed": 0},
        label=corpus.resolve().name,
    )
    run = space.finished(recipe)
    said = f"Unchanged since {run.time}, nothing redone: {run.folder}/" if run else ""
    if not run:
        paths = [str(path) for path in found]
        del found  # a million paths take memory
        try:
            with progress() as reporter:
                reporter.stage("measuring", len(paths))
                run = measure_run(
                    space,
                    recipe,
                    paths,
                    MeasureChunk.of(len(paths), meter=override),
                    workers=Workers(processes=processes, cluster=cluster),
                    on_files=reporter.advance,
                )
        except MeloError:
            space.remove_empty(recipe)
            raise
        said = wrote(run.folder, run.files)
    lines, table = (run.manifest_value("results", key) for key in ("lines", "table"))
    report([*lines, said, following("derive-mask", work=work)], table, as_json=as_json)
