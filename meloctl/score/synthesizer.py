"""One call of midirenderer: messages → sound.

midirenderer (0.1.3, on rustysynth 1.3.1) renders a whole MIDI file in one call, at 48 kHz in 16 bits. It plays drums on channel
10 alone, knows no ports, clips what is louder than full scale, and stops at End of Track. The files that it gets are made
here, from checked messages.
"""

import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from analysis.errors import MeloError
from analysis.midi_write import variable_length
from meloctl.score.performance import CONTROLLER, PROGRAM, RPN, VOLUME

SAMPLE_RATE = 48_000
"""Frames a second, in hertz; midirenderer knows no other."""

BLOCK = 64
"""Frames at whose first one messages act."""

DRUM_CHANNEL = 9
"""Counted from 0."""

MELODIC_CHANNELS = tuple(channel for channel in range(16) if channel != DRUM_CHANNEL)

Sound = npt.NDArray[np.float32]
"""(frames, 2) left and right; full scale is 1."""

Timed = tuple[int, int, tuple[int, ...]]
"""Frame, lane, and message: kind and three values, as in Performance."""

_SOFTER = (1.0, 0.5, 0.25, 0.125)
"""Factors on volume controllers, whose squares are the gains: 0, −12, −24 and −36 dB."""

_VOLUME = 100
"""The volume of a channel that sets none."""

_FULL_SCALE = 32767
_WAV_HEADER = 44
"""Bytes before the samples."""


def synthesize(messages: list[Timed], channel: dict[int, int], start: int, frames: int, soundfont: bytes) -> Sound:
    """The sound (frames, 2) of messages, rendered as loud as it goes without being clipped, since midirenderer drops what is more
    than 60 dB below full scale, and scaled back.

    Args:
        messages: in order of time, at whole blocks.
        channel: the MIDI channel of each lane, from 0.
        start: the frame at which the sound begins.
        frames: how many frames it has.
        soundfont: a checked SoundFont 2.

    Raises:
        MeloError: the synthesizer cannot play the soundfont.
    """
    volumes = [values[1] for _, _, (kind, *values) in messages if (kind, values[0]) == (CONTROLLER, VOLUME)]
    louder = 127 / max(_VOLUME, *volumes, 0)
    for factor in (louder * softer for softer in _SOFTER):
        sound = _rendered(soundfont, _midi_file(messages, channel, start, frames, factor), frames)
        if sound.max() < _FULL_SCALE and sound.min() > -_FULL_SCALE:
            break
    return sound.astype(np.float32) / np.float32(32768 * factor**2)


def _rendered(soundfont: bytes, midi: bytes, frames: int) -> npt.NDArray[np.int16]:
    """(frames, 2) what midirenderer makes of a MIDI file."""
    import midirenderer

    try:
        wav = midirenderer.render_wave_from(soundfont, midi)
    except RuntimeError as error:
        raise MeloError(f"the soundfont cannot be played: {' '.join(str(error).split())[:160]}") from error
    except BaseException as error:  # a panic in Rust is none of Python's exceptions
        if type(error).__name__ != "PanicException":
            raise
        raise MeloError("the soundfont is damaged: the synthesizer gave up on it") from error
    sound = np.frombuffer(wav, dtype="<i2", offset=_WAV_HEADER).reshape(-1, 2)
    return np.pad(sound, ((0, max(0, frames - len(sound))), (0, 0)))[:frames]


def _midi_file(messages: list[Timed], channel: dict[int, int], start: int, frames: int, factor: float) -> bytes:
    """A MIDI file of one track with a tick a frame, `frames` long, its volumes multiplied by a factor.

    Messages stand half a block early: at a block's very edge the synthesizer's sum of seconds would decide when they act.
    """
    body = bytearray()
    initial = [(start, lane, (CONTROLLER, VOLUME, _VOLUME, 0)) for lane in channel]
    last = start
    for frame, lane, message in [*initial, *messages]:
        for event in _events(message, channel[lane], factor):
            place = max(frame - BLOCK // 2, last)
            body += variable_length(place - last) + event
            last = place
    body += variable_length(start + frames - last) + b"\xff\x2f\x00"
    header = struct.pack(">IHHH", 6, 0, 1, SAMPLE_RATE // 2)  # ticks a quarter note, of which there are two a second
    return b"MThd" + header + b"MTrk" + struct.pack(">I", len(body)) + bytes(body)


def _events(message: tuple[int, ...], channel: int, factor: float) -> Iterator[bytes]:
    """The MIDI events of a message; volumes in fourteen bits."""
    kind, first, second, third = message
    if kind == RPN:
        for number, value in ((101, 0), (100, first), (6, second), (38, third), (101, 127), (100, 127)):
            yield bytes((CONTROLLER | channel, number, value))
    elif kind == CONTROLLER and first == VOLUME:
        volume = round(second * 128 * factor)
        yield bytes((CONTROLLER | channel, VOLUME, volume >> 7))
        yield bytes((CONTROLLER | channel, VOLUME + 32, volume & 127))
    elif kind == PROGRAM:
        yield bytes((PROGRAM | channel, first))
    else:
        yield bytes((kind | channel, first, second))
