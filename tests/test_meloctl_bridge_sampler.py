"""Sampling plans: seeds, guidance, windows, ranges."""

import numpy as np
import pytest
import torch

from analysis.errors import MeloError
from meloctl.bridge.bar_conditions import BarConditions, places
from meloctl.bridge.bridge_network import BridgeNetwork, BridgeSizes
from meloctl.bridge.bridge_sampler import WINDOW, _Windows, sample_plans
from meloctl.bridge.bridge_schedule import BridgeSchedule

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def network():
    """A network with random weights, so that everything has an effect."""
    torch.manual_seed(1)
    out = BridgeNetwork(
        BridgeSizes(plan_width=3, attributes=2, text_width=5, width=32, layers=2, heads=2, hidden=48), BridgeSchedule()
    )
    with torch.no_grad():
        for parameter in out.parameters():
            parameter.normal_(std=0.15)
        out.plan_mean.copy_(torch.tensor([0.1, -0.2, 0.0]))
        out.plan_deviation.copy_(torch.tensor([0.3, 0.2, 0.4]))
    return out.eval()


def conditions(bars=11, *, level=1.0, text=2.0):
    wants = np.full((bars, 2), np.nan, dtype=np.float32)
    wants[:, 1] = level
    return BarConditions.of_text(wants, np.array([text, 1, 0, 0, -1], dtype=np.float32))


def test_plans_lie_in_the_channels_range(network):
    plans = sample_plans(network, conditions(), [0, 1], text_strength=8.0)
    assert (plans.shape, plans.dtype) == ((2, 11, 3), np.float32)
    assert np.abs(plans).max() <= 1


def test_a_seed_makes_the_sample_whatever_is_beside_it(network):
    one, two = sample_plans(network, conditions(), [7]), sample_plans(network, conditions(), [3, 7])
    np.testing.assert_allclose(one[0], two[1], atol=1e-5)
    assert np.abs(two[0] - two[1]).max() > 0.05
    assert (sample_plans(network, conditions(), [7]) == one).all()


def test_without_strength_nothing_that_is_said_matters(network):
    one = sample_plans(network, conditions(level=1.0, text=2.0), [7], text_strength=0.0)
    other = sample_plans(network, conditions(level=-2.0, text=-5.0), [7], text_strength=0.0)
    assert (one == other).all()
    assert (sample_plans(network, conditions().unsaid(), [7]) == one).all()


def test_words_and_wants_matter(network):
    base = sample_plans(network, conditions(), [7])
    assert np.abs(base - sample_plans(network, conditions(level=-1.0), [7])).max() > 1e-3
    assert np.abs(base - sample_plans(network, conditions(text=-2.0), [7])).max() > 1e-3


def test_strength_goes_from_nothing_said_past_what_is_said(network):
    mean = [sample_plans(network, conditions(), range(64), text_strength=s).mean((0, 1)) for s in (0.0, 0.5, 1.0)]
    across = (mean[2] - mean[0]) / np.linalg.norm(mean[2] - mean[0])
    assert 0 < (mean[1] - mean[0]) @ across < np.linalg.norm(mean[2] - mean[0])


def test_with_and_without_the_condition_the_same_noise_is_seen_around_each_text(network, monkeypatch):
    seen, music = [], network.music

    def watched(z, embedded, time):
        seen.append((z, embedded.z_text, float(time.t)))
        return music(z, embedded, time)

    monkeypatch.setattr(network, "music", watched)
    sample_plans(network, conditions(), [7], text_strength=2.0, steps=5)
    assert len(seen) == 10
    for (z, z_text, t), (other, other_text, other_t) in zip(seen[::2], seen[1::2], strict=True):
        assert t == other_t
        torch.testing.assert_close(z - other, t * (z_text - other_text), rtol=1e-4, atol=1e-5)
        assert (z_text - other_text).abs().max() > 0.01


def test_a_text_for_later_bars_leaves_its_mark_there_most(network):
    first, other = conditions(40), conditions(40)
    two = BarConditions(
        wants=other.wants,
        texts=np.array([[2, 1, 0, 0, -1], [-4, 0, 3, 1, 1]], dtype=np.float32),
        text=np.repeat([0, 1], 20),
        piece_bars=40,
    )
    moved = np.abs(sample_plans(network, first, range(8)) - sample_plans(network, two, range(8))).mean((0, 2))
    assert moved[24:].mean() > 2 * moved[:16].mean()


@pytest.mark.parametrize("bars", [1, 2, WINDOW, WINDOW + 1, 200, 1000])
def test_windows_cover_every_bar_with_shares_of_one(bars):
    windows = _Windows.over(bars)
    total = torch.zeros(bars).index_add_(0, windows.bars.flatten(), windows.share.flatten())
    torch.testing.assert_close(total, torch.ones(bars))
    assert windows.bars.shape[1] == min(bars, WINDOW)


def test_a_long_piece_is_made_in_windows_without_a_seam(network):
    plans = sample_plans(network, conditions(150), range(16), steps=6)
    steps = np.abs(np.diff(plans, axis=1)).mean((0, 2))
    assert plans.shape == (16, 150, 3)
    assert steps.max() < 2 * steps.mean()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"text_strength": -0.1}, "text_strength -0.1: give 0 to 10"),
        ({"text_strength": float("nan")}, "text_strength nan: give 0 to 10"),
        ({"steps": 0}, "steps 0: give 1 to 1000"),
    ],
)
def test_options_out_of_range_are_refused(network, options, match):
    with pytest.raises(MeloError, match=match):
        sample_plans(network, conditions(), [1], **options)


def test_conditions_of_another_width_are_refused(network):
    other = BarConditions.of_text(np.zeros((4, 2), dtype=np.float32), np.zeros(6, dtype=np.float32))
    with pytest.raises(MeloError, match="embeddings 6 wide; this bridge knows 2 attributes and embeddings 5 wide"):
        sample_plans(network, other, [1])


def test_places_know_the_beginning_the_end_and_the_phrase():
    place = places(0, 9, 9)
    assert place.shape == (9, 13)
    np.testing.assert_allclose(place[0, :4], 1)  # at the beginning
    np.testing.assert_allclose(place[-1, 4:8], 1)  # at the end
    np.testing.assert_allclose(place[:, 8], np.arange(9) / 8)
    np.testing.assert_allclose(place[0, 9:], place[8, 9:], atol=1e-6)  # phrases of 4 and 8 bars
    np.testing.assert_array_equal(places(3, 4, 9), place[3:7])
