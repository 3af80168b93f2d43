"""Plans from a bridge: sampling from the text to the music in a few steps.

A long piece is made in windows that overlap: in every step the plans that the windows predict for a bar are averaged, so that
windows grow into one another, and the time is linear in the number of bars.

Shape letters: N samples, W windows, L bars of a window, T bars, D width of a plan.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from analysis.arrays import Floats32
from analysis.errors import MeloError
from meloctl.bridge.bar_conditions import BarConditions, batch_of
from meloctl.bridge.bridge_network import BridgeNetwork, Embedded
from meloctl.bridge.bridge_schedule import sampling_times

WINDOW = 64
"""Bars of a window; training spans are at most so long."""

STEPS = 20
MOST_STRENGTH = 10.0
_OVERLAP = 16


@torch.inference_mode()
def sample_plans(
    network: BridgeNetwork,
    conditions: BarConditions,
    seeds: Sequence[int],
    *,
    text_strength: float = 1.0,
    steps: int = STEPS,
) -> Floats32:
    """(N, T, D) plans in −1..1, one sample a seed; a seed's sample does not depend on the others.

    Args:
        network: in evaluation mode.
        conditions: of the T bars of one piece.
        seeds: of each sample.
        text_strength: how far from music about which nothing is said: 0 ignores the condition, 1 is as trained, more exaggerates.
        steps: of sampling.

    Raises:
        MeloError: a strength or a number of steps out of range, or conditions of other widths than the network's.
    """
    if not 0 <= text_strength <= MOST_STRENGTH:
        raise MeloError(f"give 0 to {MOST_STRENGTH:g}", field="text_strength", given=text_strength)
    if not 1 <= steps <= 1000:
        raise MeloError("give 1 to 1000", field="steps", given=steps)
    _check_widths(network, conditions)
    branches = _branches(network, conditions, text_strength)
    z_text = sum(weight * embedded.z_text for weight, embedded in branches)
    windows = _Windows.over(len(conditions))
    low, high = (network.standardised(torch.full((network.sizes.plan_width,), edge)) for edge in (-1.0, 1.0))
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    shape = (len(conditions), network.sizes.plan_width)

    def noise() -> Tensor:
        return torch.stack([torch.randn(shape, generator=generator) for generator in generators])

    schedule, times = network.schedule, sampling_times(steps)
    z = z_text + schedule.beta(times[0]).sqrt() * noise()
    for t, s in zip(times[:-1], times[1:], strict=True):
        music = torch.zeros_like(z)
        for weight, embedded in branches:  # each sees the same noise, around its own z_text
            moved = z + (1 - schedule.alpha(t)) * (embedded.z_text - z_text)
            music += weight * _predicted(network, moved, embedded, t, windows)
        music = music.clamp(low, high)
        posterior = schedule.posterior(s, t)
        z = posterior.of_music * music + posterior.of_state * z
        if s > 0:
            z = z + posterior.variance.sqrt() * noise()
    plans: Floats32 = (z * network.plan_deviation + network.plan_mean).clamp(-1, 1).numpy()
    return plans


def _branches(network: BridgeNetwork, conditions: BarConditions, strength: float) -> list[tuple[float, Embedded]]:
    """(weight, embedded conditions) of what is predicted with the condition and without it; weights add up to 1."""
    said = [(conditions, strength), (conditions.unsaid(), 1 - strength)]
    return [(weight, network.embed(batch_of([c]))) for c, weight in said if weight]


class _Windows(NamedTuple):
    """How bars are cut into windows, and added up again."""

    bars: Tensor
    """(W, L) the bars of each window."""

    share: Tensor
    """(W, L, 1) how much each window counts in each of its bars; the shares of a bar add up to 1."""

    @classmethod
    def over(cls, bars: int) -> "_Windows":
        length = min(bars, WINDOW)
        count = 1 if bars <= WINDOW else 1 + -(-(bars - WINDOW) // (WINDOW - _OVERLAP))
        first = np.linspace(0, bars - length, count).round().astype(np.int64)
        index = torch.from_numpy(first[:, None] + np.arange(length))
        ramp = torch.minimum(torch.arange(1, length + 1), torch.arange(length, 0, -1)).clamp(max=_OVERLAP).float()
        total = torch.zeros(bars).index_add_(0, index.flatten(), ramp.repeat(count))
        return cls(bars=index, share=(ramp / total[index])[..., None])


def _predicted(network: BridgeNetwork, z: Tensor, embedded: Embedded, t: Tensor, windows: _Windows) -> Tensor:
    """(N, T, D) the music that the windows predict, where z is z_t (N, T, D)."""
    count, samples = len(windows.bars), len(z)
    time = network.at_time(t[None])
    if count == 1:
        return network.music(z, embedded, time)
    cut = Embedded(
        bars=embedded.bars[0, windows.bars].repeat(samples, 1, 1),
        z_text=embedded.z_text[0, windows.bars].repeat(samples, 1, 1),
        attended=None,
    )
    music = network.music(z[:, windows.bars].flatten(0, 1), cut, time).unflatten(0, (samples, count))
    whole = torch.zeros_like(z)
    return whole.index_add_(1, windows.bars.flatten(), (music * windows.share).flatten(1, 2))


def _check_widths(network: BridgeNetwork, conditions: BarConditions) -> None:
    sizes = network.sizes
    given = (conditions.wants.shape[1], conditions.texts.shape[1])
    if given != (sizes.attributes, sizes.text_width):
        raise MeloError(
            f"conditions of {given[0]} attributes and embeddings {given[1]} wide; this bridge knows "
            f"{sizes.attributes} attributes and embeddings {sizes.text_width} wide",
            field="conditions",
        )
