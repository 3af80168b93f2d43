"""What lies between instruments and a recording, as frequency responses: equalizers, rooms, narrow bands, and noise."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from meloctl.transcription.sounds.note_samples import Samples

Response = npt.NDArray[np.float32]
"""(F,) factors on the bins of a real FFT."""

Spectrum = npt.NDArray[np.complex64]
"""(F,) bins of a real FFT."""

_LOWEST_HZ = 20.0
_KNOTS = 8
_TAIL_S = 1.2
"""The longest reverberation that is computed."""


@dataclass(frozen=True, eq=False)
class Room:
    """A room that all parts stand in: its late reverberation is common, its first reflections are each part's own."""

    tail: Spectrum
    """(F,) of the late reverberation, whose energy is 1."""

    size: float
    """Of 0 to 1: how late the first reflections come."""


def transform_size(count: int) -> int:
    """The length of FFT that holds so many samples and the reverberation after them."""
    return int(fft.next_fast_len(count + round(_TAIL_S * 22_050), real=True))


def drawn_room(rng: np.random.Generator, size: int, rate: int) -> Room:
    """A room with a reverberation time of .12 to 2 s, upper frequencies fading sooner; FFTs have `size` samples."""
    time_s = float(np.exp(rng.uniform(np.log(0.12), np.log(2.0))))
    count = round(min(time_s, _TAIL_S) * rate)
    time = np.arange(count, dtype=np.float32) / rate
    tail = rng.standard_normal(count, dtype=np.float32) * np.float32(10) ** (-3 * time / np.float32(time_s))
    before = round(rng.uniform(0.003, 0.03) * rate)
    tail[: min(before, count // 2)] = 0
    spectrum = fft.rfft(tail / (np.sqrt(np.square(tail).sum()) + 1e-9), size)
    dull = 1 / np.sqrt(
        1 + (np.linspace(0, rate / 2, len(spectrum), dtype=np.float32) / np.float32(rng.uniform(1500, 9000))) ** 2
    )
    return Room(spectrum * dull, float(rng.uniform(0, 1)))


def with_reflections(samples: Samples, room: Room, rng: np.random.Generator, rate: int) -> Samples:
    """A part (n,) with two to seven early reflections of its own, −8 to −30 dB each."""
    sound = samples.copy()
    for delay in rng.exponential(0.004 + 0.012 * room.size, rng.integers(2, 8)) + 0.001:
        at = min(round(delay * rate), len(samples) - 1)
        sound[at:] += samples[: len(samples) - at] * np.float32(rng.choice([-1, 1]) * 10 ** (rng.uniform(-30, -8) / 20))
    return sound


def octaves(size: int, rate: int) -> Response:
    """(F,) octaves of each bin above 20 Hz; 0 below."""
    frequency = np.arange(size // 2 + 1, dtype=np.float32) * np.float32(rate / size)
    return np.log2(np.maximum(frequency, _LOWEST_HZ) / np.float32(_LOWEST_HZ))


def equalizer(rng: np.random.Generator, octave: Response) -> Response:
    """A smooth random equalizer, −30 to 18 dB, at times with a tilt."""
    curve_db = np.cumsum(rng.normal(0, 1, _KNOTS)) * rng.choice([0.5, 1.5, 3.5])
    curve_db += rng.normal(0, 1.2) * np.linspace(-4, 4, _KNOTS)
    knots = 10 ** (np.clip(curve_db - curve_db.mean(), -30, 18) / 20)
    table = np.interp(np.arange(0, 12, 0.02), np.linspace(0, 9.2, _KNOTS), knots).astype(np.float32)
    return table[(octave * np.float32(50)).astype(np.int32)]


def narrow_band(rng: np.random.Generator, octave: Response) -> Response:
    """What a loudspeaker, a telephone or a cheap microphone lets through: slopes of 12 to 36 dB an octave outside."""
    low = np.log2(rng.uniform(60, 350) / _LOWEST_HZ) if rng.random() < 0.5 else -1.0
    high = np.log2(np.exp(rng.uniform(np.log(2500), np.log(10_000))) / _LOWEST_HZ) if rng.random() < 0.7 else 12.0
    outside = np.maximum(low - octave, 0) + np.maximum(octave - high, 0)
    return (10 ** (-np.minimum(outside * rng.uniform(12, 36), 60) / 20)).astype(np.float32)


def noise_spectrum(rng: np.random.Generator, octave: Response) -> Spectrum:
    """Noise of some colour, from white to brown."""
    drawn = rng.standard_normal((2, len(octave)), dtype=np.float32)
    slope = np.float32(rng.choice([0.0, -3.0, -6.0]) + rng.uniform(-1, 1))
    shape = np.float32(10) ** (slope * octave / np.float32(20))
    return (drawn[0] + 1j * drawn[1]) * shape


def murmur(rng: np.random.Generator, samples: Samples, rate: int) -> Samples:
    """Noise (n,) whose level wanders three to six times a second, as many voices do."""
    knots = np.exp(rng.normal(0, 0.8, max(2, round(len(samples) / rate * rng.uniform(3, 6)))))
    return samples * np.interp(np.arange(len(samples)), np.linspace(0, len(samples), len(knots)), knots).astype(
        np.float32
    )


def hum(rng: np.random.Generator, count: int, rate: int) -> Samples:
    """Hum (n,) of mains: 50 or 60 Hz and harmonics."""
    base = rng.choice([50.0, 60.0]) * (1 + rng.normal(0, 0.001))
    phase = np.arange(count, dtype=np.float32) * np.float32(2 * np.pi * base / rate)
    return sum(
        (np.float32(rng.uniform(0, 1) / number) * np.sin(phase * number) for number in (1, 2, 3, 5)),
        np.zeros(count, np.float32),
    )
