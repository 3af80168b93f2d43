"""What rows that fill a gap see of the rows around it, which come before them in generation order.

Such rows belong to bars that lie among those of the kept rows, so they see both ways: the offset is the distance of two bars.
Shape letters: Q cells that fill the gap, K kept cells, N and M their rows.
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
"""Rows in a run of cells that fill the gap, about: what each run sees is one tile."""


@dataclass(frozen=True, kw_only=True, eq=False)
class InfillTile:
    """Some rows that fill a gap as queries, and all kept rows that one of them sees as keys. Not causal."""

    queries: Ints
    """(N,) rows, counted from the first that fills the gap."""

    keys: Ints
    """(M,) kept rows."""

    see: Bools
    """(N, M) True = may attend."""

    relation: npt.NDArray[np.int8]
    """(N, M) as rows of MASK_RELATIONS."""

    distance: Ints
    """(N, M) bars between them."""


def infill_tiles(spec: MaskSpec, kept: CellRows, filled: CellRows) -> Iterator[InfillTile]:
    """All pairs (row that fills the gap, kept row) that the mask shows, each in one tile.

    Args:
        spec: the mask.
        kept, filled: cells of one window, with the same drums; their bars are counted from the same one.
    """
    far = max(int(kept.bar.max()), int(filled.bar.max())) + 1
    seen = visible_offsets(spec, far)
    run = filled.start // ROWS
    for number in np.unique(run):
        cells = np.flatnonzero(run == number)
        relation = relations(filled.part[cells], kept.part, kept.drums)
        distance = np.abs(filled.bar[cells][:, None] - kept.bar)
        see = seen[relation, distance]
        some = np.flatnonzero(see.any(axis=0))
        if len(some):
            rows = filled.rows[cells], kept.rows[some]
            yield InfillTile(
                queries=expand_ranges(filled.start[cells], rows[0]),
                keys=expand_ranges(kept.start[some], rows[1]),
                see=_by_row(see[:, some], *rows),
                relation=_by_row(relation[:, some], *rows),
                distance=_by_row(distance[:, some], *rows),
            )


def infill_mask(
    spec: MaskSpec, bar: Ints, part: Ints, drums: frozenset[int]
) -> tuple[Bools, npt.NDArray[np.int8], Ints]:
    """The mask of a short window with masked bars, as three (L, L) arrays: True = may attend; the relation as a row of
    MASK_RELATIONS; the distance in bars.

    Args:
        bar, part: (L,) of each row in generation order.
        drums: the parts that are drums.
    """
    relation, distance = relations(part, part, drums), np.abs(bar[:, None] - bar)
    seen = visible_offsets(spec, int(bar.max()) + 1)[relation, distance]
    return seen & np.tri(len(bar), dtype=np.bool_), relation, distance


def _by_row(of_cells: npt.NDArray[Kind], queries: Ints, keys: Ints) -> npt.NDArray[Kind]:
    """(Q, K) of cells → (N, M) of their rows."""
    return np.repeat(np.repeat(of_cells, keys, axis=1), queries, axis=0)
