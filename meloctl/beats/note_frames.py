"""Notes as frames of features, from which beats are found: what begins when, how low, how long, and with how new a harmony."""

import numpy as np
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from analysis.arrays import Floats, Ints

FRAMES_A_SECOND = 50
"""Frames that the time is cut into."""

_BAND_EDGES = (36, 48, 55, 61, 67, 73, 80)
"""MIDI pitches at which the bands of onsets meet."""

_EDGE_REACH = 50
"""Frames to either side among whose notes one is the lowest, or the highest."""

_WINDOWS = (0.3, 0.8, 2.0)
"""Seconds before and behind a frame whose pitch classes are compared."""

FEATURES = len(_BAND_EDGES) + 1 + 7 + len(_WINDOWS)
"""Numbers of a frame."""

_LONGEST = 4.0
"""Seconds beyond which a longer note weighs no more."""


def note_frames(onset: Floats, offset: Floats, pitch: Ints, velocity: Floats) -> Floats:
    """(T, FEATURES) float32 features of N notes at 50 frames a second; frame t lies at t / 50 s.

    Onsets by band of pitch, in all, of the lowest and of the highest notes, the lengths of the notes that begin, the time to
    the next onset, the greatest velocity, notes that sound, and how new the pitch classes are after three spans of time.

    Args:
        onset: (N,) seconds from 0, ascending; N ≥ 1.
        offset: (N,) seconds.
        pitch: (N,) MIDI pitch.
        velocity: (N,) any positive scale.
    """
    frames = int(onset[-1] * FRAMES_A_SECOND) + 2 * FRAMES_A_SECOND
    force = np.clip(velocity / velocity.mean(), 0.3, 2.0)
    length = np.clip(offset - onset, 0.02, _LONGEST)
    place = onset * FRAMES_A_SECOND
    first = place.astype(np.int64)
    part = place - first

    def spread(weight: Floats, row: Ints | None = None, rows: int = 1) -> Floats:
        """(rows, T) weights at the two frames about each onset."""
        at = first if row is None else row * frames + first
        total = np.bincount(at, weight * (1 - part), rows * frames) + np.bincount(at + 1, weight * part, rows * frames)
        return np.asarray(total[: rows * frames].reshape(rows, frames))

    lowest, highest = np.full(frames, 128), np.full(frames, 0)
    np.minimum.at(lowest, first, pitch)
    np.maximum.at(highest, first, pitch)
    is_low = pitch <= minimum_filter1d(lowest, 2 * _EDGE_REACH + 1)[first] + 2
    is_high = pitch >= maximum_filter1d(highest, 2 * _EDGE_REACH + 1)[first] - 1
    band = np.searchsorted(_BAND_EDGES, pitch, side="right")
    start = np.unique(first)
    wait = np.zeros(frames)
    wait[start] = np.log1p(np.minimum(np.diff(start, append=start[-1] + 50), 200) / 5)
    loudest = np.zeros(frames)
    np.maximum.at(loudest, first, force)
    sounding = np.cumsum(
        np.bincount(first, minlength=frames)
        - np.bincount(np.minimum((offset * FRAMES_A_SECOND).astype(np.int64), frames - 1), minlength=frames)[:frames]
    )
    count = len(_BAND_EDGES) + 1
    columns = [
        *np.log1p(spread(force, band, count)),
        np.log1p(spread(force)[0]),
        np.log1p(spread(force * is_low)[0]),
        np.log1p(spread(force * is_high)[0]),
        np.log1p(spread(np.log1p(length / 0.25))[0]),
        wait,
        loudest,
        np.log1p(np.maximum(sounding, 0)),
        *_newness(spread(force * np.sqrt(length), pitch % 12, 12)),
    ]
    return np.stack([column.astype(np.float32) for column in columns], axis=1)


def _newness(classes: Floats) -> list[Floats]:
    """(T,) for each window: 1 − the cosine of the pitch classes of the time behind each frame and of the time before.

    Args:
        classes: (12, T) weight of the onsets of each pitch class in each frame.
    """
    frames = classes.shape[1]
    at, found = np.arange(frames), []
    for window in _WINDOWS:
        reach = round(window * FRAMES_A_SECOND)
        here = np.maximum(at - 2, 0)  # a chord that is spread belongs to what follows
        end, start = np.minimum(here + reach, frames), np.maximum(here - reach, 0)
        both, behind, ahead = np.zeros((3, frames))
        for one in classes:  # one by one: all at once take 12 times the memory
            total = np.concatenate([[0.0], np.cumsum(one)])
            after, before = total[end] - total[here], total[here] - total[start]
            both += after * before
            behind += before**2
            ahead += after**2
        norms = np.sqrt(ahead) * np.sqrt(behind)
        found.append(np.where(norms > 0, 1 - both / np.where(norms > 0, norms, 1), 0.5))
    return found
