"""A spectrum that is small enough for a picture, whatever the length of the sound."""

from dataclasses import dataclass

import numpy as np

from meloctl.transcription.notes import Singles

MOST_COLUMNS = 4096
"""Of an overview; a power of two."""


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The largest magnitudes of a constant-Q transform in steps of equal time."""

    magnitude: Singles
    """(bins, columns), 0 or more."""

    step_s: float
    """Seconds of a column; the first begins at 0."""


class OverviewBuilder:
    """Collects an overview from magnitudes that come chunk by chunk; memory stays below `MOST_COLUMNS` columns.

    A column holds the maximum over `2**k` frames; k grows by one whenever the columns are full.

    Args:
        bins: of the transform.
        frame_s: seconds from one frame to the next.
    """

    def __init__(self, bins: int, frame_s: float) -> None:
        self._columns = np.zeros((bins, MOST_COLUMNS), np.float32)
        self._frame_s, self._frames_a_column, self._frames = frame_s, 1, 0

    def add(self, magnitude: Singles) -> None:
        """Add the next frames, magnitudes (bins, frames)."""
        done = 0
        while done < magnitude.shape[1]:
            column, inside = divmod(self._frames, self._frames_a_column)
            if column == MOST_COLUMNS:
                self._halve()
                continue
            if inside or self._frames_a_column > magnitude.shape[1] - done:
                take = min(self._frames_a_column - inside, magnitude.shape[1] - done)
                whole = 1
            else:
                whole = min(MOST_COLUMNS - column, (magnitude.shape[1] - done) // self._frames_a_column)
                take = whole * self._frames_a_column
            some = magnitude[:, done : done + take].reshape(len(magnitude), whole, -1).max(axis=2)
            place = self._columns[:, column : column + whole]
            np.maximum(place, some, out=place)
            self._frames += take
            done += take

    def overview(self) -> Overview:
        """What was collected, (bins, columns)."""
        columns = -(-self._frames // self._frames_a_column)
        return Overview(magnitude=self._columns[:, :columns].copy(), step_s=self._frame_s * self._frames_a_column)

    def _halve(self) -> None:
        pairs = self._columns.reshape(len(self._columns), MOST_COLUMNS // 2, 2).max(axis=2)
        self._columns[:] = 0
        self._columns[:, : MOST_COLUMNS // 2] = pairs
        self._frames_a_column *= 2
