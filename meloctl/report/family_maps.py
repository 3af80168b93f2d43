"""The breakdown by instrument family, from families.csv: pairs in the same bar, and the commonest by offset."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from analysis.errors import MeloError
from analysis.families import FAMILIES
from analysis.offsets import MAX_OFFSET
from meloctl.report.report_text import family_pair

FEW_PAIRS = 50
"""A mean of fewer pairs than this is drawn faint."""

MOST_LINES = 11
"""Lines of each kind in a map by offset: those compared most often."""

_COLUMNS = ["measure", "relation", "offset", "later", "earlier", "pairs", "mean"]


@dataclass(frozen=True, kw_only=True)
class MapCell:
    """A mean and how many pairs speak for it."""

    mean: float
    pairs: int


@dataclass(kw_only=True)
class MapLine:
    """One family, or two, by offset."""

    name: str
    cells: dict[int, MapCell] = field(default_factory=dict)

    @property
    def pairs(self) -> int:
        """Of all offsets."""
        return sum(c.pairs for c in self.cells.values())


@dataclass(frozen=True, kw_only=True)
class FamilyMap:
    """Of one measure."""

    families: tuple[str, ...]
    """Those that meet another part in the same bar, in the order of General MIDI."""

    same_bar: Mapping[tuple[str, str], MapCell]
    """Two parts in one bar; both orders."""

    own: tuple[MapLine, ...]
    """Within a part, by its family; the most often compared first."""

    across: tuple[MapLine, ...]
    """Between two parts, either order of their families; the most often compared first."""


def read_families(path: Path) -> dict[str, FamilyMap]:
    """{measure: its maps}. Raises MeloError when the file is not the families.csv of `meloctl stats`."""
    try:
        rows = pd.read_csv(path, keep_default_na=False)
        rows = rows[_COLUMNS].astype({"offset": int, "pairs": int, "mean": float})
        rows = rows[rows["offset"].between(0, MAX_OFFSET)]
    except pd.errors.EmptyDataError:
        return {}  # no pair of bars anywhere
    except (KeyError, ValueError, OverflowError) as error:
        raise MeloError(f"{path}: not the families of meloctl stats; run it again") from error
    return {str(measure): _map(group) for measure, group in rows.groupby("measure")}


def _map(rows: pd.DataFrame) -> FamilyMap:
    same_bar: dict[tuple[str, str], MapCell] = {}
    own: dict[str, MapLine] = {}
    across: dict[str, MapLine] = {}
    for _, relation, offset, later, earlier, pairs, mean in rows[_COLUMNS].itertuples(index=False):
        cell = MapCell(mean=mean, pairs=pairs)
        if relation == "same":
            own.setdefault(later, MapLine(name=later)).cells[offset] = cell
            continue
        name = family_pair(later, earlier)
        line = across.setdefault(name, MapLine(name=name))
        line.cells[offset] = _both(line.cells.get(offset), cell)
        if offset == 0:
            same_bar[later, earlier] = same_bar[earlier, later] = cell
    rank = {name: i for i, name in enumerate(FAMILIES)}
    there = sorted({f for pair in same_bar for f in pair}, key=lambda f: (rank.get(f, len(rank)), f))
    return FamilyMap(families=tuple(there), same_bar=same_bar, own=_commonest(own), across=_commonest(across))


def _both(a: MapCell | None, b: MapCell) -> MapCell:
    """The mean over the pairs of both."""
    if a is None or a.pairs + b.pairs == 0:
        return b
    pairs = a.pairs + b.pairs
    return MapCell(mean=(a.mean * a.pairs + b.mean * b.pairs) / pairs, pairs=pairs)


def _commonest(lines: dict[str, MapLine]) -> tuple[MapLine, ...]:
    return tuple(sorted(lines.values(), key=lambda line: (-line.pairs, line.name)))
