"""The likeliest beats: a path through time whose intervals change slowly, by dynamic programming."""

import numpy as np

from analysis.arrays import Floats, Ints
from analysis.compiled import compiled
from meloctl.beats.note_frames import FRAMES_A_SECOND

SHORTEST, LONGEST = 9, 110
"""Frames between two beats: 333 to 27 beats a minute."""

_STIFFNESS = 45.0
"""Cost in nats of a change of the interval by a factor e, squared."""

_JUMP = 9.0
"""Greatest cost of a change: a pause, or a new tempo."""

_BONUS = 2.0
"""Nats for each beat: the network is trained on single frames, and a performer's beat may fall on any of several."""

_USUAL_PERIOD, _SPREAD = 0.6, 0.55
"""Seconds, and the standard deviation of the logarithm, of the prior of the interval."""


def beat_path(odds: Floats) -> Ints:
    """Frames of the likeliest beats, ascending, at least two.

    A path scores the log odds of its frames, the prior of its intervals, and a cost for each change of interval.

    Args:
        odds: (T,) natural logarithm of p / (1 − p), p the probability that a beat falls in the frame.
    """
    period = np.arange(SHORTEST, LONGEST + 1)
    frames = len(odds)
    log = np.log(period)
    change = -np.minimum(_STIFFNESS * (log[:, None] - log[None, :]) ** 2, _JUMP)
    prior = -0.5 * ((log - np.log(_USUAL_PERIOD * FRAMES_A_SECOND)) / _SPREAD) ** 2
    best = np.empty((frames, len(period)))
    came = np.empty((frames, len(period)), dtype=np.int32)
    onward = np.empty((LONGEST + 1, len(period)))
    source = np.empty((LONGEST + 1, len(period)), dtype=np.int32)
    _fill(odds + _BONUS, change, prior, best, came, onward, source)
    return _walk_back(best, came)


def _walk_back(best: Floats, came: Ints) -> Ints:
    """Frames of the best path, which ends in the last interval's room.

    Args:
        best: (T, P) score of the best path with a beat at each frame after each interval.
        came: (T, P) index of the interval before; −1 where the path begins.
    """
    frames = len(best)
    first = max(frames - LONGEST, 0)
    at, p = divmod(int(best[first:].argmax()), best.shape[1])
    at += first
    found = [at]
    while p >= 0 and at - (p + SHORTEST) >= 0:
        before = int(came[at, p])
        at -= p + SHORTEST
        found.append(at)
        p = before
    return np.array(found[::-1], dtype=np.int64)


@compiled
def _fill(
    odds: Floats, change: Floats, prior: Floats, best: Floats, came: Ints, onward: Floats, source: Ints
) -> None:
    """Fill the table of best paths.

    Args:
        odds: (T,) log odds of a beat.
        change: (P, P) score of one interval after another.
        prior: (P,) score of each interval.
        best, came: (T, P) to be filled: score, and the index of the interval before.
        onward, source: (LONGEST + 1, P) room for the last frames: the best way on with each interval, and where it comes from.
    """
    frames, count = best.shape
    ring = onward.shape[0]
    for t in range(frames):
        for p in range(count):
            s = t - (p + SHORTEST)
            if s >= 0:
                best[t, p] = odds[t] + prior[p] + onward[s % ring, p]
                came[t, p] = source[s % ring, p]
            else:  # the first beat
                best[t, p] = odds[t]
                came[t, p] = -1
        row = t % ring
        for p in range(count):
            top, arg = -1e30, -1
            for q in range(count):
                score = best[t, q] + change[q, p]
                if score > top:
                    top, arg = score, q
            onward[row, p] = top
            source[row, p] = arg
