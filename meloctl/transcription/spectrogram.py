"""Magnitudes of sound that comes block by block, in chunks that overlap, as if it were transformed at once."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from meloctl.transcription.constant_q import ConstantQ
from meloctl.transcription.notes import Singles


class SpectrogramChunk(NamedTuple):
    """A stretch of frames with frames around it as context."""

    magnitudes: Tensor
    """(bins, before + frames + after)."""

    before: int
    """Frames of context ahead of the stretch."""

    frames: int
    """Frames of the stretch; those of all chunks are all frames of the sound."""


def magnitude_blocks(blocks: Iterable[Singles], transform: ConstantQ, frames: int) -> Iterator[Tensor]:
    """Magnitudes (bins, at most `frames`) of sound, in order; together those of the whole, to float precision.

    Args:
        blocks: samples (n,) each.
        transform: its frames are centred, so n samples have 1 + n // hop.
        frames: how many are transformed at a time.
    """
    hop = transform.hop
    context = math.ceil(transform.reach / hop)
    held = np.zeros(0, np.float32)
    held_from, frame = 0, 0  # in frames; `held` begins at frame `held_from`, `frame` is the next to come out

    def transformed(count: int) -> Tensor:
        end = (frame + count + context - held_from) * hop
        window = torch.from_numpy(held[:end])[None]
        return transform.magnitudes(window)[0, :, frame - held_from : frame - held_from + count]

    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= (frame + frames + context - held_from) * hop:
            yield transformed(frames)
            frame += frames
            drop = max(frame - context - held_from, 0)
            held, held_from = held[drop * hop :], held_from + drop
    total = held_from + 1 + len(held) // hop
    while frame < total:
        count = min(frames, total - frame)
        yield transformed(count)
        frame += count


def spectrogram_chunks(magnitudes: Iterable[Tensor], frames: int, context: int) -> Iterator[SpectrogramChunk]:
    """Chunks of `frames` frames (the last has fewer) with up to `context` frames on each side.

    Args:
        magnitudes: (bins, n) each, in order.
        frames: of a chunk.
        context: frames on each side; even, as `frames` is, so that a stride of 2 meets the same frames.
    """
    held, before = torch.zeros(0), 0
    for block in magnitudes:
        held = block if not held.numel() else torch.cat([held, block], 1)
        while held.shape[1] >= before + frames + context:
            yield SpectrogramChunk(held[:, : before + frames + context], before, frames)
            drop = max(before + frames - context, 0)
            held, before = held[:, drop:], before + frames - drop
    while held.numel() and held.shape[1] > before:
        count = min(frames, held.shape[1] - before)
        yield SpectrogramChunk(held[:, : before + count + context], before, count)
        drop = max(before + count - context, 0)
        held, before = held[:, drop:], before + count - drop
