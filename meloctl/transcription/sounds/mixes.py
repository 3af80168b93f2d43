"""Mixes of stems, drawn at random: parts of one music or of several, in one room, under noise, with their notes."""

from dataclasses import dataclass

import numpy as np
from scipy import fft

from meloctl.transcription.notes import NoteTable, joined
from meloctl.transcription.sounds.note_samples import Samples
from meloctl.transcription.sounds.room import (
    Response,
    Room,
    drawn_room,
    equalizer,
    hum,
    murmur,
    narrow_band,
    noise_spectrum,
    octaves,
    transform_size,
    with_reflections,
)
from meloctl.transcription.sounds.stem_library import STEM_RATE, STEM_SECONDS, Stem, StemLibrary

PARTS = (0.02, 0.15, 0.25, 0.25, 0.22, 0.11)
"""Probabilities of 0, 1, 2 … parts; with 0 there is noise, or drums alone."""

_COHERENT_SHARE = 0.65
"""Of mixes whose parts play lines of one group."""

_DOUBLED_SHARE = 0.1
"""Of coherent mixes in which two instruments play one line."""

_FURTHEST = 3
"""Semitones by which a mix is moved, up or down, by playing it faster or slower."""

_QUIETEST = 1e-4
"""Root mean square of a stem's excerpt that counts as sound."""


@dataclass(frozen=True, eq=False)
class Mix:
    """Some seconds of several parts together."""

    samples: Samples
    """(n,) at `STEM_RATE`."""

    notes: NoteTable
    """With their parts. Notes that began before the mix have an onset below 0."""

    parts: int
    instruments: tuple[str, ...]
    """One a part."""


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """A stem of a mix."""

    stem: int
    start_s: float


def draw_mix(
    library: StemLibrary, rng: np.random.Generator, seconds: float, *, parts: int | None = None, augment: bool = True
) -> Mix:
    """A mix of so many seconds; equal generators draw equal mixes.

    Args:
        library: its stems.
        rng: of everything that is drawn.
        seconds: at most about 19 (a stem that is played faster is shorter).
        parts: how many; None draws from `PARTS`.
        augment: with everything that a recording does to sound; without it, stems are added up as they are.
    """
    wanted = int(rng.choice(len(PARTS), p=PARTS)) if parts is None else parts
    semitones, tuning = _drawn_pitch(rng) if augment else (0, 0.0)
    speeds = 2 ** ((semitones + tuning + rng.normal(0, 0.04, wanted)) / 12) if augment else np.ones(wanted)
    longest = seconds * float(speeds.max(initial=1.0)) + 0.01
    chosen = _drawn_stems(library, rng, wanted, longest)
    stems = [
        _at_speed(library.read(one.stem, one.start_s, longest), speed, seconds, semitones)
        for one, speed in zip(chosen, speeds, strict=True)
    ]
    drums = _drawn_drums(library, rng, seconds) if augment else None
    gains = [_gain(stem.audio, rng, augment) for stem in stems]
    samples = (
        _recorded(stems, gains, drums, rng, seconds) if augment else _sum(stems, gains, round(seconds * STEM_RATE))
    )
    tables = [_numbered(stem.notes, part, seconds, gains[part]) for part, stem in enumerate(stems)]
    notes = joined(tables) if tables else NoteTable.of([], [], [])
    return Mix(samples, notes, wanted, tuple(stem.instrument for stem in stems))


def _drawn_pitch(rng: np.random.Generator) -> tuple[int, float]:
    """(semitones, tuning in semitones) of a mix."""
    semitones = int(rng.integers(-_FURTHEST, _FURTHEST + 1)) if rng.random() < 0.7 else 0
    return semitones, float(np.clip(rng.normal(0, 0.09), -0.25, 0.25))


def _drawn_stems(library: StemLibrary, rng: np.random.Generator, parts: int, longest: float) -> list[_Chosen]:
    """The stems of a mix and where each begins."""
    last = max(STEM_SECONDS - longest, 0.0)
    if parts and rng.random() < _COHERENT_SHARE:
        groups = list(library.groups)
        for _ in range(8):
            group = library.groups[groups[int(rng.integers(len(groups)))]]
            doubled = rng.random() < _DOUBLED_SHARE
            if len(group) + doubled >= parts:
                return _of_group(group, rng, parts, doubled and parts > 1, rng.uniform(0, last))
    return [
        _Chosen(stem=library.melodic[int(rng.integers(len(library.melodic)))], start_s=rng.uniform(0, last))
        for _ in range(parts)
    ]


def _of_group(
    group: dict[int, list[int]], rng: np.random.Generator, parts: int, doubled: bool, start_s: float
) -> list[_Chosen]:
    """Lines of one group, each by one of its instruments; where one is doubled, by two."""
    lines = rng.permutation(list(group)).tolist()[: parts - doubled]
    stems = [group[line][int(rng.integers(len(group[line])))] for line in lines]
    if len(stems) < parts:
        others = [stem for stem in group[lines[0]] if stem != stems[0]]
        stems.append(others[int(rng.integers(len(others)))] if others else stems[0])
    return [_Chosen(stem=stem, start_s=start_s) for stem in stems]


