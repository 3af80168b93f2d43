"""The rows of a piece while it is written, and which values its next row may take by grammar, instrument ranges and key."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from analysis.arrays import Bools, Floats
from meloctl.rows.grammar import GrammarState, Row, allowed_values, next_state
from meloctl.rows.vocabulary import ABSENT, DURATION, INSTRUMENT, PITCH, Vocabulary
from meloctl.score.key import Key
from meloctl.score.ranges import pitches_in_range


@dataclass(kw_only=True)
class PieceState:
    """Rows so far, and what they say about the next one."""

    vocabulary: Vocabulary
    key: Key | None = None
    """Of the new notes."""

    rows: list[Row] = field(default_factory=list)
    grammar: GrammarState = field(default_factory=GrammarState)
    notes_in_bar: int = 0
    """Notes in the current bar."""

    tonic_chord_only: bool = False
    """New notes of the current bar keep to the key's tonic chord instead of its scale."""

    pitch_class_quarters: Floats = field(default_factory=lambda: np.zeros(12))
    """(12,) summed length of new notes of each pitch class, in quarters, drums apart."""

    def append(self, row: Row) -> None:
        """Add a row (F,) that `allowed_values` allows."""
        self.rows.append(row)
        self.grammar = next_state(self._with_pitches_used_up(row), self.grammar, self.vocabulary)
        if self.grammar.kind in ("header", "infill header"):
            self.notes_in_bar = 0
        if self.grammar.kind != "note":
            return
        self.notes_in_bar += 1
        if row[INSTRUMENT] != self.vocabulary.drums:
            quarters = self.vocabulary.durations[row[DURATION]] / self.vocabulary.steps_per_quarter
            self.pitch_class_quarters[row[PITCH] % 12] += quarters

    def allowed_values(self, field: int, row: Row) -> Bools:
        """(V,) which values a field of the next row (F,) may take, given the fields before it; at least one."""
        allowed = allowed_values(field, row, self.grammar, self.vocabulary)
        return allowed & self._pitches(int(row[INSTRUMENT])) if field == PITCH else allowed

    def logit_weights(self, field: int, row: Row, allowed: Bools) -> Floats:
        """(V,) factors on the model's probabilities of a field's values; pitches are weighted by the key.

        Args:
            field: index into FIELDS.
            row: (F,) the next row so far.
            allowed: (V,) values that may be taken; the others have factor 0.
        """
        if field != PITCH or self.key is None or row[INSTRUMENT] == self.vocabulary.drums:
            return allowed.astype(np.float64)
        return allowed * self.key.pitch_weights(self.pitch_class_quarters)

    def _pitches(self, instrument: int) -> Bools:
        """(128,) pitches that an instrument may play in the current bar. Its range holds an octave, so some of every chord."""
        in_range, key = self._in_range[instrument], self.key
        if key is None or instrument == self.vocabulary.drums:
            return np.asarray(in_range)
        return in_range & (key.chord if self.tonic_chord_only else key.scale)

    def _with_pitches_used_up(self, row: Row) -> Row:
        """A row for the grammar: where no pitch above a note's is left at its position, the note counts as the highest pitch."""
        if row[PITCH] == ABSENT or self._pitches(int(row[INSTRUMENT]))[row[PITCH] + 1 :].any():
            return row
        highest = row.copy()
        highest[PITCH] = self.vocabulary.sizes[PITCH] - 1
        return highest

    @cached_property
    def _in_range(self) -> Bools:
        """(instruments, 128)"""
        return pitches_in_range(self.vocabulary)
