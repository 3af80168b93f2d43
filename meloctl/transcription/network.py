"""The transcribing network: magnitudes of a constant-Q transform → posteriors of notes and onsets, and a direction of timbre for
each pitch and frame."""

from typing import Annotated, Literal, NamedTuple

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional

from meloctl.transcription.constant_q import HOP, SAMPLE_RATE
from meloctl.transcription.memories import timbre_memory

PITCHES = 88
"""Pitches that can be found, from `LOWEST_PITCH` up by semitones."""

LOWEST_PITCH = 21
"""MIDI pitch of the first: A0."""

BINS = 288
"""Bins of the transform: 3 a semitone, the middle one in tune; the last octave holds harmonics alone."""

TIME_STRIDE = 2
"""Frames of the transform for one frame of posteriors."""

FRAME_S = HOP * TIME_STRIDE / SAMPLE_RATE
"""Seconds from one frame of posteriors to the next."""

HARMONIC_TAPS = (-12, 0, 12, 19, 24, 28, 31, 34, 36)
"""Semitones above a pitch at which its harmonics ½, 1, 2, … 8 lie, to the nearest semitone."""

BINS_A_PITCH = 3
_LEVEL_GAIN = 200.0
_LEAST_LEVEL = 1e-4
_WHITENING_BINS = 36

Width = Annotated[int, Meta(ge=1, le=512)]
Dilations = Annotated[tuple[Annotated[int, Meta(ge=1, le=64)], ...], Meta(min_length=1, max_length=16)]
MemoryName = Literal["none", "hebbian", "linear", "flow"]


class NetworkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sizes of a Transcriber."""

    bin_channels: Width = 8
    """Channels at the resolution of the bins."""

    channels: Width = 32
    """Channels at the resolution of pitches."""

    timbre_width: Width = 16
    """Dimensions of a direction of timbre."""

    dilations: Dilations = (1, 2, 4, 8)
    """Dilation in time of each shared block; every other one, from the first, also looks along the pitches."""

    timbre_dilations: Dilations = (1,)
    """Dilation in time of each block of the timbre branch."""

    time_kernel: Annotated[int, Meta(ge=1, le=15)] = 5
    """Frames that a block's filter along time spans, odd."""

    pitch_kernel: Annotated[int, Meta(ge=1, le=87)] = 25
    """Semitones that a block's filter along pitch spans, odd."""

    level_frames: Annotated[int, Meta(ge=1, le=4096)] = 345
    """Frames of the transform over which the level is measured, odd; 345 are 4 s."""

    memory: MemoryName = "none"
    """What lets the cells of a mix recall each other's timbre."""


class Posteriors(NamedTuple):
    """What the network says of a batch: logits of notes and onsets, and timbre. T frames of `TIME_STRIDE` × hop samples each."""

    note: Tensor
    """(batch, 88, T) logits of a note sounding."""

    onset: Tensor
    """(batch, 88, T) logits of a note beginning."""

    timbre: Tensor
    """(batch, D, 88, T), of length 1 along D."""


class _Channelwise(nn.Linear):
    """A linear map of the channels (batch, C, H, W) of each cell; tensors lie channels last."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x.permute(0, 2, 3, 1), self.weight, self.bias).permute(0, 3, 1, 2)


class Block(nn.Module):
    """Residual block: depthwise filters along time and, where asked for, along pitch; then two linear maps of the channels."""

    def __init__(self, channels: int, dilation: int, time_kernel: int, pitch_kernel: int | None):
        super().__init__()
        reach = dilation * (time_kernel // 2)
        self.along_time = nn.Conv2d(
            channels,
            channels,
            (1, time_kernel),
            padding=(0, reach),
            dilation=(1, dilation),
            groups=channels,
            bias=False,
        )
        self.along_pitch = (
            nn.Conv2d(
                channels, channels, (pitch_kernel, 1), padding=(pitch_kernel // 2, 0), groups=channels, bias=False
            )
            if pitch_kernel
            else None
        )
        self.norm = nn.BatchNorm2d(channels)
        self.inner, self.outer = _Channelwise(channels, channels), _Channelwise(channels, channels)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, 88, T) → the same."""
        y = self.along_time(x)
        if self.along_pitch is not None:
            y = y + self.along_pitch(x)
        return x + self.outer(functional.relu(self.inner(self.norm(y))))


