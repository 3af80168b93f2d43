"""Posteriors of sound that comes in blocks: every frame once, each with how strong its pitches sound."""

import numpy as np
import pytest
import torch

from meloctl.transcription.constant_q import SAMPLE_RATE, ConstantQ
from meloctl.transcription.network import NetworkConfig, Transcriber
from meloctl.transcription.sound_posteriors import sound_posteriors


def test_blocks_of_sound_give_what_the_whole_gives():
    torch.manual_seed(1)
    network = Transcriber(NetworkConfig()).eval()
    samples = np.random.default_rng(2).normal(size=SAMPLE_RATE * 9).astype(np.float32) * 0.1
    with torch.inference_mode():
        seen = []
        found = list(sound_posteriors(np.array_split(samples, 7), network, 0.0, lambda some: seen.append(some.copy())))
        magnitudes = ConstantQ()(torch.from_numpy(samples)[None]).abs()
        whole = network(magnitudes)
    np.testing.assert_allclose(np.concatenate(seen, 1), magnitudes[0].numpy(), atol=1e-5)
    for i, wanted in enumerate((whole.note[0].sigmoid(), whole.onset[0].sigmoid(), whole.timbre[0])):
        np.testing.assert_allclose(np.concatenate([some[i] for some in found], -1), wanted.numpy(), atol=2e-4)
    assert all(some.strength.shape == some.note.shape for some in found)


def test_a_tone_is_strong_at_its_pitch_from_its_beginning_to_its_end():
    time = np.arange(SAMPLE_RATE * 4) / SAMPLE_RATE
    tone = np.where((time >= 1) & (time < 3), 0.5 * np.sin(2 * np.pi * 440 * time), 0).astype(np.float32)
    with torch.inference_mode():
        tiles = list(sound_posteriors([tone], Transcriber(NetworkConfig()).eval(), 0.0, lambda _: None))
    strength = np.concatenate([tile.strength for tile in tiles], 1)
    loud = np.flatnonzero(strength[69 - 21] > 0.125) * 512 / SAMPLE_RATE
    assert strength[69 - 21, 86] == pytest.approx(strength[:, 86].max(), rel=1e-3)
    assert abs(loud[0] - 1) < 0.05
    assert abs(loud[-1] - 3) < 0.05
