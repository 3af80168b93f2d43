"""A MIDI file as sound that a page can hold: MP3, which every browser plays, as a data URI."""

import base64
from pathlib import Path
from tempfile import TemporaryDirectory

from meloctl.score.render import write_sound

_BLOCK = 1 << 16
"""Frames encoded at a time."""

_COMPRESSION = 0.7
"""From most bits (0) to fewest (1); for two channels at 48 kHz this gives 112 kbit/s."""


def audio_data_uri(midi: Path, *, soundfont: Path) -> tuple[str, float]:
    """The sound of a MIDI file as a data URI, and its length in seconds."""
    with TemporaryDirectory() as folder:
        wav, mp3 = (Path(folder) / f"piece.{ending}" for ending in ("wav", "mp3"))
        seconds = write_sound(midi, wav, soundfont=soundfont)
        _encode(wav, mp3)
        return f"data:audio/mpeg;base64,{base64.b64encode(mp3.read_bytes()).decode()}", seconds


def _encode(wav: Path, mp3: Path) -> None:
    """Write a WAV file as MP3 at a constant bit rate, so that a browser finds any second of it exactly."""
    import soundfile

    with (
        soundfile.SoundFile(wav) as source,
        soundfile.SoundFile(
            mp3,
            "w",
            samplerate=source.samplerate,
            channels=source.channels,
            format="MP3",
            subtype="MPEG_LAYER_III",
            compression_level=_COMPRESSION,
            bitrate_mode="CONSTANT",
        ) as out,
    ):
        for block in source.blocks(blocksize=_BLOCK, dtype="float32"):  # libsndfile 1.2 makes noise of 16-bit stereo
            out.write(block)
