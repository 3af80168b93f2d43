"""Instruments that no file is needed for: sums of partials with envelopes, formants, noise and attacks drawn at random."""

from dataclasses import dataclass

import numpy as np

from meloctl.transcription.sounds.note_samples import NoteSample, SampledInstrument, Samples, checked_note

RATE = 44_100

_STEP = 4
"""Semitones between notes."""

_LENGTH_S = 2.0
_PARTIALS = 32


@dataclass(frozen=True, kw_only=True)
class _Timbre:
    """What all notes of an instrument share."""

    slope_db: float
    """An octave of partials."""

    even_db: float
    """Of even partials, as in a clarinet's low register."""

    formants: tuple[tuple[float, float, float], ...]
    """(hertz, width in hertz, dB)."""

    uneven_db: tuple[float, ...]
    """Of each partial."""

    stretch: float
    """Inharmonicity B: partial h lies at h √(1 + B h²)."""

    struck: bool
    attack_s: float
    decay_s: float
    """Time constant of the fundamental, of struck ones."""

    upper_faster: float
    """How much sooner upper partials fade, and later they come."""

    breath_db: float
    """Noise around the partials, relative to the tone."""

    click_db: float
    shimmer: float
    """Slow random change of each partial's level."""


def _drawn(rng: np.random.Generator) -> _Timbre:
    struck = rng.random() < 0.3
    return _Timbre(
        slope_db=rng.uniform(2.5, 14),
        even_db=rng.uniform(-30, -3) if rng.random() < 0.3 else 0.0,
        formants=tuple(
            (float(np.exp(rng.uniform(np.log(250), np.log(4000)))), rng.uniform(80, 700), rng.uniform(2, 15))
            for _ in range(rng.integers(0, 5))
        ),
        uneven_db=tuple(rng.normal(0, rng.uniform(0.5, 5), _PARTIALS).tolist()),
        stretch=10 ** rng.uniform(-5, -3.4) if struck or rng.random() < 0.1 else 0.0,
        struck=struck,
        attack_s=10 ** (rng.uniform(-2.9, -1.9) if struck else rng.uniform(-2.2, -1.0)),
        decay_s=10 ** rng.uniform(-0.7, 0.4),
        upper_faster=rng.uniform(0, 0.5),
        breath_db=rng.uniform(-60, -24),
        click_db=rng.uniform(-70, -18),
        shimmer=rng.uniform(0, 0.25),
    )


def additive_instrument(seed: int) -> SampledInstrument:
    """The instrument with this seed: its notes every four semitones, from A1 or higher, over three to five octaves."""
    rng = np.random.default_rng([seed, 0xADD])
    timbre = _drawn(rng)
    low = int(rng.integers(30, 56))
    checked = [
        checked_note(_note(timbre, pitch, rng), RATE, pitch)
        for pitch in range(low, min(low + int(rng.integers(36, 56)), 100), _STEP)
    ]
    return SampledInstrument(
        name=f"additive {seed}",
        family="additive",
        rate=RATE,
        notes=tuple(note for note in checked if isinstance(note, NoteSample)),
        sustained=not timbre.struck,
        monophonic=not timbre.struck and bool(rng.random() < 0.8),
        dropped=tuple(note for note in checked if isinstance(note, str)),
    )


def _note(timbre: _Timbre, pitch: int, rng: np.random.Generator) -> Samples:
    """Samples (n,) of one note, with 20 ms of silence before it."""
    count = round(_LENGTH_S * RATE)
    time: Samples = np.arange(count, dtype=np.float32) / np.float32(RATE)
    fundamental = 440 * 2 ** ((pitch - 69 + rng.normal(0, 0.03)) / 12)
    sound = np.zeros(count, np.float32)
    for number in range(1, _PARTIALS + 1):
        stretched = number * np.sqrt(1 + timbre.stretch * number**2)
        frequency = fundamental * stretched
        if frequency > RATE * 0.4:
            break
        gain_db = -timbre.slope_db * np.log2(number) + timbre.uneven_db[number - 1] + (number % 2 == 0) * timbre.even_db
        gain_db += sum(db * np.exp(-0.5 * ((frequency - at) / width) ** 2) for at, width, db in timbre.formants)
        if gain_db < -70:
            continue
        tone = np.sin(2 * np.pi * frequency * time + rng.uniform(0, 2 * np.pi), dtype=np.float32)
        sound += np.float32(10 ** (gain_db / 20)) * tone * _partial_envelope(timbre, number, time, rng)
    sound /= np.sqrt(np.square(sound).mean()) + 1e-9
    noise = rng.normal(size=count).astype(np.float32)
    noise = np.convolve(noise, np.hanning(round(RATE / (fundamental * rng.uniform(1, 6))) | 1), "same").astype(
        np.float32
    )
    noise *= 10 ** (timbre.breath_db / 20) / (noise.std() + 1e-9)
    click = rng.normal(size=count) * np.exp(-time / rng.uniform(0.002, 0.02)) * 10 ** (timbre.click_db / 20)
    rise = np.minimum(time / timbre.attack_s, 1)
    fall = np.exp(-time / timbre.decay_s) if timbre.struck else 1
    return np.pad((sound + noise * rise * fall + click).astype(np.float32), (RATE // 50, 0))


def _partial_envelope(timbre: _Timbre, number: int, time: Samples, rng: np.random.Generator) -> Samples:
    """Loudness (n,) of a partial over its note."""
    rise = np.minimum(time / np.float32(timbre.attack_s * (1 + timbre.upper_faster * number)), 1)
    if timbre.struck:
        return rise * np.exp(-time * np.float32((1 + timbre.upper_faster * number) / timbre.decay_s))
    knots = 1 + timbre.shimmer * rng.normal(size=12)
    return rise * np.interp(time, np.linspace(0, _LENGTH_S, 12), knots).astype(np.float32)
