"""The network of beats in stretches: as if all frames were computed at once."""

import numpy as np

from meloctl.beats import beat_network
from meloctl.beats.beat_network import beat_odds
from meloctl.beats.note_frames import note_frames


def test_stretches_are_as_the_whole(monkeypatch):
    rng = np.random.default_rng(1)
    onset = np.sort(rng.uniform(0, 150, 600))
    frames = note_frames(onset, onset + 0.3, rng.integers(40, 80, 600), np.ones(600))
    whole = beat_odds(frames)
    assert whole.shape == (len(frames), 2)
    monkeypatch.setattr(beat_network, "_STRETCH", 1500)
    np.testing.assert_allclose(beat_odds(frames), whole, atol=1e-4)
