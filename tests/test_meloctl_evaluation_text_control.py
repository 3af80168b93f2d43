"""Wanted levels and measured attributes → effect sizes, correlations, shares: answers that a person can derive."""

import re

import numpy as np
import pytest

from analysis.intervals import Estimate
from meloctl.evaluation.text_cases import text_cases
from meloctl.evaluation.text_control import (
    LEAST_DEVIATION,
    clear_of,
    correlation,
    course_followed,
    effect_size,
    tempo_agreement,
    tempo_bin,
)
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.text.lexicon import all_words, lexicon


def generator():
    return np.random.default_rng(0)


def test_effect_size_of_two_sets():
    # variances 1 and 1, means 3 and 1
    found = effect_size(np.array([2.0, 3.0, 4.0]), np.array([0.0, 1.0, 2.0]), generator())
    assert found.value == pytest.approx(2)
    # variances 0 and 2, weighted by 1 and 1 degrees of freedom: s = 1
    assert effect_size(np.array([5.0, 5.0]), np.array([2.0, 4.0]), generator()).value == pytest.approx(2)


def test_effect_size_changes_sign_and_leaves_out_what_is_unknown():
    high, low = np.array([2.0, np.nan, 3.0, 4.0]), np.array([0.0, 1.0, 2.0])
    assert effect_size(low, high, generator()).value == pytest.approx(-2)
    assert np.isnan(effect_size(np.array([1.0, np.nan]), low, generator()).value)


def test_effect_size_of_equal_values_is_finite():
    found = effect_size(np.full(4, 1.0), np.zeros(4), generator())
    assert found == Estimate(value=1 / LEAST_DEVIATION, low=1 / LEAST_DEVIATION, high=1 / LEAST_DEVIATION)
    assert effect_size(np.zeros(4), np.zeros(4), generator()).value == 0


def test_interval_of_an_effect_size_covers_it_as_often_as_it_says():
    random, true, covered = np.random.default_rng(1), 1.0, 0
    for _ in range(100):
        found = effect_size(random.normal(true, 1, 20), random.normal(0, 1, 20), random)
        covered += found.low <= true <= found.high
    assert 85 <= covered <= 100


def test_an_effect_is_clear_of_others_with_its_whole_interval():
    some = Estimate(value=1.0, low=0.4, high=1.6)
    assert clear_of(some, {})
    assert clear_of(some, {"none": Estimate(value=0.3, low=-0.5, high=0.9)})
    assert clear_of(some, {"none": Estimate(value=np.nan, low=np.nan, high=np.nan)})
    assert not clear_of(some, {"none": Estimate(value=0.5, low=-0.1, high=0.9)})
    assert not clear_of(Estimate(value=1.0, low=-0.1, high=2), {"none": Estimate(value=-2, low=-3, high=-1)})
    assert not clear_of(Estimate(value=np.nan, low=np.nan, high=np.nan), {})


def test_correlation_of_wanted_with_measured():
    wanted = np.array([-1.0, 0.0, 1.0, 2.0])
    assert correlation(wanted, 3 * wanted + 7, generator()).value == pytest.approx(1)
    assert correlation(wanted, np.array([3.0, 2.0, 1.0, np.nan]), generator()).value == pytest.approx(-1)
    assert np.isnan(correlation(wanted, np.ones(4), generator()).value)
    # x = −1, 0, 1; y = 0, 1, 0: no line
    assert correlation(wanted[:3], np.array([0.0, 1.0, 0.0]), generator()).value == pytest.approx(0)


def test_tempo_bins_and_their_neighbours():
    assert tempo_bin(np.array([39.9, 40, 69, 120, 210, 300])).tolist() == [0, 1, 2, 5, 8, 8]
    same, near = tempo_agreement(np.array([100.0, 100, 100, 100]), np.array([95.0, 120, 150, 80]), generator())
    assert (same.value, near.value) == (1 / 4, 3 / 4)


def test_a_course_is_followed_piece_by_piece():
    wanted = np.array([-1.0, 0.0, 1.0])
    up, down, still = [1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [5.0, 5.0, 5.0]
    assert course_followed(wanted, np.array([up, up]), generator()).value == pytest.approx(1)
    assert course_followed(wanted, np.array([up, down, still]), generator()).value == pytest.approx(0)
    known = course_followed(wanted, np.array([up, [np.nan, 1.0, 2.0]]), generator())
    assert known.value == pytest.approx(1)


def test_the_texts_that_are_installed():
    cases = text_cases()
    assert len(cases.pairs) == 12
    assert {(pair.attribute, pair.language) for pair in cases.pairs} == {
        (attribute, language)
        for attribute in ("tempo", "density", "register", "loudness", "articulation", "leaps")
        for language in ("en", "zh")
    }
    for language in ("en", "zh"):
        scenes = [scene for scene in cases.scenes if scene.language == language]
        assert sum(len(scene.sides()) for scene in scenes) == 8
    assert {name for scene in cases.scenes for name in scene.sides()} <= set(ATTRIBUTES)


def test_what_a_course_wants():
    one, *_, two = text_cases().courses
    assert one.wanted(3).tolist() == [-1, 0, 1]
    assert two.wanted(4).tolist() == [1, 1, -1, -1]


def test_no_training_caption_holds_words_of_pairs_and_courses():
    cases = text_cases()
    texts = [(pair.language, text) for pair in cases.pairs for text in (pair.high, pair.low)]
    texts += [(course.language, text) for course in cases.courses for text in course.texts]
    train = [word for word in all_words() if word.split == "train"]
    train_courses = [(course.language, text) for course in lexicon().courses for text in course.train]
    assert len(train) > 500
    for language, text in texts:
        for known_language, known in [*((word.language, word.text) for word in train), *train_courses]:
            if known_language == language:
                found = known in text if language == "zh" else re.search(rf"\b{re.escape(known)}\b", text)
                assert not found, (text, known)
