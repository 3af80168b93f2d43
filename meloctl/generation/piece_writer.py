"""One piece while its new bars are sampled: its rows so far, and which values the next row may take under the constraints."""

from dataclasses import dataclass, field

import numpy as np

from analysis.arrays import Bools, Floats
from meloctl.generation.constraints import MOST_EMPTY, MOST_ROWS_IN_BAR, ChannelRoom, Constraints
from meloctl.generation.piece_state import PieceState
from meloctl.rows.codec import Rows
from meloctl.rows.grammar import Row
from meloctl.rows.parts import PartId
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTANCE, INSTRUMENT, TEMPO, TIME_SIGNATURE, Vocabulary


@dataclass(kw_only=True)
class PieceWriter:
    """Writes exactly `constraints.bars` new bars behind a prompt, then the end row.

    The last bar is given at least one note, so that music lasts as long as was asked for.
    """

    vocabulary: Vocabulary
    constraints: Constraints
    random: np.random.Generator
    prompt: Rows | None = None
    """(L, F) rows that the piece begins with: whole bars, no end row."""

    room: ChannelRoom = field(default_factory=ChannelRoom)
    """Which parts may play in the new bars, if the constraints leave that to the model."""

    bars_opened: int = 0
    """Header rows so far."""

    prompt_bars: int = 0
    """Bars of the prompt."""

    empty_bars: int = 0
    """Bars without a note that were closed last, one after the other."""

    parts: set[PartId] = field(default_factory=set)
    """Parts that have a note so far, in the prompt too."""

    new_parts: set[PartId] = field(default_factory=set)
    """Parts that have a note in the new bars so far."""

    def __post_init__(self) -> None:
        self.state = PieceState(vocabulary=self.vocabulary, key=self.constraints.key)
        for row in () if self.prompt is None else self.prompt:
            self.append(row)
        self.prompt_bars = self.bars_opened
        self.new_parts.clear()
        self.state.pitch_class_quarters[:] = 0

    @property
    def total_bars(self) -> int:
        """Bars of the finished piece."""
        return self.prompt_bars + self.constraints.bars

    @property
    def rows(self) -> list[Row]:
        """The prompt's rows, and those written behind it."""
        return self.state.rows

    @property
    def first_masked_bar(self) -> None:
        """There is none: the piece has no masked bars."""
        return None

    @property
    def done(self) -> bool:
        """True when the end row is written."""
        return self.state.grammar.kind == "end"

    @property
    def bars_closed(self) -> int:
        """Bars that are complete, those of the prompt among them."""
        return self.bars_opened if self.done else max(self.prompt_bars, self.bars_opened - 1)

    def append(self, row: Row) -> None:
        """Add a row (F,) that `allowed_values` allows."""
        had_notes = self.state.notes_in_bar > 0
        self.state.append(row)
        if self.state.grammar.kind == "note":
            part = (int(row[INSTRUMENT]), int(row[INSTANCE]))
            self.parts.add(part)
            self.new_parts.add(part)
            return
        if self.bars_opened:
            self.empty_bars = 0 if had_notes else self.empty_bars + 1
        self.bars_opened += self.state.grammar.kind == "header"
        self.state.tonic_chord_only = self.bars_opened in (self.prompt_bars + 1, self.total_bars)

    def allowed_values(self, field: int, row: Row) -> Bools:
        """(V,) which values a field of the next row (F,) may take, given the fields before it; at least one."""
        allowed = self.state.allowed_values(field, row)
        if field == INSTRUMENT:
            return allowed & self._instruments()
        if field == INSTANCE:
            return allowed & self._instances(int(row[INSTRUMENT]))
        fixed = {TIME_SIGNATURE: self.constraints.time_signature, TEMPO: self.constraints.tempo}.get(field)
        return allowed if fixed is None else np.arange(len(allowed)) == fixed

    def logit_weights(self, field: int, row: Row) -> Floats:
        """(V,) factors on the model's probabilities of a field's values, given the fields before it: 0 where not allowed."""
        return self.state.logit_weights(field, row, self.allowed_values(field, row))

    def bar_end_token(self, instrument: int) -> int:
        """The instrument of the next row where the model sampled `instrument`: "end" after the last bar, "bar" after any other,
        whichever of the two was sampled.

        Taking one for the other keeps the model's own probability of closing a bar; forbidding one would give it to notes.
        """
        if instrument not in (self.vocabulary.bar, self.vocabulary.end):
            return instrument
        return self.vocabulary.end if self.bars_opened == self.total_bars else self.vocabulary.bar

    def complete_bars(self) -> Rows:
        """(L, F) rows of the complete bars, without empty ones at the end, and an end row."""
        opened = [i for i, row in enumerate(self.rows) if row[INSTRUMENT] == self.vocabulary.bar]
        rows = self.rows[: opened[-1]] if opened and not self.done else self.rows[:-1] if self.done else []
        while rows and rows[-1][INSTRUMENT] == self.vocabulary.bar:
            rows = rows[:-1]
        end = np.full(len(FIELDS), ABSENT, dtype=np.int16)
        end[INSTRUMENT] = self.vocabulary.end
        return np.stack([*rows, end])

    def _required_part(self) -> PartId | None:
        """The next part of the constraints that has no note yet and must get one in this bar: from the middle new bar on."""
        new_bars = self.bars_opened - self.prompt_bars
        if self.constraints.parts is None or new_bars == 0 or 2 * new_bars < self.constraints.bars:
            return None
        least = self.state.grammar.least[:2]
        return min((p for p in self.constraints.parts if p not in self.parts and p >= least), default=None)

    def _instruments(self) -> Bools:
        """(V,) instruments of the next row: of notes, those of parts that may enter, or have entered and may still play."""
        vocabulary, least = self.vocabulary, self.state.grammar.least[:2]
        allowed = np.zeros(len(vocabulary.instruments), dtype=np.bool_)
        closes = [vocabulary.bar, vocabulary.end]
        if 0 < self.bars_opened == self.prompt_bars:  # the prompt is complete: a bar comes next
            allowed[closes] = True
            return allowed
        required = self._required_part()
        needs_note = self.state.notes_in_bar == 0 and (
            self.bars_opened == self.total_bars or self.empty_bars >= MOST_EMPTY
        )
        allowed[closes] = required is None and not needs_note
        if self.state.notes_in_bar >= MOST_ROWS_IN_BAR:
            if required:
                allowed[required[0]] = True
            return allowed
        if self.constraints.parts is None:
            allowed[vocabulary.drums : vocabulary.end] = True
            if self._is_full(vocabulary.drums):
                allowed[vocabulary.drums] = False
            if self._is_full(vocabulary.drums + 1):
                allowed[vocabulary.drums + 1 : vocabulary.end] = False
        parts = self._playing if self.constraints.parts is None else self.constraints.parts
        allowed[[instrument for instrument, instance in parts if (instrument, instance) >= least]] = True
        if required:
            allowed[required[0] + 1 : vocabulary.end] = False
        return allowed

    def _instances(self, instrument: int) -> Bools:
        """(V,) instances of an instrument whose part may play next."""
        every = np.arange(self.vocabulary.instances)
        allowed = np.ones(len(every), dtype=np.bool_)
        if self.constraints.parts is not None:
            allowed = np.isin(every, [n for i, n in self.constraints.parts if i == instrument])
        elif self._is_full(instrument):
            allowed = np.isin(every, [n for i, n in self._playing if i == instrument])
        required = self._required_part()
        return allowed & (every <= required[1]) if required and required[0] == instrument else allowed

    @property
    def _playing(self) -> frozenset[PartId]:
        """Parts that may play whatever else does."""
        return self.room.own | self.new_parts

    def _is_full(self, instrument: int) -> bool:
        """True when no further part of this instrument may enter."""
        return self.room.is_full(self.new_parts, instrument, self.vocabulary)
