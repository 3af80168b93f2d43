"""A constant-Q transform in torch: one bank of kernels for an octave, used at each octave of a signal that is halved in rate."""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

SAMPLE_RATE = 22_050
"""Samples a second of the sound that is transcribed."""

HOP = 256
"""Samples from frame to frame."""

BINS_AN_OCTAVE = 36

FIRST_FREQUENCY = 27.5 * 2 ** (-1 / BINS_AN_OCTAVE)
"""Hertz of the lowest bin, a third of a semitone below A0: so the middle one of a pitch's three bins is in tune."""

_HALF_BAND_TAPS = 63
_HALF_BAND_KAISER = 9.0

_HALVED_AT_ONCE = 32
"""Samples of a halved signal that one row of a matrix product gives; a convolution takes three times as long."""


class ConstantQ(nn.Module):
    """Samples (batch, n) → complex (batch, bins, 1 + n // hop), centred frames, zeros beyond the ends.

    A sine of amplitude 1 at the centre of a bin gives a magnitude of ½ there. As in `librosa.vqt(scale=False)`, a kernel is a
    Hann window of sample_rate / (frequency × α + gamma) samples times filter_scale, α being the width of a bin over its
    frequency; here windows are not rounded to whole samples, and their weights add up to 1.

    Args:
        sample_rate: samples a second.
        hop: samples from frame to frame; divisible by 2 for each octave but the first.
        first_frequency: hertz of the lowest bin.
        octaves: how many octaves there are.
        bins_an_octave: bins in each of them.
        filter_scale: factor on the length of all windows; below 1 they see time more sharply and pitch less.
        gamma: hertz added to the width of each bin, which shortens the windows of low ones.
    """

    def __init__(
        self,
        *,
        sample_rate: int = SAMPLE_RATE,
        hop: int = HOP,
        first_frequency: float = FIRST_FREQUENCY,
        octaves: int = 8,
        bins_an_octave: int = BINS_AN_OCTAVE,
        filter_scale: float = 1.0,
        gamma: float = 0.0,
    ):
        super().__init__()
        if hop % 2 ** (octaves - 1):
            raise ValueError(f"a hop of {hop} samples cannot be halved {octaves - 1} times")
        top = first_frequency * 2 ** (octaves - 1) * 2 ** (np.arange(bins_an_octave) / bins_an_octave)
        if top[-1] >= 0.7 * sample_rate / 2:
            raise ValueError(f"bins up to {top[-1]:.0f} Hz want more than {sample_rate} samples a second")
        self.hop, self.octaves, self.bins_an_octave = hop, octaves, bins_an_octave
        self.banks = [
            _kernels(top / 2**octave, sample_rate / 2**octave, bins_an_octave, filter_scale, gamma)
            for octave in range(octaves if gamma else 1)
        ]
        self.half_band = _half_band()

    @property
    def reach(self) -> int:
        """Samples on each side of a frame's centre that the frame depends on."""
        widest = max(
            len(bank) * 2 ** (i if len(self.banks) > 1 else self.octaves - 1) for i, bank in enumerate(self.banks)
        )
        return widest // 2 + (_HALF_BAND_TAPS // 2) * 2**self.octaves

    def forward(self, samples: Tensor) -> Tensor:
        """Samples (batch, n) → complex (batch, bins, 1 + n // hop), low bins first."""
        octaves = [torch.complex(real, imaginary) for real, imaginary in self._octaves(samples)]
        return torch.cat(octaves[::-1], -1).transpose(1, 2)

    def magnitudes(self, samples: Tensor) -> Tensor:
        """Samples (batch, n) → (batch, bins, 1 + n // hop), the absolute values of what forward gives, in less time."""
        octaves = [torch.hypot(real, imaginary) for real, imaginary in self._octaves(samples)]
        return torch.cat(octaves[::-1], -1).transpose(1, 2)

    def _octaves(self, samples: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Real and imaginary parts (batch, frames, bins of an octave), the highest octave first."""
        frames, hop = 1 + samples.shape[1] // self.hop, self.hop
        for octave in range(self.octaves):
            bank = self.banks[octave if len(self.banks) > 1 else 0]
            half = len(bank) // 2
            windows = functional.pad(samples, (half, half + hop)).unfold(1, len(bank), hop)[:, :frames]
            product = windows @ bank
            yield product[..., : self.bins_an_octave], product[..., self.bins_an_octave :]
            if octave < self.octaves - 1:
                samples, hop = self._halved(samples), hop // 2

    def _halved(self, samples: Tensor) -> Tensor:
        """Samples (batch, n) at half the rate: (batch, ⌈n / 2⌉), sample i at the time of sample 2i."""
        count = (samples.shape[1] + 1) // 2
        rows, width = -(-count // _HALVED_AT_ONCE), len(self.half_band)
        reach = _HALF_BAND_TAPS // 2
        wanted = (rows - 1) * 2 * _HALVED_AT_ONCE + width
        padded = functional.pad(samples, (reach, wanted - reach - samples.shape[1]))
        return (padded.unfold(1, width, 2 * _HALVED_AT_ONCE) @ self.half_band).flatten(1)[:, :count]


def _half_band() -> Tensor:
    """(samples, `_HALVED_AT_ONCE`) a low-pass filter to half the band, in each column two samples further down."""
    time = np.arange(_HALF_BAND_TAPS) - _HALF_BAND_TAPS // 2
    taps = np.sinc(time / 2) * np.kaiser(_HALF_BAND_TAPS, _HALF_BAND_KAISER)
    matrix = np.zeros((_HALF_BAND_TAPS + 2 * (_HALVED_AT_ONCE - 1), _HALVED_AT_ONCE), np.float32)
    for column in range(_HALVED_AT_ONCE):
        matrix[2 * column : 2 * column + _HALF_BAND_TAPS, column] = taps / taps.sum()
    return torch.from_numpy(matrix)


def _kernels(
    frequencies: npt.NDArray[np.float64], sample_rate: float, bins_an_octave: int, filter_scale: float, gamma: float
) -> Tensor:
    """Kernels (samples, 2 × bins), real parts before imaginary ones, of bins at `frequencies` (bins,) in hertz."""
    ratio = 2 ** (2 / bins_an_octave)
    alpha = (ratio - 1) / (ratio + 1)
    lengths = filter_scale * sample_rate / (frequencies * alpha + gamma)
    half = math.ceil(lengths.max() / 2)
    time = np.arange(-half, half + 1)
    phase = np.pi * time[:, None] * 2 / lengths
    window = np.where(np.abs(phase) <= np.pi, 0.5 + 0.5 * np.cos(phase), 0.0)
    kernels = window / window.sum(0) * np.exp(-2j * np.pi * frequencies * time[:, None] / sample_rate)
    return torch.from_numpy(np.concatenate([kernels.real, kernels.imag], 1).astype(np.float32))
