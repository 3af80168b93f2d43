"""Masks side by side: each number is what its own function says, and the sentence follows from the numbers."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import DIARY
from small_masks import SEED

from analysis.corpus import find_files
from analysis.offset_table_file import read_curves
from masks.cost.block_occupancy import block_occupancy
from masks.cost.compare_masks import (
    BLOCK_GRIDS,
    LAYERS,
    RANDOM_MASKS,
    compare_masks,
    conclusion,
    rules_to_compare,
    table_lines,
)
from masks.cost.row_pairs import PieceRows, mean_pairs
from masks.cost.sample import read_piece_rows, sample_files
from masks.cost.similarity_recall import similarity_recall
from masks.describe import density, reach
from masks.rules.baselines import causal_mask
from masks.rules.seed import derive_mask
from masks.tiling.plan import plan

TABLE = read_curves(DIARY)


def random_pieces(drums=(1,)):
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 5, (4, bars)) for bars in (20, 50)]
    for table in rows:
        table[0] = 1
    return [PieceRows(rows=table, drums=drums) for table in rows]


@pytest.fixture(scope="module")
def compared():
    pieces = random_pieces()
    rules = rules_to_compare(TABLE, pieces, random=np.random.default_rng(0))
    return pieces, rules, compare_masks(rules, TABLE, pieces)


def test_every_rule_takes_part_and_chance_several_times(compared):
    _, rules, costs = compared
    counts = {name: len(masks) for name, masks in rules.items()}
    assert counts == {"seed": 1, "budget": 1, "museformer": 1, "window": 1, "random": RANDOM_MASKS, "causal": 1}
    assert {s.name: s.masks for s in costs} == counts
    assert len({(m.same, m.near, m.far) for m in rules["random"]}) == RANDOM_MASKS
    assert rules["seed"] == [derive_mask(TABLE)]


def test_costs_are_equal_where_they_should_be(compared):
    pieces, rules, costs = compared
    by_name = {s.name: s for s in costs}
    density_of_seed = by_name["seed"].density
    assert by_name["budget"].density <= density_of_seed + 1e-9
    assert all(abs(density(m, mean_pairs(pieces)) / density_of_seed - 1) <= 0.05 for m in rules["random"])
    assert abs(by_name["window"].density - density_of_seed) < 0.05


def test_the_numbers_are_those_of_their_functions(compared):
    pieces, rules, costs = compared
    pairs, cells = mean_pairs(pieces), [p.cells() for p in pieces]
    for cost in costs:
        masks = rules[cost.name]
        assert cost.density == pytest.approx(np.mean([density(m, pairs) for m in masks]))
        assert cost.similarity_recall == pytest.approx(np.mean([similarity_recall(m, TABLE, pairs) for m in masks]))
        assert cost.recall_per_density == pytest.approx(cost.similarity_recall / cost.density)
        blocks = [block_occupancy(m, c, BLOCK_GRIDS) for m in masks for c in cells]
        assert cost.blocks == pytest.approx(np.mean(blocks, axis=0))
        work = [plan(m, c).work / plan(causal_mask(), c).work for m in masks for c in cells]
        assert cost.planned_work == pytest.approx(np.mean(work))
        fields = [[(len(r["same"]), len(r["cross"])) for r in (reach(m, n) for n in LAYERS)] for m in masks]
        assert np.array(cost.reach) == pytest.approx(np.mean(fields, axis=0))


def test_dense_causal_is_the_unit(compared):
    causal = compared[2][-1]
    assert (causal.name, causal.density, causal.similarity_recall, causal.recall_per_density, causal.planned_work) == (
        "causal",
        1,
        1,
        1,
        1,
    )
    assert causal.blocks[::2] == (1, 1)
    assert causal.reach == ((33, 33),) * 3


def test_exempt_drums_reach_every_rule_that_hides_something():
    rules = rules_to_compare(TABLE, random_pieces(), random=np.random.default_rng(0), drums="exempt")
    assert {name for name, masks in rules.items() if {m.drums for m in masks} == {"exempt"}} == set(rules) - {"causal"}


def test_on_mask_is_called_after_each_mask():
    calls = []
    compare_masks({"a": [SEED, SEED], "b": [causal_mask()]}, TABLE, random_pieces(), on_mask=lambda: calls.append(1))
    assert len(calls) == 3


def test_the_table_and_the_sentence(compared):
    costs = compared[2]
    lines = table_lines(costs)
    assert [line.split()[0] for line in lines[2:8]] == ["seed", "budget", "museformer", "window", "random", "causal"]
    assert max(map(len, lines)) <= 125
    assert lines[7].split()[:7] == ["causal", "100", "%", *lines[7].split()[3:4], "%", "100", "%"]
    named = {
        s.name: replace(s, similarity_recall=c) for s, c in zip(costs, (0.5, 0.75, 0.9, 0.3, 0.25, 1), strict=True)
    }
    text = conclusion(list(named.values()))
    assert (
        "is: budget 75 %, seed 50 %, window 30 %, random 25 %; so the seed's mask shows 2.0 times what chance shows"
        in text
    )
    assert f"({100 * named['seed'].density:.0f} % of dense causal" in text
    named["random"] = replace(named["random"], similarity_recall=0.5)
    assert "shows no more than chance shows" in conclusion(list(named.values()))


def test_json_says_the_same(compared):
    cost = compared[2][0]
    data = cost.to_json()
    assert set(data) == {
        "name",
        "masks",
        "density",
        "similarity_recall",
        "recall_per_density",
        "blocks",
        "planned_work",
        "reach",
    }
    assert [(b["rows"], b["order"]) for b in data["blocks"]] == [(128, "bar"), (128, "part"), (64, "bar"), (64, "part")]
    assert tuple(b["occupied"] for b in data["blocks"]) == cost.blocks
    assert [r["layers"] for r in data["reach"]] == [1, 2, 4]


def test_on_real_pieces_the_seeds_mask_beats_chance(real):
    files = real("band")
    pieces = read_piece_rows(sample_files(files, files[0].parent, 3))
    assert len(find_files(files[0].parent)) >= 3
    costs = compare_masks(rules_to_compare(TABLE, pieces, random=np.random.default_rng(0)), TABLE, pieces)
    by_name = {s.name: s for s in costs}
    assert by_name["seed"].similarity_recall > by_name["random"].similarity_recall
