"""The likeliest beats: a path through time whose intervals change slowly, by dynamic programming."""

import numpy as np
import numpy.typing as npt

from analysis.arrays import Floats, Ints
from analysis.compiled import compiled
from meloctl.beats.note_frames import FRAMES_A_SECOND

SHORTEST, LONGEST = 9, 110
"""Frames between two beats: 333 to 27 beats a minute."""

_STIFFNESS = 45.0
"""Cost in nats of a change of the interval by a factor e, squared."""

_JUMP = 9.0
"""Greatest cost of a change: a pause, or a new tempo."""

_BONUS = 1.0
"""Nats for each beat: the network is trained on single frames, and a performer's beat may fall on any of several."""

_USUAL_PERIOD_S, _WIDE = 0.6, 0.8
"""Seconds, and the standard deviation of the logarithm, of the prior of the interval where nothing is known."""

_GIVEN, _GIVEN_BONUS = 0.08, 3.0
"""Standard deviation and nats for each beat where the interval is known: a path may not thin out to longer ones."""


def beat_path(odds: Floats, *, period_s: float | None = None) -> Ints:
    """Frames of the likeliest beats, ascending, at least one.

    A path scores the log odds of its frames, the prior of its intervals, and a cost for each change of interval.

    Args:
        odds: (T,) natural logarithm of p / (1 − p), p the probability that a beat falls in the frame.
        period_s: seconds of a beat where they are known; intervals stay near them.
    """
    usual, spread, bonus = (period_s, _GIVEN, _GIVEN_BONUS) if period_s else (_USUAL_PERIOD_S, _WIDE, _BONUS)
    log = np.log(np.arange(SHORTEST, LONGEST + 1))
    prior = -0.5 * ((log - np.log(usual * FRAMES_A_SECOND)) / spread) ** 2
    change = -_STIFFNESS * (log[:, None] - log[None, :]) ** 2
    first = np.array([np.flatnonzero(row > -_JUMP)[0] for row in change])
    last = np.array([np.flatnonzero(row > -_JUMP)[-1] for row in change])
    came = np.empty((len(odds), len(log)), dtype=np.int8)
    best = np.empty((LONGEST + 1, len(log)))
    onward, source = np.empty_like(best), np.empty(best.shape, dtype=np.int8)
    _fill(odds + bonus, change, first, last, prior, _JUMP, best, came, onward, source)
    return _walk_back(best, came)


def _walk_back(best: Floats, came: npt.NDArray[np.int8]) -> Ints:
    """Frames of the best path, which ends among the last frames.

    Args:
        best: (LONGEST + 1, P) score of the best path with a beat at each of the last frames after each interval, frame t in row
            t modulo LONGEST + 1.
        came: (T, P) index of the interval before; −1 where the path begins.
    """
    frames, rows = len(came), len(best)
    ends = range(max(frames - LONGEST, 0), frames)
    at = max(ends, key=lambda t: best[t % rows].max())
    p = int(best[at % rows].argmax())
    found = [at]
    while p >= 0 and at - (p + SHORTEST) >= 0:
        before = int(came[at, p])
        at -= p + SHORTEST
        found.append(at)
        p = before
    return np.array(found[::-1], dtype=np.int64)


@compiled
def _fill(
    odds: Floats,
    change: Floats,
    first: Ints,
    last: Ints,
    prior: Floats,
    jump: float,
    best: Floats,
    came: npt.NDArray[np.int8],
    onward: Floats,
    source: npt.NDArray[np.int8],
) -> None:
    """Fill the table of best paths.

    Args:
        odds: (T,) log odds of a beat.
        change: (P, P) score of one interval after another.
        first, last: (P,) the intervals from which a change costs less than `jump`.
        prior: (P,) score of each interval.
        jump: cost of any greater change.
        best: (LONGEST + 1, P) to be filled: scores of the last frames, frame t in row t modulo LONGEST + 1.
        came: (T, P) to be filled: index of the interval before.
        onward, source: (LONGEST + 1, P) room: the best way on with each interval, and where it comes from.
    """
    frames, count = came.shape
    ring = onward.shape[0]
    for t in range(frames):
        row, top, arg = t % ring, -1e30, -1
        for p in range(count):
            s = t - (p + SHORTEST)
            if s >= 0:
                best[row, p] = odds[t] + prior[p] + onward[s % ring, p]
                came[t, p] = source[s % ring, p]
            else:  # the first beat
                best[row, p] = odds[t]
                came[t, p] = -1
            if best[row, p] > top:
                top, arg = best[row, p], p
        for p in range(count):
            high, came_from = top - jump, arg
            for q in range(first[p], last[p] + 1):
                score = best[row, q] + change[q, p]
                if score > high:
                    high, came_from = score, q
            onward[row, p] = high
            source[row, p] = came_from
