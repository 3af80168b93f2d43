"""The grammar of rows: which kind of row may follow which, and which values a field may take. The same tables check encoded
pieces and constrain sampling.

Rows of a piece:  header, then headers and notes in any number, end last.
Rows of an infill window:  the same, some headers being those of masked bars; then the middle: infill headers, each with notes in
any number, and no other header after the first of them; end last.
Notes of a bar ascend strictly in (instrument, instance, position, pitch).
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analysis.arrays import Bools
from meloctl.rows.vocabulary import (
    ABSENT,
    FIELDS,
    HEADER_FIELDS,
    INSTANCE,
    INSTRUMENT,
    NOTE_FIELDS,
    PITCH,
    POSITION,
    TIME_SIGNATURE,
    Vocabulary,
)

FOLLOWS = {
    "start": ("header",),
    "header": ("header", "note", "infill header", "end"),
    "note": ("header", "note", "infill header", "end"),
    "infill header": ("infill header", "note", "end"),
    "end": (),
}
"""{kind of row: kinds that may come next}"""

FIELDS_OF = {
    "header": (INSTRUMENT, *HEADER_FIELDS),
    "infill header": (INSTRUMENT, *HEADER_FIELDS),
    "note": (INSTRUMENT, *NOTE_FIELDS),
    "end": (INSTRUMENT,),
}
"""{kind of row: fields that it has, the instrument first}; the others are ABSENT."""

ORDER = (INSTRUMENT, INSTANCE, POSITION, PITCH)
"""Notes of one bar ascend strictly in these fields, compared as tuples."""

Row = npt.NDArray[np.int16]
"""(F,) one row."""


@dataclass(frozen=True, kw_only=True)
class GrammarState:
    """What the rows so far say about the next one."""

    kind: str = "start"
    """Kind of the last row."""

    in_middle: bool = False
    """An infill header has come: what follows is the middle, and no other header comes any more."""

    steps: int = 0
    """Positions in the current bar."""

    least: tuple[int, int, int, int] = (0, 0, 0, 0)
    """The smallest (instrument, instance, position, pitch) that the next note of this bar may have."""


def kind_of(row: Row, vocabulary: Vocabulary) -> str:
    """The kind of a row (F,): "header", "note", "infill header" or "end"."""
    special = {
        vocabulary.bar: "header",
        vocabulary.masked_bar: "header",
        vocabulary.infill_bar: "infill header",
        vocabulary.end: "end",
    }
    return special.get(int(row[INSTRUMENT]), "note")


def allowed_values(field: int, row: Row, state: GrammarState, vocabulary: Vocabulary) -> Bools:
    """(V,) which values a field may take, given the fields of the same row before it; at least one.

    Args:
        field: index into FIELDS; must be one that the row's kind has.
        row: (F,) the row so far; fields before `field` are set.
        state: after the rows before it.
    """
    size = vocabulary.sizes[field]
    if field == INSTRUMENT:
        allowed = np.zeros(size, dtype=np.bool_)
        following = FOLLOWS[state.kind]
        allowed[[vocabulary.bar, vocabulary.masked_bar]] = "header" in following and not state.in_middle
        allowed[vocabulary.infill_bar] = "infill header" in following
        allowed[vocabulary.end] = "end" in following
        if "note" in following:
            allowed[max(state.least[0], vocabulary.drums) : vocabulary.end] = True
        return allowed
    allowed = np.ones(size, dtype=np.bool_)
    if field == POSITION:
        allowed[state.steps :] = False
    if field in ORDER:
        at = ORDER.index(field)
        if all(row[f] == low for f, low in zip(ORDER[:at], state.least[:at], strict=True)):
            allowed[: state.least[at]] = False
    return allowed


def next_state(row: Row, state: GrammarState, vocabulary: Vocabulary) -> GrammarState:
    """The state after a row (F,)."""
    kind = kind_of(row, vocabulary)
    if kind in ("header", "infill header"):
        first, steps = (vocabulary.drums, 0, 0, 0), vocabulary.bar_steps[row[TIME_SIGNATURE]]
        return GrammarState(kind=kind, in_middle=kind == "infill header", steps=steps, least=first)
    if kind == "end":
        return replace(state, kind=kind)
    instrument, instance, position, pitch = (int(row[f]) for f in ORDER)
    pitch += 1  # the least note after this one, with carry
    if pitch == vocabulary.sizes[PITCH]:
        position, pitch = position + 1, 0
    if position >= state.steps:
        instance, position = instance + 1, 0
    if instance == vocabulary.instances:
        instrument, instance = instrument + 1, 0
    return replace(state, kind=kind, least=(instrument, instance, position, pitch))


def check_rows(rows: npt.NDArray[np.int16], vocabulary: Vocabulary, *, most: int = 10) -> list[str]:
    """What breaks the grammar, one line each with the row's index, at most `most`; empty for valid rows.

    Args:
        rows: (L, F) all rows of a piece or of an infill window.
    """
    wrong: list[str] = []
    state = GrammarState()
    for i, row in enumerate(rows):
        problem = _problem(row, state, vocabulary)
        if problem:
            wrong.append(f"row {i}: {problem}")
            if len(wrong) == most or "value" in problem or "follow" in problem:
                return wrong  # the state after a row with invalid values is unknown
        state = next_state(row, state, vocabulary)
    if state.kind != "end":
        wrong.append(f"row {len(rows)}: the piece does not end with an end row")
    return wrong


def _problem(row: Row, state: GrammarState, vocabulary: Vocabulary) -> str:
    """The first thing wrong with one row, or ""."""
    if not 0 <= row[INSTRUMENT] < len(vocabulary.instruments):
        return f"{row[INSTRUMENT]} is no value of instrument"
    kind = kind_of(row, vocabulary)
    if kind not in FOLLOWS[state.kind] or (kind == "header" and state.in_middle):
        return f"{kind} may not follow {state.kind}"
    for field, name in enumerate(FIELDS):
        value = int(row[field])
        if field not in FIELDS_OF[kind]:
            if value != ABSENT:
                return f"a row of kind {kind} has no {name}, yet it holds value {value}"
        elif not 0 <= value < vocabulary.sizes[field]:
            return f"{value} is no value of {name}"
        elif not allowed_values(field, row, state, vocabulary)[value]:
            return f"{name} {value} may not stand here"
    return ""
