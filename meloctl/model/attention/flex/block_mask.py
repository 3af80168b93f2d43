"""Which blocks of queries and keys a kernel must visit: found from stretches of keys, never from the L × M matrix.

Shape letters: L queries, M keys, I blocks of queries, J blocks of keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.arrays import Bools, Ints
from masks.spec import MASK_RELATIONS

EVERY = frozenset(range(len(MASK_RELATIONS)))
"""All relations."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Stretch:
    """Keys that stand together, one run of them for each query. Stretches of one call share no pair."""

    low: Ints
    """(L,) the first key."""

    high: Ints
    """(L,) where the keys end; none are seen unless it is above `low`."""

    among: frozenset[int] = EVERY
    """The relations (rows of MASK_RELATIONS) that are seen; keys of another relation in the stretch are not."""


def visited(stretches: Sequence[Stretch], n_keys: int, block: int) -> tuple[Bools, Bools]:
    """The blocks that hold what the stretches show.

    A stretch that shows some relations alone is taken whole: so a block can be visited that holds no pair seen, where all its
    pairs are of another relation. In real pieces these are few, and to tell them apart would need the parts of each block.

    Args:
        stretches: of L queries.
        n_keys: M.
        block: rows of a block, of queries as of keys.

    Returns:
        (I, J) bool, blocks to visit, and (I, J) bool, those of them in which every query sees every key.
    """
    n_queries = len(stretches[0].low)
    shape = -(-n_queries // block), -(-n_keys // block)
    touched, filled = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    at = np.arange(n_queries) // block
    for stretch in stretches:
        low, high = stretch.low, np.maximum(stretch.low, stretch.high)
        touched += _runs(at, low // block, np.where(high > low, -(-high // block), 0), shape)
        if stretch.among == EVERY:
            filled += _runs(at, -(-low // block), high // block, shape)
    return touched > 0, filled == block


def listed(chosen_IJ: Bools) -> tuple[Tensor, Tensor]:
    """Blocks as a kernel reads them.

    Returns:
        (1, 1, I) int32 how many blocks are chosen in each row, and (1, 1, I, J) int32 which: ascending, then the others.
    """
    count = chosen_IJ.sum(axis=1, dtype=np.int32)
    index = np.argsort(~chosen_IJ, axis=1, kind="stable").astype(np.int32)
    return torch.from_numpy(count)[None, None], torch.from_numpy(index)[None, None]


def _runs(at: Ints, first: Ints, end: Ints, shape: tuple[int, int]) -> Ints:
    """(I, J) how often each block of keys lies in a run first..end − 1 of a query in block `at`."""
    real = first < end
    width = shape[1] + 1
    size = shape[0] * width
    opened, closed = (np.bincount(at[real] * width + x[real], minlength=size) for x in (first, end))
    out: Ints = np.cumsum((opened - closed).reshape(shape[0], width), axis=1)[:, :-1]
    return out
