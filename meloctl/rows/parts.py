"""Parts among rows: a part is an (instrument, instance) pair, or one integer of both; names of parts.

Parts that share an instrument are its instances, counted from 0 in the order of the file.
"""

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.arrays import Bools, Ints
from analysis.piece import Part, Piece
from analysis.shown_text import shown_line
from meloctl.rows.general_midi import instrument_name
from meloctl.rows.vocabulary import INSTANCE, INSTRUMENT, Vocabulary

Column = npt.NDArray[np.integer[Any]]

PartId = tuple[int, int]
"""(instrument, instance) of a part."""

_LONGEST_NAME = 40
"""Characters of a part's name that are shown; files may hold very long ones."""


def part_fields(parts: tuple[Part, ...], vocabulary: Vocabulary) -> tuple[Ints, Ints]:
    """(P,) instrument and (P,) instance of each part of a piece."""
    instrument = np.array([vocabulary.instrument_of(p.program, p.is_drum) for p in parts], dtype=np.int64)
    instance = np.array([int((instrument[:i] == x).sum()) for i, x in enumerate(instrument)], dtype=np.int64)
    return instrument, instance


def part_ids(parts: tuple[Part, ...], vocabulary: Vocabulary) -> list[PartId]:
    """(instrument, instance) of each part of a piece."""
    instrument, instance = part_fields(parts, vocabulary)
    return list(zip(instrument.tolist(), instance.tolist(), strict=True))


def part_index(instrument: Column, instance: Column, vocabulary: Vocabulary) -> Ints:
    """(…) one integer a part, which ascends in the order of parts in a bar: instrument · number of instances + instance.

    Args:
        instrument: (…) values of that field.
        instance: (…) values of that field.
    """
    return np.asarray(instrument * vocabulary.instances + instance)


def row_parts(rows: Column, vocabulary: Vocabulary) -> Ints:
    """(…) the part of each row (…, F) as one integer (see `part_index`). All headers share a part, infill headers another."""
    instrument = np.where(rows[..., INSTRUMENT] == vocabulary.masked_bar, vocabulary.bar, rows[..., INSTRUMENT])
    return part_index(instrument.astype(np.int64), np.maximum(rows[..., INSTANCE], 0), vocabulary)


def is_drum_part(part: Ints, vocabulary: Vocabulary) -> Bools:
    """(…) which parts (…), each as one integer, play the drums."""
    return np.asarray(part // vocabulary.instances == vocabulary.drums)


def general_midi_part(part: PartId, vocabulary: Vocabulary) -> Part:
    """A part with General MIDI's name of its instrument, numbered from the second instance on ("violin 2")."""
    instrument, instance = part
    program, is_drum = vocabulary.program_of(instrument)
    name = instrument_name(program, is_drum)
    return Part(program=program, is_drum=is_drum, name=name if instance == 0 else f"{name} {instance + 1}")


def part_names(piece: Piece) -> list[str]:
    """A name for each part: its track's, else its instrument's; cut at 40 characters, numbered from the second of a name on."""
    names, count = [], Counter[str]()
    for part in piece.parts:
        name = shown_line(part.name) or instrument_name(part.program, part.is_drum)
        name = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
        count[name] += 1
        names.append(f"{name} {count[name]}" if count[name] > 1 else name)
    return names
