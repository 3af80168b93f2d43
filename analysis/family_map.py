"""Similarity by instrument family: of pairs that share a bar, and of the pairs compared most often by offset."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from analysis.families import FAMILIES
from analysis.tables import FamilyRow

FEW_PAIRS = 50
"""A mean of fewer pairs than this says little; it is drawn faint."""

MOST_LINES = 11
"""Lines of each kind that a map by offset shows: those compared most often."""


@dataclass(frozen=True, kw_only=True)
class MapCell:
    """A mean similarity, 0 to 1, and the number of pairs of bars behind it."""

    mean: float
    pairs: int


@dataclass(kw_only=True)
class MapLine:
    """One family, or two, by offset."""

    name: str
    cells: dict[int, MapCell] = field(default_factory=dict)
    """{offset in bars: cell}; only offsets with pairs."""

    @property
    def pairs(self) -> int:
        """Pairs of bars at all offsets."""
        return sum(c.pairs for c in self.cells.values())


@dataclass(frozen=True, kw_only=True)
class FamilyMap:
    """The breakdown of one measure by family."""

    families: tuple[str, ...]
    """Those that share a bar with another part, in the order of General MIDI."""

    same_bar: Mapping[tuple[str, str], MapCell]
    """Two parts in one bar, by their families in either order."""

    own: tuple[MapLine, ...]
    """Within a part, by its family; the most often compared first."""

    across: tuple[MapLine, ...]
    """Between two parts, by their families in either order; the most often compared first."""


def family_map(rows: Iterable[FamilyRow]) -> FamilyMap:
    """The map of one measure, from its rows; a family's name that is none of General MIDI's stands after those."""
    same_bar: dict[tuple[str, str], MapCell] = {}
    own: dict[str, MapLine] = {}
    across: dict[str, MapLine] = {}
    for row in rows:
        cell = MapCell(mean=row.mean, pairs=row.pairs)
        if row.relation == "same":
            own.setdefault(row.later, MapLine(name=row.later)).cells[row.offset] = cell
            continue
        name = pair_name(row.later, row.earlier)
        line = across.setdefault(name, MapLine(name=name))
        line.cells[row.offset] = _merge(line.cells.get(row.offset), cell)
        if row.offset == 0:
            same_bar[row.later, row.earlier] = same_bar[row.earlier, row.later] = cell
    families = sorted({family for pair in same_bar for family in pair}, key=_rank)
    return FamilyMap(families=tuple(families), same_bar=same_bar, own=_by_pairs(own), across=_by_pairs(across))


def pair_name(later: str, earlier: str) -> str:
    """Two families in the order of General MIDI, so that either order has one name."""
    first, second = sorted((later, earlier), key=_rank)
    return f"{first}, two parts" if first == second else f"{first} – {second}"


def _rank(family: str) -> tuple[int, str]:
    return FAMILIES.index(family) if family in FAMILIES else len(FAMILIES), family


def _merge(a: MapCell | None, b: MapCell) -> MapCell:
    """The mean over the pairs of both."""
    if a is None or a.pairs + b.pairs == 0:
        return b
    pairs = a.pairs + b.pairs
    return MapCell(mean=(a.mean * a.pairs + b.mean * b.pairs) / pairs, pairs=pairs)


def _by_pairs(lines: dict[str, MapLine]) -> tuple[MapLine, ...]:
    return tuple(sorted(lines.values(), key=lambda line: (-line.pairs, line.name)))
