"""The rules of new bars and the choice of values in plain Python: what the compiled loops must equal, one piece and one value at
a time.

Shape letters: L rows, F fields, T bars, V values of a field.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from small_models import V

from analysis.arrays import Bools, Floats
from meloctl.generation.constraints import MOST_EMPTY, MOST_ROWS_IN_BAR, ChannelRoom, Constraints
from meloctl.model.meloformer.decoder import MeloFormerDecoder
from meloctl.rows.codec import Rows
from meloctl.rows.grammar import FIELDS_OF, GrammarState, Row, allowed_values, kind_of, next_state
from meloctl.rows.parts import PartId
from meloctl.rows.vocabulary import (
    ABSENT,
    DURATION,
    FIELDS,
    HEADER_FIELDS,
    INSTANCE,
    INSTRUMENT,
    PITCH,
    TEMPO,
    TIME_SIGNATURE,
    Vocabulary,
)
from meloctl.score.key import PRIOR_QUARTERS, Key
from meloctl.score.ranges import pitches_in_range


def pitch_weights(key, quarters):
    """(128,) factors on the probability of each pitch: (expected share of its pitch class / share so far)²."""
    share = (quarters + PRIOR_QUARTERS * key.shares) / (quarters.sum() + PRIOR_QUARTERS)
    ratio = np.divide(key.shares, share, out=np.zeros(12), where=share > 0)
    return ratio[np.arange(128) % 12] ** 2


def is_full(room, playing, instrument):
    """True when no further part of an instrument may enter where some parts are playing."""
    others = [part for part in playing if part not in room.own]
    pitched = sum(i != V.drums for i, _ in others)
    fits = room.drums if instrument == V.drums else pitched < room.pitched
    return len(others) >= room.parts or not fits


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
        return allowed * pitch_weights(self.key, self.pitch_class_quarters)

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


@dataclass(kw_only=True)
class PlainPieceWriter:
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

    header_changes: tuple[float, float] | None = None
    """Probabilities that a new bar has another time signature, or another tempo; None leaves that to the model."""

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

    def keep_or_change(self, field: int, weights: Floats, uniform: float) -> tuple[Floats, float]:
        """Weights (V,) with the header's value before alone, or without it, and the number that chooses among the others."""
        constraints = self.constraints
        fixed = constraints.time_signature if field == TIME_SIGNATURE else constraints.tempo
        headers = [r for r in self.rows if r[TIME_SIGNATURE] != ABSENT]
        if self.header_changes is None or fixed is not None or not headers:
            return weights, uniform
        if field == TIME_SIGNATURE and len(headers) == 1:
            return weights, uniform
        rate, before = self.header_changes[HEADER_FIELDS.index(field)], np.arange(len(weights)) == headers[-1][field]
        return (weights * ~before, uniform / rate) if uniform < rate else (before.astype(float), uniform)

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
        else:
            playing = [n for i, n in self._playing if i == instrument]
            allowed = np.isin(every, playing)
            if not self._is_full(instrument):
                allowed |= every <= max(playing, default=-1) + 1
        required = self._required_part()
        return allowed & (every <= required[1]) if required and required[0] == instrument else allowed

    def only_new_instance(self, instrument: int) -> int | None:
        """The instance that the next note of an instrument must have, as its parts so far are over in this bar; None where one of
        them is not, or it has none."""
        if instrument in (self.vocabulary.bar, self.vocabulary.end):
            return None
        parts = self._playing if self.constraints.parts is None else self.constraints.parts
        own = [n for i, n in parts if i == instrument]
        over = [n for n in own if (instrument, n) < tuple(self.state.grammar.least[:2])]
        return max(own) + 1 if own and over == own else None

    @property
    def _playing(self) -> frozenset[PartId]:
        """Parts that may play whatever else does."""
        return self.room.own | self.new_parts

    def _is_full(self, instrument: int) -> bool:
        """True when no further part of this instrument may enter."""
        return is_full(self.room, self.new_parts, instrument)


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
class PlainInfillWriter:
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


@torch.no_grad()
def plain_generate(model, writers, sampling):
    """Write all pieces of a MeloFormer to their ends, with torch's products and choices as they are defined."""
    decoder = MeloFormerDecoder(model, len(writers), first_masked_bar=writers[0].first_masked_bar)
    states = decoder.prefill(
        [torch.from_numpy(np.array(w.rows, dtype=np.int64).reshape(-1, len(FIELDS))) for w in writers]
    )
    going = list(writers)
    while going:
        rows = [plain_row(model, state, writer, sampling) for state, writer in zip(states, going, strict=True)]
        for writer, row in zip(going, rows, strict=True):
            writer.append(row)
        on = [i for i, writer in enumerate(going) if not writer.done]
        decoder.keep(on)
        going = [going[i] for i in on]
        if going:
            states = decoder.step(torch.from_numpy(np.stack(rows)[on].astype(np.int64)))


def plain_row(model, state, writer, sampling):
    """(F,) the next row of a piece, by the state (C,) that predicts it."""
    row, uniform = np.full(len(FIELDS), ABSENT, dtype=np.int16), writer.random.random(len(FIELDS))

    def choose(of_row, state):
        weights, number = writer.logit_weights(of_row, row), uniform[of_row]
        if of_row in HEADER_FIELDS and isinstance(writer, PlainPieceWriter):
            weights, number = writer.keep_or_change(of_row, weights, number)
        return plain_choice(model.heads.logits(of_row, state).numpy(), weights, sampling, number)

    def choose_instrument():
        weights, number = writer.logit_weights(INSTRUMENT, row), uniform[INSTRUMENT]
        while True:
            value = plain_choice(model.heads.logits(INSTRUMENT, state).numpy(), weights, sampling, number)
            new = writer.only_new_instance(value) if isinstance(writer, PlainPieceWriter) else None
            if new is None:
                return value
            meant = model.heads.logits(INSTANCE, model.heads.condition_on(INSTRUMENT, torch.tensor(value), state))
            if meant.softmax(dim=0)[new] >= 1 - sampling.top_p:
                return value
            weights[value], number = 0, number * 2**20 % 1

    row[INSTRUMENT] = writer.bar_end_token(choose_instrument())
    fields = FIELDS_OF[kind_of(row, V)]
    for last, following in zip(fields, fields[1:], strict=False):
        state = model.heads.condition_on(last, torch.tensor(int(row[last])), state)
        row[following] = choose(following, state)
    return row


def plain_choice(logits, weights, sampling, uniform):
    """A value by softmax(logits / temperature) · weights (V,) within top-p and top-k: those that are left, in their order."""
    scores = np.where(weights > 0, logits.astype(np.float64) / sampling.temperature, -np.inf)
    probability = weights * np.exp(scores - scores.max())
    order = np.argsort(-probability, kind="stable")
    enough = np.inf if sampling.top_p == 1 else sampling.top_p * np.cumsum(probability)[-1]
    kept = int((np.cumsum(probability[order]) < enough).sum()) + 1
    probability[order[min(kept, sampling.top_k or kept) :]] = 0
    cumulative = np.cumsum(probability)
    return int(np.flatnonzero((cumulative > uniform * cumulative[-1]) & (probability > 0))[0])
