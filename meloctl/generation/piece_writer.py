"""One piece being written: its rows so far, and what may come next under the grammar and under what was asked for."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analysis.arrays import Bools, Floats
from analysis.errors import MeloError
from meloctl.generation.piece_state import PieceState
from meloctl.rows.codec import Rows
from meloctl.rows.vocabulary import (
    ABSENT,
    FIELDS,
    INSTANCE,
    INSTRUMENT,
    TEMPO,
    TIME_SIGNATURE,
    Vocabulary,
)
from meloctl.score.key import Key

Row = npt.NDArray[np.int16]

MOST_BARS = 10_000
MOST_ROWS_IN_BAR = 512
"""A bar that has this many notes is closed."""

MOST_EMPTY = 4
"""Bars without a note that may follow each other; the next one must hold one."""

MOST_PITCHED, MOST_PARTS = 15, 16
"""Parts that a piece may have: MIDI has 16 channels, one of them for drums."""


@dataclass(frozen=True, kw_only=True)
class Constraints:
    """What a piece should be.

    Raises:
        MeloError: on values out of range.
    """

    bars: int
    parts: tuple[tuple[int, int], ...] | None = None
    """(instrument, number) of the parts that it has, all of them and no others; None leaves that to the model."""

    time_signature: int | None = None
    """Of every new bar, as the vocabulary numbers them; None leaves it to the model, as with tempo."""

    tempo: int | None = None
    key: Key | None = None
    """Of the new notes."""

    def __post_init__(self) -> None:
        if not 1 <= self.bars <= MOST_BARS:
            raise MeloError(f"--bars {self.bars}: give a whole number of bars, 1 to {MOST_BARS}")


@dataclass(kw_only=True)
class PieceWriter:
    """Writes one piece of exactly so many bars, those that it was given to begin with among them, the end row last.

    The last bar is given at least one note, so that a reader of the file counts as many bars as were asked for.
    """

    vocabulary: Vocabulary
    wish: Constraints
    random: np.random.Generator
    bars: int = 0
    """Opened so far."""

    empty: int = 0
    """Bars without a note that were closed last, one after the other."""

    given: int = 0
    """Bars that it was given to begin with."""

    parts: set[tuple[int, int]] = field(default_factory=set)
    """(instrument, number) of those that have sounded."""

    def __post_init__(self) -> None:
        self.sheet = PieceState(vocabulary=self.vocabulary, key=self.wish.key)

    @property
    def rows(self) -> list[Row]:
        """What it was given, and what it has written."""
        return self.sheet.rows

    def begin(self, rows: Rows) -> None:
        """Take what the piece begins with, whole bars without an end row."""
        for row in rows:
            self.take(row)
        self.given = self.bars
        self.sheet.held[:] = 0

    @property
    def reopened(self) -> None:
        """It opens no bar once more."""
        return None

    @property
    def done(self) -> bool:
        """The end row stands."""
        return self.sheet.state.kind == "end"

    @property
    def bars_closed(self) -> int:
        """Bars that are complete, those that were given among them."""
        return self.bars if self.done else max(self.given, self.bars - 1)

    def take(self, row: Row) -> None:
        """Add a row that may stand here."""
        played = self.sheet.in_bar > 0
        self.sheet.take(row)
        if self.sheet.state.kind == "note":
            self.parts.add((int(row[INSTRUMENT]), int(row[INSTANCE])))
            return
        if self.bars:
            self.empty = 0 if played else self.empty + 1
        self.bars += self.sheet.state.kind == "header"
        self.sheet.chord = self.bars in (self.given + 1, self.wish.bars)

    def may(self, field: int, row: Row) -> Bools:
        """(V,) which values a field of the next row may take, given the fields before it; at least one."""
        may = self.sheet.may(field, row)
        if field == INSTRUMENT:
            return may & self._instruments()
        if field == INSTANCE:
            return may & self._numbers(int(row[INSTRUMENT]))
        wished = {TIME_SIGNATURE: self.wish.time_signature, TEMPO: self.wish.tempo}.get(field)
        return may if wished is None else np.arange(len(may)) == wished

    def weights(self, field: int, row: Row) -> Floats:
        """(V,) by what the model's chance of each value is multiplied: 0 where it may not stand."""
        return self.sheet.weights(field, row, self.may(field, row))

    def closing(self, instrument: int) -> int:
        """What follows where the model closes a bar: the end after the last bar, another bar anywhere else.

        Taking one for the other keeps the model's own probability of closing; forbidding one would leave it to notes.
        """
        if instrument not in (self.vocabulary.bar, self.vocabulary.end):
            return instrument
        return self.vocabulary.end if self.bars == self.wish.bars else self.vocabulary.bar

    def so_far(self) -> Rows:
        """(L, 8) the complete bars, without empty ones at the end, and an end row."""
        opened = [i for i, row in enumerate(self.rows) if row[INSTRUMENT] == self.vocabulary.bar]
        rows = self.rows[: opened[-1]] if opened and not self.done else self.rows[:-1] if self.done else []
        while rows and rows[-1][INSTRUMENT] == self.vocabulary.bar:
            rows = rows[:-1]
        end = np.full(len(FIELDS), ABSENT, dtype=np.int16)
        end[INSTRUMENT] = self.vocabulary.end
        return np.stack([*rows, end])

    def _due(self) -> tuple[int, int] | None:
        """The next part in this bar that was asked for, has not sounded, and must: from the middle of the new bars on."""
        early = 2 * (self.bars - self.given) < self.wish.bars - self.given or self.bars == self.given
        if self.wish.parts is None or early:
            return None
        missing = [part for part in self.wish.parts if part not in self.parts and part >= self.sheet.state.least[:2]]
        return min(missing, default=None)

    def _instruments(self) -> Bools:
        """(V,) instruments that bars and parts leave: of notes, those of parts that may enter, or entered and may still play."""
        vocabulary = self.vocabulary
        may = np.zeros(len(vocabulary.instruments), dtype=np.bool_)
        due = self._due()
        must_sound = self.sheet.in_bar == 0 and (self.bars == self.wish.bars or self.empty >= MOST_EMPTY)
        given = 0 < self.bars == self.given
        if given:  # what was given is complete: a bar comes next
            may[[vocabulary.bar, vocabulary.end]] = True
            return may
        may[[vocabulary.bar, vocabulary.end]] = due is None and not must_sound
        if self.sheet.in_bar >= MOST_ROWS_IN_BAR:
            if due:
                may[due[0]] = True
            return may
        if self.wish.parts is None:
            may[vocabulary.drums : vocabulary.end] = True
            for instrument in (vocabulary.drums, vocabulary.drums + 1):
                if self._is_full(instrument):
                    whole = slice(instrument, instrument + 1 if instrument == vocabulary.drums else vocabulary.end)
                    may[whole] = False
            may[[i for i, n in self.parts if (i, n) >= self.sheet.state.least[:2]]] = True
        else:
            may[[i for i, n in self.wish.parts if (i, n) >= self.sheet.state.least[:2]]] = True
        if due:
            may[due[0] + 1 : vocabulary.end] = False
        return may

    def _numbers(self, instrument: int) -> Bools:
        """(V,) numbers of parts of an instrument."""
        every = np.arange(self.vocabulary.instances)
        due = self._due()
        may = np.ones(len(every), dtype=np.bool_)
        if self.wish.parts is not None:
            may = np.isin(every, [n for i, n in self.wish.parts if i == instrument])
        elif self._is_full(instrument):
            may = np.isin(every, [n for i, n in self.parts if i == instrument])
        return may & (every <= due[1]) if due and due[0] == instrument else may

    def _is_full(self, instrument: int) -> bool:
        """True when no further part of this instrument may enter."""
        pitched = sum(i != self.vocabulary.drums for i, _ in self.parts)
        return len(self.parts) >= MOST_PARTS or (instrument != self.vocabulary.drums and pitched >= MOST_PITCHED)
