"""Which blocks of queries and keys FlexAttention must visit, found from ranges of keys, never from the L × M matrix.

Shape letters: L queries, M keys, I blocks of queries, J blocks of keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.arrays import Bools, Ints
from masks.spec import MASK_RELATIONS

ALL_RELATIONS = frozenset(range(len(MASK_RELATIONS)))
"""Indices of MASK_RELATIONS."""


@dataclass(frozen=True, kw_only=True, eq=False)
class KeyRange:
    """A range of consecutive keys for each query. The ranges of one kernel call share no pair of query and key."""

    start: Ints
    """(L,) the first key."""

    end: Ints
    """(L,) one past the last key; the range is empty where it is not above `start`."""

    relations: frozenset[int] = ALL_RELATIONS
    """Indices of MASK_RELATIONS: keys of the range that stand in another relation to the query are hidden."""


def visited_blocks(ranges: Sequence[KeyRange], n_keys: int, block: int) -> tuple[Bools, Bools]:
    """The blocks that hold pairs which may attend.

    A range that shows some relations alone counts as if it showed all: a block is visited in vain where no pair of it has such a
    relation. In real pieces these are few, and to find them would need the parts of each block.

    Args:
        ranges: of L queries, one or more.
        n_keys: M.
        block: rows of a block, of queries as of keys.

    Returns:
        (I, J) bool, blocks to visit, and (I, J) bool, those of them in which every query attends to every key.
    """
    n_queries = len(ranges[0].start)
    shape = -(-n_queries // block), -(-n_keys // block)
    touched, covered = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    query_block = np.arange(n_queries) // block
    for keys in ranges:
        start, end = keys.start, np.maximum(keys.start, keys.end)
        past_last = np.where(end > start, -(-end // block), 0)
        touched += _queries_by_block(query_block, start // block, past_last, shape)
        if keys.relations == ALL_RELATIONS:
            covered += _queries_by_block(query_block, -(-start // block), end // block, shape)
    return touched > 0, covered == block


def block_list(chosen_IJ: Bools) -> tuple[Tensor, Tensor]:
    """Blocks in the form of `BlockMask`.

    Returns:
        (1, 1, I) int32 number of chosen blocks in each row, and (1, 1, I, J) int32 their indices, ascending, then the others.
    """
    count = chosen_IJ.sum(axis=1, dtype=np.int32)
    index = np.argsort(~chosen_IJ, axis=1, kind="stable").astype(np.int32)
    return torch.from_numpy(count)[None, None], torch.from_numpy(index)[None, None]


def _queries_by_block(query_block: Ints, first: Ints, end: Ints, shape: tuple[int, int]) -> Ints:
    """(I, J) number of queries in block i whose key blocks first..end − 1 hold block j.

    Args:
        query_block, first, end: (L,) of each query.
        shape: I, J.
    """
    real = first < end
    width = shape[1] + 1
    size = shape[0] * width
    opened, closed = (np.bincount(query_block[real] * width + x[real], minlength=size) for x in (first, end))
    out: Ints = np.cumsum((opened - closed).reshape(shape[0], width), axis=1)[:, :-1]
    return out
