"""One segment of an infill while it is sampled: its rows so far, and which values the next row may take."""

from dataclasses import dataclass, field

import numpy as np

from analysis.arrays import Bools, Floats
from meloctl.generation.constraints import MOST_EMPTY, MOST_ROWS_IN_BAR
from meloctl.generation.piece_state import PieceState
from meloctl.rows.codec import Rows
from meloctl.rows.grammar import Row
from meloctl.rows.parts import PartId
from meloctl.rows.vocabulary import HEADER_FIELDS, INSTANCE, INSTRUMENT, Vocabulary


@dataclass(frozen=True, kw_only=True, eq=False)
class InfillContext:
    """What the model reads before the middle of one segment, and what the middle must be."""

    rows: Rows
    """(L, F) every header row of the context, masked bars among them, and the notes that stay; no end row."""

    first_masked_bar: int
    """Bar of `rows`, from 0, that the middle begins with; the next masked bars follow."""

    headers: Rows
    """(T, F) header rows of the masked bars of the middle."""

    parts: tuple[PartId, ...]
    """Parts that may play in the middle."""

    required_parts: tuple[PartId, ...] = ()
    """Parts that must play in it."""

    needs_note: bool = False
    """True when the middle must hold a note at all."""


@dataclass(kw_only=True)
class InfillWriter:
    """Writes the middle of one segment: an infill header and notes for each masked bar, then the end row.

    Required parts play before the end, and after MOST_EMPTY bars without any note, kept or new, the next bar holds one.
    """

    state: PieceState
    context: InfillContext
    random: np.random.Generator
    bars_opened: int = 0
    """Infill headers so far."""

    empty_bars: int = 0
    """Bars without any note, kept or new, that were closed last, one after the other."""

    parts: set[PartId] = field(default_factory=set)
    """Parts that have a new note so far."""

    def __post_init__(self) -> None:
        for row in self.context.rows:
            self.state.append(row)
        self.state.pitch_class_quarters[:] = 0
        openers = (self.vocabulary.bar, self.vocabulary.masked_bar)
        bar = np.cumsum(np.isin(self.context.rows[:, INSTRUMENT], openers)) - 1
        self.kept_notes = np.bincount(bar, minlength=bar[-1] + 1) - 1
        """(bars of the context,) number of kept notes of each bar."""

        first = self.context.first_masked_bar
        with_notes = np.flatnonzero(self.kept_notes[:first])
        self.empty_bars = first - 1 - int(with_notes[-1]) if len(with_notes) else first

    @property
    def vocabulary(self) -> Vocabulary:
        """What the rows' values mean."""
        return self.state.vocabulary

    @property
    def rows(self) -> list[Row]:
        """The context's rows, and those of the middle so far."""
        return self.state.rows

    @property
    def first_masked_bar(self) -> int:
        """Bar of the context, from 0, that the middle begins with."""
        return self.context.first_masked_bar

    @property
    def done(self) -> bool:
        """True when the end row is written."""
        return self.state.grammar.kind == "end"

    @property
    def bars_closed(self) -> int:
        """Masked bars whose notes are complete."""
        return self.bars_opened if self.done else max(0, self.bars_opened - 1)

    @property
    def new_notes(self) -> list[tuple[int, Row]]:
        """(bar of the context, note row) of the complete masked bars."""
        first, notes = self.context.first_masked_bar, []
        bar = first - 1
        for row in self.rows[len(self.context.rows) :]:
            bar += row[INSTRUMENT] == self.vocabulary.infill_bar
            if row[INSTANCE] >= 0 and bar < first + self.bars_closed:
                notes.append((bar, row))
        return notes

    def append(self, row: Row) -> None:
        """Add a row (F,) that `allowed_values` allows."""
        had_notes = self.state.notes_in_bar > 0 or self._has_kept_note()
        self.state.append(row)
        if self.state.grammar.kind == "note":
            self.parts.add((int(row[INSTRUMENT]), int(row[INSTANCE])))
            return
        if self.bars_opened:
            self.empty_bars = 0 if had_notes else self.empty_bars + 1
        self.bars_opened += self.state.grammar.kind == "infill header"

    def allowed_values(self, field: int, row: Row) -> Bools:
        """(V,) which values a field of the next row (F,) may take, given the fields before it; at least one."""
        allowed = self.state.allowed_values(field, row)
        values = np.arange(len(allowed))
        if field == INSTRUMENT:
            return allowed & self._instruments()
        if field == INSTANCE:
            required, instrument = self._required_part(), int(row[INSTRUMENT])
            last = required[1] if required and required[0] == instrument else len(allowed)
            return allowed & np.isin(values, [n for i, n in self.context.parts if i == instrument and n <= last])
        if field in HEADER_FIELDS:
            return np.asarray(values == self.context.headers[self.bars_opened, field])
        return allowed

    def logit_weights(self, field: int, row: Row) -> Floats:
        """(V,) factors on the model's probabilities of a field's values, given the fields before it: 0 where not allowed."""
        return self.state.logit_weights(field, row, self.allowed_values(field, row))

    def bar_end_token(self, instrument: int) -> int:
        """The instrument of the next row where the model sampled `instrument`: "end" after the last masked bar, "infill_bar"
        after any other, whichever of the two was sampled."""
        if instrument not in (self.vocabulary.infill_bar, self.vocabulary.end):
            return instrument
        return self.vocabulary.end if self.bars_opened == len(self.context.headers) else self.vocabulary.infill_bar

    def _has_kept_note(self) -> bool:
        """True when the current masked bar has a kept note."""
        return bool(self.bars_opened and self.kept_notes[self.context.first_masked_bar + self.bars_opened - 1])

    def _required_part(self) -> PartId | None:
        """The next required part that has no note yet and must get one in this bar: from the middle masked bar on."""
        if 2 * self.bars_opened < len(self.context.headers):
            return None
        least = self.state.grammar.least[:2]
        return min((p for p in self.context.required_parts if p not in self.parts and p >= least), default=None)

    def _instruments(self) -> Bools:
        """(V,) instruments of the next row: those of parts that may still play in this bar, and those that close it."""
        vocabulary, context = self.vocabulary, self.context
        closes = [vocabulary.infill_bar, vocabulary.end]
        allowed = np.zeros(len(vocabulary.instruments), dtype=np.bool_)
        if not self.bars_opened:
            allowed[closes] = True
            return allowed
        required, last = self._required_part(), self.bars_opened == len(context.headers)
        bar_needs_note = not self._has_kept_note() and self.empty_bars >= MOST_EMPTY
        needs_note = bar_needs_note or (last and context.needs_note and not self.parts)
        allowed[closes] = required is None and (self.state.notes_in_bar > 0 or not needs_note)
        if self.state.notes_in_bar < MOST_ROWS_IN_BAR:
            least = self.state.grammar.least[:2]
            allowed[[i for i, n in context.parts if (i, n) >= least]] = True
        if required:
            allowed[required[0]] = True
            allowed[required[0] + 1 : vocabulary.end] = False
        return allowed
