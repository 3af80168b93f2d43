"""The transcribing network on a spectrogram that comes piece by piece: each layer keeps the frames that its filters reach back to,
so nothing is computed twice, tiles stay in the cache of a processor, and memory does not grow."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import BatchNorm2d, Conv2d, Linear, functional

from meloctl.transcription.network import (
    BINS,
    BINS_A_PITCH,
    HARMONIC_TAPS,
    PITCHES,
    TIME_STRIDE,
    Block,
    Posteriors,
    Transcriber,
    level,
    level_and_contrast,
)
from meloctl.transcription.spectrogram import SpectrogramChunk, spectrogram_chunks

TILE_FRAMES = 64
"""Frames of posteriors in a tile: 32 channels of all pitches are then 0.7 MB. Divisible by every dilation of a NetworkConfig."""

_REACH = 2
"""Frames of the transform that each of the first two layers looks ahead."""

_NO_END = 1 << 62


class StreamedTranscriber:
    """A Transcriber in evaluation mode for one spectrogram. Not with a memory, which needs all cells of a mix at once.

    Args:
        network: the trained network.
        frames: of posteriors that are computed at a time, divisible by each of the network's dilations.
    """

    def __init__(self, network: Transcriber, frames: int = TILE_FRAMES):
        config = network.config
        if network.memory is not None:
            raise ValueError("a network with a memory cannot run tile by tile")
        self._frames, self._level_frames = frames, config.level_frames
        self._bins, self._halved = network.bins, network.halved
        self._feature_line = _Line(BINS, 2 * _REACH, TIME_STRIDE * frames, 2)
        self._bin_line = _Line(BINS, 2 * _REACH, TIME_STRIDE * frames, config.bin_channels)
        self._taps = network.harmonics.weight.T.reshape(len(HARMONIC_TAPS), -1, config.channels).contiguous()
        self._register = network.register[0].permute(1, 2, 0) + network.harmonics.bias
        self._shared = [_StreamedBlock(block, frames) for block in network.shared]
        self._timbre_blocks = [_StreamedBlock(block, frames) for block in network.timbre_blocks]
        self._heads, self._head_bias = _heads(network)
        self._onset_bias = network.onset.bias
        self._timbre, self._timbre_bias = _after_norm(network.timbre_norm, network.timbre.weight, network.timbre.bias)
        reach = sum(block.reach for block in self._timbre_blocks)
        self._lag = max(reach, 1)
        self._head_line = _Line(PITCHES, self._lag + 1, frames, len(self._head_bias))
        self._timbre_line = _Line(PITCHES, self._lag - reach, frames, config.timbre_width)

    def posteriors(self, magnitudes: Iterable[Tensor]) -> Iterator[Posteriors]:
        """Posteriors of a batch of 1 that hold every frame once, in order, as the network gives them for the whole.

        Args:
            magnitudes: (288, n) each, in order.
        """
        step, start, end = TIME_STRIDE * self._frames, 0, _NO_END  # in frames of the transform
        for chunk in spectrogram_chunks(magnitudes, step, self._level_frames // 2):
            end = start + chunk.frames if chunk.frames < step else _NO_END
            yield from self._tile(self._features(chunk), start // TIME_STRIDE, end)
            start += step
        end = min(end, start)
        silent = torch.zeros(BINS, step, 2)
        while start < end + step + TIME_STRIDE * self._delay:
            yield from self._tile(silent, start // TIME_STRIDE, end)
            start += step

    @property
    def _delay(self) -> int:
        """Frames of posteriors by which they come later than their magnitudes."""
        return _REACH + sum(block.reach for block in self._shared) + self._lag

    def _features(self, chunk: SpectrogramChunk) -> Tensor:
        """(288, step, 2), zero after the end."""
        stretch = slice(chunk.before, chunk.before + chunk.frames)
        loudness = level(chunk.magnitudes[None], self._level_frames)[..., stretch]
        features = level_and_contrast(chunk.magnitudes[None, :, stretch], loudness)[0].permute(1, 2, 0)
        return functional.pad(features, (0, 0, 0, TIME_STRIDE * self._frames - chunk.frames))

    def _tile(self, features: Tensor, first: int, end: int) -> Iterator[Posteriors]:
        """The next posteriors, if any are complete.

        Args:
            features: (288, 2T, 2).
            first: frame of posteriors at which they begin.
            end: frames of the transform in all.
        """
        last = -(-end // TIME_STRIDE)
        bins = functional.relu_(_along_rows(self._feature_line.push(features), self._bins))
        bins = _inside(bins, TIME_STRIDE * first - _REACH, end)
        halved = functional.relu_(_along_rows(self._bin_line.push(bins), self._halved))
        first -= _REACH
        shared = _inside(self._at_pitches(halved), first, last)
        for block in self._shared:
            first -= block.reach
            shared = _inside(block(shared), first, last)
        heads = self._head_line.push(
            _inside(_linear(shared, self._heads, self._head_bias), first, last)
        )
        timbre, at = shared, first
        for block in self._timbre_blocks:
            at -= block.reach
            timbre = _inside(block(timbre), at, last)
        timbre = self._timbre_line.push(_linear(timbre, self._timbre, self._timbre_bias))
        first -= self._lag
        inside = slice(max(-first, 0), max(min(last - first, self._frames), 0))
        if inside.start < inside.stop:
            note, before, here, after = heads.unbind(2)
            count = self._frames
            onset = before[:, :count] + here[:, 1 : count + 1] + after[:, 2 : count + 2] + self._onset_bias
            yield Posteriors(
                note[:, 1 : count + 1][None, :, inside].clone(),
                onset[None, :, inside],
                functional.normalize(timbre[:, :count][:, inside], dim=2).permute(2, 0, 1)[None],
            )

    def _at_pitches(self, bins: Tensor) -> Tensor:
        """Bins (288, T, channels) → pitches (88, T, C), each from the rows in which its harmonics lie."""
        rows = bins.reshape(BINS // BINS_A_PITCH, BINS_A_PITCH, *bins.shape[1:]).transpose(1, 2)
        rows = rows.reshape(len(rows), bins.shape[1], -1)
        found = self._register.expand(-1, bins.shape[1], -1).contiguous()
        for tap, weight in zip(HARMONIC_TAPS, self._taps, strict=True):
            low, high = max(-tap, 0), min(PITCHES, len(rows) - tap)
            found[low:high].flatten(0, 1).addmm_(rows[low + tap : high + tap].flatten(0, 1), weight)
        return found


class _Line:
    """The newest `frames` frames of a layer's input and the `held` ones before them, (rows, held + frames, channels)."""

    def __init__(self, rows: int, held: int, frames: int, channels: int):
        self._held, self._window = held, torch.zeros(rows, held + frames, channels)

    def push(self, frames: Tensor) -> Tensor:
        """The window (rows, held + frames, channels) that ends with these frames (rows, frames, channels); it changes by the next."""
        self._window[:, : self._held] = self._window[:, frames.shape[1] :].clone()
        self._window[:, self._held :] = frames
        return self._window


