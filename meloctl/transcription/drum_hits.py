"""Whether drums play: sudden sounds without pitch, which no note explains. They are counted and left out, and the user is told.

A hit is a frame at which most bins from A5 up rise to double, and are about equally strong; a plucked string or a hammer does the
same, but at the onset of a note.
"""

import numpy as np

from analysis.arrays import Floats
from meloctl.transcription.notes import NoteTable, Singles

_FIRST_BIN = 180
"""880 Hz, where the harmonics of most notes lie apart."""

_RISE_FRAMES = 3
"""Frames of the transform, 35 ms, within which a hit rises."""

_RISING_SHARE = 0.75
_FLATNESS = 0.5
"""Geometric by arithmetic mean of the magnitudes; noise has about 0.8, harmonics 0.2."""

_AUDIBLE_DB = -25.0
"""A hit below the level of the whole recording by more than this does not count."""

_SAME_S = 0.06
"""A hit so near to a note's onset is the note's."""

DRUMS_FROM = 0.3
"""Hits a second apart from notes, from which on drums are said to play; see docs/transcription.md for how often that is right."""

_LEAST_HITS = 4


class DrumHits:
    """Finds hits in magnitudes that come chunk by chunk; the chunks' borders change nothing.

    Args:
        frame_s: seconds from one frame of the transform to the next.
    """

    def __init__(self, frame_s: float) -> None:
        self._frame_s = frame_s
        self._held = np.zeros((0, 0), np.float32)
        self._rows: list[Floats] = []
        self._energy, self._frames = 0.0, 0

    def add(self, magnitudes: Singles) -> None:
        """Add the next frames, magnitudes (bins, T)."""
        self._energy += float(np.square(magnitudes, dtype=np.float64).sum())
        self._frames += magnitudes.shape[1]
        top = np.ascontiguousarray(magnitudes[_FIRST_BIN:])
        held = top if not self._held.size else np.concatenate([self._held, top], 1)
        first = self._frames - held.shape[1]
        if held.shape[1] > _RISE_FRAMES:
            self._rows.append(_rows(held, first))
        self._held = held[:, -_RISE_FRAMES:]

    def hits(self) -> Floats:
        """(H,) seconds of the hits so far."""
        if not self._rows:
            return np.zeros(0)
        frame, share, flatness, energy = np.concatenate(self._rows).T
        before, after = np.append(-1.0, share[:-1]), np.append(share[1:], -1.0)
        least = 10 ** (_AUDIBLE_DB / 10) * self._energy / self._frames
        found = (
            (share >= before) & (share > after) & (share > _RISING_SHARE) & (flatness > _FLATNESS) & (energy > least)
        )
        return np.asarray(frame[found] * self._frame_s)


def hits_apart(hits: Floats, notes: NoteTable) -> Floats:
    """(M,) the hits, seconds, at which no note begins.

    Args:
        hits: (H,) seconds.
        notes: of the recording.
    """
    if not len(notes) or not len(hits):
        return hits
    after = np.minimum(np.searchsorted(notes.onset, hits), len(notes) - 1)
    nearest = np.minimum(abs(notes.onset[after] - hits), abs(notes.onset[np.maximum(after - 1, 0)] - hits))
    return np.asarray(hits[nearest > _SAME_S])


def drums_sentence(hits: Floats, notes: NoteTable, duration_s: float) -> str | None:
    """What a user must know of drums; None where none seem to play.

    Args:
        hits: (H,) seconds.
        notes: of the recording.
        duration_s: seconds of sound.
    """
    apart = len(hits_apart(hits, notes))
    if apart < max(DRUMS_FROM * duration_s, _LEAST_HITS):
        return None
    return f"Drums seem to play ({apart:,} hits without a note in {duration_s:,.0f} s); they are not written."


def _rows(top: Singles, first: int) -> Floats:
    """(T − 3, 4) frame, share of bins that rise, flatness and energy of all but the first 3 frames of magnitudes (bins, T).

    Args:
        top: (bins, T).
        first: the number of the first frame.
    """
    now, before = top[:, _RISE_FRAMES:], top[:, :-_RISE_FRAMES]
    energy = np.square(now).sum(0)
    audible = 0.1 * np.sqrt(energy / len(top))
    share = ((now > 2 * before) & (now > audible)).mean(0)
    flatness = np.exp(np.log(now + 1e-5).mean(0)) / (now.mean(0) + 1e-5)
    frame = np.arange(first + _RISE_FRAMES, first + top.shape[1])
    return np.column_stack([frame, share, flatness, energy]).astype(np.float64)
