"""Facts about the corpus: sizes of its pieces, skipped files by reason, findings of the corpus check."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.errors import MeloError
from analysis.json_spec import read_json
from analysis.passed_over import passed_over_line

CHECK_FORMAT = "meloctl.check/3"

_SIZES = ("bars", "parts", "notes", "seconds")


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Least, median, most and sum over pieces."""

    least: float
    median: float
    most: float
    total: float


@dataclass(frozen=True, kw_only=True)
class CorpusSizes:
    """Sizes of the pieces in which at least two cells could be compared."""

    pieces: int
    bars: Spread
    parts: Spread
    notes: Spread
    seconds: Spread
    with_drums: int


@dataclass(frozen=True, kw_only=True)
class SkipReason:
    """Skipped files with one reason; reasons that differ only in numbers are one."""

    text: str
    paths: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CheckFinding:
    """A finding of the corpus check."""

    files: int
    what: str
    advice: str
    fix: bool
    """It should be fixed before training."""

    examples: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What `meloctl corpus check` reports."""

    summary: str
    findings: tuple[CheckFinding, ...]
    passed_over: str
    """Files of music in other forms than MIDI, in a line; empty where there are none."""


def read_sizes(path: Path) -> CorpusSizes | None:
    """Read the sizes of pieces from pieces.parquet in batches of rows; None when it holds no piece.

    Raises:
        MeloError: it is not such a file.
    """
    found: list[np.ndarray[Any, Any]] = []
    last = None
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["path", *_SIZES, "drums"]):
                paths = batch.column(0).to_numpy(zero_copy_only=False)
                if not len(paths):
                    continue
                new = np.r_[paths[0] != last, paths[1:] != paths[:-1]]  # a piece's rows lie together
                rows = np.stack([batch.column(i).to_numpy(zero_copy_only=False) for i in range(1, 6)], axis=1)
                found.append(rows[new].astype(float))
                last = paths[-1]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, KeyError, TypeError, ValueError, IndexError) as error:
        raise MeloError(f"{path}: not the pieces of meloctl stats; run it again") from error
    if not found:
        return None
    rows = np.concatenate(found)
    bars, parts, notes, seconds = (_spread(rows[:, i]) for i in range(4))
    with_drums = int((rows[:, 4] > 0).sum())
    return CorpusSizes(pieces=len(rows), bars=bars, parts=parts, notes=notes, seconds=seconds, with_drums=with_drums)


def group_by_reason(skipped: tuple[tuple[str, str], ...]) -> list[SkipReason]:
    """Group (path, reason) of skipped files by reason, the commonest first."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for path, reason in skipped:
        groups.setdefault(re.sub(r"\d[\d,.]*", "#", reason), []).append((path, reason))
    ranked = sorted(groups.values(), key=len, reverse=True)
    return [SkipReason(text=group[0][1], paths=tuple(path for path, _ in group)) for group in ranked]


def read_check(path: Path) -> CheckResult:
    """Read a check.json. Raises MeloError when it is none."""
    data = read_json(path, what="corpus check", max_bytes=1 << 30)
    findings = data.get("findings") if isinstance(data, dict) else None
    summary = data.get("summary") if isinstance(data, dict) else None
    if not isinstance(data, dict) or data.get("format") != CHECK_FORMAT or not isinstance(summary, str):
        raise MeloError(f"{path}: not a corpus check of this version; run again: meloctl corpus check FOLDER")
    if not isinstance(findings, list) or not all(isinstance(f, dict) for f in findings):
        raise MeloError(f'{path}: "findings" must be a list of objects; run again: meloctl corpus check FOLDER')
    other = data.get("passed_over", {})
    if not isinstance(other, dict) or not all(isinstance(n, int) for n in other.values()):
        raise MeloError(f'{path}: "passed_over" must be an object of numbers; run again: meloctl corpus check FOLDER')
    found = tuple(_finding(f) for f in findings)
    return CheckResult(summary=summary, findings=found, passed_over=passed_over_line(other))


def _finding(data: dict[str, Any]) -> CheckFinding:
    files, examples = data.get("files"), data.get("examples")
    return CheckFinding(
        files=files if isinstance(files, int) else 0,
        what=str(data.get("what", "")),
        advice=str(data.get("advice", "")),
        fix=data.get("fix") is True,
        examples=tuple(map(str, examples)) if isinstance(examples, list) else (),
    )


def _spread(values: Any) -> Spread:
    least, median, most = np.quantile(values, [0, 0.5, 1])
    return Spread(least=float(least), median=float(median), most=float(most), total=float(values.sum()))
