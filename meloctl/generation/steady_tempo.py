"""The tempo of bars by their plans, without the jitter that each plan's reading has: music keeps a tempo until it changes it."""

import numpy as np

from analysis.arrays import Floats

_AROUND = 4
"""Bars on each side that say what the tempo of a bar is about, …"""

_CHANGE = 0.2
"""… and by how many octaves it must differ from the tempo kept so far to be another: a seventh faster or slower."""


def steady_tempo(tempo: Floats) -> Floats:
    """Runs of bars with one tempo each, the median of the run.

    Args:
        tempo: (T,) log2 of the tempo that each bar's plan says.
    """
    around = np.array([np.median(tempo[max(0, b - _AROUND) : b + _AROUND + 1]) for b in range(len(tempo))])
    starts = [0]
    for b in range(1, len(tempo)):
        if abs(around[b] - around[starts[-1]]) > _CHANGE:
            starts.append(b)
    out = np.empty(len(tempo))
    for start, stop in zip(starts, [*starts[1:], len(tempo)], strict=True):
        out[start:stop] = np.median(tempo[start:stop])
    return out
