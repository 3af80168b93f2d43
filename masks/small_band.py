"""A mask among the cells of a small band of PARTS parts, the first of them drums: what its picture and its chart draw."""

from typing import Literal, TypeAlias

from masks.spec import MaskSpec

PARTS = 3
_FEWEST_BARS, _MOST_BARS = 12, 36

CellKind: TypeAlias = Literal["same", "cross", "drums", "hidden"]
"""How a cell sees another: within its part, across parts, by the exemption of drums, or not at all."""


def bars_to_draw(spec: MaskSpec) -> int:
    """Bars that show every offset of a mask and a little more, 12 to 36."""
    same = () if spec.same == "full" else spec.same
    return min(_MOST_BARS, max(_FEWEST_BARS, spec.near + 4, *(k + 4 for k in (*spec.far, *same))))


def numbered_bars(bars: int) -> range:
    """Bars, counted from 0, that an axis numbers: all of a few, else every fourth."""
    return range(0, bars, 1 if bars <= 16 else 4)


def cell_kind(spec: MaskSpec, part: int, other: int, offset: int) -> CellKind:
    """How a cell of `part` sees the cell of part `other` that lies `offset` bars before it."""
    exempt = spec.drums == "exempt" and 0 in (part, other)
    relation: CellKind = "same" if part == other else "drums" if exempt else "cross"
    return relation if spec.sees(relation, offset) else "hidden"
