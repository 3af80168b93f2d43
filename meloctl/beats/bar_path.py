"""The likeliest bars over beats: which beats begin bars of two, three or four."""

from collections.abc import Sequence

import numpy as np

from analysis.arrays import Bools, Floats

BAR_LENGTHS = (2, 3, 4)
"""Beats that a bar may have."""

_SHORT = 0.3
"""Nats against a bar of two beats."""

_CHANGE = 8.0
"""Nats against bars of another length."""

_BREAK = 6.0
"""Nats against a bar that is cut short."""


def bar_path(odds: Floats, *, lengths: Sequence[int] = BAR_LENGTHS) -> tuple[Bools, int]:
    """(B,) True for the beats that begin bars, and the length of most bars, by the Viterbi algorithm.

    Args:
        odds: (B,) log odds that each beat begins a bar.
        lengths: beats that a bar may have.
    """
    states = [(length, place) for length in lengths for place in range(length)]
    number = {state: i for i, state in enumerate(states)}
    opens = np.array([place == 0 for _, place in states])
    score = np.full((len(states), len(states)), -np.inf)  # from, to
    for (length, place), i in number.items():
        for other, j in number.items():
            if other == (length, place + 1) and place + 1 < length:
                score[i, j] = 0.0
            elif other[1] == 0:
                cut = _BREAK * (place + 1 < length) + _CHANGE * (other[0] != length)
                score[i, j] = -_SHORT * (other[0] == 2) - cut
    beats = len(odds)
    came = np.empty((beats, len(states)), dtype=np.int64)
    best = np.where(opens, odds[0], 0.0)
    own = np.arange(len(states))
    for b in range(1, beats):
        through = best[:, None] + score
        came[b] = through.argmax(axis=0)
        best = through[came[b], own] + np.where(opens, odds[b], 0.0)
    path = np.empty(beats, dtype=np.int64)
    path[-1] = best.argmax()
    for b in range(beats - 1, 0, -1):
        path[b - 1] = came[b, path[b]]
    found = [states[s][0] for s in path.tolist()]
    return opens[path], max(lengths, key=found.count)
