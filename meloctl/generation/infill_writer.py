"""One gap of a piece being filled: its rows so far, and what may come next, given what is kept around it."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analysis.arrays import Bools, Floats
from meloctl.generation.piece_state import PieceState
from meloctl.generation.piece_writer import MOST_EMPTY, MOST_ROWS_IN_BAR
from meloctl.rows.codec import Rows
from meloctl.rows.parts import PartId
from meloctl.rows.vocabulary import HEADER_FIELDS, INSTANCE, INSTRUMENT, Vocabulary

Row = npt.NDArray[np.int16]


@dataclass(frozen=True, kw_only=True, eq=False)
class InfillContext:
    """What is kept around a gap, and what is to be written in it."""

    kept: Rows
    """(L, 8) every header row, and the notes that stay; no end row."""

    first: int
    """Bar, counted in `kept`, that is opened first once more; the next ones follow."""

    headers: Rows
    """(T, 8) header rows of the bars that are opened once more."""

    parts: tuple[PartId, ...]
    """That may play in them."""

    must: tuple[PartId, ...] = ()
    """Those that must."""

    must_sound: bool = False
    """One of the parts must play at all."""

    ends_piece: bool = False
    """Its last bar is the piece's: where nothing kept does, a new note must show a reader of the file that there is one."""


@dataclass(kw_only=True)
class InfillWriter:
    """Fills one gap, bar by bar, the end row last. What must play does so before the end, and where nothing has sounded for
    MOST_EMPTY bars the next bar holds a note."""

    sheet: PieceState
    gap: InfillContext
    random: np.random.Generator
    opened: int = 0
    """Bars opened once more so far."""

    empty: int = 0
    """Bars without any note that were closed last, one after the other."""

    parts: set[PartId] = field(default_factory=set)
    """Those that have played."""

    def __post_init__(self) -> None:
        for row in self.gap.kept:
            self.sheet.take(row)
        bar = np.cumsum(np.isin(self.gap.kept[:, INSTRUMENT], (self.vocabulary.bar, self.vocabulary.masked_bar))) - 1
        self.kept_notes = np.bincount(bar, minlength=bar[-1] + 1) - 1
        """(T,) of each bar, besides its header row."""

        self.sheet.held[:] = 0
        before = np.flatnonzero(self.kept_notes[: self.gap.first])
        self.empty = self.gap.first - 1 - int(before[-1]) if len(before) else self.gap.first

    @property
    def vocabulary(self) -> Vocabulary:
        """Of its rows."""
        return self.sheet.vocabulary

    @property
    def rows(self) -> list[Row]:
        """What is kept, and what has been written behind it."""
        return self.sheet.rows

    @property
    def reopened(self) -> int:
        """The bar that is opened once more first, counted in what is kept."""
        return self.gap.first

    @property
    def done(self) -> bool:
        """The end row stands."""
        return self.sheet.state.kind == "end"

    @property
    def bars_closed(self) -> int:
        """Bars of the gap that are complete."""
        return self.opened if self.done else max(0, self.opened - 1)

    @property
    def written(self) -> list[tuple[int, Row]]:
        """(bar, counted in `kept`, note row) of complete bars."""
        found, bar = [], self.gap.first - 1
        for row in self.rows[len(self.gap.kept) :]:
            bar += row[INSTRUMENT] == self.vocabulary.infill_bar
            if row[INSTANCE] >= 0 and bar < self.gap.first + self.bars_closed:
                found.append((bar, row))
        return found

    def take(self, row: Row) -> None:
        """Add a row that may stand here."""
        sounded = self.sheet.in_bar > 0 or self._sounds()
        self.sheet.take(row)
        if self.sheet.state.kind == "note":
            self.parts.add((int(row[INSTRUMENT]), int(row[INSTANCE])))
            return
        if self.opened:
            self.empty = 0 if sounded else self.empty + 1
        self.opened += self.sheet.state.kind == "infill header"

    def may(self, field: int, row: Row) -> Bools:
        """(V,) which values a field of the next row may take, given the fields before it; at least one."""
        may = self.sheet.may(field, row)
        if field == INSTRUMENT:
            return may & self._instruments()
        if field == INSTANCE:
            due, instrument = self._due(), int(row[INSTRUMENT])
            last = due[1] if due and due[0] == instrument else len(may)
            return may & np.isin(np.arange(len(may)), [n for i, n in self.gap.parts if i == instrument and n <= last])
        if field in HEADER_FIELDS:
            return np.asarray(np.arange(len(may)) == self.gap.headers[self.opened, field])
        return may

    def weights(self, field: int, row: Row) -> Floats:
        """(V,) by what the model's chance of each value is multiplied: 0 where it may not stand."""
        return self.sheet.weights(field, row, self.may(field, row))

    def closing(self, instrument: int) -> int:
        """What follows where the model closes a bar: the end after the last one, another bar anywhere else."""
        if instrument not in (self.vocabulary.infill_bar, self.vocabulary.end):
            return instrument
        return self.vocabulary.end if self.opened == len(self.gap.headers) else self.vocabulary.infill_bar

    def _sounds(self) -> bool:
        """Is there a kept note in the open bar?"""
        return bool(self.opened and self.kept_notes[self.gap.first + self.opened - 1])

    def _due(self) -> PartId | None:
        """The next part in this bar that must play, has not, and comes now: from the middle of the gap on."""
        if 2 * self.opened < len(self.gap.headers):
            return None
        missing = [p for p in self.gap.must if p not in self.parts and p >= self.sheet.state.least[:2]]
        return min(missing, default=None)

    def _instruments(self) -> Bools:
        """(V,) instruments of parts that may still play in this bar, and what closes it."""
        vocabulary, due = self.vocabulary, self._due()
        closes = [vocabulary.infill_bar, vocabulary.end]
        may = np.zeros(len(vocabulary.instruments), dtype=np.bool_)
        if not self.opened:
            may[closes] = True
            return may
        last = self.opened == len(self.gap.headers)
        unheard = not self._sounds() and (self.empty >= MOST_EMPTY or (last and self.gap.ends_piece))
        may[closes] = due is None and (
            self.sheet.in_bar > 0 or not (unheard or (last and self.gap.must_sound and not self.parts))
        )
        if self.sheet.in_bar < MOST_ROWS_IN_BAR:
            may[[i for i, n in self.gap.parts if (i, n) >= self.sheet.state.least[:2]]] = True
        if due:
            may[due[0]] = True
            may[due[0] + 1 : vocabulary.end] = False
        return may
