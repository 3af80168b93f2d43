"""Sound that a page can hold, of a MIDI file or a recording: MP3, which every browser plays, as a data URI."""

import base64
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from analysis.errors import MeloError
from meloctl.score.render import write_sound

_BLOCK = 1 << 16
"""Frames encoded at a time."""

_COMPRESSION = 0.7
"""From most bits (0) to fewest (1); for two channels at 48 kHz this gives 112 kbit/s."""


_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Samples a second that MP3 knows."""


def audio_data_uri(midi: Path, *, soundfont: Path) -> tuple[str, float]:
    """The sound of a MIDI file as a data URI, and its length in seconds."""
    with TemporaryDirectory() as folder:
        wav = Path(folder) / "piece.wav"
        seconds = write_sound(midi, wav, soundfont=soundfont)
        return recording_data_uri(wav)[0], seconds


def recording_data_uri(recording: Path) -> tuple[str, float]:
    """A recording as a data URI, and its length in seconds; of more than two channels the first two.

    Raises:
        MeloError: it cannot be read.
    """
    import soundfile

    from meloctl.transcription.sequential_sound import SequentialSound

    with TemporaryDirectory() as folder:
        mp3 = Path(folder) / "piece.mp3"
        try:
            with SequentialSound(recording) as source:
                seconds = _encode(source, mp3)
        except soundfile.LibsndfileError as error:
            raise MeloError(f"{recording}: no sound that can be read") from error
        return f"data:audio/mpeg;base64,{base64.b64encode(mp3.read_bytes()).decode()}", seconds


def _encode(source: Any, mp3: Path) -> float:
    """Write an open sound file as MP3 at a constant bit rate, so that a browser finds any second of it exactly; its seconds."""
    import soundfile
    import soxr

    rate, channels = source.samplerate, min(source.channels, 2)
    mp3_rate = rate if rate in _RATES else min(_RATES, key=lambda known: (known < min(rate, _RATES[-1]), known))
    resample = soxr.ResampleStream(rate, mp3_rate, channels) if mp3_rate != rate else None
    frames = 0
    with soundfile.SoundFile(
        mp3,
        "w",
        samplerate=mp3_rate,
        channels=channels,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=_COMPRESSION,
        bitrate_mode="CONSTANT",
    ) as out:
        # float32, as libsndfile 1.2 makes noise of 16-bit stereo
        while len(block := source.read(_BLOCK, dtype="float32", always_2d=True)):
            frames += len(block)
            sound = np.ascontiguousarray(block[:, :channels])
            out.write(resample.resample_chunk(sound) if resample else sound)
        if resample:
            out.write(resample.resample_chunk(np.zeros((0, channels), np.float32), last=True))
    return float(frames / rate)
