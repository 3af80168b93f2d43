"""Sound that comes block by block → posteriors of notes, tile by tile, and how strong each pitch sounds."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from meloctl.transcription.constant_q import FIRST_FREQUENCY, ConstantQ
from meloctl.transcription.network import BINS, BINS_A_PITCH, PITCHES, TIME_STRIDE, Transcriber
from meloctl.transcription.notes import Singles
from meloctl.transcription.spectrogram import magnitude_blocks
from meloctl.transcription.streamed_transcriber import StreamedTranscriber

_BLOCK_FRAMES = 2048
"""Frames of the transform that are made at a time; even, so that each block begins with a frame of posteriors."""

_STRENGTH_TAPS = (0, 12, 19, 24)
"""Semitones of the harmonics 1 to 4, of which a note's loudness is made."""


class PosteriorTile(NamedTuple):
    """The next T frames of a recording."""

    note: Singles
    """(88, T) probabilities of a note sounding."""

    onset: Singles
    """(88, T) probabilities of a note beginning."""

    timbre: Singles
    """(D, 88, T) unit directions."""

    strength: Singles
    """(88, T) magnitudes at each pitch and its harmonics."""


def sound_posteriors(
    blocks: Iterable[Singles], network: Transcriber, cents: float, on_magnitudes: Callable[[Singles], None]
) -> Iterator[PosteriorTile]:
    """Tiles that hold every frame of the sound once, in order.

    Args:
        blocks: samples (n,) each.
        network: in evaluation mode, without a memory.
        cents: how far the sound's A lies above 440 Hz.
        on_magnitudes: called with the magnitudes (288, frames) of each stretch, ahead of its tiles.
    """
    transform = ConstantQ(first_frequency=FIRST_FREQUENCY * 2 ** (cents / 1200))
    strengths = torch.zeros(PITCHES, 0)

    def watched() -> Iterator[Tensor]:
        nonlocal strengths
        for magnitudes in magnitude_blocks(blocks, transform, _BLOCK_FRAMES):
            on_magnitudes(magnitudes.numpy())
            strengths = torch.cat([strengths, _strength(magnitudes[:, ::TIME_STRIDE])], 1)
            yield magnitudes

    for found in StreamedTranscriber(network).posteriors(watched()):
        frames = found.note.shape[2]
        yield PosteriorTile(
            torch.sigmoid(found.note[0]).numpy(),
            torch.sigmoid(found.onset[0]).numpy(),
            found.timbre[0].numpy(),
            strengths[:, :frames].numpy(),
        )
        strengths = strengths[:, frames:]


def _strength(magnitudes: Tensor) -> Tensor:
    """Magnitudes (288, T) → (88, T): the root of the energy of each pitch's first harmonics."""
    semitones = magnitudes.reshape(BINS // BINS_A_PITCH, BINS_A_PITCH, -1).amax(1)
    padded = torch.nn.functional.pad(semitones, (0, 0, 0, max(_STRENGTH_TAPS)))
    return torch.stack([padded[tap : tap + PITCHES] for tap in _STRENGTH_TAPS]).square().sum(0).sqrt()
