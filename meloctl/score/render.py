"""The sound of a MIDI file, as WAV or FLAC."""

from pathlib import Path

import numpy as np

from analysis.atomic_write import atomic_write
from analysis.errors import MeloError
from analysis.midi import render_midi

_TRIES = 8
"""How often a file is rendered at most: symusic 0.5.9 gives NaN for some notes now and then (a whistle: 14 times in 25)."""


def write_sound(midi: Path, path: Path, *, soundfont: Path, sample_rate: int = 44_100) -> float:
    """Render a MIDI file to 16-bit stereo sound, the loudest sample at −1 dB; returns its seconds.

    Args:
        midi: file to render.
        path: ends in .wav or .flac; the samples are the same in both.
        sample_rate: in hertz.

    Raises:
        MeloError: the synthesizer gave samples that are not finite, however often it was asked.
    """
    import soundfile

    for _ in range(_TRIES):
        audio = render_midi(midi, soundfont=soundfont, sample_rate=sample_rate)
        if np.isfinite(audio).all():
            break
    else:
        raise MeloError(
            f"{midi}: the synthesizer gave no finite sound in {_TRIES} tries; leave it out with `sound none`"
        )
    peak = float(np.abs(audio).max(initial=0.0))
    scaled = audio / max(peak, 1e-9) * 10 ** (-1 / 20)
    with atomic_write(path) as temporary:
        soundfile.write(temporary, (scaled * 32767).astype(np.int16), sample_rate, "PCM_16")
    return len(audio) / sample_rate
