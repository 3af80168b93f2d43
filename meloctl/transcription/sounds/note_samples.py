"""Single notes of an instrument: trimmed, their onset and pitch measured; notes that are not at their pitch are dropped."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

ONSET_DB = -15.0
"""A note begins, for its label, where its level first comes within this of its loudest in `EARLY_S`. Listeners place the
onset of a tone where its envelope is 6 to 15 dB below its maximum (Vos and Rasch, Perception & Psychophysics 29, 1981)."""

EARLY_S = 0.25
"""Seconds from a note's first sound in which the level that its onset is measured by is searched."""

PITCH_TOLERANCE = 30.0
"""Cents by which a note may be off its pitch."""

_LEVEL_HOP_S = 0.0025
_LEVEL_WINDOW_S = 0.01
_SILENT_DB = -45.0
"""Relative to a note's loudest: what is softer before and after it is cut off."""

_SEMITONES = 26
"""How far from the nominal pitch another fundamental is searched, up and down: octave errors are found."""

_CENTS_STEP = 5
_HARMONICS = 16
_DECAY = 0.84
_FLOOR = 0.004
"""Of the strongest bin: what is softer is taken for noise."""

_LOWER_WINS, _UPPER_WINS = 0.65, 0.9
"""A fundamental far from the nominal one is believed if the nominal one's sum is less than this share of its own: every third
of a low fundamental's harmonics is a harmonic of a high one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NoteSample:
    """One note of an instrument."""

    pitch: int
    """MIDI pitch."""

    samples: Samples
    """(n,) mono, at the instrument's rate."""

    onset: int
    """The sample at which the note begins, by `ONSET_DB`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SampledInstrument:
    """The notes of one instrument that are in tune, in order of pitch."""

    name: str
    family: str
    """Where its samples come from; families share no sample."""

    rate: float
    """Samples a second."""

    notes: tuple[NoteSample, ...]
    sustained: bool
    """It sounds as long as it is played; others fade by themselves."""

    monophonic: bool
    """It plays one note at a time."""

    dropped: tuple[str, ...] = ()
    """What was left out, and why: a line a note."""

    @property
    def range(self) -> tuple[int, int]:
        """Lowest and highest pitch that it plays: a whole tone beyond its notes."""
        return self.notes[0].pitch - 2, self.notes[-1].pitch + 2


def transposed(instrument: SampledInstrument, semitones: int) -> SampledInstrument:
    """The instrument with each note read faster or slower: its pitches and its formants move by so many semitones."""
    notes = tuple(replace(note, pitch=note.pitch + semitones) for note in instrument.notes)
    return replace(instrument, notes=notes, rate=instrument.rate * 2 ** (semitones / 12))


def level_db(samples: Samples, rate: int) -> npt.NDArray[np.float64]:
    """(F,) level in dB relative to full scale, of windows of 10 ms, one every 2.5 ms; samples (n,)."""
    hop, width = round(_LEVEL_HOP_S * rate), round(_LEVEL_WINDOW_S / _LEVEL_HOP_S)
    count = max(1, len(samples) // hop)
    padded = np.zeros(count * hop, np.float32)
    padded[: len(samples)] = samples[: count * hop]
    energy = np.square(padded.reshape(count, hop), dtype=np.float32).mean(1, dtype=np.float64)
    edge = np.pad(energy, (width // 2, width - width // 2 - 1))
    window = np.lib.stride_tricks.sliding_window_view(edge, width).mean(1)
    return 10 * np.log10(np.maximum(window, 1e-12))


def onset_sample(samples: Samples, rate: int) -> int:
    """The sample at which a note alone in `samples` (n,) begins: its level comes within `ONSET_DB` of its loudest in its
    first `EARLY_S` seconds."""
    level = level_db(samples, rate)
    first = int(np.argmax(level > level.max() + _SILENT_DB))
    loudest = level[first : first + round(EARLY_S / _LEVEL_HOP_S)].max()
    return (first + int(np.argmax(level[first:] >= loudest + ONSET_DB))) * round(_LEVEL_HOP_S * rate)


def pitch_error(samples: Samples, rate: int, pitch: int) -> float:
    """Cents from a MIDI pitch to the fundamental of a note (n,) samples: of all within `_SEMITONES`, that whose harmonics
    hold most, each compressed and weighted by .84 to the power of its number."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << max(17, len(samples).bit_length())))
    bins = 2 * (len(spectrum) - 1) / rate
    compressed = np.sqrt(np.maximum(spectrum / (spectrum.max() + 1e-12) - _FLOOR, 0))
    cents = np.arange(-100 * _SEMITONES, 100 * _SEMITONES + 1, _CENTS_STEP)
    fundamental = 440 * 2 ** ((pitch - 69) / 12 + cents / 1200)
    salience = np.zeros(len(cents))
    for number in range(1, _HARMONICS + 1):
        place = np.minimum((fundamental * number * bins).astype(np.int64), len(compressed) - 2)
        salience += np.where(fundamental * number < rate * 0.47, _DECAY ** (number - 1), 0) * np.maximum(
            compressed[place], compressed[place + 1]
        )
    best = int(salience.argmax())
    near = np.abs(cents) <= PITCH_TOLERANCE
    if salience[near].max() >= salience[best] * (_LOWER_WINS if cents[best] < 0 else _UPPER_WINS):
        best = int(np.flatnonzero(near)[salience[near].argmax()])
    return float(cents[best])


def checked_note(samples: Samples, rate: int, pitch: int) -> NoteSample | str:
    """A note with silence cut off, or why it cannot be used.

    Args:
        samples: (n,) one note, with silence around it.
        rate: samples a second.
        pitch: the MIDI pitch that it should have.
    """
    level = level_db(samples, rate)
    if level.max() < -70:
        return "silent"
    hop = round(_LEVEL_HOP_S * rate)
    sounding = np.flatnonzero(level > level.max() + _SILENT_DB)
    start, end = max(int(sounding[0]) - 2, 0) * hop, (int(sounding[-1]) + 2) * hop
    cut = samples[start:end] / np.float32(10 ** (level.max() / 20) / 0.1)
    onset = onset_sample(cut, rate)
    steady = cut[onset + rate // 25 : onset + rate // 25 + rate]
    if len(steady) < rate // 12:
        return "too short"
    off = pitch_error(steady, rate, pitch)
    if abs(off) > PITCH_TOLERANCE:
        return f"{off:+.0f} cents off"
    return NoteSample(pitch=pitch, samples=np.ascontiguousarray(cut, dtype=np.float32), onset=onset)