class Transcriber(nn.Module):
    """Magnitudes (batch, 288, frames) → Posteriors of ⌈frames / 2⌉ frames."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.config = config
        first, channels = config.bin_channels, config.channels
        self.bins = nn.Conv2d(2, first, (3, 5), padding=(1, 2))
        self.halved = nn.Conv2d(first, first, (3, 5), padding=(1, 2), stride=(1, TIME_STRIDE))
        self.harmonics = nn.Linear(BINS_A_PITCH * first * len(HARMONIC_TAPS), channels)
        self.register = nn.Parameter(torch.zeros(1, channels, PITCHES, 1))
        self.shared = nn.ModuleList(
            Block(channels, dilation, config.time_kernel, config.pitch_kernel if i % 2 == 0 else None)
            for i, dilation in enumerate(config.dilations)
        )
        self.timbre_blocks = nn.ModuleList(
            Block(channels, d, config.time_kernel, None) for d in config.timbre_dilations
        )
        self.note_norm, self.timbre_norm = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.note = _Channelwise(channels, 1)
        self.onset = nn.Conv2d(channels, 1, (1, 3), padding=(0, 1))
        self.timbre = _Channelwise(channels, config.timbre_width)
        self.memory = timbre_memory(config.memory, config.timbre_width)
        nn.init.constant_(self.note.bias, -3.0)
        assert self.onset.bias is not None
        nn.init.constant_(self.onset.bias, -4.0)

    @property
    def context_frames(self) -> int:
        """Frames of the transform on each side of a frame that its posteriors may depend on, but for a memory's."""
        reach = self.config.time_kernel // 2
        after_stride = reach * (sum(self.config.dilations) + sum(self.config.timbre_dilations)) + 1
        return self.config.level_frames // 2 + 2 + 2 + TIME_STRIDE * after_stride

    def forward(self, magnitudes: Tensor) -> Posteriors:
        """Magnitudes (batch, 288, frames) of sound → Posteriors, each tensor with ⌈frames / 2⌉ frames."""
        shared = self._at_pitches(level_and_contrast(magnitudes, level(magnitudes, self.config.level_frames)))
        for block in self.shared:
            shared = block(shared)
        timbre = shared
        for block in self.timbre_blocks:
            timbre = block(timbre)
        heads = self.note_norm(shared)
        note = self.note(heads)[:, 0]
        timbre = self.timbre(self.timbre_norm(timbre))
        if self.memory is not None:
            mask = torch.sigmoid(note).detach()
            timbre = self.memory(timbre.flatten(2), mask.flatten(1)).unflatten(2, mask.shape[1:])
        return Posteriors(note, self.onset(heads)[:, 0], functional.normalize(timbre, dim=1))

    def _at_pitches(self, features: Tensor) -> Tensor:
        """Features (batch, 2, 288, frames) → (batch, C, 88, T): filtered at the bins, then read at each pitch's harmonics."""
        x = functional.relu(self.bins(features.contiguous(memory_format=torch.channels_last)))
        x = functional.relu(self.halved(x))
        batch, channels, bins, frames = x.shape
        semitones = bins // BINS_A_PITCH
        x = x.permute(0, 2, 3, 1).reshape(batch, semitones, BINS_A_PITCH, frames, channels)
        x = x.permute(0, 1, 3, 2, 4).reshape(batch, semitones, frames, BINS_A_PITCH * channels)
        below = -min(HARMONIC_TAPS)
        above = max(HARMONIC_TAPS) + PITCHES - semitones
        x = functional.pad(x, (0, 0, 0, 0, below, above))
        x = torch.cat([x[:, below + tap : below + tap + PITCHES] for tap in HARMONIC_TAPS], -1)
        return self.harmonics(x).permute(0, 3, 1, 2) + self.register


def level(magnitudes: Tensor, level_frames: int) -> Tensor:
    """Magnitudes (batch, bins, frames) → (batch, 1, frames): the root of the mean energy over `level_frames` frames around."""
    energy = magnitudes.square().sum(1, keepdim=True)
    around = functional.avg_pool1d(energy, level_frames, 1, level_frames // 2, count_include_pad=False)
    return around.sqrt() + _LEAST_LEVEL


def level_and_contrast(magnitudes: Tensor, level: Tensor) -> Tensor:
    """Features (batch, 2, bins, frames): the logarithm of what stands above the level, and how far that stands out of the two
    octaves around.

    Args:
        magnitudes: (batch, bins, frames).
        level: (batch, 1, frames).
    """
    x = torch.log1p(magnitudes * (_LEVEL_GAIN / level)) / 3.0
    bins = x.shape[1]
    sums = functional.pad(x.cumsum(1), (0, 0, 1, 0))
    place = torch.arange(bins, device=x.device)
    first, end = (place - _WHITENING_BINS).clamp(min=0), (place + _WHITENING_BINS + 1).clamp(max=bins)
    around = (sums[:, end] - sums[:, first]) / (end - first)[:, None]
    return torch.stack([x - 1.0, (x - around) * 1.5], 1)


def parameter_count(network: nn.Module) -> int:
    """The number of trained numbers of a network."""
    return sum(parameter.numel() for parameter in network.parameters())
