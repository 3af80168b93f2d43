"""One `meloctl stats`: measures a corpus, tests the evidence, writes the tables and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from analysis.chunked_map import Workers, forget_chunks
from analysis.corpus import find_files, fingerprint
from analysis.errors import MeloError
from analysis.measure_corpus import METHOD, MeasureChunk, measure_corpus
from analysis.offset_table_file import table_json
from analysis.reading import AS_IT_STANDS, READER, Reading
from analysis.significance import evidence_of
from analysis.similarity import BRIEF
from meloctl.formatting import count
from meloctl.progress import ProgressReporter, word_on_compiling
from meloctl.stats.words import lines_of
from meloctl.workspace import Recipe, RunOutput

COMPILED = "what reads and measures files"
"""What the first command on a machine compiles."""

PICTURES = ("offsets.png", "families.png")


@dataclass(frozen=True, kw_only=True)
class StatsOptions:
    """What `meloctl stats` was given."""

    corpus: Path
    """A folder of MIDI files, one file, or a text file with a path a line."""

    reading: Reading = AS_IT_STANDS
    """How the files are read."""

    processes: int | None = None
    """How many processes measure; None for one a core."""

    cluster: str | None = None
    """Address of a Dask scheduler, as "tcp://HOST:8786", in place of processes."""


@dataclass(frozen=True, kw_only=True)
class StatsPlan:
    """What will be measured, and by whom."""

    recipe: Recipe
    paths: Sequence[str]
    task: MeasureChunk
    workers: Workers


def plan_stats(options: StatsOptions) -> StatsPlan:
    """Find the files of a corpus and fix how they are measured; nothing is written.

    Raises:
        MeloError: no such corpus, no MIDI file in it, or options that exclude each other.
    """
    if options.processes and options.cluster:
        raise MeloError("leave out `processes`; a cluster has its own workers", field="cluster")
    found = find_files(options.corpus)
    corpus = options.corpus.resolve()
    task = MeasureChunk.of(len(found), reading=options.reading)
    return StatsPlan(
        recipe=Recipe(
            stage="stats",
            command="stats",
            inputs={
                "corpus": str(corpus),
                "fingerprint": fingerprint(found, options.corpus),
                "method": METHOD,
                "reader": READER,
                "libraries": {name: version(name) for name in ("numpy", "numba")},
            },
            options={
                **options.reading.to_json(),
                "measures": list(task.measures),
                "seed": 0,
            },
            label=corpus.name,
        ),
        paths=[str(path) for path in found],
        task=task,
        workers=Workers(processes=options.processes, cluster=options.cluster),
    )


def write_statistics(plan: StatsPlan, folder: Path, reporter: ProgressReporter) -> RunOutput:
    """Measure the files of a plan and write tables and pictures; the chunks that a killed run had measured are kept.

    Args:
        plan: from `plan_stats`.
        folder: where the files go.
        reporter: gets one stage, a step a file.

    Raises:
        MeloError: no file could be read.
    """
    from analysis.plots import draw_families, draw_offset_curves  # with what they need, half of a second run's time
    from analysis.table_files import FILES, write_tables

    recipe, chunks = plan.recipe, folder / "chunks"
    reporter.stage("measuring", len(plan.paths))
    with word_on_compiling(reporter, COMPILED) as advance:
        measured = measure_corpus(plan.paths, plan.task, chunks, key=recipe.key, workers=plan.workers, on_files=advance)
    if not measured.pieces:
        first = next(measured.each_skipped())
        forget_chunks(chunks)
        raise MeloError(
            f"no file in {recipe.inputs['corpus']} could be read ({len(plan.paths)} tried); "
            f"the first, {Path(first['path']).name}: {first['reason']}"
        )
    evidence = evidence_of(measured)
    table = table_json(
        measured.table.rows(),
        evidence,
        pieces=measured.pieces,
        skipped=measured.each_skipped(),
        source=dict(recipe.inputs),
    )
    write_tables(measured, evidence, table, folder)
    title = f"How alike bars are: {recipe.label}, {count(measured.pieces, 'piece')}"
    draw_offset_curves(measured.table, evidence, folder / PICTURES[0], title=title)
    draw_families(measured.table, folder / PICTURES[1], title=title, measures=[m.name for m in BRIEF])
    return RunOutput(
        files=[*FILES, *PICTURES],
        results={"table": table, "lines": lines_of(measured, evidence, table["skipped"])},
        scratch=[chunks.name],
    )
