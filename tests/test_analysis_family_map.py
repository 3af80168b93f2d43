"""The breakdown by instrument family: either order of two families is one line, the most compared come first."""

import pytest

from analysis.family_map import family_map, pair_name
from analysis.tables import FamilyRow


def row(relation, offset, later, earlier, pairs, mean):
    return FamilyRow(
        measure="pc-jaccard", relation=relation, offset=offset, later=later, earlier=earlier, pairs=pairs, mean=mean
    )


def test_the_mean_of_two_orders_is_over_the_pairs_of_both():
    found = family_map(
        [
            row("cross", 3, "piano", "bass", 10, 0.5),
            row("cross", 3, "bass", "piano", 30, 0.9),
            row("cross", 4, "bass", "bass", 50, 0.1),
            row("same", 3, "bass", "bass", 7, 0.25),
            row("same", 3, "piano", "piano", 8, 0.75),
        ]
    )
    assert [(line.name, line.pairs) for line in found.across] == [("bass, two parts", 50), ("piano – bass", 40)]
    assert found.across[1].cells[3].mean == pytest.approx((10 * 0.5 + 30 * 0.9) / 40)
    assert [line.name for line in found.own] == ["piano", "bass"]
    assert found.own[1].cells[3].mean == 0.25
    assert found.same_bar == {}


def test_two_parts_in_one_bar_are_found_in_either_order():
    found = family_map([row("cross", 0, "bass", "piano", 4, 0.5), row("cross", 0, "kazoo", "piano", 1, 0.25)])
    assert found.families == ("piano", "bass", "kazoo")
    assert found.same_bar["piano", "bass"] == found.same_bar["bass", "piano"]
    assert found.same_bar["kazoo", "piano"].mean == 0.25


def test_a_pair_has_one_name():
    assert pair_name("bass", "piano") == pair_name("piano", "bass") == "piano – bass"
