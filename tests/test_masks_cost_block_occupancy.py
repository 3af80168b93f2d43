"""Blocks touched, from cells alone, equal those of the matrix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import layouts, specs

from masks.cost import block_occupancy as occupancy
from masks.cost.block_occupancy import BlockGrid, block_occupancy
from masks.dense import dense_mask
from masks.rules.baselines import causal_mask
from masks.spec import MaskSpec
from masks.tiling.cell_rows import cells_of_rows


def by_the_matrix(see, order, size):
    """The definition: sort rows and columns, pad, look into every block."""
    n = -(-len(see) // size)
    padded = np.zeros((n * size, n * size), dtype=bool)
    padded[: len(see), : len(see)] = see[np.ix_(order, order)]
    return padded.reshape(n, size, n, size).any(axis=(1, 3)).sum() / (n * (n + 1) / 2)


@given(specs(), layouts(), st.sets(st.integers(0, 3), max_size=2), st.integers(1, 9))
def test_blocks_are_those_of_the_matrix(spec, layout, drums, size):
    bar, part = layout
    see = dense_mask(spec, bar, part, drums)
    orders = np.arange(len(bar)), np.lexsort((bar, part))
    grids = [BlockGrid(rows=size, part_major=by_part) for by_part in (False, True)]
    expected = [by_the_matrix(see, order, size) for order in orders]
    assert block_occupancy(spec, cells_of_rows(bar, part, drums), grids) == pytest.approx(expected)


def test_many_cells_are_taken_some_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    rows = sorted((int(b), int(p)) for b, p in zip(rng.integers(0, 20, 90), rng.integers(0, 4, 90), strict=True))
    cells = cells_of_rows(*zip(*rows, strict=True), drums={1})
    spec = MaskSpec(same=(2, 5), near=1, far=(4,), summaries=True, drums="exempt")
    grids = [BlockGrid(rows=8, part_major=by_part) for by_part in (False, True)]
    whole = block_occupancy(spec, cells, grids)
    monkeypatch.setattr(occupancy, "_AT_ONCE", 7)
    assert block_occupancy(spec, cells, grids) == whole


def test_by_hand():
    # one part, two rows a bar, own bar alone: of 4 bars in blocks of 2 the diagonal of 4 · 5 / 2, in blocks of 8 all
    cells = cells_of_rows(np.repeat(np.arange(4), 2), [0] * 8)
    spec = MaskSpec(same=(), near=0, far=(), summaries=True)
    grids = [BlockGrid(rows=n, part_major=False) for n in (2, 8)]
    assert block_occupancy(spec, cells, grids) == [4 / 10, 1]
    assert block_occupancy(causal_mask(), cells, grids) == [1, 1]


def test_sorted_by_part_a_row_attends_ahead():
    # two parts, one row each, two bars, blocks of one row, everything seen: in part-major order part 0 of bar 1 sees part 1
    # of bar 0, which stands after it, and part 1 of bar 0 does not see part 0 of bar 1
    cells = cells_of_rows([0, 0, 1, 1], [0, 1, 0, 1])
    (share,) = block_occupancy(causal_mask(), cells, [BlockGrid(rows=1, part_major=True)])
    assert share == 10 / 10
    (wide,) = block_occupancy(causal_mask(), cells, [BlockGrid(rows=2, part_major=True)])
    assert wide == 4 / 3
