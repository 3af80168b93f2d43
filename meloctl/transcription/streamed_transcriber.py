"""The transcribing network on a spectrogram that comes piece by piece: each layer keeps the frames its filters reach back to, so
nothing is computed twice, tiles stay in the cache of a processor, and memory does not grow."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import BatchNorm2d, Conv2d, functional

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
from meloctl.transcription.notes import Singles
from meloctl.transcription.spectrogram import SpectrogramChunk, spectrogram_chunks
from meloctl.transcription.streamed_filters import filter_bins, filter_block

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

    @torch.inference_mode()
    def __init__(self, network: Transcriber, frames: int = TILE_FRAMES):
        config = network.config
        if network.memory is not None:
            raise ValueError("a network with a memory cannot run tile by tile")
        self._frames, self._level_frames = frames, config.level_frames
        self._bins = _StreamedBins(network.bins, TIME_STRIDE * frames)
        self._halved = _StreamedBins(network.halved, frames)
        self._taps = network.harmonics.weight.T.reshape(len(HARMONIC_TAPS), -1, config.channels).contiguous()
        self._pitches = torch.empty(PITCHES, frames, config.channels)
        self._register = network.register[0].permute(1, 2, 0) + network.harmonics.bias
        self._shared = [_StreamedBlock(block, frames) for block in network.shared]
        self._timbre_blocks = [_StreamedBlock(block, frames) for block in network.timbre_blocks]
        self._heads, self._head_bias = _heads(network)
        assert network.onset.bias is not None
        self._onset_bias = network.onset.bias
        self._timbre, self._timbre_bias = _after_norm(network.timbre_norm, network.timbre.weight, network.timbre.bias)
        reach = sum(block.reach for block in self._timbre_blocks)
        self._lag = max(reach, 1)
        self._head_line = _Line(PITCHES, self._lag + 1, frames, len(self._head_bias))
        self._timbre_line = _Line(PITCHES, self._lag - reach, frames, config.timbre_width)

    @torch.inference_mode()
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
        silent = torch.zeros(BINS, 2, step)
        while start < end + step + TIME_STRIDE * self._delay:
            yield from self._tile(silent, start // TIME_STRIDE, end)
            start += step

    @property
    def _delay(self) -> int:
        """Frames of posteriors by which they come later than their magnitudes."""
        return _REACH + sum(block.reach for block in self._shared) + self._lag

    def _features(self, chunk: SpectrogramChunk) -> Tensor:
        """(288, 2, 2T), zero after the end."""
        stretch = slice(chunk.before, chunk.before + chunk.frames)
        loudness = level(chunk.magnitudes[None], self._level_frames)[..., stretch]
        features = level_and_contrast(chunk.magnitudes[None, :, stretch], loudness)[0].transpose(0, 1)
        return functional.pad(features, (0, TIME_STRIDE * self._frames - chunk.frames))

    def _tile(self, features: Tensor, first: int, end: int) -> Iterator[Posteriors]:
        """The next posteriors, if any are complete.

        Args:
            features: (288, 2, 2T).
            first: frame of posteriors at which they begin.
            end: frames of the transform in all.
        """
        last = -(-end // TIME_STRIDE)
        bins = _inside(self._bins(features), TIME_STRIDE * first - _REACH, end, axis=2)
        halved = self._halved(bins)
        first -= _REACH
        shared = _inside(self._at_pitches(halved), first, last)
        for block in self._shared:
            first -= block.reach
            shared = _inside(block(shared), first, last)
        found = self._heads_and_timbre(shared, first, last)
        first -= self._lag
        inside = slice(max(-first, 0), max(min(last - first, self._frames), 0))
        if inside.start < inside.stop:
            yield Posteriors(*(some[None, ..., inside] for some in found))

    def _heads_and_timbre(self, shared: Tensor, first: int, last: int) -> Posteriors:
        """Posteriors without a batch, `_lag` frames earlier.

        Args:
            shared: (88, T, C).
            first: their first frame.
            last: frames in all.
        """
        heads = _inside(functional.linear(shared, self._heads, self._head_bias), first, last)
        note, before, here, after = self._head_line.push(heads).unbind(2)
        for block in self._timbre_blocks:
            first -= block.reach
            shared = _inside(block(shared), first, last)
        timbre = self._timbre_line.push(functional.linear(shared, self._timbre, self._timbre_bias))
        count = self._frames
        return Posteriors(
            note[:, 1 : count + 1].clone(),
            before[:, :count] + here[:, 1 : count + 1] + after[:, 2 : count + 2] + self._onset_bias,
            functional.normalize(timbre[:, :count], dim=2).permute(2, 0, 1),
        )

    def _at_pitches(self, bins: Tensor) -> Tensor:
        """Bins (288, channels, T) → pitches (88, T, C), each from the rows in which its harmonics lie."""
        rows = bins.reshape(BINS // BINS_A_PITCH, -1, self._frames).transpose(1, 2).contiguous()
        found = self._pitches.copy_(self._register)
        for tap, weight in zip(HARMONIC_TAPS, self._taps, strict=True):
            low, high = max(-tap, 0), min(PITCHES, len(rows) - tap)
            found[low:high].flatten(0, 1).addmm_(rows[low + tap : high + tap].flatten(0, 1), weight)
        return found


class _Line:
    """The newest `frames` frames of a layer's input and the `held` ones before them, (rows, held + frames, channels)."""

    def __init__(self, rows: int, held: int, frames: int, channels: int, edge: int = 0):
        self._held, self._edge = held, edge
        self.window = torch.zeros(edge + rows + edge, held + frames, channels)
        """With `edge` more rows of zeros at each end."""

    def push(self, frames: Tensor) -> Tensor:
        """The window (rows, held + frames, channels) that ends with these (rows, frames, channels); the next changes it."""
        window = self.window[self._edge : self._edge + len(frames)]
        window[:, : self._held] = window[:, frames.shape[1] :].clone()
        window[:, self._held :] = frames
        return window


