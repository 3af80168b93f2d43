"""The sound of a MIDI file, as WAV or FLAC."""

from pathlib import Path

import numpy as np

from analysis.atomic_write import atomic_write
from analysis.midi import render_midi


def write_sound(midi: Path, path: Path, *, soundfont: Path, sample_rate: int = 44_100) -> float:
    """Render a MIDI file to 16-bit stereo sound, the loudest sample at −1 dB; returns its seconds.

    Args:
        midi: file to render.
        path: ends in .wav or .flac; the samples are the same in both.
        sample_rate: in hertz.
    """
    import soundfile

    audio = render_midi(midi, soundfont=soundfont, sample_rate=sample_rate)
    peak = float(np.abs(audio).max(initial=0.0))
    scaled = audio / max(peak, 1e-9) * 10 ** (-1 / 20)
    with atomic_write(path) as temporary:
        soundfile.write(temporary, (scaled * 32767).astype(np.int16), sample_rate, "PCM_16")
    return len(audio) / sample_rate
