"""One `meloctl corpus fix`: a mended copy of a corpus, and the list of what became of each file."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.atomic_write import atomic_write, atomic_write_text
from analysis.chunked_map import Workers, forget_chunks, map_chunks, read_chunk
from analysis.corpus import find_files, fingerprint
from analysis.errors import MeloError
from analysis.json_spec import read_json
from analysis.reading import READER
from meloctl.corpus.fix_files import COPIED, FIXED, FORMAT, LEFT, SKIPPED, FixTask
from meloctl.formatting import count, whole
from meloctl.progress import ProgressReporter

LIST, TABLE = "fix.json", "fix.csv"
"""Names of the lists in the folder of the copy."""

_CHUNKS = ".fix"
"""Folder of what is needed to resume."""

_MOST_LINES = 20
"""Files of each kind that are named on the terminal."""


@dataclass(frozen=True, kw_only=True)
class FixPlan:
    """What will be mended."""

    paths: Sequence[Path]
    base: Path
    out: Path
    key: str
    """Changes with the files, and with the mends."""


def plan_fix(corpus: Path, out: Path) -> FixPlan:
    """Find the files of a corpus; nothing is written.

    Args:
        corpus: a folder of MIDI files, one MIDI file, or a text file with a path a line.
        out: a folder for the copy: new, empty, or of an earlier fix.

    Raises:
        MeloError: no corpus there, or a folder that holds something else.
    """
    paths = [path.absolute() for path in find_files(corpus)]
    base = corpus.absolute() if corpus.is_dir() else Path(os.path.commonpath([p.parent for p in paths]))
    place, there = out.resolve(), base.resolve()
    if place == there or there in place.parents or place in there.parents:
        raise MeloError(
            f"the copy cannot lie in the corpus, nor the corpus in it ({base}); name another folder",
            field="out",
            given=out,
        )
    if place.exists() and not place.is_dir():
        raise MeloError("not a folder", field="out", given=out)
    ours = (place / LIST).is_file() or (place / _CHUNKS).is_dir()
    if place.is_dir() and not ours and any(place.iterdir()):
        raise MeloError("holds files that corpus fix did not write; name a new or empty folder", field="out", given=out)
    key = f"{FORMAT} {READER} {base} {fingerprint(paths, base)}"
    return FixPlan(paths=paths, base=base, out=place, key=key)


def fix_corpus(
    plan: FixPlan, reporter: Callable[[], Any], *, processes: int | None = None
) -> tuple[dict[str, Any], bool]:
    """Write the mended copy, fix.json and fix.csv into the plan's folder; what fix.json holds, and whether all of it was there.

    A fix that was interrupted goes on where it stopped.

    Args:
        reporter: a context of a `ProgressReporter`, entered where there is something to do.
        processes: how many work; None is one a core.
    """
    done = _finished(plan)
    if done is not None:
        return done, True
    folder = plan.out / _CHUNKS
    (plan.out / LIST).unlink(missing_ok=True)
    with reporter() as progress:
        lines = _mend_all(plan, folder, progress, processes)
    table = {"format": FORMAT, "corpus": str(plan.base), "key": plan.key, "summary": _summary(lines), "files": lines}
    _write_csv(lines, plan.out / TABLE)
    atomic_write_text(plan.out / LIST, json.dumps(table, ensure_ascii=False, indent=1) + "\n")
    forget_chunks(folder)
    return table, False


def fix_lines(table: dict[str, Any]) -> list[str]:
    """The lines for people, from what fix.json holds."""
    lines = [table["summary"]]
    for kind, title in (
        (FIXED, "Fixed"),
        (LEFT, "In need, but copied as they were"),
        (SKIPPED, "Skipped, not in the copy"),
    ):
        some = [f for f in table["files"] if f["became"] == kind]
        if some:
            lines += ["", f"{title} ({len(some):,})", *(f"  {f['path']}: {f['what']}" for f in some[:_MOST_LINES])]
            lines += [f"  … and {len(some) - _MOST_LINES:,} more, all in {TABLE}"] if len(some) > _MOST_LINES else []
    return lines


def _mend_all(plan: FixPlan, folder: Path, progress: ProgressReporter, processes: int | None) -> list[dict[str, str]]:
    progress.stage("fixing", len(plan.paths))
    results = map_chunks(
        FixTask(base=str(plan.base), out=str(plan.out)),
        [str(path) for path in plan.paths],
        folder,
        key=plan.key,
        workers=Workers(processes=processes),
        on_files=progress.advance,
        preload="meloctl.corpus.fix_files",
    )
    return [line for result in results for line in read_chunk(result).facts]


def _finished(plan: FixPlan) -> dict[str, Any] | None:
    """What fix.json holds, where an earlier fix of the same files is whole."""
    path = plan.out / LIST
    if not path.is_file():
        return None
    try:
        table = read_json(path, what="list of mended files", max_bytes=1 << 30)
        same = table["format"] == FORMAT and table["key"] == plan.key
        whole_copy = same and all(f["became"] == SKIPPED or (plan.out / f["path"]).is_file() for f in table["files"])
    except (MeloError, KeyError, TypeError):
        return None  # damaged: made again
    return table if whole_copy else None


def _summary(lines: Sequence[dict[str, str]]) -> str:
    became = [line["became"] for line in lines]
    fixed, copied, left, skipped = (became.count(kind) for kind in (FIXED, COPIED, LEFT, SKIPPED))
    text = f"{count(len(lines), 'file')}: {whole(fixed)} fixed, {whole(copied)} without need copied byte for byte"
    text += f", {whole(left)} in need copied as they were" if left else ""
    return text + (f", {whole(skipped)} skipped" if skipped else "")


def _write_csv(lines: Sequence[dict[str, str]], path: Path) -> None:
    import pandas as pd

    with atomic_write(path) as partial:
        pd.DataFrame(lines, columns=["path", "became", "what"]).to_csv(partial, index=False, errors="backslashreplace")
