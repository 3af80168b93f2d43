"""A piece in which some bars, or some parts of them, are written anew: what is taken out, what is heard of the rest, and how new
notes come into the file. What is kept stays as it is.

Shape letters: L rows, T bars as rows count them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analysis.arrays import Bools, Ints
from analysis.errors import MeloError
from analysis.piece import Notes, Part, Piece
from meloctl.generation.continuation import finer, heard
from meloctl.rows.codec import Rows, grid_bars
from meloctl.rows.general_midi import instrument_name
from meloctl.rows.parts import PartId, part_fields
from meloctl.rows.vocabulary import DURATION, INSTANCE, INSTRUMENT, PITCH, POSITION, VELOCITY, Vocabulary

NewNote = tuple[int, npt.NDArray[np.int16]]
"""(bar as rows count, note row)"""

_Placed = tuple[int, int, int, int, int]
"""(part, pitch, onset, end, velocity), onset and end in ticks."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Infill:
    """A piece with a gap."""

    piece: Piece
    """All of it, in ticks that are fine enough for rows."""

    bars: range
    """That are written anew, as the file counts them."""

    parts: tuple[PartId, ...]
    """That are written anew, in these bars."""

    replaced: Bools
    """(N,) notes that are taken out."""

    rows: Rows
    """(L, 8) what is heard of the others, all header rows among them, without an end row."""

    row_bars: range
    """Of `bars`, as rows count them."""

    start_tick: Ints
    """(T + 1,) where the bars of `rows` start, and the end."""

    named: bool
    """The parts were named: each of them must play."""


def infill_of(piece: Piece, bars: range | None, parts: tuple[PartId, ...] | None, vocabulary: Vocabulary) -> Infill:
    """A piece of which some bars (None: all) of some parts (None: all of the piece) are written anew.

    Args:
        bars: as the file counts them, all in the piece.
        parts: the piece's, or new ones.

    Raises:
        MeloError: nothing would be kept; its ticks cannot be made fine enough.
    """
    piece = finer(piece, vocabulary)
    bars = range(piece.n_bars) if bars is None else bars
    instrument, number = part_fields(piece.parts, vocabulary)
    every = tuple(zip(instrument.tolist(), number.tolist(), strict=True))
    chosen = np.array([parts is None or fields in parts for fields in every])
    onset, ends = piece.notes.onset_tick, piece.bars.start_tick(range(piece.n_bars + 1))
    replaced = chosen[piece.notes.part] & (onset >= ends[bars.start]) & (onset < ends[bars.stop])
    if replaced.all():
        raise MeloError(
            "--infill: nothing would be kept; give fewer bars with --bars-range or fewer parts with --parts, or write a piece "
            "from nothing: meloctl generate --bars"
        )
    grid = grid_bars(piece, vocabulary)
    end = int(ends[-1])
    first, last = np.searchsorted(grid.start_tick, [ends[bars.start], ends[bars.stop]]).tolist()
    return Infill(
        piece=piece,
        bars=bars,
        parts=every if parts is None else parts,
        replaced=replaced,
        rows=heard(replace(piece, notes=_some(piece.notes, ~replaced)), end, vocabulary),
        row_bars=range(first, last),
        start_tick=np.append(grid.start_tick, end),
        named=parts is not None,
    )


def filled(infill: Infill, new: list[NewNote], vocabulary: Vocabulary, *, bars: int | None = None) -> Piece:
    """The piece with new notes in its gap. Those that were there come back in bars that are not written yet.

    A new note on a pitch that a kept note of its part holds begins where that ends, and ends where the next one begins; one for
    which nothing is left is left out. No note outlasts the piece.

    Args:
        new: in any order.
        bars: of the gap that are written, as rows count them; None for all.
    """
    piece = infill.piece
    upto = int(infill.start_tick[infill.row_bars.stop if bars is None else infill.row_bars.start + bars])
    kept = _some(piece.notes, ~infill.replaced | (piece.notes.onset_tick >= upto))
    parts, place = _parts(infill, vocabulary)
    fitted = np.array(list(_fitted(sorted(_placed(infill, new, place, vocabulary)), kept)), dtype=np.int64)
    part, pitch, onset, stop, velocity = fitted.reshape(-1, 5).T
    notes = Notes.of(
        np.append(kept.onset_tick, onset),
        np.append(kept.duration_tick, stop - onset),
        np.append(kept.pitch, pitch),
        np.append(kept.velocity, velocity),
        np.append(kept.part, part),
    )
    used, of = np.unique(notes.part, return_inverse=True)
    return replace(piece, parts=tuple(parts[i] for i in used), notes=replace(notes, part=of))


def _placed(infill: Infill, new: list[NewNote], place: dict[PartId, int], vocabulary: Vocabulary) -> Iterator[_Placed]:
    """New notes where they stand in the file."""
    step, end = infill.piece.ticks_per_quarter // vocabulary.steps_per_quarter, int(infill.start_tick[-1])
    for bar, row in new:
        onset = int(infill.start_tick[bar]) + int(row[POSITION]) * step
        if onset < infill.start_tick[bar + 1]:  # a bar with a name for its length that is a little too long
            stop = min(onset + vocabulary.durations[row[DURATION]] * step, end)
            part = place[int(row[INSTRUMENT]), int(row[INSTANCE])]
            yield part, int(row[PITCH]), onset, stop, vocabulary.velocities[row[VELOCITY]]


def _fitted(found: list[_Placed], kept: Notes) -> Iterator[_Placed]:
    """New notes, which ascend, as far as kept notes and later new ones leave room for them."""
    held: dict[tuple[int, int], list[tuple[int, int]]] = {}
    columns = (kept.part, kept.pitch, kept.onset_tick, kept.duration_tick)
    for part, pitch, onset, length in zip(*(c.tolist() for c in columns), strict=True):
        held.setdefault((part, pitch), []).append((onset, onset + length))
    for n, (part, pitch, onset, end, velocity) in enumerate(found):
        others = held.get((part, pitch), [])
        begins = max([onset, *(stop for start, stop in others if start <= onset < stop)])
        following = [start for start, _ in others if start >= begins]
        if n + 1 < len(found) and found[n + 1][:2] == (part, pitch):
            following.append(found[n + 1][2])
        ends = min([end, *following])
        if ends > begins:
            yield part, pitch, begins, ends, velocity


def _parts(infill: Infill, vocabulary: Vocabulary) -> tuple[list[Part], dict[PartId, int]]:
    """The piece's parts and new ones behind them, and the place of each among them."""
    parts = list(infill.piece.parts)
    instrument, number = part_fields(infill.piece.parts, vocabulary)
    place = {fields: n for n, fields in enumerate(zip(instrument.tolist(), number.tolist(), strict=True))}
    for fields in infill.parts:
        if fields not in place:
            place[fields] = len(parts)
            program, is_drum = vocabulary.program_of(fields[0])
            parts.append(Part(program=program, is_drum=is_drum, name=instrument_name(program, is_drum)))
    return parts, place


def _some(notes: Notes, chosen: Bools) -> Notes:
    """Some of the notes, of parts numbered as before."""
    columns = (notes.onset_tick, notes.duration_tick, notes.pitch, notes.velocity, notes.part)
    return Notes.of(*(c[chosen] for c in columns))
