"""The bridge's schedule: its end points, and its posterior against brute force and against I2SB's."""

import pytest
import torch

from meloctl.bridge.bridge_schedule import BridgeSchedule, sampling_times

ONE, ZERO = torch.tensor(1.0), torch.tensor(0.0)
SCHEDULES = [
    BridgeSchedule(),
    BridgeSchedule(end_variance=0.25, bridge_variance=2.0),
    BridgeSchedule(end_variance=3.0, bridge_variance=0.5),
]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_it_begins_at_the_music_and_ends_at_the_text_with_noise(schedule):
    assert (schedule.alpha(ZERO), schedule.beta(ZERO)) == (1, 0)
    assert (schedule.alpha(ONE), schedule.beta(ONE)) == (0, schedule.end_variance)
    t = torch.linspace(0, 1, 101)
    assert (schedule.alpha(t).diff() < 0).all()
    assert (schedule.beta(t)[1:] > 0).all()


def test_equal_variances_are_brownian_motion_with_a_drift():
    t = torch.linspace(0, 1, 11)
    schedule = BridgeSchedule(end_variance=2.0, bridge_variance=2.0)
    torch.testing.assert_close(schedule.beta(t), 2 * t)
    torch.testing.assert_close(schedule.covariance(t[:5], t[5:10]), 2 * t[:5])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_law_is_that_of_simulated_paths(schedule):
    paths, steps, s, t = 100_000, 20, 6, 14
    generator = torch.Generator().manual_seed(5)
    music, text = 0.7, -1.2
    end = text + schedule.end_variance**0.5 * torch.randn(paths, generator=generator)
    walk = torch.zeros(steps + 1, paths)
    walk[1:] = torch.randn(steps, paths, generator=generator).cumsum(0) * (schedule.bridge_variance / steps) ** 0.5
    time = torch.linspace(0, 1, steps + 1)[:, None]
    path = (1 - time) * music + time * end + walk - time * walk[-1]
    times = torch.linspace(0, 1, steps + 1)
    for n in (s, t, steps):
        mean = schedule.alpha(times[n]) * music + (1 - schedule.alpha(times[n])) * text
        assert float(path[n].mean()) == pytest.approx(float(mean), abs=0.02)
        assert float(path[n].var()) == pytest.approx(float(schedule.beta(times[n])), rel=0.02)
    z_s, z_t = path[s], path[t]
    assert float(torch.cov(torch.stack([z_s, z_t]))[0, 1]) == pytest.approx(
        float(schedule.covariance(times[s], times[t])), rel=0.03
    )
    posterior = schedule.posterior(times[s], times[t])
    left = z_s - posterior.of_music * music - posterior.of_state * z_t
    assert float(left.mean()) == pytest.approx(0, abs=0.01)
    assert float(left.var()) == pytest.approx(float(posterior.variance), rel=0.02)
    assert abs(float(torch.corrcoef(torch.stack([left, z_t]))[0, 1])) < 0.02


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_posterior_is_gaussian_conditioning_and_the_text_drops_out(schedule):
    s, t = torch.tensor(0.3), torch.tensor(0.8)
    gain = schedule.covariance(s, t) / schedule.beta(t)
    posterior = schedule.posterior(s, t)
    torch.testing.assert_close(posterior.of_state, gain)
    torch.testing.assert_close(posterior.of_music, schedule.alpha(s) - gain * schedule.alpha(t))
    torch.testing.assert_close(posterior.variance, schedule.beta(s) - gain**2 * schedule.beta(t))
    of_text = (1 - schedule.alpha(s)) - gain * (1 - schedule.alpha(t))
    assert float(of_text) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_posterior_is_that_of_i2sb(schedule):
    # I2SB, equation 4: N(a²/(a² + σ²) X_0 + σ²/(a² + σ²) X_n, a² σ²/(a² + σ²)), σ² up to the earlier time, a² from there on
    s, t = torch.tensor(0.2), torch.tensor(0.5)
    earlier, between = schedule.bridge_variance * s, schedule.bridge_variance * (t - s)
    posterior = schedule.posterior(s, t)
    torch.testing.assert_close(posterior.of_music, between / (between + earlier))
    torch.testing.assert_close(posterior.of_state, earlier / (between + earlier))
    torch.testing.assert_close(posterior.variance, between * earlier / (between + earlier))


def test_the_last_step_gives_the_music():
    posterior = BridgeSchedule().posterior(ZERO, torch.tensor(0.3))
    assert tuple(float(x) for x in posterior) == (1, 0, 0)


def test_sampling_goes_from_the_text_to_the_music():
    times = sampling_times(7)
    assert (float(times[0]), float(times[-1]), len(times)) == (1, 0, 8)
    assert (times.diff() < 0).all()
