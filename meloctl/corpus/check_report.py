"""What a corpus check says: one JSON object, one CSV line per file, and a page for people."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from analysis.atomic_write import atomic_write, atomic_write_text
from analysis.corpus import printable
from analysis.families import FAMILIES
from analysis.findings import meter_to_pass
from analysis.passed_over import passed_over_line
from analysis.reading import Reading
from meloctl.corpus.check_corpus import CorpusCheck, FileFacts
from meloctl.formatting import count, duration, examples, percent, whole
from meloctl.rows.general_midi import PROGRAMS

FORMAT = "meloctl.check/3"

_EXAMPLES = 3


def check_json(check: CorpusCheck, *, corpus: str, reading: Reading, passed_over: Mapping[str, int]) -> dict[str, Any]:
    """The JSON object `meloctl.check/3`; `passed_over` counts files of music in other forms than MIDI by their ending."""
    paths = [printable(f.path) for f in check.files]
    return {
        "format": FORMAT,
        "corpus": corpus,
        **reading.to_json(),
        "files": len(check.files) + len(check.skipped),
        "usable": len(check.files) - len(check.incomplete),
        "incomplete": len(check.incomplete),
        "passed_over": dict(passed_over),
        "summary": summary(check),
        "meter_to_pass": meter_to_pass([f.piece for f in check.files]),
        "skipped": [{"path": printable(s.path), "reason": s.reason} for s in check.skipped],
        "copies": [
            {
                "kind": "exact" if c.exact else "near",
                "similarity": round(c.similarity, 3),
                "split": check.split[c.files[0]],
                "paths": [paths[i] for i in c.files],
            }
            for c in check.copies
        ],
        "findings": [
            {
                "name": f.name,
                "files": len(f.files),
                "fix": f.fix,
                "missing": f.missing,
                "examples": [paths[i] for i in f.files[:_EXAMPLES]],
                "what": f.what,
                "advice": f.advice,
            }
            for f in check.findings
        ],
        "composition": _composition(check) if check.files else {},
    }


def write_csv(check: CorpusCheck, path: Path) -> None:
    """One line per file, the skipped ones after the others, in order of their paths."""
    import pandas as pd

    found: list[list[str]] = [[] for _ in check.files]
    for finding in check.findings:
        for i in finding.files:
            found[i].append(finding.name)
    group = {i: number for number, copies in enumerate(check.copies, 1) for i in copies.files}
    rows = [
        {**_line(f), "split": check.split[i], "copies": group.get(i), "findings": " ".join(found[i])}
        for i, f in enumerate(check.files)
    ]
    rows += [{"path": printable(s.path), "skipped": " ".join(s.reason.split())} for s in check.skipped]
    table = pd.DataFrame(rows)
    table["copies"] = table["copies"].astype("Int64") if "copies" in table else None
    with atomic_write(path) as partial:
        table.to_csv(partial, index=False, float_format="%.4g", errors="backslashreplace")


def summary(check: CorpusCheck) -> str:
    """The corpus in one line."""
    files = len(check.files) + len(check.skipped)
    incomplete = len(check.incomplete)
    line = f"{count(files, 'file')}: {whole(len(check.files) - incomplete)} usable, {whole(len(check.skipped))} skipped"
    line += f", {whole(incomplete)} with music missing" if incomplete else ""
    phrases = [f"{whole(len(f.files))} {f.phrase}" for f in check.findings if f.fix]
    return line + "; " + "; ".join(phrases or ["nothing found that hurts training"])


def check_lines(data: dict[str, Any]) -> list[str]:
    """The page for people, from the JSON object."""
    lines = [data["summary"]]
    if data["passed_over"]:
        lines.append(passed_over_line(data["passed_over"]))
    if data["skipped"]:
        lines += ["", f"Skipped ({len(data['skipped']):,})", *_reasons(data["skipped"])]
    for title, fix in (("Fix before training", True), ("Good to know", False)):
        chosen = [f for f in data["findings"] if f["fix"] is fix]
        if chosen:
            lines += ["", title, *(line for f in chosen for line in _finding_lines(f))]
    return (
        [*lines, "", "What it is made of", *_composition_lines(data["composition"])] if data["composition"] else lines
    )


def write_report(data: dict[str, Any], check: CorpusCheck, folder: Path) -> list[str]:
    """Write check.json and check.csv into a folder; returns their names."""
    import json

    write_csv(check, folder / "check.csv")
    atomic_write_text(folder / "check.json", json.dumps(data, ensure_ascii=False, indent=1) + "\n")
    return ["check.csv", "check.json"]


def _line(f: FileFacts) -> dict[str, Any]:
    piece, metre, timing, parts = f.piece, f.piece.metre, f.piece.timing, f.piece.instruments
    return {
        "path": printable(f.path),
        "skipped": "",
        "findings": "",
        "copies": None,
        "split": "",
        "bars": piece.bars,
        "notes": piece.notes,
        "rows": f.rows,
        "seconds": round(piece.seconds, 1),
        "parts": parts.parts,
        "drums": parts.drums,
        "channels": parts.channels,
        "meter": metre.commonest,
        "meter_changes": metre.changes,
        "accents": metre.accents,
        "bars_beside": "; ".join(f"{s.shift:.3g} from bar {s.first_bar + 1} for {s.bars}" for s in metre.beside),
        "pickup": metre.pickup,
        "short_bars": metre.short_bars,
        "silent_bars": piece.silent_bars,
        "early": piece.early / piece.notes,
        "tempo": round(piece.tempo, 2),
        "off_grid": timing.off_grid,
        "shift": timing.shift,
        "scattered": timing.scattered,
        "sharing": parts.sharing,
        "empty": piece.empty_cells / (piece.bars * parts.parts),
        "moved": f.grid.moved / f.grid.notes,
        "resized": f.grid.resized / f.grid.notes,
        "merged": f.grid.merged / f.grid.notes,
        "group": f.name,
        **asdict(piece.departures),
    }


def _composition(check: CorpusCheck) -> dict[str, Any]:
    files = check.files
    pieces = [f.piece for f in files]
    notes, cells = sum(p.notes for p in pieces), sum(p.bars * p.instruments.parts for p in pieces)
    programs = Counter(program for p in pieces for program in p.instruments.programs)
    return {
        "bars": sum(p.bars for p in pieces),
        "notes": notes,
        "rows": sum(f.rows for f in files),
        "seconds": round(sum(p.seconds for p in pieces), 1),
        "bars_a_piece": _spread([p.bars for p in pieces]),
        "notes_a_bar": _spread([p.notes / p.bars for p in pieces]),
        "parts_a_piece": _spread([p.instruments.parts for p in pieces]),
        "channels_a_piece": _spread([p.instruments.channels for p in pieces]),
        "tempo": _spread([p.tempo for p in pieces]),
        "meters": dict(Counter(p.metre.commonest for p in pieces).most_common()),
        "meter_changes": sum(p.metre.changes > 0 for p in pieces),
        "drums": sum(p.instruments.drums > 0 for p in pieces),
        "sharing": sum(p.instruments.sharing > 0 for p in pieces),
        "programs": {str(program): count for program, count in sorted(programs.items())},
        "empty_cells": round(sum(p.empty_cells for p in pieces) / cells, 4),
        "grid": {k: round(sum(getattr(f.grid, k) for f in files) / notes, 4) for k in ("moved", "resized", "merged")},
        "split": {side: check.split.count(side) for side in ("train", "validation", "test")},
    }


def _spread(values: Sequence[float]) -> list[float]:
    """Least, median and most."""
    return [round(float(q), 1) for q in np.quantile(np.asarray(values, dtype=np.float64), [0, 0.5, 1])]


def _reasons(skipped: list[dict[str, str]]) -> list[str]:
    """Reasons with how many files they stopped; reasons that differ only in numbers are one."""
    groups: dict[str, list[dict[str, str]]] = {}
    for s in skipped:
        groups.setdefault(re.sub(r"\d[\d,.]*", "#", s["reason"]), []).append(s)
    ranked = sorted(groups.values(), key=len, reverse=True)
    lines = [f"{len(group):7,}  {group[0]['reason']}: {_names([s['path'] for s in group])}" for group in ranked[:10]]
    rest = sum(map(len, ranked[10:]))
    return [*lines, f"{rest:7,}  for other reasons, all in check.json"] if rest else lines


def _finding_lines(finding: dict[str, Any]) -> list[str]:
    names = _names(finding["examples"], finding["files"])
    return [f"{finding['files']:7,}  {finding['what']}", f"         {names}", f"         → {finding['advice']}"]


def _names(paths: Sequence[str], files: int | None = None) -> str:
    return examples((Path(p).name for p in paths), of=files or len(paths), most=_EXAMPLES)


def _composition_lines(c: dict[str, Any]) -> list[str]:
    families = Counter[str]()
    for program, n in c["programs"].items():
        families[FAMILIES[int(program) // 8]] += n
    programs = sorted(c["programs"].items(), key=lambda item: -item[1])[:6]
    files = sum(c["split"].values())
    moved, resized, merged = (percent(c["grid"][k], decimals=1) for k in ("moved", "resized", "merged"))
    facts = {
        "size": f"{c['notes']:,} notes in {c['bars']:,} bars, {duration(c['seconds'])}; {c['rows']:,} rows",
        "a piece": f"{_range(c['bars_a_piece'])} bars, {_range(c['parts_a_piece'])} parts "
        f"on {_range(c['channels_a_piece'])} channels, "
        f"{_range(c['notes_a_bar'])} notes a bar, tempo {_range(c['tempo'])} (least, median, most)",
        "bars of": _counts(c["meters"].items(), 6) + f"; changing within {c['meter_changes']:,} of {files:,}",
        "parts": _counts(families.most_common(), 6) + f"; drums in {c['drums']:,} of {files:,} files",
        "programs": _counts([(PROGRAMS[int(p)], n) for p, n in programs], 6)
        + f"; parts of one program in {c['sharing']:,} files (kept apart)",
        "empty cells": f"{percent(c['empty_cells'])} of all (bar, part) pairs",
        "the grid": f"12 steps a quarter: moves {moved} of the notes, changes the length of {resized}, merges {merged}",
        "split": ", ".join(f"{n:,} {side}" for side, n in c["split"].items()),
    }
    return [f"  {name:12s} {text}" for name, text in facts.items()]


def _counts(items: Any, most: int) -> str:
    ranked = list(items)
    rest = len(ranked) - most
    return ", ".join(f"{name} {n:,}" for name, n in ranked[:most]) + (f" and {rest} more" if rest > 0 else "")


def _range(spread: Sequence[float]) -> str:
    least, median, most = (f"{v:,.0f}" for v in spread)
    return least if least == most else f"{least}–{median}–{most}"
