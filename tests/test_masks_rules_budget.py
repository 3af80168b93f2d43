"""The budget rule: what it chooses, by hand, and never more than its share."""

import numpy as np
import pytest
from conftest import DIARY
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from small_masks import curves

from analysis.errors import MeloError
from analysis.offset_table_file import read_curves
from masks.cost.row_pairs import row_pairs
from masks.describe import density
from masks.rules.budget import budget_mask
from masks.spec import MaskSpec

LONG = row_pairs(np.ones((3, 40), dtype=np.int64))
"""Three parts, one row a bar: k back there are 3 · (40 − k) pairs of `same` and 6 · (40 − k) of `cross`; 7,260 in all."""

OWN_BAR = 40 * 6 / 7260


def shown(spec):
    return list(spec.same), [k for k in range(1, 33) if spec.sees("cross", k)]


def test_the_most_similar_are_chosen_first():
    table = curves({1: 0.5, 2: 0.6}, {1: 0.3, 2: 0.4, 3: 0.2})
    costs = [3 * 38 / 7260, 3 * 39 / 7260, 6 * 38 / 7260, 6 * 39 / 7260, 6 * 37 / 7260]
    chosen = [([], []), ([2], []), ([1, 2], []), ([1, 2], [2]), ([1, 2], [1, 2]), ([1, 2], [1, 2, 3])]
    for n, expected in enumerate(chosen):
        spec = budget_mask(table, LONG, share=OWN_BAR + sum(costs[:n]) + 1e-9)
        assert shown(spec) == expected
    assert (spec.near, spec.far) == (3, ())


def test_what_does_not_fit_is_passed_over():
    # across parts 1 back is the best, and costs twice what its own part's 2 back does
    table = curves({1: 0.1, 2: 0.3}, {1: 0.9, 2: 0.2})
    spec = budget_mask(table, LONG, share=OWN_BAR + 3 * 39 / 7260)
    assert shown(spec) == ([2], [])
    assert "does not fit into the budget: other parts 1 back (0.900)" in spec.reasons[1]


def test_of_two_equally_similar_the_nearer_is_chosen_and_then_the_own_part():
    table = curves({1: 0.4, 2: 0.4}, {1: 0.4, 2: 0.4, 3: 0.1})
    one, two = (budget_mask(table, LONG, share=OWN_BAR + p / 7260) for p in (3 * 39, 9 * 39))
    assert shown(one) == ([1], [])
    assert shown(two) == ([1], [1])


def test_offsets_with_few_pairs_and_unmeasured_ones_are_not_chosen():
    pairs = {r: {1: 100, 2: 9, 3: 10} for r in ("same", "cross")}
    spec = budget_mask(curves({1: 0.5, 2: 0.9, 3: 0.4}, {1: 0.2, 2: 0.9, 3: 0.3}, pairs=pairs), LONG, share=1)
    assert shown(spec) == ([1, 3], [1, 3])
    assert spec.reasons[-1].startswith("Not considered, for too few pairs")
    assert "Every offset that was measured well enough fits" in spec.reasons[1]


def test_masked_drums_make_other_parts_cost_more():
    # part 2 is drums, so of 6 pairs across parts 2 count: at equal similarity one's own part is the better buy
    drummed = row_pairs(np.ones((3, 40), dtype=np.int64), drums={2})
    table = curves({1: 0.35, 2: 0.1}, {1: 0.5, 2: 0.1})
    masked = budget_mask(table, drummed, share=OWN_BAR + 6 * 39 / 7260)
    assert shown(masked) == ([1, 2], [])


def test_exempt_drums_are_paid_first_and_make_other_parts_cheaper():
    # drums and another part: 4 pairs in each pair of bars, 2 within a bar; what is left buys the 2 pairs across parts, not 6
    drummed = row_pairs(np.ones((3, 40), dtype=np.int64), drums={2})
    table = curves({1: 0.35, 2: 0.1}, {1: 0.5, 2: 0.1})
    least = OWN_BAR + 4 * sum(range(40)) / 7260
    spec = budget_mask(table, drummed, share=least + 2 * 39 / 7260, drums="exempt")
    assert (spec.drums, shown(spec)) == ("exempt", ([], [1]))
    with pytest.raises(MeloError, match=r"the bar itself and drums that are not masked cost 0\.46"):
        budget_mask(table, drummed, share=least - 0.001, drums="exempt")


@given(
    arrays(np.int64, st.tuples(st.integers(2, 4), st.integers(2, 40)), elements=st.integers(0, 4)),
    st.floats(0.001, 1),
    st.sampled_from(["masked", "exempt"]),
)
def test_the_share_is_never_exceeded_and_the_reasons_say_what_is_used(rows, share, drums):
    rows[0] += 1
    pairs = row_pairs(rows, drums={1}, headers={0})
    least = density(MaskSpec(same=(), near=0, far=(), drums=drums, summaries=True), pairs)
    if least > share:
        with pytest.raises(MeloError, match="too small"):
            budget_mask(read_curves(DIARY), pairs, share=share, drums=drums)
        return
    spec = budget_mask(read_curves(DIARY), pairs, share=share, drums=drums)
    used = density(spec, pairs)
    assert used <= share + 1e-9
    assert spec.reasons[0].startswith(
        f"Budget: {used:.3f} of dense causal attention's pairs of rows are shown, {share:.3f}"
    )
    assert spec.source == {"rule": "budget", "share": share, "used": used}


def test_the_reasons():
    order, own, others, summaries = budget_mask(read_curves(DIARY), LONG, share=0.2).reasons[1:]
    assert "the least similar offset (other parts 7 back, 0.231)" in order
    assert "First own part 4 back (0.528)" in order
    assert own.startswith("Own part: 1–8, 12, 16, 24, ")
    assert own.endswith("(0.389 to 0.528).")
    assert others == "Other parts: 24 back (0.239)."
    none = budget_mask(read_curves(DIARY), LONG, share=0.1)
    assert none.reasons[3] == "Other parts: no earlier bar."
    assert summaries.startswith("Summaries: on")


@pytest.mark.parametrize("share", [0, -1, 1.01, float("nan")])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(MeloError, match="over 0 and up to 1"):
        budget_mask(read_curves(DIARY), LONG, share=share)


def test_a_share_that_does_not_pay_for_the_bar_itself_is_refused():
    with pytest.raises(MeloError, match=r"share 0\.03: too small: the bar itself costs 0\.0331"):
        budget_mask(read_curves(DIARY), LONG, share=0.03)
