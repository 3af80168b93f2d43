"""New notes in a finished piece: bars behind its last one, or notes between those that it has. Kept notes stay to the tick.

Shape letters: N notes, L rows, F fields, T bars as rows count them (a bar that rows cannot name is several).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from analysis.arrays import Ints
from analysis.errors import MeloError
from analysis.piece import DENOMINATORS, Bars, Notes, Part, Piece
from meloctl.rows.codec import TICKS_PER_QUARTER, Rows, decode, nearest_tempo, note_values
from meloctl.rows.grammar import Row
from meloctl.rows.parts import PartId, general_midi_part, part_ids, row_part_ids
from meloctl.rows.vocabulary import FIELDS, INSTANCE, INSTRUMENT, TEMPO, TIME_SIGNATURE, Vocabulary
from meloctl.score.playable import playable

NewNote = tuple[int, Row]
"""(bar as rows count, note row)"""

_MOST_TICKS_PER_QUARTER = 32_767
"""Of a MIDI file."""

_PlacedNote = tuple[int, int, int, int, int]
"""(part, pitch, onset tick, end tick, velocity)"""


def refine_ticks(piece: Piece, vocabulary: Vocabulary) -> Piece:
    """The same piece with ticks that are finer by a whole factor, so that every step and every bar of rows begins on a tick.

    Raises:
        MeloError: a MIDI file cannot have ticks as fine.
    """
    ticks = piece.ticks_per_quarter
    needed = math.lcm(vocabulary.steps_per_quarter, max(DENOMINATORS) // 4)
    factor = needed // math.gcd(needed, ticks)
    if factor == 1:
        return piece
    if factor * ticks > _MOST_TICKS_PER_QUARTER:
        raise MeloError(
            f"the piece has {ticks} ticks a quarter, in which no step of rows begins on a tick; give it in a "
            f"multiple of {needed}, such as 480"
        )
    notes, bars = piece.notes, piece.bars
    signatures = zip(
        (factor * bars.signature_tick).tolist(), bars.numerator.tolist(), bars.denominator.tolist(), strict=True
    )
    return replace(
        piece,
        notes=replace(notes, onset_tick=factor * notes.onset_tick, duration_tick=factor * notes.duration_tick),
        bars=Bars.of(signatures, factor * ticks),
        tempo_tick=factor * piece.tempo_tick,
    )


def without_idle_parts(piece: Piece) -> Piece:
    """The piece without parts that have no note."""
    used, part = np.unique(piece.notes.part, return_inverse=True)
    return replace(piece, parts=tuple(piece.parts[i] for i in used), notes=replace(piece.notes, part=part))


def append_bars(kept: Piece, kept_bars: int, end_tick: int, rows: Rows, vocabulary: Vocabulary) -> Piece:
    """A piece with new bars behind its kept ones, in the kept piece's ticks.

    A new note on a pitch that a kept note of its part still holds begins where that ends; one for which nothing is left is
    dropped.

    Args:
        kept: the kept bars' notes, ticks as `refine_ticks` makes them.
        kept_bars: how many of the bars of `rows` are kept ones.
        end_tick: where the kept bars end.
        rows: (L, F) of the kept bars, then the new ones, then an end row.
    """
    decoded = decode(rows, vocabulary)
    header = rows[rows[:, TIME_SIGNATURE] >= 0]
    bar_tick = decoded.bars.start_tick(np.arange(len(header) + 1))
    first_tick, ticks = int(bar_tick[kept_bars]), kept.ticks_per_quarter

    def file_tick(tick: Ints) -> Ints:
        """(…) ticks of the decoded piece's new bars in the kept piece; exact, see `refine_ticks`."""
        return np.asarray(end_tick + (tick - first_tick) * ticks // TICKS_PER_QUARTER)

    new_bar_tick = file_tick(bar_tick[kept_bars:-1])
    new = playable(decoded, len(header)).notes
    new = new.take(new.onset_tick >= first_tick)
    decoded_ids = row_part_ids(rows, vocabulary)
    parts, part_index = _with_new_parts(kept.parts, decoded_ids, vocabulary)
    part = np.array([part_index[i] for i in decoded_ids], dtype=np.int64)[new.part]
    onset = np.maximum(file_tick(new.onset_tick), _held_until(kept.notes, len(parts))[part, new.pitch])
    duration = file_tick(new.onset_tick + new.duration_tick) - onset
    fits = duration > 0
    columns = (onset, duration, new.pitch, new.velocity, part)
    tempo = header[kept_bars:, TEMPO].astype(np.int64)
    changes = np.flatnonzero(np.diff(tempo, prepend=nearest_tempo(kept.tempo[-1:], vocabulary)))
    piece = Piece(
        parts=parts,
        notes=Notes.joined([kept.notes, Notes.of(*(column[fits] for column in columns))]),
        bars=_joined_bars(kept.bars, end_tick, header[kept_bars:], new_bar_tick, vocabulary),
        tempo_tick=np.concatenate([kept.tempo_tick, new_bar_tick[changes]]),
        tempo=np.concatenate([kept.tempo, np.array(vocabulary.tempos)[tempo[changes]]]),
    )
    return without_idle_parts(piece)


def insert_notes(kept: Piece, new: Sequence[NewNote], bar_tick: Ints, vocabulary: Vocabulary) -> Piece:
    """A piece with new notes between its kept ones; parts that it lacks are added behind its own.

    A new note on a pitch that a kept note of its part holds begins where that ends, and ends where the next one begins; one for
    which nothing is left is dropped. No new note outlasts the piece.

    Args:
        kept: a piece with the notes that stay and with all its parts, idle ones too, so that (instrument, instance) names a part
            of it; ticks as `refine_ticks` makes them.
        new: notes, in any order.
        bar_tick: (T + 1,) the tick on which each bar begins, then the piece's end.
    """
    new_ids = ((int(row[INSTRUMENT]), int(row[INSTANCE])) for _, row in new)
    parts, part_index = _with_new_parts(kept.parts, new_ids, vocabulary)
    step = kept.ticks_per_quarter // vocabulary.steps_per_quarter
    placed = sorted(_placed(new, bar_tick, step, part_index, vocabulary))
    fitted = np.array(list(_fitted(placed, kept.notes)), dtype=np.int64)
    part, pitch, onset, end, velocity = fitted.reshape(-1, 5).T
    notes = Notes.joined([kept.notes, Notes.of(onset, end - onset, pitch, velocity, part)])
    return without_idle_parts(replace(kept, parts=parts, notes=notes))


def _with_new_parts(
    parts: tuple[Part, ...], ids: Iterable[PartId], vocabulary: Vocabulary
) -> tuple[tuple[Part, ...], dict[PartId, int]]:
    """Parts, and behind them those of `ids` that are new, in order; and {(instrument, instance): index} of all."""
    index = {part: i for i, part in enumerate(part_ids(parts, vocabulary))}
    added = sorted(set(ids) - set(index))
    index |= {part: i for i, part in enumerate(added, len(parts))}
    return (*parts, *(general_midi_part(part, vocabulary) for part in added)), index


def _held_until(notes: Notes, n_parts: int) -> Ints:
    """(P, 128) the tick where the last note of each part and pitch ends; 0 where there is none."""
    until = np.zeros((n_parts, 128), dtype=np.int64)
    np.maximum.at(until, (notes.part, notes.pitch), notes.onset_tick + notes.duration_tick)
    return until


def _joined_bars(bars: Bars, end_tick: int, header: Rows, bar_tick: Ints, vocabulary: Vocabulary) -> Bars:
    """The time signatures of a piece up to a tick, then those of new bars.

    Args:
        bars: of the kept piece.
        end_tick: where the kept bars end.
        header: (T, F) header rows of the new bars.
        bar_tick: (T,) the tick on which each of them begins.
    """
    every = zip(bars.signature_tick.tolist(), bars.numerator.tolist(), bars.denominator.tolist(), strict=True)
    signatures = [signature for signature in every if signature[0] < end_tick]
    for i, tick in enumerate(bar_tick.tolist()):
        if i == 0 or header[i, TIME_SIGNATURE] != header[i - 1, TIME_SIGNATURE]:
            signatures.append((tick, *vocabulary.signatures[header[i, TIME_SIGNATURE]]))
    return Bars.of(signatures, bars.ticks_per_quarter)


def _placed(
    new: Sequence[NewNote], bar_tick: Ints, step: int, part_index: dict[PartId, int], vocabulary: Vocabulary
) -> Iterator[_PlacedNote]:
    """New notes in ticks; `bar_tick` (T + 1,) as in `insert_notes`, `step` in ticks. A note beyond its bar's end is dropped."""
    rows = np.array([row for _, row in new], dtype=np.int16).reshape(-1, len(FIELDS))
    bar = np.array([bar for bar, _ in new], dtype=np.int64)
    within, duration, pitch, velocity = note_values(rows, vocabulary, step)
    onset = bar_tick[bar] + within
    end = np.minimum(onset + duration, bar_tick[-1])
    part = [part_index[instrument, instance] for instrument, instance in rows[:, [INSTRUMENT, INSTANCE]].tolist()]
    inside = onset < bar_tick[bar + 1]  # the signature of a bar may name it a little too long
    columns = (np.array(part, dtype=np.int64), pitch, onset, end, velocity)
    return zip(*(column[inside].tolist() for column in columns), strict=True)


def _fitted(placed: Sequence[_PlacedNote], kept: Notes) -> Iterator[_PlacedNote]:
    """New notes, in ascending order, shortened so that none overlaps a kept or a later new note of its part and pitch."""
    spans: dict[tuple[int, int], list[tuple[int, int]]] = {}
    columns = (kept.part, kept.pitch, kept.onset_tick, kept.duration_tick)
    for part, pitch, onset, length in zip(*(c.tolist() for c in columns), strict=True):
        spans.setdefault((part, pitch), []).append((onset, onset + length))
    for n, (part, pitch, onset, end, velocity) in enumerate(placed):
        others = spans.get((part, pitch), [])
        begins = max([onset, *(stop for start, stop in others if start <= onset < stop)])
        following = [start for start, _ in others if start >= begins]
        if n + 1 < len(placed) and placed[n + 1][:2] == (part, pitch):
            following.append(placed[n + 1][2])
        ends = min([end, *following])
        if ends > begins:
            yield part, pitch, begins, ends, velocity
