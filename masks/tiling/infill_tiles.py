"""The mask between the middle of an infill window and its kept rows, as tiles.

In a window for infill the kept rows come first in generation order, then the middle: the rows of the masked bars. These bars lie
among those of the kept rows, so the middle attends both ways: the offset is the distance of two bars.
Shape letters: Q cells of the middle and K kept cells of a tile, N and M their rows; L rows of a window.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from analysis.arrays import Bools, Ints
from masks.spec import MaskSpec, visible_offsets
from masks.tiling.cell_rows import CellRows, expand_ranges, relations

Kind = TypeVar("Kind", bound=np.generic)

ROWS = 512
"""Rows of the middle in one tile, about."""


@dataclass(frozen=True, kw_only=True, eq=False)
class InfillTile:
    """Some rows of the middle as queries, and all kept rows that one of them attends to as keys. Not causal."""

    queries: Ints
    """(N,) rows, counted from the first of the middle."""

    keys: Ints
    """(M,) kept rows."""

    mask: Bools
    """(N, M) True = may attend."""

    relation: npt.NDArray[np.int8]
    """(N, M) indices into MASK_RELATIONS."""

    distance: Ints
    """(N, M) bars between them, ≥ 0."""


def infill_tiles(spec: MaskSpec, kept: CellRows, middle: CellRows) -> Iterator[InfillTile]:
    """Tiles that together hold every visible pair (row of the middle, kept row) once.

    Args:
        spec: the mask.
        kept: the kept cells of a window.
        middle: the cells of its masked bars, with the same drums; bars of both are counted from the same one.
    """
    n_offsets = max(int(kept.bar.max()), int(middle.bar.max())) + 1
    visible = visible_offsets(spec, n_offsets)
    tile_of_cell = middle.start // ROWS
    for tile in np.unique(tile_of_cell):
        cells = np.flatnonzero(tile_of_cell == tile)
        relation = relations(middle.part[cells], kept.part, kept.drums)
        distance = np.abs(middle.bar[cells][:, None] - kept.bar)
        mask = visible[relation, distance]
        some = np.flatnonzero(mask.any(axis=0))
        if len(some):
            rows = middle.rows[cells], kept.rows[some]
            yield InfillTile(
                queries=expand_ranges(middle.start[cells], rows[0]),
                keys=expand_ranges(kept.start[some], rows[1]),
                mask=_by_row(mask[:, some], *rows),
                relation=_by_row(relation[:, some], *rows),
                distance=_by_row(distance[:, some], *rows),
            )


def infill_mask(
    spec: MaskSpec, bar: Ints, part: Ints, drums: frozenset[int]
) -> tuple[Bools, npt.NDArray[np.int8], Ints]:
    """The mask of a whole short infill window.

    Args:
        spec: the mask.
        bar: (L,) bar of each row in generation order, masked bars last.
        part: (L,) part of each row.
        drums: the parts that are drums.

    Returns:
        (L, L) each, [query, key]: the mask, True = may attend; the relation, as an index into MASK_RELATIONS; the distance in
        bars.
    """
    relation, distance = relations(part, part, drums), np.abs(bar[:, None] - bar)
    visible = visible_offsets(spec, int(bar.max()) + 1)[relation, distance]
    return visible & np.tri(len(bar), dtype=np.bool_), relation, distance


def _by_row(of_cells: npt.NDArray[Kind], queries: Ints, keys: Ints) -> npt.NDArray[Kind]:
    """(Q, K) of cells → (N, M) of their rows; `queries` (Q,) and `keys` (K,) are rows a cell."""
    return np.repeat(np.repeat(of_cells, keys, axis=1), queries, axis=0)
