"""meloctl stats: how alike bars are at each offset."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meloctl.cli.common import Json, Work, progress, report, workspace, wrote

if TYPE_CHECKING:
    from analysis.measuring import Measured
    from analysis.significance import Evidence, Peak

_SHOWN = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32)
_DRAWN = ("pc-jaccard", "onset-jaccard")
"""Measures whose families are drawn; the others are in families.csv."""

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
Meter = Annotated[
    str | None,
    typer.Option("--meter", help="Time signature that overrides the files' own, as 4/4.", show_default=False),
]
Corpus = Annotated[
    Path,
    typer.Argument(
        help="A folder of .mid files (searched with its subfolders), one .mid file, or a .txt file with one path a line."
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
    from analysis.corpus import find_files, fingerprint
    from analysis.curves import table_json
    from analysis.engine import Workers, forget_chunks
    from analysis.errors import MeloError
    from analysis.measuring import Measuring, measure_corpus
    from analysis.piece import meter as parse_meter
    from analysis.plots import draw_families, draw_offset_curves
    from analysis.significance import weigh
    from analysis.table_files import FILES, write_tables
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
        inputs={"corpus": str(corpus.resolve()), "fingerprint": fingerprint(found, corpus)},
        options={"meter": meter, "seed": 0},
        label=corpus.resolve().name,
    )
    run = space.finished(recipe)
    folder = space.folder(recipe)
    if not run:
        paths = [str(path) for path in found]
        del found
        chunks = folder / "chunks"
        with progress() as bar:
            task = bar.add_task("measuring", total=len(paths))
            measured = measure_corpus(
                paths,
                Measuring.of(len(paths), meter=override),
                chunks,
                key=recipe.key,
                workers=Workers(processes=processes, cluster=cluster),
                on_files=lambda n: bar.advance(task, n),
            )
        skipped = list(measured.each_skipped())
        if not measured.pieces:
            forget_chunks(chunks)
            space.give_up(recipe)
            raise MeloError(
                f"no file in {corpus} could be read ({len(paths)} tried); "
                f"the first, {Path(skipped[0]['path']).name}: {skipped[0]['reason']}"
            )
        evidence = weigh(measured)
        table = table_json(
            measured.table.rows(), evidence, pieces=measured.pieces, skipped=skipped, source=dict(recipe.inputs)
        )
        write_tables(measured, evidence, table, folder)
        title = f"How alike bars are: {recipe.label}, {_count(measured.pieces)}"
        draw_offset_curves(measured.table, evidence, folder / "offsets.png", title=title)
        draw_families(measured.table, folder / "families.png", title=title, measures=_DRAWN)
        lines = _lines(measured, evidence, skipped)
        files = [*FILES, "offsets.png", "families.png"]
        run = space.finish(recipe, files=files, results={"table": table, "lines": lines})
        forget_chunks(chunks)
        said = wrote(folder, files)
    else:
        said = f"Unchanged since {run.time}, nothing redone: {folder}/"
    lines, table = (run.told("results", key) for key in ("lines", "table"))
    report([*lines, said, "Next: meloctl derive-mask"], table, as_json=as_json)


def _count(pieces: int) -> str:
    return f"{pieces:,} piece{'' if pieces == 1 else 's'}"


def _lines(measured: "Measured", evidence: "Evidence", skipped: list[dict[str, str]]) -> list[str]:
    """The result in words."""
    fewest, most = measured.parts
    parts = f"{fewest} to {most} parts" if fewest < most else f"{most} part{'' if most == 1 else 's'}"
    lines = [
        f"{_count(measured.pieces)} read, {measured.skipped:,} skipped: {measured.notes:,} notes in {measured.bars:,} bars, "
        f"{parts} a piece"
    ]
    lines += [f"  skipped {Path(s['path']).name}: {s['reason']}" for s in skipped[:10]]
    if len(skipped) > 10:
        lines.append(f"  and {len(skipped) - 10:,} more, all in skipped.csv")
    if beats := measured.one_beat_bars:
        lines.append(
            f"  {beats:,} piece{'s have' if beats > 1 else ' has'} bars of one beat, so offsets count beats there: "
            "pass --meter 4/4 if the music is in four"
        )
    for measure in _DRAWN:
        lines += _curve_lines(measured, evidence, measure)
    return lines


def _curve_lines(measured: "Measured", evidence: "Evidence", measure: str) -> list[str]:
    rows: dict[str, dict[int, Any]] = {"same": {}, "cross": {}}
    for row in measured.table.rows():
        if row.measure == measure:
            rows[row.relation][row.offset] = row
    what = "pitch classes" if measure == "pc-jaccard" else "rhythm, drums too"
    lines = [f"Similarity ({measure}: {what}; mean over all pairs) by offset in bars:"]
    shown = [k for k in _SHOWN if any(k in r for r in rows.values())]
    lines.append("  offset       " + "".join(f"{k:7d}" for k in shown))
    m = evidence.measures.index(measure)
    for r, (relation, name) in enumerate((("same", "own part"), ("cross", "other parts"))):
        mine = rows[relation]
        if not mine:
            continue
        cells = (f"{mine[k].mean:7.3f}" if k in mine else "      -" for k in shown)
        chance = (f"{evidence.chance[m, r, k]:7.3f}" if k in mine and measured.shuffled else "      -" for k in shown)
        lines.append(f"  {name:13s}" + "".join(cells))
        lines.append(f"  {'  by chance':13s}" + "".join(chance))
        lines.append(
            f"    {period_in_words([p for p in evidence.peaks if (p.measure, p.relation) == (measure, relation)])}"
        )
    return lines


def period_in_words(peaks: "list[Peak]") -> str:
    """What the test of a curve's peaks says, in a sentence."""
    from analysis.significance import period_of

    if not peaks:
        return "too few bars to look for a period"
    period, at = period_of(peaks), {p.offset: p for p in peaks}
    if period is None:
        best = max(peaks, key=lambda p: p.height)
        real = ", ".join(str(p.offset) for p in peaks if p.real)
        if real:
            return f"no period, though {real} back stand out from their neighbours (at most by {best.height:.3f})"
        return (
            f"no period: no offset stands out from its neighbours "
            f"(the highest, {best.offset} back, by {best.height:.3f}, p = {best.p:.4f})"
        )
    highest_first = sorted((p.offset for p in peaks if p.real), key=lambda k: -at[k].height)
    peak, highest = at[period], at[highest_first[0]]
    low, high = peak.interval
    spread = f"{low:.3f} to {high:.3f}; {peak.effect:.1f} deviations over pieces" if peak.pieces > 1 else "one piece"
    more = f"; highest {highest.offset} back, by {highest.height:.3f}" if highest.offset != period else ""
    return (
        f"period {period}: {period} back stands out from its neighbours by {peak.height:.3f} "
        f"({spread}; p ≤ {peak.p:.4f}){more}"
    )
