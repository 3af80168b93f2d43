"""Plans without a bridge, of a corpus whose plans are known functions of its levels."""

import numpy as np
import pytest

from analysis.errors import MeloError
from meloctl.evaluation.plan_rivals import PlannedCorpus, difference_plan, linear_plan, nearest_plans

NAN = float("nan")


def corpus_of(levels, pieces=4):
    """Plans (…, 3): the first level / 4, minus the second / 4, and 0.1."""
    levels = np.asarray(levels, dtype=float)
    known = np.nan_to_num(levels)
    plans = np.stack([known[:, 0] / 4, -known[:, 1] / 4, np.full(len(levels), 0.1)], axis=1)
    return PlannedCorpus(plans=plans, levels=levels, first=np.linspace(0, len(levels), pieces + 1).astype(int))


def random_corpus():
    return corpus_of(np.random.default_rng(0).normal(size=(400, 2)))


def test_the_nearest_spans_come_first_and_come_again():
    corpus = corpus_of([[-2, 0]] * 3 + [[0, 0]] * 3 + [[1, 0]] * 3 + [[2, NAN]] * 3)
    found = nearest_plans(corpus, np.array([1.2, NAN]), bars=2, count=5)
    assert [plan[0, 0] for plan in found] == [1 / 4, 2 / 4, 0, -2 / 4, 1 / 4]
    assert all(plan.shape == (2, 3) for plan in found)


def test_a_span_that_says_nothing_is_the_farthest():
    corpus = corpus_of([[0, 3]] * 3 + [[0, 1]] * 3 + [[0, NAN]] * 3 + [[0, 9]] * 3)
    found = nearest_plans(corpus, np.array([NAN, 1.0]), bars=3, count=4)
    assert [plan[0, 1] for plan in found] == [-1 / 4, -3 / 4, -9 / 4, 0]


def test_too_short_pieces_are_named():
    with pytest.raises(MeloError, match="no piece of the reference has 9 bars"):
        nearest_plans(corpus_of([[0, 0]] * 8, pieces=2), np.array([1.0, NAN]), bars=9, count=1)


def test_difference_of_means_moves_a_plan_by_the_level():
    corpus = corpus_of([[-1, 0], [1, 0], [-2, 0], [2, 0]])
    assert difference_plan(corpus, np.array([1.5, NAN])) == pytest.approx([1.5 / 4, 0, 0.1])
    assert difference_plan(corpus, np.array([9.0, NAN])) == pytest.approx([1, 0, 0.1])
    assert difference_plan(corpus, np.array([NAN, 2.0])) == pytest.approx([0, 0, 0.1])  # none is high or low


def test_a_linear_map_finds_the_plan_of_levels():
    found = linear_plan(random_corpus(), np.array([1.0, -2.0]))
    assert found == pytest.approx([1 / 4, 2 / 4, 0.1], abs=0.01)
    usual = random_corpus()
    assert linear_plan(usual, np.array([NAN, NAN])) == pytest.approx(usual.plans.mean(axis=0))


def test_the_linear_map_tells_apart_what_goes_together():
    random = np.random.default_rng(1)
    first = random.normal(size=500)
    corpus = corpus_of(np.stack([first, first + 0.5 * random.normal(size=500)], axis=1))
    assert linear_plan(corpus, np.array([1.0, NAN])) == pytest.approx([1 / 4, 0, 0.1], abs=0.02)
    assert difference_plan(corpus, np.array([1.0, NAN]))[1] < -0.15
