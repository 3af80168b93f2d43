"""Pieces whose every value is chosen by a function, without a model."""

import numpy as np
from small_models import V, row_writers

from meloctl.generation.row_sampling import weigh_values
from meloctl.rows.grammar import FIELDS_OF, kind_of
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTRUMENT, PITCH
from meloctl.score.ranges import pitches_in_range


def compiled_weights(writers, piece, field, row):
    """(V,) factors on the probabilities of a field's values in the next row (F,) of a piece."""
    weights = np.zeros(V.sizes[field])
    weigh_values(field, row.astype(np.int64), writers.pieces[piece], writers.bars[piece], writers.tables, weights)
    return weights


def write_rows(constraints, choose):
    """The rows of a piece whose every value is chosen among those allowed: choose(field, allowed values, row)."""
    writers = row_writers(constraints)
    while not writers.done(0):
        row = np.full(len(FIELDS), ABSENT, dtype=np.int64)

        def set_field(field, row=row):
            allowed = np.flatnonzero(compiled_weights(writers, 0, field, row))
            assert len(allowed), f"nothing is allowed as {FIELDS[field]} after {row.tolist()}"
            row[field] = choose(field, allowed, row)

        set_field(INSTRUMENT)
        if row[INSTRUMENT] in (V.bar, V.end):
            row[INSTRUMENT] = V.end if writers.pieces["bars_opened"][0] == constraints.bars else V.bar
        for field in FIELDS_OF[kind_of(row, V)][1:]:
            set_field(field)
        writers.append(row[None])
    return writers.rows(0)


def out_of_range(rows):
    """Notes whose pitch their instrument cannot sound."""
    notes = rows[rows[:, PITCH] != ABSENT]
    return notes[~pitches_in_range(V)[notes[:, INSTRUMENT], notes[:, PITCH]]].tolist()
