"""Pieces whose every value is chosen by a function, without a model."""

import numpy as np
from small_models import V

from meloctl.generation.piece_writer import PieceWriter
from meloctl.rows.grammar import FIELDS_OF, kind_of
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTRUMENT, PITCH
from meloctl.score.ranges import pitches_in_range


def write_rows(constraints, choose):
    """The rows of a piece whose every value is chosen among those allowed: choose(field, allowed values, row)."""
    writer = PieceWriter(vocabulary=V, constraints=constraints, random=np.random.default_rng(0))
    while not writer.done:
        row = np.full(len(FIELDS), ABSENT, dtype=np.int16)

        def set_field(field, row=row):
            allowed = np.flatnonzero(writer.allowed_values(field, row))
            assert len(allowed), f"nothing is allowed as {FIELDS[field]} after {row.tolist()}"
            row[field] = choose(field, allowed, row)

        set_field(INSTRUMENT)
        row[INSTRUMENT] = writer.bar_end_token(int(row[INSTRUMENT]))
        for field in FIELDS_OF[kind_of(row, V)][1:]:
            set_field(field)
        writer.append(row)
    return np.stack(writer.rows)


def out_of_range(rows):
    """Notes whose pitch their instrument cannot sound."""
    notes = rows[rows[:, PITCH] != ABSENT]
    return notes[~pitches_in_range(V)[notes[:, INSTRUMENT], notes[:, PITCH]]].tolist()
