"""A table of offsets as the report shows it: every curve with all that speaks for it. Anyone may have written the file."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from analysis.errors import MeloError
from analysis.json_file import read_json
from analysis.offset_table_file import FORMAT
from analysis.offsets import RELATIONS
from analysis.significance import Peak, period_of
from analysis.similarity import MEASURES

Interval = tuple[float, float]

_T = TypeVar("_T")
_MOST_OFFSET = 10_000
_MOST_EFFECT = 1e9
_ROUNDING = 1e-6
"""By which a mean of similarities may leave 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One offset of one curve. None where the table does not say."""

    offset: int
    mean: float
    pairs: int | None
    interval: Interval | None
    piece_mean: float | None
    piece_interval: Interval | None
    chance: float | None
    chance_interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One measure and relation."""

    measure: str
    relation: str
    points: tuple[Point, ...]
    """By offset, ascending."""

    peaks: tuple[Peak, ...]
    """Of the offsets that were tested; empty where none was."""

    @property
    def period(self) -> int | None:
        """The period that the test found, in bars."""
        return period_of(list(self.peaks))

    def at(self, offset: int) -> Point | None:
        """The point at an offset, if it was measured."""
        return next((p for p in self.points if p.offset == offset), None)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A finished table."""

    pieces: int | None
    skipped: tuple[tuple[str, str], ...]
    """(path, reason) of each file that was not read."""

    measures: tuple[str, ...]
    """Those with a curve: ours in our order, then others."""

    curves: dict[tuple[str, str], Curve]
    """{(measure, relation): curve}; a relation that was not measured is missing."""

    corpus: str | None
    fingerprint: str | None
    shuffled: int | None
    """Pieces that were shuffled to learn what chance gives."""

    draws: int | None
    """Shuffles of each."""

    def curve(self, measure: str, relation: str) -> Curve | None:
        """A curve, if it was measured."""
        return self.curves.get((measure, relation))

    @property
    def lead(self) -> str:
        """The measure that the verdict is about."""
        return self.measures[0]

    @property
    def knows_chance(self) -> bool:
        """Does any point say what chance gives?"""
        return any(p.chance is not None for c in self.curves.values() for p in c.points)

    @property
    def knows_intervals(self) -> bool:
        """Has any point an interval?"""
        return any(p.interval is not None for c in self.curves.values() for p in c.points)


def read_table(path: Path) -> Table:
    """A table from a file. Raises MeloError when it is missing or not a table of offsets."""
    return table_of(read_json(path, what="table of offsets"), where=str(path))


def table_of(data: object, *, where: str) -> Table:
    """The same from parsed JSON; `where` names it in errors."""
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise MeloError(
            f'{where}: not a table of offsets (its "format" is not "{FORMAT}"); make one with: meloctl stats FOLDER'
        )
    points = _by_curve(data.get("offsets"), f"{where}: offsets", _point)
    peaks = _by_curve(data.get("peaks", []), f"{where}: peaks", _peak)
    if not points:
        raise MeloError(f"{where}: it holds no offsets, so there is nothing to report")
    curves = {}
    for (measure, relation), found in points.items():
        offsets = [p.offset for p in found]
        if len(set(offsets)) != len(offsets):
            raise MeloError(f"{where}: {measure} {relation} has an offset twice")
        curves[measure, relation] = Curve(
            measure=measure,
            relation=relation,
            points=tuple(sorted(found, key=lambda p: p.offset)),
            peaks=tuple(sorted(peaks.get((measure, relation), []), key=lambda p: p.offset)),
        )
    ours = [m.name for m in MEASURES]
    source, evidence = _object(data, "source"), _object(data, "evidence")
    return Table(
        pieces=_whole(data.get("pieces"), f"{where}: pieces"),
        skipped=_skipped(data.get("skipped", []), where),
        measures=tuple(sorted({m for m, _ in curves}, key=lambda m: (ours.index(m) if m in ours else len(ours), m))),
        curves=curves,
        corpus=_text(source, "corpus"),
        fingerprint=_text(source, "fingerprint"),
        shuffled=_whole(evidence.get("shuffled"), f"{where}: evidence.shuffled"),
        draws=_whole(evidence.get("shuffles_of_each"), f"{where}: evidence.shuffles_of_each"),
    )


def _by_curve(data: object, at: str, read: Callable[[dict[str, Any], str], _T]) -> dict[tuple[str, str], list[_T]]:
    if not isinstance(data, list):
        raise MeloError(f"{at}: must be a list of rows")
    found: dict[tuple[str, str], list[_T]] = {}
    for i, row in enumerate(data):
        if not isinstance(row, dict):
            raise MeloError(f"{at}[{i}]: is not an object")
        measure, relation = row.get("measure"), row.get("relation")
        if not isinstance(measure, str) or relation not in RELATIONS:
            raise MeloError(f"{at}[{i}]: its measure must be a name, its relation one of {', '.join(RELATIONS)}")
        found.setdefault((measure, relation), []).append(read(row, f"{at}[{i}]"))
    return found


def _point(row: dict[str, Any], at: str) -> Point:
    mean, piece_mean, chance = (_number(row.get(k), f"{at}.{k}", low=0) for k in ("mean", "piece_mean", "chance"))
    if mean is None:
        raise MeloError(f"{at}.mean: there is none; a row of a table has one")
    interval, piece_interval, chance_interval = (
        _interval(row.get(k), f"{at}.{k}", low=0) for k in ("interval", "piece_interval", "chance_interval")
    )
    return Point(
        offset=_offset(row, at),
        mean=mean,
        pairs=_whole(row.get("pairs"), f"{at}.pairs"),
        interval=interval,
        piece_mean=piece_mean,
        piece_interval=piece_interval,
        chance=chance,
        chance_interval=chance_interval,
    )


def _peak(row: dict[str, Any], at: str) -> Peak:
    return Peak(
        measure=row["measure"],
        relation=row["relation"],
        offset=_offset(row, at),
        pieces=_whole(row.get("pieces"), f"{at}.pieces") or 0,
        height=_known(_number(row.get("height"), f"{at}.height", low=-1)),
        interval=_interval(row.get("interval"), f"{at}.interval", low=-1) or (math.nan, math.nan),
        effect=_known(_number(row.get("effect"), f"{at}.effect", low=-_MOST_EFFECT, high=_MOST_EFFECT)),
        p=_known(_number(row.get("p"), f"{at}.p", low=0)),
    )


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _offset(row: dict[str, Any], at: str) -> int:
    offset = row.get("offset")
    if type(offset) is not int or not 0 <= offset <= _MOST_OFFSET:
        raise MeloError(f"{at}.offset: {offset!r} is not a whole number of bars, 0 to {_MOST_OFFSET}")
    return offset


def _number(value: object, at: str, *, low: float, high: float = 1.0) -> float | None:
    """A number in its range, or None for null and for NaN (a peak that nothing was shuffled for)."""
    if value is None or value != value:
        return None
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not low - _ROUNDING <= value <= high + _ROUNDING
    ):
        raise MeloError(f"{at}: {str(value)[:20]!r} is not a number from {low:g} to {high:g}")
    return float(value)


def _whole(value: object, at: str) -> int | None:
    if value is not None and (type(value) is not int or not 0 <= value < 1 << 63):
        raise MeloError(f"{at}: {str(value)[:20]!r} is not a whole number")
    return value


def _interval(value: object, at: str, *, low: float) -> Interval | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise MeloError(f"{at}: {str(value)[:20]!r} is not an interval [low, high]")
    least, most = (_number(v, at, low=low) for v in value)
    return None if least is None or most is None else (least, most)


def _skipped(data: object, where: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(data, list) or not all(isinstance(s, dict) for s in data):
        raise MeloError(f'{where}: "skipped" must be a list of objects with a path and a reason')
    return tuple((str(s.get("path", "")), str(s.get("reason", ""))) for s in data)


def _object(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _text(data: dict[str, Any], key: str) -> str | None:
    value = data.get(key)
    return value if isinstance(value, str) else None
