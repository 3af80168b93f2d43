"""The file format of a table of similarity by offset, `meloctl.offsets/1`: written by `stats`, read by masks and reports."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from analysis.errors import MeloError
from analysis.json_spec import JsonSpec
from analysis.offsets import RELATIONS, Relation
from analysis.significance import LEVEL, Evidence, Peak
from analysis.similarity import PC_JACCARD
from analysis.tables import OffsetRow

MOST_SKIPPED = 1_000
"""Skipped files that the file names; skipped.csv names all."""

_ROUNDING = 1e-6
"""By which a mean of similarities that was computed in floats may leave its range."""

Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Similarity = Annotated[float, Meta(ge=-_ROUNDING, le=1 + _ROUNDING)]
Difference = Annotated[float, Meta(ge=-1 - _ROUNDING, le=1 + _ROUNDING)]
Offset = Annotated[int, Meta(ge=0, le=10_000)]


class OffsetEntry(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One offset of one curve; None, or a pair of None, where it was not measured. Intervals are 95 % over pieces."""

    measure: str
    relation: Relation
    offset: Offset
    """Bars; 1 or more within a part."""

    pairs: Annotated[int, Meta(ge=1, le=(1 << 63) - 1)] | None = None
    """Pairs of bars that were compared."""

    mean: Annotated[float, Meta(ge=0, le=1)]
    """Over all pairs."""

    interval: tuple[Similarity | None, Similarity | None] | None = None
    piece_mean: Similarity | None = None
    """Mean of the pieces' own means."""

    piece_interval: tuple[Similarity | None, Similarity | None] | None = None
    chance: Similarity | None = None
    """Mean over all pairs when the bars of each part are shuffled."""

    chance_interval: tuple[Similarity | None, Similarity | None] | None = None

    def __post_init__(self) -> None:
        if self.relation == "same" and self.offset == 0:
            raise MeloError("offset is 0; within a part it must be 1 or more")


class PeakEntry(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `Peak`; None where it was not measured."""

    measure: str
    relation: Relation
    offset: Offset
    pieces: Count = 0
    height: Difference | None = None
    interval: tuple[Difference | None, Difference | None] | None = None
    effect: Annotated[float, Meta(ge=-1e9, le=1e9)] | None = None
    p: Annotated[float, Meta(ge=0, le=1 + _ROUNDING)] | None = None

    @staticmethod
    def of(peak: Peak) -> "PeakEntry":
        """The entry of a peak."""
        return PeakEntry(
            measure=peak.measure,
            relation=peak.relation,
            offset=peak.offset,
            pieces=peak.pieces,
            height=_finite(peak.height),
            interval=(_finite(peak.interval[0]), _finite(peak.interval[1])),
            effect=_finite(peak.effect),
            p=_finite(peak.p),
        )

    def peak(self) -> Peak:
        """The peak, NaN where it was not measured."""
        low, high = self.interval or (None, None)
        return Peak(
            measure=self.measure,
            relation=self.relation,
            offset=self.offset,
            pieces=self.pieces,
            height=_or_nan(self.height),
            interval=(math.nan, math.nan) if low is None or high is None else (low, high),
            effect=_or_nan(self.effect),
            p=_or_nan(self.p),
        )


class SkippedEntry(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that was not measured."""

    path: str = ""
    reason: str = ""


class EvidenceEntry(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How peaks were tested."""

    level: float | None = None
    """p at or below which a peak is real."""

    shuffled: Count | None = None
    """Pieces that were shuffled."""

    shuffles_of_each: Count | None = None


class OffsetTableFile(
    JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="meloctl.offsets/1"
):
    """A table of similarity by offset as it is stored: each curve with all that speaks for it."""

    noun: ClassVar[str] = "table of offsets"
    made_by: ClassVar[str] = "meloctl stats FOLDER"

    pieces: Count | None = None
    """How many were measured, where that is known."""

    skipped: tuple[SkippedEntry, ...] = ()
    offsets: tuple[OffsetEntry, ...]
    """Each measure, relation and offset once."""

    peaks: tuple[PeakEntry, ...] = ()
    """Likewise; empty where none was tested."""

    periods: Mapping[str, Mapping[Relation, Count | None]] = {}
    """{measure: {relation: bars, None for no period}}"""

    evidence: EvidenceEntry = EvidenceEntry()
    source: Mapping[str, Any] = {}
    """Where it comes from: corpus, fingerprint, …"""

    def __post_init__(self) -> None:
        _refuse_repeated("offsets", [(e.measure, e.relation, e.offset) for e in self.offsets])
        _refuse_repeated("peaks", [(e.measure, e.relation, e.offset) for e in self.peaks])


def _refuse_repeated(name: str, keys: list[tuple[str, str, int]]) -> None:
    seen = set()
    for i, key in enumerate(keys):
        if key in seen:
            raise MeloError(f"{name}[{i}]: {key[0]:.40} {key[1]} {key[2]} stands in the table twice")
        seen.add(key)


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
    return OffsetTableFile(
        pieces=pieces,
        skipped=tuple(SkippedEntry(**one) for one in islice(skipped, MOST_SKIPPED)),
        offsets=tuple(_offset_entry(row, evidence) for row in rows),
        peaks=tuple(map(PeakEntry.of, evidence.peaks)),
        periods={m: {r: evidence.period(m, r) for r in RELATIONS} for m in evidence.measures},
        evidence=EvidenceEntry(level=LEVEL, shuffled=evidence.shuffled, shuffles_of_each=evidence.draws),
        source=source,
    ).to_json()


def _offset_entry(row: OffsetRow, evidence: Evidence) -> OffsetEntry:
    at = (evidence.measures.index(row.measure), RELATIONS.index(row.relation), row.offset)
    interval, piece_interval, chance_interval = (
        (_finite(low), _finite(high))
        for low, high in (
            evidence.mean_interval[:, *at],
            evidence.piece_interval[:, *at],
            evidence.chance_interval[:, *at],
        )
    )
    return OffsetEntry(
        measure=row.measure,
        relation=row.relation,
        offset=row.offset,
        pairs=row.pairs,
        mean=row.mean,
        interval=interval,
        piece_mean=row.piece_mean,
        piece_interval=piece_interval,
        chance=_finite(evidence.chance[at]),
        chance_interval=chance_interval,
    )


def _finite(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if math.isfinite(value) else None


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def read_curves(path: Path, *, measure: str = PC_JACCARD.name, both: bool = True) -> Curves:
    """The curves of one measure from a table file, or from the folder that holds it as offsets.json.

    `both`: a table without either relation is refused.

    Raises:
        MeloError: not such a file, unknown keys, or a mean outside 0..1.
    """
    path = path / "offsets.json" if path.is_dir() else path
    return curves_of(OffsetTableFile.read(path), where=str(path), measure=measure, both=both)


def curves_of(table: OffsetTableFile, *, where: str, measure: str = PC_JACCARD.name, both: bool = True) -> Curves:
    """The curves of one measure of a table; `where` names the table in errors.

    Raises:
        MeloError: the table lacks one of the relations, and `both` are needed.
    """
    curves: dict[str, dict[int, float]] = {relation: {} for relation in RELATIONS}
    pairs: dict[str, dict[int, int]] = {relation: {} for relation in RELATIONS}
    for entry in table.offsets:
        if entry.measure == measure:
            curves[entry.relation][entry.offset] = entry.mean
            if entry.pairs is not None:
                pairs[entry.relation][entry.offset] = entry.pairs
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
