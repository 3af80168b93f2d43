"""Weights of losses against their formulas, by hand."""

import math

import msgspec
import pytest

from meloctl.transcription.loss_balance import LossBalance, dwa_weights, parallel_weights


def test_parallel_weights_give_all_losses_the_value_of_resistors_in_parallel():
    weights = parallel_weights([1.0, 3.0, 6.0])
    assert sum(weights) == pytest.approx(1)
    assert [w * loss for w, loss in zip(weights, [1.0, 3.0, 6.0], strict=True)] == pytest.approx([2 / 3] * 3)


def test_of_two_losses_the_weight_is_the_share_of_the_other():
    assert parallel_weights([1.0, 4.0]) == pytest.approx([4 / 5, 1 / 5])


def test_dwa_is_the_softmax_of_the_ratios():
    weights = dwa_weights([1.0, 2.0], [2.0, 2.0], 2.0)
    a, b = math.exp(0.5 / 2), math.exp(1 / 2)
    assert weights == pytest.approx([a / (a + b), b / (a + b)])


def test_the_loss_that_falls_slowly_gets_more():
    assert dwa_weights([0.5, 0.9], [1.0, 1.0], 2.0)[1] > 0.5
    assert dwa_weights([0.5, 0.9], [1.0, 1.0], 1e6) == pytest.approx([0.5, 0.5])


def test_fixed_weights_stay():
    balance = LossBalance(rule="fixed", fixed=[1.0, 0.05])
    assert balance.weights([3.0, 4.0]) == balance.weights([9.0, 1.0]) == [1.0, 0.05]


def test_magnitudes_follow_with_momentum():
    balance = LossBalance(rule="magnitude", fixed=[1.0, 1.0])
    assert balance.weights([1.0, 4.0]) == pytest.approx([1.6, 0.4])
    # the new share is ½: nine tenths of what was, one tenth of what is
    assert balance.weights([2.0, 2.0]) == pytest.approx([2 * (0.9 * 0.8 + 0.1 * 0.5), 2 * (0.9 * 0.2 + 0.1 * 0.5)])


def test_dwa_follows_two_whole_spans():
    balance = LossBalance(rule="dwa", fixed=[1.0, 1.0])
    for _ in range(50):
        assert balance.weights([1.0, 1.0]) == pytest.approx([1, 1])
    for _ in range(50):
        last = balance.weights([0.5, 1.0])
    shares = balance.shares
    rates = dwa_weights([0.5, 1.0], [1.0, 1.0], 2.0)
    products = [s * r for s, r in zip(shares, rates, strict=True)]
    assert last == pytest.approx([2 * p / sum(products) for p in products])


@pytest.mark.parametrize("rule", ["magnitude", "dwa"])
def test_a_balance_goes_on_from_its_json(rule):
    whole = LossBalance(rule=rule, fixed=[1.0, 1.0])
    losses = [[1 + (i % 7) / 3, 2 + (i % 5)] for i in range(230)]
    for pair in losses[:120]:
        whole.weights(pair)
    resumed = msgspec.json.decode(msgspec.json.encode(whole), type=LossBalance)
    for pair in losses[120:]:
        assert resumed.weights(pair) == whole.weights(pair)