def _at_speed(stem: Stem, speed: float, seconds: float, semitones: int) -> Stem:
    """A stem played so much faster, cut to `seconds`; its notes are higher by `semitones`."""
    import soxr

    count = round(seconds * STEM_RATE)
    audio = stem.audio if speed == 1 else soxr.resample(stem.audio, STEM_RATE * speed, STEM_RATE, "LQ")
    audio = np.pad(audio, (0, max(0, count - len(audio))))[:count]
    notes = NoteTable.of(
        stem.notes.onset / speed, stem.notes.offset / speed, stem.notes.pitch + semitones, loudness=stem.notes.loudness
    )
    return Stem(audio, notes, stem.instrument, stem.family)


def _numbered(notes: NoteTable, part: int, seconds: float, gain: float) -> NoteTable:
    """The notes of one part that sound within a mix and end with it; none, if the part is silent."""
    inside = notes.take((notes.offset > 0.03) & (notes.onset < seconds - 0.02) & (gain > 0))
    return NoteTable.of(
        inside.onset,
        np.minimum(inside.offset, seconds),
        inside.pitch,
        loudness=inside.loudness + 20 * np.log10(max(gain, 1e-6)),
        part=np.full(len(inside), part),
    )


def _gain(audio: Samples, rng: np.random.Generator, augment: bool) -> float:
    """The factor on a stem (n,): at one level, ± 9 dB, at times 15 dB lower; 0 for silence."""
    level = float(np.sqrt(np.square(audio).mean()))
    if level < _QUIETEST:
        return 0.0
    gain_db = float(np.clip(rng.normal(0, 4), -9, 9)) if augment else 0.0
    if augment and rng.random() < 0.06:
        gain_db = -15.0
    return float(0.06 / level * 10 ** (gain_db / 20))


def _sum(stems: list[Stem], gains: list[float], count: int) -> Samples:
    return sum(
        (stem.audio * np.float32(gain) for stem, gain in zip(stems, gains, strict=True)), np.zeros(count, np.float32)
    )


def _drawn_drums(library: StemLibrary, rng: np.random.Generator, seconds: float) -> Samples | None:
    """A drum track (n,), in one mix of seven."""
    if not library.drums or rng.random() > 0.14:
        return None
    index = library.drums[int(rng.integers(len(library.drums)))]
    audio = library.read(index, rng.uniform(0, STEM_SECONDS - seconds), seconds).audio
    return audio * np.float32(10 ** (rng.uniform(-14, 3) / 20))


def _recorded(
    stems: list[Stem], gains: list[float], drums: Samples | None, rng: np.random.Generator, seconds: float
) -> Samples:
    """The sound (n,) of parts in a room under noise, through a band, and perhaps compressed.

    All that is linear is added up as spectra, so that one inverse transform serves all parts.
    """
    count = round(seconds * STEM_RATE)
    size = transform_size(count)
    octave = octaves(size, STEM_RATE)
    room = drawn_room(rng, size, STEM_RATE) if rng.random() < 0.75 else None
    spectrum = np.zeros(size // 2 + 1, np.complex64)
    wet_db = rng.uniform(-24, -3)
    sounds = [stem.audio * np.float32(gain) for stem, gain in zip(stems, gains, strict=True)]
    for sound in sounds + ([drums] if drums is not None else []):
        spectrum += _placed(sound, room, wet_db + rng.normal(0, 3), size, octave, rng)
    if rng.random() < 0.25:
        spectrum *= narrow_band(rng, octave)
    samples = fft.irfft(spectrum, size)[:count]
    samples = _with_noise(samples, size, octave, rng)
    return _levelled(_compressed(samples, rng), rng)


def _placed(
    sound: Samples, room: Room | None, wet_db: float, size: int, octave: Response, rng: np.random.Generator
) -> Response:
    """The spectrum (F,) of a part through its equalizer and in the room."""
    if room is not None:
        sound = with_reflections(sound, room, rng, STEM_RATE)
    spectrum = fft.rfft(sound, size) * equalizer(rng, octave)
    return spectrum if room is None else spectrum * (1 + np.float32(10 ** (wet_db / 20)) * room.tail)


def _with_noise(samples: Samples, size: int, octave: Response, rng: np.random.Generator) -> Samples:
    """Samples (n,) with noise or hum, in three mixes of four, 20 to 65 dB below them."""
    if rng.random() > 0.75:
        return samples
    level = float(np.sqrt(np.square(samples).mean())) or 0.01
    kind = rng.random()
    if kind < 0.12:
        noise = hum(rng, len(samples), STEM_RATE)
    else:
        noise = fft.irfft(noise_spectrum(rng, octave), size)[: len(samples)]
        noise = murmur(rng, noise, STEM_RATE) if kind > 0.8 else noise
    gain = level / (float(np.sqrt(np.square(noise).mean())) + 1e-12) * 10 ** (rng.uniform(-65, -20) / 20)
    return samples + noise * np.float32(gain)


def _compressed(samples: Samples, rng: np.random.Generator) -> Samples:
    """Samples (n,), in one mix of eight driven into soft clipping."""
    if rng.random() > 0.12:
        return samples
    threshold = np.float32(np.abs(samples).max() * rng.uniform(0.25, 0.8) + 1e-6)
    return threshold * np.tanh(samples / threshold)


def _levelled(samples: Samples, rng: np.random.Generator) -> Samples:
    """Samples (n,) with a peak of −30 to −1 dB."""
    peak = float(np.abs(samples).max()) + 1e-9
    return (samples * np.float32(10 ** (rng.uniform(-30, -1) / 20) / peak)).astype(np.float32)
