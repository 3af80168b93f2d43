"""A table of offsets as the report shows it: each curve with its intervals, chance and peaks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis.errors import MeloError
from analysis.offset_table_file import OffsetEntry, OffsetTableFile
from analysis.significance import Peak, period_of
from analysis.similarity import MEASURES

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One offset of one curve; None where the table does not say. Similarities are 0 to 1, intervals 95 % over pieces."""

    offset: int
    """Bars back."""

    mean: float
    """Over all pairs of bars."""

    pairs: int | None
    interval: Interval | None
    piece_mean: float | None
    """Mean of the pieces' own means."""

    piece_interval: Interval | None
    chance: float | None
    """Mean when the bars of each part are shuffled."""

    chance_interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class ReportCurve:
    """Similarity by offset of one measure and relation."""

    measure: str
    relation: str
    points: tuple[Point, ...]
    """By offset, ascending."""

    peaks: tuple[Peak, ...]
    """The tests of offsets; empty where none was tested."""

    @property
    def period(self) -> int | None:
        """The period that the test found, in bars."""
        return period_of(list(self.peaks))

    def at(self, offset: int) -> Point | None:
        """The point at an offset, if it was measured."""
        return next((p for p in self.points if p.offset == offset), None)


@dataclass(frozen=True, kw_only=True)
class ReportTable:
    """A table of offsets by curve."""

    pieces: int | None
    skipped: tuple[tuple[str, str], ...]
    """(path, reason) of each file that was not read."""

    measures: tuple[str, ...]
    """Names of the measures that have a curve: those of `analysis.similarity` in its order, then others."""

    curves: dict[tuple[str, str], ReportCurve]
    """{(measure, relation): curve}; a relation that was not measured is missing."""

    corpus: str | None
    fingerprint: str | None
    shuffled_pieces: int | None
    """Pieces whose bars were shuffled for `Point.chance`."""

    shuffles_of_each: int | None
    """Shuffles of each of them."""

    def curve(self, measure: str, relation: str) -> ReportCurve | None:
        """A curve, if it was measured."""
        return self.curves.get((measure, relation))

    @property
    def lead(self) -> str:
        """The measure that the conclusions are about."""
        return self.measures[0]

    @property
    def has_chance(self) -> bool:
        """Whether any point has a mean by chance."""
        return any(p.chance is not None for c in self.curves.values() for p in c.points)

    @property
    def has_intervals(self) -> bool:
        """Whether any point has an interval."""
        return any(p.interval is not None for c in self.curves.values() for p in c.points)


def table_view(file: OffsetTableFile, *, where: str) -> ReportTable:
    """A table file by curve, as the report shows it; `where` names the file in errors.

    Raises:
        MeloError: it holds no offsets.
    """
    if not file.offsets:
        raise MeloError(f"{where}: it holds no offsets, so there is nothing to report")
    names: list[tuple[str, str]] = list(dict.fromkeys((entry.measure, entry.relation) for entry in file.offsets))
    curves = {name: _curve(file, *name) for name in names}
    ours = [m.name for m in MEASURES]
    return ReportTable(
        pieces=file.pieces,
        skipped=tuple((one.path, one.reason) for one in file.skipped),
        measures=tuple(sorted({m for m, _ in curves}, key=lambda m: (ours.index(m) if m in ours else len(ours), m))),
        curves=curves,
        corpus=_text(file.source, "corpus"),
        fingerprint=_text(file.source, "fingerprint"),
        shuffled_pieces=file.evidence.shuffled,
        shuffles_of_each=file.evidence.shuffles_of_each,
    )


def _curve(file: OffsetTableFile, measure: str, relation: str) -> ReportCurve:
    points = [_point(entry) for entry in file.offsets if (entry.measure, entry.relation) == (measure, relation)]
    peaks = [entry.peak() for entry in file.peaks if (entry.measure, entry.relation) == (measure, relation)]
    return ReportCurve(
        measure=measure,
        relation=relation,
        points=tuple(sorted(points, key=lambda p: p.offset)),
        peaks=tuple(sorted(peaks, key=lambda p: p.offset)),
    )


def _point(entry: OffsetEntry) -> Point:
    return Point(
        offset=entry.offset,
        mean=entry.mean,
        pairs=entry.pairs,
        interval=_interval(entry.interval),
        piece_mean=entry.piece_mean,
        piece_interval=_interval(entry.piece_interval),
        chance=entry.chance,
        chance_interval=_interval(entry.chance_interval),
    )


def _interval(ends: tuple[float | None, float | None] | None) -> Interval | None:
    low, high = ends or (None, None)
    return None if low is None or high is None else (low, high)


def _text(source: Mapping[str, Any], key: str) -> str | None:
    value = source.get(key)
    return value if isinstance(value, str) else None
