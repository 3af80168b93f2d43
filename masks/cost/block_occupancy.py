"""How many blocks of an attention matrix a mask touches: what a kernel that skips empty blocks has to compute.

Computed from the cells' edges and from which cell sees which, never from the L×L matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from analysis.arrays import Ints
from masks.spec import MaskSpec, visible_offsets
from masks.tiling.cell_rows import CellRows

_AT_ONCE = 1024
"""Query cells whose sight is held in memory at one time."""


@dataclass(frozen=True, kw_only=True)
class BlockGrid:
    """A way to cut an attention matrix into square blocks."""

    rows: int
    """Along a block's side; the last block may be shorter."""

    part_major: bool
    """Rows sorted by part and then bar, instead of the generation order (bar by bar)."""


def block_occupancy(spec: MaskSpec, cells: CellRows, ways: Sequence[BlockGrid]) -> list[float]:
    """Blocks that hold at least one pair of rows which the mask shows, as a share of those on or below the diagonal.

    Dense causal attention in generation order touches all of these, and so has 1. With rows sorted by part, a row may
    attend to rows that stand after it, so blocks above the diagonal count too and the share may pass 1.

    Args:
        spec: the mask.
        cells: of one piece, at least one.
        ways: to cut the matrix.

    Returns:
        A share for each way.
    """
    inside = [_inside(cells, way) for way in ways]
    touched = [np.tril((m.T @ m).toarray()) > 0 for m in inside]  # within a cell, a row sees itself and those before it
    seen, every = visible_offsets(spec, cells.n_bars), np.arange(len(cells.bar))
    for first in range(0, len(every), _AT_ONCE):
        some = every[first : first + _AT_ONCE]
        offset = np.maximum(cells.bar[some, None] - cells.bar, 0)
        see = (seen[cells.relation(some, every), offset] & (every < some[:, None])).astype(np.float32)
        for m, t in zip(inside, touched, strict=True):
            t |= m[some].T @ (see @ m) > 0
    return [float(t.sum()) / (len(t) * (len(t) + 1) // 2) for t in touched]


def _inside(cells: CellRows, way: BlockGrid) -> csr_array:
    """(C, blocks) 1 where a cell has a row in a block, cells in generation order."""
    order = np.lexsort((cells.bar, cells.part_index)) if way.part_major else np.arange(len(cells.bar))
    start: Ints = np.empty_like(cells.rows)
    start[order] = np.cumsum(cells.rows[order]) - cells.rows[order]
    first, last = start // way.rows, (start + cells.rows - 1) // way.rows
    blocks = last - first + 1
    edges = np.concatenate([[0], np.cumsum(blocks)])
    which = np.repeat(first - edges[:-1], blocks) + np.arange(edges[-1])
    shape = (len(start), -(-cells.n_rows // way.rows))
    return csr_array((np.ones(len(which), dtype=np.float32), which, edges), shape=shape)
