"""meloctl stats: how alike bars are at each offset."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meloctl.cli.common import Json, Work, progress, report, workspace, wrote

if TYPE_CHECKING:
    from analysis.engine import CorpusFacts

_SHOWN = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32)


def stats(
    corpus: Annotated[
        Path,
        typer.Argument(
            help="A folder of .mid files (searched with its subfolders), one .mid file, or a .txt file with one path a line."
        ),
    ],
    meter: Annotated[
        str | None,
        typer.Option("--meter", help="Time signature that overrides the files' own, as 4/4.", show_default=False),
    ] = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Measure how alike bars are at each offset, within a part and across parts.

    Example: meloctl stats corpus/
    """
    from analysis.corpus import find_files, fingerprint, shown
    from analysis.curves import table_json
    from analysis.engine import measure_corpus
    from analysis.errors import MeloError
    from analysis.piece import meter as parse_meter
    from analysis.plots import draw_offset_curves
    from analysis.report import write_offsets
    from meloctl.workspace import Recipe

    override = parse_meter(meter) if meter is not None else None
    meter = f"{override[0]}/{override[1]}" if override else None
    paths = find_files(corpus)
    space = workspace(work)
    recipe = Recipe(
        stage="stats",
        command="stats",
        inputs={"corpus": str(corpus.resolve()), "fingerprint": fingerprint(paths, corpus)},
        options={"meter": meter},
        label=corpus.resolve().name,
    )
    run = space.finished(recipe)
    folder = space.folder(recipe)
    if not run:
        with progress() as bar:
            task = bar.add_task("reading", total=len(paths))
            facts = measure_corpus(paths, meter=override, on_file=lambda: bar.advance(task))
        if not facts.pieces:
            first = facts.skipped[0]
            raise MeloError(
                f"no file in {corpus} could be read ({len(paths)} tried); the first, {first.path.name}: {first.reason}"
            )
        skipped = [{"path": shown(s.path), "reason": s.reason} for s in facts.skipped]
        table = table_json(facts.table.rows(), pieces=len(facts.pieces), skipped=skipped, source=dict(recipe.inputs))
        write_offsets(facts, table, folder)
        draw_offset_curves(
            facts.table.rows(),
            folder / "offsets.png",
            title=f"How alike bars are: {recipe.label}, {_count(len(facts.pieces))}",
        )
        files = ["offsets.json", "offsets.csv", "offsets.png", "pieces.parquet"]
        run = space.finish(recipe, files=files, results={"table": table, "lines": _lines(facts)})
        said = wrote(folder, files)
    else:
        said = f"Unchanged since {run.time}, nothing redone: {folder}/"
    lines, table = (run.told("results", key) for key in ("lines", "table"))
    report([*lines, said, "Next: meloctl derive-mask"], table, as_json=as_json)


def _count(pieces: int) -> str:
    return f"{pieces} piece{'' if pieces == 1 else 's'}"


def _lines(facts: "CorpusFacts") -> list[str]:
    """The result in words."""
    pieces = facts.pieces
    notes, bars = sum(p.notes for p in pieces), sum(p.bars for p in pieces)
    fewest, most = min(p.parts for p in pieces), max(p.parts for p in pieces)
    lines = [
        f"{_count(len(pieces))} read, {len(facts.skipped)} skipped: {notes:,} notes in {bars:,} bars, "
        f"{fewest if fewest == most else f'{fewest} to {most}'} parts a piece"
    ]
    lines += [f"  skipped {s.path.name}: {s.reason}" for s in facts.skipped[:10]]
    if len(facts.skipped) > 10:
        lines.append(f"  and {len(facts.skipped) - 10} more, all in offsets.json")
    if copies := facts.duplicates:
        names = ", ".join(p.name for p in copies[0][:3])
        lines.append(
            f"  {sum(map(len, copies))} files share their notes with another (in {len(copies)} groups, the first: {names}); "
            "all are counted"
        )
    if beats := sum(p.one_beat_bars for p in pieces):
        lines.append(
            f"  {beats} piece{'s have' if beats > 1 else ' has'} bars of one beat, so offsets count beats there: "
            "pass --meter 4/4 if the music is in four"
        )
    rows: dict[str, dict[int, Any]] = {"same": {}, "cross": {}}
    for row in facts.table.rows():
        rows[row.relation][row.offset] = row
    lines.append("Similarity (pc-jaccard, mean over all pairs) by offset in bars:")
    shown = [k for k in _SHOWN if any(k in r for r in rows.values())]
    lines.append("  offset       " + "".join(f"{k:7d}" for k in shown))
    for relation, name in (("same", "own part"), ("cross", "other parts")):
        cells = (f"{rows[relation][k].mean:7.3f}" if k in rows[relation] else "      -" for k in shown)
        lines.append(f"  {name:13s}" + "".join(cells))
        later = {k: r for k, r in rows[relation].items() if k}
        if later:
            best, worst = max(later, key=lambda k: later[k].mean), min(later, key=lambda k: later[k].mean)
            lines[-1] += f"   most alike {best} back, least {worst} back"
    return lines
