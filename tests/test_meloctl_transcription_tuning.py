"""Tuning: tones so many cents off are found so many cents off."""

import numpy as np
import pytest
import torch

from meloctl.transcription.constant_q import SAMPLE_RATE, ConstantQ
from meloctl.transcription.tuning import TuningMeter


def measured(samples):
    meter = TuningMeter()
    meter.add(ConstantQ()(torch.as_tensor(samples, dtype=torch.float32)[None])[0].abs().numpy())
    return meter


@pytest.mark.parametrize("cents", [-40, -12, 0, 9, 33])
def test_tones_off_by_so_many_cents(cents):
    time = np.arange(SAMPLE_RATE * 3) / SAMPLE_RATE
    tones = sum(np.sin(2 * np.pi * 440 * 2 ** (n / 12 + cents / 1200) * time) for n in (-21, -9, 0, 4, 7))
    assert measured(0.1 * tones).cents == pytest.approx(cents, abs=2)


def test_silence_is_in_tune_and_noise_is_not_clear():
    assert measured(np.zeros(SAMPLE_RATE)).cents == 0
    assert measured(np.random.default_rng(0).normal(size=SAMPLE_RATE * 4)).clearness < 0.2
