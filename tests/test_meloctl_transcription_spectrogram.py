"""Chunks of a spectrogram: as if the whole sound were transformed at once, and all frames once."""

import numpy as np
import pytest
import torch

from meloctl.transcription.constant_q import ConstantQ
from meloctl.transcription.spectrogram import magnitude_blocks, spectrogram_chunks


@pytest.mark.parametrize(("seconds", "frames"), [(9.3, 64), (9.3, 200), (0.2, 64), (0.0, 64)])
def test_blocks_are_as_the_whole(seconds, frames):
    noise = np.random.default_rng(4).normal(size=int(seconds * 22_050) + 1).astype(np.float32)
    transform = ConstantQ()
    whole = transform(torch.from_numpy(noise)[None])[0].abs()
    cuts = np.sort(np.random.default_rng(5).integers(0, len(noise), 7))
    found = list(magnitude_blocks(np.split(noise, cuts), transform, frames))
    assert all(some.shape[1] <= frames for some in found)
    torch.testing.assert_close(torch.cat(found, 1), whole, atol=2e-6, rtol=1e-3)


@pytest.mark.parametrize(
    ("total", "block", "frames", "context"),
    [(100, 7, 10, 4), (100, 64, 10, 20), (5, 3, 10, 4), (40, 40, 40, 10), (1, 1, 2, 2)],
)
def test_chunks_hold_every_frame_once_with_its_context(total, block, frames, context):
    whole = torch.arange(total, dtype=torch.float32)[None].repeat(2, 1)
    seen = []
    for chunk in spectrogram_chunks(whole.split(block, 1), frames, context):
        inside = chunk.magnitudes[0, chunk.before : chunk.before + chunk.frames]
        first = int(inside[0])
        assert chunk.before == min(context, first)
        assert chunk.magnitudes.shape[1] - chunk.before - chunk.frames == min(context, total - first - chunk.frames)
        assert torch.equal(chunk.magnitudes[0], torch.arange(first - chunk.before, int(chunk.magnitudes[0, -1]) + 1.0))
        seen += inside.tolist()
    assert seen == list(range(total))
