"""The rows of a piece that is being written, and what the grammar and the ranges of its instruments allow next."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from meloctl.generation.ranges import pitches_in_range
from meloctl.rows.grammar import State, after, allowed
from meloctl.rows.vocabulary import ABSENT, INSTRUMENT, PITCH, Vocabulary

Bools = npt.NDArray[np.bool_]
Row = npt.NDArray[np.int16]


@dataclass(kw_only=True)
class Sheet:
    """Rows so far."""

    vocabulary: Vocabulary
    rows: list[Row] = field(default_factory=list)
    state: State = field(default_factory=State)
    in_bar: int = 0
    """Notes in the open bar."""

    def take(self, row: Row) -> None:
        """Add a row that may stand here."""
        self.rows.append(row)
        self.state = after(self._spent(row), self.state, self.vocabulary)
        self.in_bar = self.in_bar + 1 if self.state.kind == "note" else 0

    def may(self, field: int, row: Row) -> Bools:
        """(V,) which values a field of the next row may take, given the fields before it; at least one."""
        may = allowed(field, row, self.state, self.vocabulary)
        return may & self._in_range[row[INSTRUMENT]] if field == PITCH else may

    def _spent(self, row: Row) -> Row:
        """A row as the grammar counts on from it: a note with no pitch left above it has used up its position."""
        if row[PITCH] == ABSENT or self._in_range[row[INSTRUMENT], row[PITCH] + 1 :].any():
            return row
        highest = row.copy()
        highest[PITCH] = self.vocabulary.sizes[PITCH] - 1
        return highest

    @cached_property
    def _in_range(self) -> Bools:
        """(instruments, 128) what new notes may sound."""
        return pitches_in_range(self.vocabulary)
