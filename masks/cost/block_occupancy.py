"""Block occupancy: the share of an attention matrix's blocks that a mask touches.

A kernel that skips empty blocks has to compute these. Found from the cells' edges and from which cell may attend to which,
never from the L×L matrix.
Shape letters: C cells, B blocks along a side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.arrays import Ints
from masks.spec import MaskSpec, visible_offsets
from masks.tiling.cell_rows import CellRows

_AT_ONCE = 1024
"""Query cells whose rows of the cells' mask are in memory at one time."""


@dataclass(frozen=True, kw_only=True)
class BlockGrid:
    """How an attention matrix is cut into square blocks."""

    rows: int
    """Rows along a block's side; the last block may be shorter."""

    part_major: bool
    """Rows sorted by part and then bar, instead of the generation order (bar by bar)."""


def block_occupancy(spec: MaskSpec, cells: CellRows, grids: Sequence[BlockGrid]) -> list[float]:
    """Blocks that hold at least one visible pair of rows, as a share of the blocks on or below the diagonal.

    Dense causal attention in generation order has 1. With rows sorted by part, a row may attend to rows that come after it,
    so blocks above the diagonal count too and the share may exceed 1.

    Args:
        spec: the mask.
        cells: of one piece, at least one.
        grids: how the matrix is cut.

    Returns:
        A share for each grid.
    """
    cell_blocks = [_cell_blocks(cells, grid) for grid in grids]
    occupied = [
        np.tril((m.T @ m).toarray()) > 0 for m in cell_blocks
    ]  # in its own cell, a row attends to those up to itself
    visible, every = visible_offsets(spec, cells.n_bars), np.arange(len(cells.bar))
    for first in range(0, len(every), _AT_ONCE):
        some = every[first : first + _AT_ONCE]
        offset = np.maximum(cells.bar[some, None] - cells.bar, 0)
        mask = (visible[cells.relation(some, every), offset] & (every < some[:, None])).astype(np.float32)
        for m, blocks in zip(cell_blocks, occupied, strict=True):
            blocks |= m[some].T @ (mask @ m) > 0
    return [float(blocks.sum()) / (len(blocks) * (len(blocks) + 1) // 2) for blocks in occupied]


def _cell_blocks(cells: CellRows, grid: BlockGrid) -> Any:
    """Sparse (C, B): 1 where a cell has a row in a block, cells in generation order."""
    from scipy.sparse import csr_array

    order = np.lexsort((cells.bar, cells.part_index)) if grid.part_major else np.arange(len(cells.bar))
    start: Ints = np.empty_like(cells.rows)
    start[order] = np.cumsum(cells.rows[order]) - cells.rows[order]
    first, last = start // grid.rows, (start + cells.rows - 1) // grid.rows
    blocks = last - first + 1
    edges = np.concatenate([[0], np.cumsum(blocks)])
    which = np.repeat(first - edges[:-1], blocks) + np.arange(edges[-1])
    shape = (len(start), -(-cells.n_rows // grid.rows))
    return csr_array((np.ones(len(which), dtype=np.float32), which, edges), shape=shape)
