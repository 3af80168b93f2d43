"""The network that gives each frame its odds of a beat and of a downbeat: a convolution over time, in numpy.

Two convolutions at 50 frames a second, residual blocks of growing reach at 25, and the way back up. `maintenance/train_beats.py`
trains it on scores that are performed by a simulation.
"""

from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from analysis.arrays import Floats

WEIGHTS = "beats.safetensors"

_STRETCH = 30_000
"""Frames, an even number, that are computed at a time, with as many around as they depend on: memory stays small."""


def beat_odds(frames: Floats) -> Floats:
    """(T, 2) log odds that a beat, and that a downbeat, falls in each frame.

    Args:
        frames: (T, FEATURES) float32 features, as `note_frames` gives them.
    """
    reach = _reach()
    stretches = []
    for first in range(0, len(frames), _STRETCH):
        before = min(first, reach)
        some = _odds(frames[first - before : first + _STRETCH + reach])
        stretches.append(some[before : before + _STRETCH])
    return np.concatenate(stretches)


def _odds(frames: Floats) -> Floats:
    """(T, 2) log odds, as of `beat_odds`, with all frames at once."""
    w = _weights()
    x = (frames - w["mean"]) / w["deviation"]
    stem = _relu(_convolved(x, w["stem.weight"], w["stem.bias"]))
    even = stem[: len(stem) // 2 * 2]
    y = _relu(_convolved((even[::2] + even[1::2]) / 2, w["down.weight"], w["down.bias"]))
    for i, (taps, bias, mix, shift) in enumerate(_blocks(w)):
        y = y + _relu(_convolved(y, taps, bias, 2**i)) @ mix.T + shift
    up = np.repeat(y, 2, axis=0)
    up = np.pad(up, ((0, len(stem) - len(up)), (0, 0)), mode="edge")
    z = _relu(_convolved(np.concatenate([stem, up], axis=1), w["up.weight"], w["up.bias"]))
    return np.asarray(z @ w["out.weight"].T + w["out.bias"])


def _convolved(x: Floats, weight: Floats, bias: Floats, dilation: int = 1) -> Floats:
    """(T, out) a convolution over time, zeros beyond both ends.

    Args:
        x: (T, in).
        weight: (out, in, taps), an odd number of taps.
        bias: (out,).
        dilation: frames from tap to tap.
    """
    taps = weight.shape[2]
    y = np.tile(bias, (len(x), 1))
    for k in range(taps):
        shift = (k - taps // 2) * dilation
        part = x[max(shift, 0) : max(len(x) + min(shift, 0), 0)]
        if len(part):
            at = max(-shift, 0)
            y[at : at + len(part)] += part @ weight[:, :, k].T
    return y


def _relu(x: Floats) -> Floats:
    return np.maximum(x, 0)


def _blocks(w: dict[str, Any]) -> list[tuple[Floats, Floats, Floats, Floats]]:
    """Taps, bias, mixing matrix and shift of each residual block."""
    count = len(w["blocks.bias"])
    return [(w["blocks.weight"][i], w["blocks.bias"][i], w["mix.weight"][i], w["mix.bias"][i]) for i in range(count)]


def _reach() -> int:
    """Frames on each side on which the odds of a frame depend, or some more; even."""
    w = _weights()
    layers = ("stem.weight", "down.weight", "up.weight")
    taps = sum(w[name].shape[2] for name in layers) + w["blocks.weight"].shape[3] * 2 ** len(w["blocks.bias"])
    return 2 * int(taps)


@cache
def _weights() -> dict[str, Any]:
    from safetensors.numpy import load

    return dict(load((files("meloctl.beats") / WEIGHTS).read_bytes()))
