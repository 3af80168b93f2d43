"""The piano roll of a piece as JSON: seconds of its bars and notes, part by part."""

from typing import Any

import numpy as np

from analysis.piece import Piece
from meloctl.rows.parts import part_names
from meloctl.score.sections import sections_of


def piano_roll(piece: Piece) -> dict[str, Any]:
    """A piece as the JSON values that player.js draws.

    Returns:
        `bars`, the n + 1 seconds at which n bars start and the last one ends; `seconds`, to the end of the last bar or note;
        `sections`, each with its first `bar`, from 0, and its `letter`;
        `parts`, each with its `name`, whether it is `drums`, and its notes as four lists of equal length in order of
        onset: `start` and `end` in seconds, `pitch`, `velocity`. Seconds are rounded to a tenth of a millisecond.
    """
    notes = piece.notes
    start = piece.seconds_at(notes.onset_tick).round(4)
    end = piece.seconds_at(notes.onset_tick + notes.duration_tick).round(4)
    bars = piece.seconds_at(piece.bars.start_tick(range(piece.n_bars + 1))).round(4)
    parts = []
    for index, (part, name) in enumerate(zip(piece.parts, part_names(piece), strict=True)):
        own = np.flatnonzero(notes.part == index)
        columns = {"start": start, "end": end, "pitch": notes.pitch, "velocity": notes.velocity}
        parts.append({"name": name, "drums": part.is_drum, **{k: c[own].tolist() for k, c in columns.items()}})
    sections = [{"bar": section.first_bar, "letter": section.letter} for section in sections_of(piece)]
    return {"bars": bars.tolist(), "seconds": round(length_in_seconds(piece), 4), "sections": sections, "parts": parts}


def length_in_seconds(piece: Piece) -> float:
    """Seconds to the end of a piece's last bar, or of its last note where that sounds on."""
    return max(piece.seconds, float(piece.seconds_at(piece.bars.start_tick(piece.n_bars))))
