"""What may follow what. One table both checks encoded pieces and constrains sampling.

Rows of a piece:  header, then header or notes in any number, …, end last.
A piece that is partly rewritten: before the end, reopening rows, each with its notes in any number; no header comes after one.
A header may say that its bar has a gap; writers of whole pieces do not use it.
Notes of a bar stand in order of (instrument, number, position, pitch), and no two are equal in all four.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analysis.arrays import Bools
from meloctl.rows.vocabulary import (
    ABSENT,
    FIELDS,
    HEADER_FIELDS,
    INSTRUMENT,
    NOTE_FIELDS,
    NUMBER,
    PITCH,
    POSITION,
    TIME_SIGNATURE,
    Vocabulary,
)

FOLLOWS = {
    "start": ("header",),
    "header": ("header", "note", "reopening", "end"),
    "note": ("header", "note", "reopening", "end"),
    "reopening": ("reopening", "note", "end"),
    "end": (),
}
"""Kinds of row that may come after each kind."""

FIELDS_OF = {
    "header": (INSTRUMENT, *HEADER_FIELDS),
    "reopening": (INSTRUMENT, *HEADER_FIELDS),
    "note": (INSTRUMENT, *NOTE_FIELDS),
    "end": (INSTRUMENT,),
}
"""Fields that each kind of row has; the others are ABSENT."""

ORDER = (INSTRUMENT, NUMBER, POSITION, PITCH)
"""Notes of one bar ascend strictly in these fields, read as one number."""

Mask = Bools
Row = npt.NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class State:
    """What the grammar remembers of the rows so far."""

    kind: str = "start"
    """Kind of the last row."""

    reopened: bool = False
    """A bar has been reopened: what follows is rewritten, and no header comes any more."""

    steps: int = 0
    """Positions in the open bar."""

    least: tuple[int, int, int, int] = (0, 0, 0, 0)
    """The smallest (instrument, number, position, pitch) that a further note of this bar may have."""


def kind_of(row: Row, vocabulary: Vocabulary) -> str:
    """ "header", "note", "reopening" or "end"."""
    special = {
        vocabulary.bar: "header",
        vocabulary.gap: "header",
        vocabulary.reopen: "reopening",
        vocabulary.end: "end",
    }
    return special.get(int(row[INSTRUMENT]), "note")


def allowed(field: int, row: Row, state: State, vocabulary: Vocabulary) -> Mask:
    """Which values a field may take, given the fields of the same row before it.

    Args:
        field: index into FIELDS; must be one that the row's kind has.
        row: (8,) the row so far; fields before `field` are set.
        state: what came before.

    Returns:
        (V,) bool over the field's values. At least one is True.
    """
    size = vocabulary.sizes[field]
    if field == INSTRUMENT:
        may = np.zeros(size, dtype=np.bool_)
        after = FOLLOWS[state.kind]
        may[[vocabulary.bar, vocabulary.gap]] = "header" in after and not state.reopened
        may[vocabulary.reopen] = "reopening" in after
        may[vocabulary.end] = "end" in after
        if "note" in after:
            may[max(state.least[0], vocabulary.drums) : vocabulary.end] = True
        return may
    may = np.ones(size, dtype=np.bool_)
    if field == POSITION:
        may[state.steps :] = False
    if field in ORDER:
        place = ORDER.index(field)
        if all(row[f] == low for f, low in zip(ORDER[:place], state.least[:place], strict=True)):
            may[: state.least[place]] = False
    return may


def after(row: Row, state: State, vocabulary: Vocabulary) -> State:
    """The state once a row stands."""
    kind = kind_of(row, vocabulary)
    if kind in ("header", "reopening"):
        first, steps = (vocabulary.drums, 0, 0, 0), vocabulary.bar_steps[row[TIME_SIGNATURE]]
        return State(kind=kind, reopened=kind == "reopening", steps=steps, least=first)
    if kind == "end":
        return replace(state, kind=kind)
    instrument, number, position, pitch = (int(row[f]) for f in ORDER)
    pitch += 1  # the least note after this one, carried as in counting
    if pitch == vocabulary.sizes[PITCH]:
        position, pitch = position + 1, 0
    if position >= state.steps:
        number, position = number + 1, 0
    if number == vocabulary.numbers:
        instrument, number = instrument + 1, 0
    return replace(state, kind=kind, least=(instrument, number, position, pitch))


def check_rows(rows: npt.NDArray[np.int16], vocabulary: Vocabulary, *, most: int = 10) -> list[str]:
    """What breaks the grammar, one line each with the row's index, at most `most`; empty for a valid piece.

    Args:
        rows: (L, 8) all rows of a piece.
    """
    wrong: list[str] = []
    state = State()
    for i, row in enumerate(rows):
        problem = _problem(row, state, vocabulary)
        if problem:
            wrong.append(f"row {i}: {problem}")
            if len(wrong) == most or "value" in problem or "follow" in problem:
                return wrong  # what comes after a row whose values were not looked at is anybody's guess
        state = after(row, state, vocabulary)
    if state.kind != "end":
        wrong.append(f"row {len(rows)}: the piece does not end with an end row")
    return wrong


def _problem(row: Row, state: State, vocabulary: Vocabulary) -> str:
    """The first thing wrong with one row, or ""."""
    if not 0 <= row[INSTRUMENT] < len(vocabulary.instruments):
        return f"{row[INSTRUMENT]} is no value of instrument"
    kind = kind_of(row, vocabulary)
    if kind not in FOLLOWS[state.kind] or (kind == "header" and state.reopened):
        return f"{kind} may not follow {state.kind}"
    for field, name in enumerate(FIELDS):
        value = int(row[field])
        if field not in FIELDS_OF[kind]:
            if value != ABSENT:
                return f"a {kind} row has no {name}, yet it holds value {value}"
        elif not 0 <= value < vocabulary.sizes[field]:
            return f"{value} is no value of {name}"
        elif not allowed(field, row, state, vocabulary)[value]:
            return f"{name} {value} may not stand here"
    return ""
