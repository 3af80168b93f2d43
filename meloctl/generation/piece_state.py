"""The rows of a piece that is being written, and what may come next by the grammar, the ranges of its instruments and its key."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from analysis.arrays import Bools, Floats
from meloctl.rows.grammar import GrammarState, allowed_values, next_state
from meloctl.rows.vocabulary import ABSENT, DURATION, INSTRUMENT, PITCH, Vocabulary
from meloctl.score.key import Key
from meloctl.score.ranges import pitches_in_range

Row = npt.NDArray[np.int16]


@dataclass(kw_only=True)
class PieceState:
    """Rows so far."""

    vocabulary: Vocabulary
    key: Key | None = None
    """Of the new notes."""

    rows: list[Row] = field(default_factory=list)
    state: GrammarState = field(default_factory=GrammarState)
    in_bar: int = 0
    """Notes in the bar that was opened last."""

    chord: bool = False
    """New notes of the open bar keep to the key's tonic chord."""

    held: Floats = field(default_factory=lambda: np.zeros(12))
    """(12,) quarters that each pitch class is held by new notes, drums apart."""

    def take(self, row: Row) -> None:
        """Add a row that may stand here."""
        self.rows.append(row)
        self.state = next_state(self._spent(row), self.state, self.vocabulary)
        if self.state.kind in ("header", "infill header"):
            self.in_bar = 0
        if self.state.kind != "note":
            return
        self.in_bar += 1
        if row[INSTRUMENT] != self.vocabulary.drums:
            quarters = self.vocabulary.durations[row[DURATION]] / self.vocabulary.steps_per_quarter
            self.held[row[PITCH] % 12] += quarters

    def may(self, field: int, row: Row) -> Bools:
        """(V,) which values a field of the next row may take, given the fields before it; at least one."""
        may = allowed_values(field, row, self.state, self.vocabulary)
        return may & self._pitches(int(row[INSTRUMENT])) if field == PITCH else may

    def weights(self, field: int, row: Row, may: Bools) -> Floats:
        """(V,) by what the model's chance of each value is multiplied: 0 where it may not stand."""
        if field != PITCH or self.key is None or row[INSTRUMENT] == self.vocabulary.drums:
            return may.astype(np.float64)
        return may * self.key.weights(self.held)

    def _pitches(self, instrument: int) -> Bools:
        """(128,) what a new note of an instrument may sound in the open bar; it has an octave, so some of each chord."""
        may, key = self._in_range[instrument], self.key
        if key is None or instrument == self.vocabulary.drums:
            return np.asarray(may)
        return may & (key.chord if self.chord else key.scale)

    def _spent(self, row: Row) -> Row:
        """A row as the grammar counts on from it: a note with no pitch left above it has used up its position."""
        if row[PITCH] == ABSENT or self._pitches(int(row[INSTRUMENT]))[row[PITCH] + 1 :].any():
            return row
        highest = row.copy()
        highest[PITCH] = self.vocabulary.sizes[PITCH] - 1
        return highest

    @cached_property
    def _in_range(self) -> Bools:
        """(instruments, 128)"""
        return pitches_in_range(self.vocabulary)