class _StreamedBlock:
    """A residual block: its output for the frames that lie `reach` before those that came in."""

    def __init__(self, block: Block, frames: int):
        dilation, taps = block.along_time.dilation[1], block.along_time.kernel_size[1]
        channels = block.along_time.in_channels
        if frames % dilation:
            raise ValueError(f"tiles of {frames} frames cannot be cut by a dilation of {dilation}")
        self.reach = dilation * (taps // 2)
        self._dilation = dilation
        self._line = _Line(PITCHES, 2 * self.reach, frames, channels)
        self._along_time = block.along_time.weight.transpose(2, 3).contiguous()
        self._along_pitch = block.along_pitch
        self._inner, self._inner_bias = _after_norm(block.norm, block.inner.weight, block.inner.bias)
        self._outer, self._outer_bias = block.outer.weight, block.outer.bias

    def __call__(self, frames: Tensor) -> Tensor:
        """(88, T, C) → (88, T, C), `reach` frames earlier."""
        window = self._line.push(frames)
        here = window[:, self.reach : self.reach + frames.shape[1]].contiguous()
        phases = window.unflatten(1, (-1, self._dilation)).permute(0, 3, 1, 2)  # each phase of the dilation is a column
        y = functional.conv2d(phases, self._along_time, groups=phases.shape[1]).permute(0, 2, 3, 1).flatten(1, 2)
        if self._along_pitch is not None:
            y += _along_rows(here, self._along_pitch)
        y = functional.relu_(_linear(y, self._inner, self._inner_bias))
        return _linear(y, self._outer, self._outer_bias).add_(here)


def _along_rows(window: Tensor, filters: Conv2d) -> Tensor:
    """(rows, frames, channels) → filtered, with as many rows and without the frames at the ends that lack neighbours."""
    x = functional.conv2d(
        window.permute(2, 0, 1)[None],
        filters.weight,
        filters.bias,
        stride=filters.stride,
        padding=(filters.padding[0], 0),
        groups=filters.groups,
    )
    return x[0].permute(1, 2, 0)


def _inside(x: Tensor, first: int, end: int) -> Tensor:
    """Frames (rows, frames, channels), of which the first is frame `first`; those before frame 0 and from `end` on are made 0."""
    if first < 0:
        x[:, :-first] = 0
    if first + x.shape[1] > end:
        x[:, max(end - first, 0) :] = 0
    return x


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(88, T, channels in) → (88, T, channels out)."""
    return functional.linear(x, weight, bias)


def _after_norm(norm: BatchNorm2d, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (out, in) and bias (out,) that do what the norm does and then the given ones."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return weight * scale, bias + weight @ (norm.bias - norm.running_mean * scale)


def _heads(network: Transcriber) -> tuple[Tensor, Tensor]:
    """Weights (4, channels) and bias (4,): the note's logit, and what a frame adds to the onset's of the next, its own and the last."""
    onset = network.onset.weight[0, :, 0].T
    weight = torch.cat([network.note.weight, onset])
    return _after_norm(network.note_norm, weight, torch.cat([network.note.bias, torch.zeros(len(onset))]))
