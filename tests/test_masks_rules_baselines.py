"""The masks to compare with: what they show, and that chance costs what it should."""

import json

import numpy as np
import pytest
from conftest import DIARY
from hypothesis import given, settings
from hypothesis import strategies as st
from small_masks import SEED
from strategies import specs

from analysis.errors import MeloError
from analysis.offset_table_file import read_curves
from masks.cost.row_pairs import row_pairs
from masks.dense import dense_mask
from masks.describe import density, describe_mask
from masks.rules.baselines import causal_mask, museformer_mask, random_mask, window_like, window_mask, with_priors
from masks.spec import MaskSpec

BAND = row_pairs(np.ones((5, 60), dtype=np.int64), drums={1}, headers={0})


def offsets(spec, relation, most=50):
    return [k for k in range(most) if spec.sees(relation, k)]


def test_museformers_bars():
    spec = museformer_mask()
    for relation in ("same", "cross", "drums"):
        assert offsets(spec, relation) == [0, 1, 2, 4, 8, 12, 16, 24, 32]
    assert spec.summaries
    assert spec.source["paper"] == "Museformer (Yu et al., 2022)"


@pytest.mark.parametrize("bars", [0, 1, 3, 40])
def test_a_window_shows_the_last_bars(bars):
    spec = window_mask(bars)
    for relation in ("same", "cross", "drums"):
        assert offsets(spec, relation) == list(range(bars + 1))
    assert spec.source == {"rule": "window", "bars": bars}


@pytest.mark.parametrize("bars", [-1, 10_001])
def test_a_window_out_of_range_is_refused(bars):
    with pytest.raises(MeloError, match=f"bars {bars}: give how many earlier bars to show"):
        window_mask(bars)


def test_causal_shows_everything():
    see = dense_mask(causal_mask(), [0, 0, 3, 9, 9], [0, 1, 0, 1, 2], {2})
    assert (see == np.tri(5, dtype=bool)).all()
    assert density(causal_mask(), BAND) == 1
    assert describe_mask(causal_mask()) == "Own part: every earlier bar. Other parts: every earlier bar. Summaries: on."


def test_drums_may_be_exempt():
    for spec in (museformer_mask(drums="exempt"), window_mask(2, drums="exempt")):
        assert all(spec.sees("drums", k) for k in range(99))
        assert any(r.startswith("Drums") for r in spec.reasons)
        assert not spec.sees("cross", 3)


@given(specs(most=40))
def test_window_like_is_the_nearest_in_density(spec):
    target = density(spec, BAND)

    def miss(n):
        return abs(density(window_mask(n, drums=spec.drums), BAND) - target)

    found = window_like(spec, BAND)
    assert found.drums == spec.drums
    assert miss(found.near) <= min(miss(n) for n in range(60)) + 1e-12


@settings(max_examples=100)
@given(specs(most=32), st.integers(0, 10**6))
def test_chance_costs_what_the_mask_costs(spec, seed):
    # one offset across parts costs 60 · 12 of 45,150 pairs or less, so 5 % can be met once the mask costs enough
    target = density(spec, BAND)
    chance = random_mask(spec, BAND, np.random.default_rng(seed))
    used = density(chance, BAND)
    assert used <= 1.05 * target + 1e-12
    if target > 0.3:
        assert used >= 0.95 * target
    assert (chance.drums, chance.summaries) == (spec.drums, spec.summaries)
    assert chance.source["cost"] == target
    assert chance.source["used"] == used


def test_the_generator_decides():
    like = MaskSpec(same="full", near=2, far=(4,), summaries=True)
    one, same, other = (random_mask(like, BAND, np.random.default_rng(s)) for s in (1, 1, 2))
    assert one == same
    assert one != other


def test_every_offset_and_relation_has_its_chance():
    # with the cost of half of everything, each choice is drawn in about as many of 200 masks
    like = MaskSpec(same=tuple(range(1, 17)), near=16, far=(), summaries=True)
    drawn = [random_mask(like, BAND, np.random.default_rng(seed)) for seed in range(200)]
    counts = {(r, k): sum(s.sees(r, k) for s in drawn) for r in ("same", "cross") for k in range(1, 33)}
    assert min(counts.values()) > 60
    assert max(counts.values()) < 180
    assert max(k for s in drawn for k in (*s.same, s.near, *s.far)) == 32


def test_an_expensive_mask_is_met_with_offsets_beyond_32():
    pairs = row_pairs(np.ones((3, 100), dtype=np.int64))
    chance = random_mask(causal_mask(), pairs, np.random.default_rng(0))
    assert density(chance, pairs) > 0.95
    assert max(chance.same) > 32


def test_a_mask_of_the_bar_itself_leaves_nothing_to_draw():
    bare = MaskSpec(same=(), near=0, far=(), summaries=False)
    chance = random_mask(bare, BAND, np.random.default_rng(0))
    assert (chance.same, chance.near, chance.far, chance.summaries) == ((), 0, (), False)


def test_masks_keep_priors_and_provenance_through_json():
    table = read_curves(DIARY)
    for spec in (museformer_mask(), window_mask(3), causal_mask(), random_mask(SEED, BAND, np.random.default_rng(0))):
        mine = with_priors(spec, table, version="1.2", corpus="diary")
        assert (mine.same_prior, mine.cross_prior) == (table.same, table.cross)
        provenance = {"measure": "pc-jaccard", "table": table.table_hash, "corpus": "diary", "meloctl": "1.2"}
        assert mine.source == {**spec.source, **provenance}
        assert MaskSpec.from_json(json.loads(json.dumps(mine.to_json()))) == mine
        assert len(mine.reasons) >= 3