class _StreamedBins:
    """One of the first two layers, rectified: (288, in, frames) → (288, out, frames / stride), two of these frames earlier."""

    def __init__(self, layer: Conv2d, frames: int):
        assert layer.bias is not None
        stride = layer.stride[1]
        self._weight, self._bias = layer.weight.numpy(), layer.bias.numpy()
        self._window = torch.zeros(BINS, layer.in_channels, stride, 4 // stride + frames)
        self._found = torch.empty(BINS, layer.out_channels, frames)

    def __call__(self, frames: Tensor) -> Tensor:
        """(288, in, frames) → (288, out, frames / stride), which change by the next call."""
        phases = self._window.shape[2]
        held = 4 // phases
        self._window[..., :held] = self._window[..., -held:].clone()
        self._window[..., held:] = frames.unflatten(2, (-1, phases)).transpose(2, 3)
        filter_bins(self._window.numpy(), self._weight, self._bias, self._found.numpy())
        return self._found


class _StreamedBlock:
    """A residual block: its output for the frames that lie `reach` before those that came in."""

    def __init__(self, block: nn.Module, frames: int):
        assert isinstance(block, Block)
        dilation, channels = block.along_time.dilation[1], block.along_time.in_channels
        along_time = block.along_time.weight[:, 0, 0].T
        along_pitch = torch.zeros(0, channels) if block.along_pitch is None else block.along_pitch.weight[:, 0, :, 0].T
        self.reach = dilation * (len(along_time) // 2)
        self._line = _Line(PITCHES, 2 * self.reach, frames, channels, edge=len(along_pitch) // 2)
        self._filters = (_in_fives(along_time), _in_fives(along_pitch), len(along_time), len(along_pitch), dilation)
        self._inner, self._inner_bias = _after_norm(block.norm, block.inner.weight, block.inner.bias)
        self._outer, self._outer_bias = block.outer.weight, block.outer.bias.numpy()
        self._filtered, self._hidden, self._found = torch.empty(3, PITCHES, frames, channels)

    def __call__(self, frames: Tensor) -> Tensor:
        """(88, T, C) → (88, T, C), `reach` frames earlier; it changes by the next call."""
        self._line.push(frames)
        filter_block(
            self._line.window.numpy(), *self._filters, self._outer_bias, self._filtered.numpy(), self._found.numpy()
        )
        hidden, found = self._hidden.flatten(0, 1), self._found.flatten(0, 1)
        torch.addmm(self._inner_bias, self._filtered.flatten(0, 1), self._inner.T, out=hidden).relu_()
        found.addmm_(hidden, self._outer.T)
        return self._found


def _inside(x: Tensor, first: int, end: int, axis: int = 1) -> Tensor:
    """Frames along an axis, of which the first is frame `first`; those before frame 0 and from `end` on are made 0."""
    before, after = max(-first, 0), max(first + x.shape[axis] - end, 0)
    x.narrow(axis, 0, min(before, x.shape[axis])).zero_()
    x.narrow(axis, x.shape[axis] - min(after, x.shape[axis]), min(after, x.shape[axis])).zero_()
    return x


def _in_fives(taps: Tensor) -> Singles:
    """Taps (n, channels) → as many and up to four more of zero, so that they can be taken by fives."""
    return np.ascontiguousarray(functional.pad(taps, (0, 0, 0, -len(taps) % 5)).numpy())


def _after_norm(norm: BatchNorm2d, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (out, in) and bias (out,) that do what the norm does and then the given ones."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return weight * scale, bias + weight @ (norm.bias - norm.running_mean * scale)


def _heads(network: Transcriber) -> tuple[Tensor, Tensor]:
    """Weights (4, channels) and bias (4,): the note's logit, and what a frame adds to the next onset's, its own and the last."""
    onset = network.onset.weight[0, :, 0].T
    weight = torch.cat([network.note.weight, onset])
    return _after_norm(network.note_norm, weight, torch.cat([network.note.bias, torch.zeros(len(onset))]))
