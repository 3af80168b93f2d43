"""What chance gives: similarity by offset when the bars of each part are shuffled inside the piece.

A shuffle leaves every part its bars and its rests and takes away their order, so what is left is how alike bars are that merely
belong to one piece.
"""

import numpy as np
import numpy.typing as npt

from analysis.cells import Ints
from analysis.features import Contents
from analysis.offsets import OFFSETS, Layout, group_sums, part_sums, table_of
from analysis.similarity import Measure

MOST_CONTENTS = 2_048
"""A piece with more different bars than this is not shuffled: the table of all their similarities would be too large."""


def shuffled_sums(
    layout: Layout, contents: Contents, kind: Measure, *, draws: int, rng: np.random.Generator
) -> Ints | None:
    """Sums of similarity over the pairs of one piece, of each of `draws` shuffles. The pairs themselves stay as they are.

    Args:
        layout: without families.
        contents: `kind.contents(layout.cells)`.

    Returns:
        (draws, 2, OFFSETS) by relation and offset, in multiples of 1 / UNIT; None for a piece with too many different bars.
    """
    n = contents.items.shape[0]
    if n > MOST_CONTENTS:
        return None
    table, of_cell = table_of(kind.similarity(contents.items, contents.items)), contents.of_cell + 1
    itself = int(table[of_cell, of_cell].sum())
    of_cell = of_cell[_orders(layout.cells.part, draws, rng)]
    sums = np.zeros((draws, 2, OFFSETS), dtype=np.int64)
    for d in range(draws):
        for block in layout.blocks:
            mine = of_cell[d, block.window]
            sums[d, 0] += part_sums(block, [table], mine)[0].sum(axis=0)
            sums[d, 1] += group_sums(block, table, mine)[:, 0, 0]
    sums[:, 1, 1:] -= sums[:, 0, 1:]
    sums[:, 1, 0] = (sums[:, 1, 0] - itself) // 2
    return sums


def _orders(part: Ints, draws: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """(draws, C) for each cell the cell of its part whose contents it gets."""
    places = np.argsort(part, kind="stable")
    shuffled = np.argsort(part + rng.random((draws, len(part))), axis=1)
    orders = np.empty_like(shuffled)
    orders[:, places] = shuffled
    return orders
