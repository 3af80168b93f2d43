"""Similarity by offset as a rule reads it, and its JSON form `meloctl.offsets/1`."""

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from analysis.errors import MeloError
from analysis.json_file import read_json, refuse_unknown
from analysis.offsets import RELATIONS
from analysis.significance import LEVEL, Evidence, Peak
from analysis.tables import OffsetRow

FORMAT = "meloctl.offsets/1"
MOST_SKIPPED = 1_000
"""Skipped files that the JSON form names; skipped.csv names all."""

_KEYS = {"format", "pieces", "skipped", "offsets", "peaks", "periods", "evidence", "source"}
_ROW_KEYS = {
    *("measure", "relation", "offset", "pairs", "mean", "piece_mean"),
    *("interval", "piece_interval", "chance", "chance_interval"),
}


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Mean similarity by offset, for both relations, in one measure."""

    measure: str
    same: dict[int, float]
    """{offset ≥ 1: mean}; a table need not hold every offset."""

    cross: dict[int, float]
    """{offset ≥ 0: mean}"""

    pairs: dict[str, dict[int, int]] = field(default_factory=dict)
    """{relation: {offset: pairs compared}}, where the table says how many."""

    table_hash: str
    """16 hex digits of the SHA-256 of the numbers, for provenance."""


def table_json(
    rows: list[OffsetRow],
    evidence: Evidence,
    *,
    pieces: int,
    skipped: Iterable[dict[str, str]],
    source: dict[str, Any],
) -> dict[str, Any]:
    """The JSON object of a finished table: what `stats --json` prints and `derive-mask --table` reads."""
    return {
        "format": FORMAT,
        "pieces": pieces,
        "skipped": list(islice(skipped, MOST_SKIPPED)),
        "offsets": [_row_json(row, evidence) for row in rows],
        "peaks": [_peak_json(peak) for peak in evidence.peaks],
        "periods": {m: {r: evidence.period(m, r) for r in RELATIONS} for m in evidence.measures},
        "evidence": {"level": LEVEL, "shuffled": evidence.shuffled, "shuffles_of_each": evidence.draws},
        "source": source,
    }


def _row_json(row: OffsetRow, evidence: Evidence) -> dict[str, Any]:
    at = (evidence.measures.index(row.measure), RELATIONS.index(row.relation), row.offset)
    return {
        "measure": row.measure,
        "relation": row.relation,
        "offset": row.offset,
        "pairs": row.pairs,
        "mean": row.mean,
        "interval": _known(*evidence.mean_interval[:, *at]),
        "piece_mean": row.piece_mean,
        "piece_interval": _known(*evidence.piece_interval[:, *at]),
        "chance": _known(evidence.chance[at])[0],
        "chance_interval": _known(*evidence.chance_interval[:, *at]),
    }


def _peak_json(peak: Peak) -> dict[str, Any]:
    return {**vars(peak), "interval": _known(*peak.interval), "p": _known(peak.p)[0]}


def _known(*values: float) -> list[float | None]:
    """JSON has no NaN."""
    return [float(v) if math.isfinite(v) else None for v in values]


def read_curves(path: Path, *, measure: str = "pc-jaccard", both: bool = True) -> Curves:
    """The curves of one measure from a table file, or from the folder that holds it as offsets.json.

    `both`: a table without either relation is refused.

    Raises:
        MeloError: not such a file, unknown keys, or a mean outside 0..1.
    """
    path = path / "offsets.json" if path.is_dir() else path
    return curves_of(read_json(path, what="table of offsets"), where=str(path), measure=measure, both=both)


def curves_of(data: object, *, where: str, measure: str = "pc-jaccard", both: bool = True) -> Curves:
    """The same from parsed JSON; `where` names it in errors."""
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise MeloError(
            f'{where}: not a table of offsets (its "format" is not "{FORMAT}"); make one with: meloctl stats FOLDER'
        )
    refuse_unknown(data, _KEYS, where)
    curves: dict[str, dict[int, float]] = {relation: {} for relation in RELATIONS}
    pairs: dict[str, dict[int, int]] = {relation: {} for relation in RELATIONS}
    rows = data.get("offsets")
    if not isinstance(rows, list):
        raise MeloError(f'{where}: "offsets" must be a list of rows')
    for i, row in enumerate(rows):
        at = f"{where}: offsets[{i}]"
        if not isinstance(row, dict):
            raise MeloError(f"{at} is not an object")
        refuse_unknown(row, _ROW_KEYS, at)
        relation: Any = row.get("relation")
        offset: Any = row.get("offset")
        mean: Any = row.get("mean")
        count: Any = row.get("pairs")
        if relation not in RELATIONS:
            raise MeloError(f"{at}: relation {relation!r} is not one of {', '.join(RELATIONS)}")
        lowest = 1 if relation == "same" else 0
        if type(offset) is not int or not lowest <= offset <= 10_000:
            raise MeloError(f"{at}: offset {offset!r} is not a whole number of bars, {lowest} to 10000")
        if type(mean) not in (int, float) or not 0 <= mean <= 1:
            raise MeloError(f"{at}: mean {mean!r} is not a similarity, 0 to 1")
        if count is not None and (type(count) is not int or not 1 <= count < 1 << 63):
            raise MeloError(
                f"{at}: pairs {count!r} is not a number of pairs, 1 or more (or null where it is not known)"
            )
        if row.get("measure") == measure:
            if offset in curves[relation]:
                raise MeloError(f"{at}: {relation} {offset} stands in the table twice")
            curves[relation][offset] = float(mean)
            if count is not None:
                pairs[relation][offset] = count
    if both and not (curves["same"] and curves["cross"]):
        raise MeloError(
            f"{where}: no {measure} rows for both relations; this rule needs pieces with two parts and two bars or more; "
            "masks that need no measured similarity: --rule causal, window or museformer"
        )
    digest = hashlib.sha256(json.dumps([measure, curves, pairs], sort_keys=True).encode()).hexdigest()[:16]
    return Curves(
        measure=measure,
        same=dict(sorted(curves["same"].items())),
        cross=dict(sorted(curves["cross"].items())),
        pairs=pairs,
        table_hash=digest,
    )
