"""The sound of a MIDI file, as WAV or FLAC."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np

from analysis.atomic_write import atomic_write
from analysis.errors import MeloError
from analysis.midi import read_source
from meloctl.score.performance import performance_of
from meloctl.score.performance_sound import render
from meloctl.score.soundfont import read_soundfont
from meloctl.score.synthesizer import SAMPLE_RATE, Sound

MOST_SECONDS = 2 * 60 * 60
"""Longest music that is rendered, in seconds: its WAV file has 1.4 GB."""

_PEAK = 10 ** (-1 / 20)
_SILENCE = 10 ** (-60 / 20)
"""Relative to the peak; sound that stays below it has died away."""

_STEP = SAMPLE_RATE // 100
"""Frames over which loudness is looked at, and over which what is left of the sound fades."""

_BLOCK = _STEP * 1000


class TooLongForSoundError(MeloError):
    """Music is longer than what is rendered."""


def write_sound(
    midi: Path, path: Path, *, soundfont: Path, threads: int = 1, on_minute: Callable[[], None] = lambda: None
) -> float:
    """Render a MIDI file to 16-bit stereo sound at 48 kHz, the loudest sample at −1 dB; returns its seconds.

    The sound lasts to the file's End of Track, and longer where its last notes ring longer: until they are 60 dB below the
    loudest sample.

    Args:
        midi: file to render.
        path: ends in .wav or .flac; the samples are the same in both.
        soundfont: SoundFont 2.
        threads: so many minutes of it are rendered at a time; the samples are the same for any number.
        on_minute: called with each minute; what it raises ends the rendering.

    Raises:
        MeloError: a file cannot be read.
        TooLongForSoundError: the music is too long.
    """
    performance = performance_of(read_source(midi))
    longest = max(performance.end_seconds, float(performance.seconds.max(initial=0.0)))
    if longest > MOST_SECONDS:
        raise TooLongForSoundError(
            f"{midi}: {longest / 3600:,.2f} hours of music; at most {MOST_SECONDS // 3600} are made into sound"
        )
    font = read_soundfont(soundfont)
    with TemporaryFile(dir=path.parent) as unscaled:
        levels = _write_unscaled(render(performance, font, threads=threads), unscaled, on_minute)
        peak = float(levels.max(initial=0.0))
        loud = np.flatnonzero(levels > peak * _SILENCE)
        steps = int(loud[-1]) + 2 if len(loud) else 0  # the last of them fades
        frames = max(steps * _STEP, round(performance.end_seconds * SAMPLE_RATE))
        unscaled.seek(0)
        with atomic_write(path) as temporary:
            _write_scaled(unscaled, temporary, _PEAK / max(peak, 1e-9), frames, steps)
    return frames / SAMPLE_RATE


def _write_unscaled(minutes: Iterator[Sound], out: IO[bytes], on_minute: Callable[[], None]) -> Sound:
    """Write the samples of a performance; the loudest of each step."""
    levels = []
    for sound in minutes:
        on_minute()
        out.write(sound.tobytes())
        steps = np.pad(sound, ((0, -len(sound) % _STEP), (0, 0))).reshape(-1, _STEP * 2)
        levels.append(np.abs(steps).max(axis=1))
    return np.concatenate([np.zeros(0, dtype=np.float32), *levels])


def _write_scaled(unscaled: IO[bytes], path: Path, gain: float, frames: int, steps: int) -> None:
    """Write so many frames as a sound file, the last of `steps` fading and silence behind it."""
    import soundfile

    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 2, "PCM_16") as out:
        for start, sound in _blocks(unscaled, frames):
            fade = np.clip(steps - np.arange(start, start + len(sound)) / _STEP, 0, 1)
            out.write(np.rint(sound * (fade * gain * 32767)[:, None]).astype(np.int16))


def _blocks(unscaled: IO[bytes], frames: int) -> Iterator[tuple[int, Sound]]:
    """(first frame, sound) of so many frames, those behind the end silent."""
    for start in range(0, frames, _BLOCK):
        length = min(_BLOCK, frames - start)
        sound = np.zeros((length, 2), dtype=np.float32)
        there = np.frombuffer(unscaled.read(length * 8), dtype=np.float32).reshape(-1, 2)
        sound[: len(there)] = there
        yield start, sound
