"""The definition itself, on matrices that can be drawn, and what is computed without the matrix."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from test_masks_spec import SEED, specs

from masks.dense import dense_mask, dense_summary_mask
from masks.describe import density, in_words, reach
from masks.picture import draw_mask
from masks.spec import MaskSpec


@st.composite
def layouts(draw):
    """(bar, part) of rows in generation order: ragged cells, empty bars, empty parts."""
    cells = draw(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(1, 3)), min_size=1, max_size=12))
    rows = sorted((b, p) for b, p, n in cells for _ in range(n))
    return [b for b, _ in rows], [p for _, p in rows]


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


def test_summaries_of_earlier_bars_are_seen():
    assert dense_summary_mask(SEED, [0, 1, 1, 2], 3).tolist() == [[0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0]]
    off = MaskSpec(same="full", near=0, far=(), summaries=False)
    assert not dense_summary_mask(off, [0, 1, 2], 3).any()


@given(specs(), layouts())
def test_nothing_later_is_seen_and_everyone_sees_itself(spec, layout):
    see = dense_mask(spec, *layout)
    assert not np.triu(see, k=1).any()
    assert see.diagonal().all()


@given(specs(), layouts())
def test_density_is_the_share_of_the_matrix(spec, layout):
    bar, part = (np.array(x) for x in layout)
    rows = np.zeros((part.max() + 1, bar.max() + 1), dtype=np.int64)
    np.add.at(rows, (part, bar), 1)
    see = dense_mask(spec, *layout)
    n = len(bar)
    assert density(spec, rows) == see.sum() / (n * (n + 1) / 2)


@given(specs(), st.integers(1, 3))
def test_reach_is_the_matrix_multiplied(spec, layers):
    # three parts, one row each, 14 bars, without summaries; what the last bar's row of part 1 hears of parts 1 and 2.
    # Rows of one bar stand in the order of parts; reach speaks of earlier bars, and of offset 0 as always heard.
    bars = 14
    bar, part = np.repeat(np.arange(bars), 3), np.tile(np.arange(3), bars)
    see = np.array(
        [
            [
                spec.sees("same" if p == q else "cross", b - c) if b >= c else False
                for c, q in zip(bar, part, strict=True)
            ]
            for b, p in zip(bar, part, strict=True)
        ]
    )
    heard = np.linalg.matrix_power(see.astype(float), layers) > 0
    last = heard[(bars - 1) * 3 + 1]
    expected = {
        "same": [k for k in range(bars) if last[(bars - 1 - k) * 3 + 1]],
        "cross": [k for k in range(bars) if last[(bars - 1 - k) * 3 + 2]],
    }
    assert reach(spec, layers, bars=bars) == expected


def test_the_picture_is_drawn(tmp_path):
    draw_mask(SEED, tmp_path / "mask.png")
    assert (tmp_path / "mask.png").read_bytes().startswith(b"\x89PNG")


def test_a_mask_in_words():
    assert in_words(SEED) == "Own part: every earlier bar. Other parts: offsets 0 to 2, and 4 back. Summaries: on."
    other = MaskSpec(same=(1, 2, 3, 8), near=0, far=(), summaries=False)
    assert in_words(other) == "Own part: offsets 1–3, 8. Other parts: the same bar. Summaries: off."
