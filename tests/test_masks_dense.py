"""The definition itself, on matrices that can be drawn, and what is computed without the matrix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from small_masks import SEED
from strategies import layouts, specs

from masks.cost.row_pairs import row_pairs
from masks.dense import dense_mask, dense_summary_mask
from masks.describe import density, describe_mask, reach
from masks.mask_picture import draw_mask
from masks.spec import MASK_RELATIONS, MOST_OFFSET, MaskSpec


def test_infill_attends_both_ways_drawn():
    # one part, a row a bar; bar 1 of 0, 1, 2, 3 is written last, and own bars are seen 1 back alone
    spec = MaskSpec(same=(1,), near=0, far=(), summaries=False)
    drawn = ["1...", ".1..", ".11.", "11.1"]
    assert [["1" if x else "." for x in row] for row in dense_mask(spec, [0, 2, 3, 1], [0] * 4)] == [
        list(line) for line in drawn
    ]


def test_the_seeds_mask_drawn():
    # two parts, one row each, bars 0, 3, 4: cross sees offsets 0, 1, 2, 4, not 3
    bar, part = [0, 0, 3, 3, 4, 4], [0, 1, 0, 1, 0, 1]
    drawn = ["1.....", "11....", "1.1...", ".111..", "11111.", "111111"]
    assert [["1" if x else "." for x in row] for row in dense_mask(SEED, bar, part)] == [list(line) for line in drawn]


def test_one_offset_of_ones_own_part_drawn():
    # one part, a row a bar: own bar, and 2 back
    spec = MaskSpec(same=(2,), near=0, far=(), summaries=False)
    expected = np.eye(5, dtype=bool) | np.eye(5, k=-2, dtype=bool)
    assert (dense_mask(spec, range(5), [0] * 5) == expected).all()


def test_exempt_drums_drawn():
    # parts 0 (drums), 1, 2, one row each, bars 0 and 3: no part sees another 3 back, but drums do, and are seen
    spec = replace(SEED, same=(3,), drums="exempt")
    bar, part = [0, 0, 0, 3, 3, 3], [0, 1, 2, 0, 1, 2]
    drawn = ["1.....", "11....", "111...", "1111..", "11.11.", "1.1111"]
    assert [["1" if x else "." for x in row] for row in dense_mask(spec, bar, part, {0})] == [list(x) for x in drawn]
    assert (dense_mask(spec, bar, part) == dense_mask(replace(spec, drums="masked"), bar, part, {0})).all()


def test_summaries_of_earlier_bars_are_visible():
    assert dense_summary_mask(SEED, [0, 1, 1, 2], 3).tolist() == [[0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0]]
    off = MaskSpec(same="full", near=0, far=(), summaries=False)
    assert not dense_summary_mask(off, [0, 1, 2], 3).any()


@given(specs(), layouts())
def test_no_row_attends_to_a_later_one_and_every_row_to_itself(spec, layout):
    see = dense_mask(spec, *layout)
    assert not np.triu(see, k=1).any()
    assert see.diagonal().all()


@given(specs(), layouts(), st.sets(st.integers(0, 3), max_size=2))
def test_density_is_the_share_of_the_matrix(spec, layout, drums):
    bar, part = (np.array(x) for x in layout)
    rows = np.zeros((part.max() + 1, bar.max() + 1), dtype=np.int64)
    np.add.at(rows, (part, bar), 1)
    see = dense_mask(spec, *layout, drums)
    n = len(bar)
    assert density(spec, row_pairs(rows, drums=drums)) == see.sum() / (n * (n + 1) / 2)


def test_density_of_nothing_is_nothing():
    assert density(SEED, row_pairs(np.zeros((2, 3), dtype=np.int64))) == 0.0


def relation_of(p, q):
    """Part 3 is drums."""
    return "same" if p == q else "drums" if 3 in (p, q) else "cross"


@given(specs(), st.integers(1, 3))
def test_reach_is_the_matrix_multiplied(spec, layers):
    # three parts and drums, one row each, 14 bars: which rows of parts 1, 2 and 3 reach the last bar's row of part 1.
    # Rows of one bar stand in the order of parts; `reach` is of earlier bars, and always holds offset 0.
    bars = 14
    bar, part = np.repeat(np.arange(bars), 4), np.tile(np.arange(4), bars)
    see = np.array(
        [
            [spec.sees(relation_of(p, q), b - c) if b >= c else False for c, q in zip(bar, part, strict=True)]
            for b, p in zip(bar, part, strict=True)
        ]
    )
    reached = np.linalg.matrix_power(see.astype(float), layers) > 0
    last = reached[(bars - 1) * 4 + 1]
    expected = {
        relation: [k for k in range(bars) if last[(bars - 1 - k) * 4 + other]]
        for relation, other in (("same", 1), ("cross", 2), ("drums", 3))
    }
    assert reach(spec, layers, bars=bars) == expected


def test_exempt_drums_carry_what_the_mask_hides():
    # own bar only; through two layers every bar reaches a row, by way of the drums
    spec = MaskSpec(same=(), near=0, far=(), summaries=False, drums="exempt")
    assert reach(spec, 1, bars=5) == {"same": [0], "cross": [0], "drums": [0, 1, 2, 3, 4]}
    assert reach(spec, 2, bars=5) == {relation: [0, 1, 2, 3, 4] for relation in MASK_RELATIONS}
    masked = replace(spec, drums="masked")
    assert reach(masked, 9, bars=5) == {relation: [0] for relation in MASK_RELATIONS}


@pytest.mark.parametrize(
    "spec",
    [SEED, replace(SEED, drums="exempt"), replace(SEED, near=MOST_OFFSET, far=(), same_prior={}, cross_prior={})],
    ids=["seed", "exempt", "causal, nothing measured"],
)
def test_the_picture_is_drawn(spec, tmp_path):
    draw_mask(spec, tmp_path / "mask.png")
    assert (tmp_path / "mask.png").read_bytes().startswith(b"\x89PNG")


def test_a_mask_in_words():
    assert describe_mask(SEED) == "Own part: every earlier bar. Other parts: offsets 0 to 2, and 4 back. Summaries: on."
    other = MaskSpec(same=(1, 2, 3, 8), near=0, far=(), summaries=False)
    assert describe_mask(other) == "Own part: offsets 1–3, 8. Other parts: the same bar. Summaries: off."
    exempt = replace(other, near=MOST_OFFSET, drums="exempt")
    assert describe_mask(exempt) == (
        "Own part: offsets 1–3, 8. Other parts: every earlier bar. "
        "Between drums and other parts: every earlier bar. Summaries: off."
    )
    assert describe_mask(replace(other, same=())).startswith("Own part: its own bar.")
