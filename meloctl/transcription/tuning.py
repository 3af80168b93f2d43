"""How far a recording's A lies above 440 Hz, from where the peaks of its spectrum lie between the semitones."""

import numpy as np

from meloctl.transcription.notes import Floats, Singles

_LEAST_SHARE = 0.1
"""Of the loudest bin of its frame that a peak must reach to count."""


class TuningMeter:
    """Collects where spectral peaks lie, from magnitudes with 3 bins a semitone whose middle ones are in tune."""

    def __init__(self) -> None:
        self._sum = 0j
        self._weight = 0.0

    def add(self, magnitudes: Singles) -> None:
        """Add frames: magnitudes (bins, frames)."""
        low, here, high = magnitudes[:-2], magnitudes[1:-1], magnitudes[2:]
        peak = (here >= low) & (here > high) & (here > _LEAST_SHARE * magnitudes.max(axis=0)) & (here > 1e-5)
        bins, frames = np.nonzero(peak)
        a, b, c = (np.log(np.maximum(some[bins, frames], 1e-9)).astype(np.float64) for some in (low, here, high))
        place = bins + 1 + 0.5 * (a - c) / np.minimum(a - 2 * b + c, -1e-9)
        weight: Floats = np.exp(b).astype(np.float64)
        self._sum += complex(np.sum(weight * np.exp(2j * np.pi * (place - 1) / 3)))
        self._weight += float(weight.sum())

    @property
    def cents(self) -> float:
        """From −50 to 50; 0 where there is no peak."""
        return 100 * float(np.angle(self._sum)) / (2 * np.pi) if self._weight else 0.0

    @property
    def clearness(self) -> float:
        """From 0, peaks lie anywhere between semitones, to 1, all at one place."""
        return abs(self._sum) / self._weight if self._weight else 0.0
