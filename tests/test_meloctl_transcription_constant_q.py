"""The constant-Q transform against its definition, against librosa, and on sines."""

import numpy as np
import pytest
import torch

from meloctl.transcription.constant_q import FIRST_FREQUENCY, HOP, SAMPLE_RATE, ConstantQ

ALPHA = (2 ** (2 / 36) - 1) / (2 ** (2 / 36) + 1)


def magnitudes(samples, **settings):
    return ConstantQ(**settings)(torch.as_tensor(samples, dtype=torch.float32)[None])[0].abs().numpy()


def by_definition(samples, frequency, frame, filter_scale=1.0, gamma=0.0):
    """|inner product| of the samples with a windowed exponential, in float64, at the signal's own rate."""
    length = filter_scale * SAMPLE_RATE / (frequency * ALPHA + gamma)
    time = np.arange(-int(length / 2), int(length / 2) + 1)
    window = 0.5 + 0.5 * np.cos(2 * np.pi * time / length)
    window /= window.sum()
    return abs(np.sum(samples[frame * HOP + time] * window * np.exp(-2j * np.pi * frequency * time / SAMPLE_RATE)))


@pytest.mark.parametrize(("filter_scale", "gamma"), [(1.0, 0.0), (0.5, 0.0), (1.0, 6.0)])
def test_every_octave_of_noise_is_as_defined(filter_scale, gamma):
    noise = np.random.default_rng(1).normal(size=SAMPLE_RATE * 5)
    found = magnitudes(noise, filter_scale=filter_scale, gamma=gamma)
    frame = found.shape[1] // 2
    for k in range(0, 288, 7):
        wanted = by_definition(noise, FIRST_FREQUENCY * 2 ** (k / 36), frame, filter_scale, gamma)
        scale = np.median(found[max(k - 18, 0) : k + 18])
        assert abs(found[k, frame] - wanted) < 0.02 * scale, k


@pytest.mark.parametrize("k", [1, 40, 119, 200, 287])
def test_a_sine_at_the_centre_of_a_bin_gives_half_its_amplitude(k):
    time = np.arange(SAMPLE_RATE * 5) / SAMPLE_RATE
    found = magnitudes(0.8 * np.sin(2 * np.pi * FIRST_FREQUENCY * 2 ** (k / 36) * time))
    middle = found[:, found.shape[1] // 2]
    assert middle.argmax() == k
    assert middle[k] == pytest.approx(0.4, rel=0.01)
    far = np.abs(np.arange(288) - k) > 6
    assert middle[far].max() < 0.004


def test_tones_are_as_librosa_has_them():
    librosa = pytest.importorskip("librosa")
    time = np.arange(SAMPLE_RATE * 4) / SAMPLE_RATE
    samples = sum(
        np.sin(2 * np.pi * f * time + f) / (1 + i) for i, f in enumerate([110.3, 221.0, 440.0, 659.3, 1760.0, 3200.0])
    )
    samples[len(samples) // 2 :] = 0
    ours = magnitudes(samples)
    theirs = np.abs(
        librosa.vqt(
            samples.astype(np.float32),
            sr=SAMPLE_RATE,
            hop_length=HOP,
            fmin=FIRST_FREQUENCY,
            n_bins=288,
            bins_per_octave=36,
            gamma=0,
            scale=False,
        )
    )
    lengths, _ = librosa.filters.wavelet_lengths(
        freqs=FIRST_FREQUENCY * 2 ** (np.arange(288) / 36), sr=SAMPLE_RATE, gamma=0
    )
    theirs = theirs / lengths[:, None]
    inside = slice(90, 250)
    assert ours.shape == theirs.shape
    assert np.abs(ours[:, inside] - theirs[:, inside]).max() < 0.02 * ours.max()


def test_a_batch_is_as_each_alone_and_frames_are_counted():
    noise = np.random.default_rng(2).normal(size=(3, 30_000)).astype(np.float32)
    transform = ConstantQ()
    together = transform(torch.from_numpy(noise))
    assert together.shape == (3, 288, 1 + 30_000 // HOP)
    torch.testing.assert_close(together[1:2], transform(torch.from_numpy(noise[1:2])))


def test_a_frame_depends_on_nothing_beyond_its_reach():
    transform = ConstantQ()
    samples = torch.zeros(1, 8 * 22_050)
    frame = samples.shape[1] // HOP // 2
    outside = samples.clone()
    outside[:, frame * HOP + transform.reach + 1 :] = 1.0
    outside[:, : frame * HOP - transform.reach] = -1.0
    assert transform(outside)[0, :, frame].abs().max() == 0


def test_what_cannot_be_halved_or_lies_too_high_is_refused():
    with pytest.raises(ValueError, match="cannot be halved"):
        ConstantQ(hop=100)
    with pytest.raises(ValueError, match="samples a second"):
        ConstantQ(sample_rate=11_025)


@pytest.mark.parametrize("samples", [1, 2, 63, 64, 65, 1000, 12_345])
def test_magnitudes_are_those_of_the_transform(samples):
    noise = torch.randn(2, samples, generator=torch.Generator().manual_seed(samples))
    transform = ConstantQ(gamma=3.0)
    torch.testing.assert_close(transform.magnitudes(noise), transform(noise).abs())
