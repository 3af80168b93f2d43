"""The seed's rule: the seed's numbers give the seed's mask, and other numbers give others for stated reasons."""

import pytest
from conftest import DIARY
from msgspec.structs import replace
from small_masks import curves

from analysis.errors import MeloError
from analysis.offset_table_file import read_curves
from masks.rules.seed import derive_mask


def test_the_seeds_numbers_give_the_seeds_mask():
    spec = derive_mask(read_curves(DIARY))
    assert (spec.same, spec.near, spec.far, spec.summaries) == ("full", 2, (4,), True)


def test_the_reasons_carry_their_numbers():
    own, near, far, summaries = derive_mask(read_curves(DIARY)).reasons
    assert "29 bars back, 0.389" in own
    assert "4 bars back, 0.263" in own
    assert "1 (0.251), 2 (0.252) lie above the curve's median (0.2415); offset 3 (0.237) does not" in near
    assert "4 bars back (0.263)" in far
    assert "Summaries: on" in summaries


def test_priors_and_provenance_are_kept():
    table = read_curves(DIARY)
    spec = derive_mask(table, version="1.2", corpus="diary")
    assert (spec.same_prior, spec.cross_prior) == (table.same, table.cross)
    assert spec.source == {
        "rule": "seed",
        "far": 1,
        "measure": "pc-jaccard",
        "table": table.table_hash,
        "corpus": "diary",
        "meloctl": "1.2",
    }


def test_one_weak_offset_ends_full_attention_to_ones_own_part():
    # cross peaks at 0.4; same at 1 and 4 lies above it, 2 and 3 do not
    spec = derive_mask(curves({1: 0.5, 2: 0.39, 3: 0.4, 4: 0.6}, {1: 0.4, 2: 0.1, 3: 0.1, 4: 0.2}))
    assert spec.same == (1, 4)
    assert "only the 2 of 4 offsets" in spec.reasons[0]


def test_the_best_offset_is_kept_when_none_is_strong():
    spec = derive_mask(curves({1: 0.1, 2: 0.3, 3: 0.2}, {1: 0.4, 2: 0.1}))
    assert spec.same == (2,)
    assert "only 2 bars back (0.300), its best" in spec.reasons[0]


def test_near_is_the_leading_run_above_the_median():
    # median of 5, 4, 1, 3, 2 (tenths) is 3: the run is 1, 2
    cross = {1: 0.5, 2: 0.4, 3: 0.1, 4: 0.3, 5: 0.2}
    assert derive_mask(curves({1: 0.9}, cross)).near == 2
    assert derive_mask(curves({1: 0.9}, {1: 0.1, 2: 0.4, 3: 0.3})).near == 0


def test_offset_zero_is_no_part_of_the_median():
    with_zero = derive_mask(curves({1: 0.9}, {0: 1.0, 1: 0.5, 2: 0.4, 3: 0.1}))
    without = derive_mask(curves({1: 0.9}, {1: 0.5, 2: 0.4, 3: 0.1}))
    assert with_zero.near == without.near == 1
    assert "offset 0: 1.000" in with_zero.reasons[1]


def test_a_missing_offset_ends_the_run():
    assert derive_mask(curves({1: 0.9}, {1: 0.5, 3: 0.5, 4: 0.1, 5: 0.1})).near == 1


@pytest.mark.parametrize(("n_far", "far"), [(0, ()), (1, (4,)), (2, (4, 8)), (3, (4, 8, 16))])
def test_far_holds_the_strongest_beyond_near(n_far, far):
    assert derive_mask(read_curves(DIARY), n_far=n_far).far == far


def test_of_two_equal_offsets_the_nearer_is_taken():
    assert derive_mask(curves({1: 0.9}, {1: 0.1, 2: 0.3, 3: 0.3})).far == (2,)


def test_thin_offsets_are_not_considered():
    # 9 of 100 pairs at offset 3 are too few; there the curves would both have peaked
    spec = derive_mask(
        curves(
            {1: 0.5, 2: 0.4, 3: 0.0},
            {1: 0.2, 2: 0.1, 3: 0.9},
            pairs={r: {1: 100, 2: 10, 3: 9} for r in ("same", "cross")},
        )
    )
    assert (spec.same, spec.near, spec.far) == ("full", 1, (2,))
    assert "Not considered, for too few pairs" in spec.reasons[-1]
    assert "own part 3; other parts 3" in spec.reasons[-1]


def test_drums_may_be_exempt_and_the_rest_stays():
    masked, exempt = (derive_mask(read_curves(DIARY), drums=drums) for drums in ("masked", "exempt"))
    assert (masked.drums, exempt.drums) == ("masked", "exempt")
    (reason,) = set(exempt.reasons) - set(masked.reasons)
    assert reason.startswith("Drums and other parts attend to each other at every earlier bar")
    assert replace(exempt, drums="masked", reasons=masked.reasons) == masked


def test_a_table_of_offset_zero_alone_gives_no_mask():
    with pytest.raises(MeloError, match="no offset from 1 on"):
        derive_mask(curves({1: 0.5}, {0: 0.5}))
