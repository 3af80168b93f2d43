"""From posteriors that come chunk by chunk to notes: a note begins at a peak of its onset posterior and lasts while it sounds."""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from analysis.compiled import compiled
from meloctl.transcription.network import LOWEST_PITCH, PITCHES
from meloctl.transcription.notes import NoteTable, Singles

Probability = Annotated[float, Meta(ge=0.0, le=1.0)]

LOUDNESS_FRAMES = 8
"""Frames from the onset in which the loudest one gives a note's loudness."""

_NOTES_AT_FIRST = 1024
_COLUMNS = 6
"""Of a finished note: pitch index, onset and offset in frames, onset posterior, mean note posterior, and strength."""


class DecodingThresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a note begins, sounds and counts. They are fitted on validation mixes, never on test recordings."""

    onset: Probability = 0.4
    """Onset posterior that a peak must pass."""

    note: Probability = 0.5
    """Note posterior while a note sounds."""

    shortest_frames: Annotated[int, Meta(ge=1, le=100)] = 3
    """Least length of a note."""

    gap_frames: Annotated[int, Meta(ge=0, le=100)] = 3
    """Frames below `note` that end no note."""

    merged_frames: Annotated[int, Meta(ge=0, le=100)] = 3
    """Frames within which two peaks are one onset."""


class NoteDecoder:
    """Collects notes from posteriors, chunk after chunk; the chunks' borders change nothing.

    Args:
        thresholds: of onset and sound.
        timbre_width: D, dimensions of a direction of timbre.
        frame_s: seconds from one frame to the next.
    """

    def __init__(self, thresholds: DecodingThresholds, timbre_width: int, frame_s: float):
        self._thresholds, self._width, self._frame_s = thresholds, timbre_width, frame_s
        self._frame = 0
        self._state = np.zeros((PITCHES, _STATE))
        self._timbre = np.zeros((PITCHES, timbre_width))
        self._held: list[Singles] = []
        self._last_onset = np.zeros(PITCHES, np.float32)
        self._found = np.zeros((_NOTES_AT_FIRST, _COLUMNS + timbre_width))  # grows by doubling: many small arrays
        self._count = 0  # between large ones that come and go would leave holes in memory

    def add(self, note: Singles, onset: Singles, timbre: Singles, strength: Singles) -> None:
        """Add the next T frames.

        Args:
            note: (88, T) probabilities of a note sounding.
            onset: (88, T) probabilities of a note beginning.
            timbre: (D, 88, T) unit directions.
            strength: (88, T) magnitudes at each pitch, for loudness.
        """
        chunk = [np.ascontiguousarray(some, np.float32) for some in (note, onset, timbre, strength)]
        if self._held:
            chunk = [np.concatenate([a, b], -1) for a, b in zip(self._held, chunk, strict=True)]
        frames = chunk[0].shape[1]
        if frames > 1:
            self._step(frames - 1, *chunk)
        self._held = [np.ascontiguousarray(some[..., max(frames - 1, 0) :]) for some in chunk]

    def finish(self) -> NoteTable:
        """All notes, with embeddings (N, D) of unit length and loudness in decibels."""
        if self._held and self._held[0].shape[1]:
            silent = [np.concatenate([some, np.zeros_like(some[..., :1])], -1) for some in self._held]
            self._step(1, *silent)
        end = np.zeros((PITCHES, self._thresholds.gap_frames + 5), np.float32)
        self._step(end.shape[1] - 1, end, end, np.zeros((self._width, *end.shape), np.float32), end)
        rows, embeddings = np.split(self._found[: self._count], [_COLUMNS], axis=1)
        length = np.linalg.norm(embeddings, axis=1, keepdims=True)
        return NoteTable.of(
            np.maximum(rows[:, 1], 0) * self._frame_s,
            rows[:, 2] * self._frame_s,
            rows[:, 0] + LOWEST_PITCH,
            loudness=20 * np.log10(np.maximum(rows[:, 5], 1e-6)),
            confidence=np.sqrt(rows[:, 3] * rows[:, 4]),
            embedding=embeddings / np.maximum(length, 1e-9),
        )

    def _step(self, frames: int, note: Singles, onset: Singles, timbre: Singles, strength: Singles) -> None:
        limits = self._thresholds
        rows, embeddings = _decode(
            note, onset, timbre, strength, frames, self._frame, self._last_onset, self._state, self._timbre,
            limits.onset, limits.note, limits.shortest_frames, limits.gap_frames, limits.merged_frames, LOUDNESS_FRAMES,
        )  # fmt: skip
        self._last_onset = onset[:, frames - 1].copy()
        self._frame += frames
        end = self._count + len(rows)
        while end > len(self._found):
            self._found = np.concatenate([self._found, np.zeros_like(self._found)])
        self._found[self._count : end] = np.concatenate([rows, embeddings], 1)
        self._count = end


_STATE = 9
"""Numbers kept of a pitch: whether a note sounds, its first frame, its onset in fractions of a frame, the onset posterior, the
last frame that sounded, the sum, the count and the maximum of the note posterior, and its strength."""


@compiled
def _decode(  # type: ignore[no-untyped-def]  # compiled by numba
    note, onset, timbre, strength, frames, first, last_onset, state, sums,
    onset_limit, note_limit, shortest, gap, merged, loudness_frames,
):  # fmt: skip
    """Finished notes (N, 6) and their summed timbres (N, D) of `frames` frames, one more being given for its onset posterior.
    `state` (88, 9) and `sums` (88, D) go on with the next frames."""
    pitches, width = note.shape[0], timbre.shape[0]
    rows = np.empty((pitches * (frames // 2 + 2), 6))
    vectors = np.empty((pitches * (frames // 2 + 2), width))
    found = 0
    for k in range(pitches):
        s = state[k]
        before = last_onset[k]
        for t in range(frames):
            frame = first + t
            here, after, sounding = onset[k, t], onset[k, t + 1], note[k, t]
            peak = here > onset_limit and here >= before and here > after
            starts = peak
            if peak and s[0] > 0 and frame - s[1] <= merged:
                starts = False
                if here > s[3]:
                    s[1], s[2], s[3] = frame, frame + _parabola(before, here, after), here
            ends = s[0] > 0 and (starts or (sounding <= note_limit and frame - s[4] > gap and frame > s[1] + 2))
            if ends:
                if s[4] + 1 - s[1] >= shortest and s[7] > note_limit:
                    rows[found, 0], rows[found, 1], rows[found, 2], rows[found, 3] = k, s[2], s[4] + 1, s[3]
                    rows[found, 4], rows[found, 5] = s[5] / max(s[6], 1.0), s[8]
                    for d in range(width):
                        vectors[found, d] = sums[k, d]
                    found += 1
                s[0] = 0
            if starts:
                s[0], s[1], s[2], s[3], s[4] = 1, frame, frame + _parabola(before, here, after), here, frame
                s[5], s[6], s[7], s[8] = 0, 0, 0, 0
                for d in range(width):
                    sums[k, d] = 0
            if s[0] > 0:
                if sounding > note_limit:
                    s[4] = frame
                    s[5] += sounding
                    s[6] += 1
                    s[7] = max(s[7], sounding)
                    for d in range(width):
                        sums[k, d] += sounding * timbre[d, k, t]
                if frame - s[1] < loudness_frames:
                    s[8] = max(s[8], strength[k, t])
            before = here
    return rows[:found], vectors[:found]


@compiled
def _parabola(before, here, after):  # type: ignore[no-untyped-def]  # compiled by numba
    """Where between −½ and ½ the peak of a parabola through three values lies, the middle one being the largest."""
    bend = before - 2 * here + after
    if bend >= 0:
        return 0.0
    return min(max(0.5 * (before - after) / bend, -0.5), 0.5)
