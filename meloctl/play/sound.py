"""A piece as sound that a page can hold: MP3, which every browser plays, as a data URI."""

import base64
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from analysis.midi import write_midi
from analysis.piece import Bars, Notes, Piece
from meloctl.score.playable import playable
from meloctl.score.render import write_sound

_SAMPLE_RATE = 44_100
_BLOCK = 1 << 16
"""Frames encoded at a time."""

_COMPRESSION = 0.7
"""From most bits (0) to fewest (1); for two channels at 44.1 kHz this gives 112 kbit/s."""


def audio_data_uri(piece: Piece, *, soundfont: Path) -> tuple[str, float]:
    """The sound of a piece as a data URI, and its length in seconds.

    The piece as it was read and drawn is rendered, not its file: a hostile file reaches no synthesizer.
    """
    with TemporaryDirectory() as folder:
        midi, wav, mp3 = (Path(folder) / f"piece.{ending}" for ending in ("mid", "wav", "mp3"))
        write_midi(audible_notes(piece), midi)
        seconds = write_sound(midi, wav, soundfont=soundfont, sample_rate=_SAMPLE_RATE)
        _encode(wav, mp3)
        return f"data:audio/mpeg;base64,{base64.b64encode(mp3.read_bytes()).decode()}", seconds


def audible_notes(piece: Piece) -> Piece:
    """A piece reduced to what a synthesizer plays: its notes, each a tick or longer and none over another of its part and
    pitch, and the tempos under them."""
    notes = piece.notes
    longer = replace(piece, notes=replace(notes, duration_tick=np.maximum(notes.duration_tick, 1)))
    last_tick = int((notes.onset_tick + longer.notes.duration_tick).max()) - 1
    cut = playable(longer, int(piece.bars.bar_of(last_tick)) + 1).notes
    audible = cut.duration_tick > 0  # of equal onsets of one pitch only one is left
    columns = (cut.onset_tick, cut.duration_tick, cut.pitch, cut.velocity, cut.part)
    under = piece.tempo_tick <= last_tick
    return Piece(
        parts=tuple(replace(part, name="") for part in piece.parts),
        notes=Notes.of(*(column[audible] for column in columns)),
        bars=Bars.of([], piece.ticks_per_quarter),
        tempo_tick=piece.tempo_tick[under],
        tempo=piece.tempo[under],
    )


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
