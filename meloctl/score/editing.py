"""New notes in the file of a finished piece: between those that it has, or in bars behind its last one.

Shape letters: L rows, F fields, T bars as rows count them (a bar that rows cannot name is several), K tracks.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from analysis.arrays import Ints
from analysis.errors import MeloError
from analysis.midi import MidiSource
from analysis.piece import MOST_DENOMINATOR, Bars, Part, Piece, bar_tolerance
from meloctl.rows.codec import Rows, nearest_tempo
from meloctl.rows.grammar import Row
from meloctl.rows.parts import PartId, general_midi_part, part_ids
from meloctl.rows.vocabulary import (
    DURATION,
    FIELDS,
    INSTANCE,
    INSTRUMENT,
    PITCH,
    POSITION,
    TEMPO,
    TIME_SIGNATURE,
    VELOCITY,
    Vocabulary,
)
from meloctl.score.join_notes import EditedMidi, PlacedNote, join_notes
from meloctl.score.kept_music import KeptMusic
from meloctl.score.midi_channels import ONSET
from meloctl.score.midi_edit import BEHIND, NewEvent, finer_factor, meta_event
from meloctl.score.midi_kinds import TEMPO as TEMPO_EVENT
from meloctl.score.midi_kinds import TIME_SIGNATURE as SIGNATURE_EVENT
from meloctl.score.midi_kinds import meta_kinds

NewNote = tuple[int, Row]
"""(bar as rows count, note row)"""

_FINE_TICKS = 96
"""Ticks a quarter of which the nearest to a step is less than 3 ms away, at 120 quarters a minute."""

_LEAST_TICKS = 16
"""Ticks a quarter with which a bar of 1/64 has one."""


def check_ticks(piece: Piece) -> None:
    """Raises MeloError where a piece's ticks cannot hold its bars, or new ones."""
    coarse = piece.ticks_per_quarter < _LEAST_TICKS and _has_bars_between_ticks(piece)
    if coarse or (np.diff(piece.bars.start_tick(range(piece.n_bars + 1))) == 0).any():
        ticks = "1 tick" if piece.ticks_per_quarter == 1 else f"{piece.ticks_per_quarter} ticks"
        raise MeloError(f"{ticks} a quarter are too coarse for its bars; save it again with 480 or more")


def _has_bars_between_ticks(piece: Piece) -> bool:
    return bool((4 * piece.ticks_per_quarter * piece.bars.numerator % piece.bars.denominator).any())


def with_new_notes(kept: KeptMusic, new: Sequence[NewNote], bar_tick: Ints, vocabulary: Vocabulary) -> EditedMidi:
    """A file with new notes between those that stay; parts that it lacks are added. No new note outlasts the piece.

    Args:
        new: notes, in any order.
        bar_tick: (T + 1,) the tick of the file on which each bar begins, then the piece's end.
    """
    source, end = kept.source, int(bar_tick[-1])
    factor = _factor(source, end, vocabulary)
    parts, index = with_new_parts(source.piece.parts, (_part_id(row) for _, row in new), vocabulary)
    placed = _placed(new, factor * bar_tick, factor * source.events.ticks_per_quarter, index, vocabulary)
    end_tick = source.events.end_tick.astype(np.int64)
    last_bar = int(source.piece.bars.start_tick(source.piece.n_bars - 1)) - source.piece.bar_tolerance
    if max(end_tick) + source.piece.bar_tolerance < end and not (kept.notes[:, ONSET] >= last_bar).any():
        end_tick[0] = end  # nothing else says any more that there is a last bar
    return join_notes(
        kept.in_finer_ticks(factor),
        parts,
        placed,
        n_bars=source.piece.n_bars,
        begin_before=factor * int(bar_tick[max((bar + 1 for bar, _ in new), default=0)]),
        end_tick=factor * end_tick,
    )


def with_new_bars(kept: KeptMusic, bars: int, row_bars: int, rows: Rows, vocabulary: Vocabulary) -> EditedMidi:
    """A file with new bars behind those that stay; every track ends with the last of them.

    Args:
        bars: how many bars stay, as the file counts them.
        row_bars: how many they are in `rows`.
        rows: (L, F) of the kept bars, then the new ones, and perhaps an end row.
    """
    source, cut = kept.source, int(kept.source.piece.bars.start_tick(bars))
    header = rows[rows[:, INSTRUMENT] == vocabulary.bar][row_bars:]
    signatures = [vocabulary.signatures[t] for t in header[:, TIME_SIGNATURE]]
    ticks = source.events.ticks_per_quarter
    factor = _factor(source, int(new_bar_ticks(cut, signatures, ticks)[-1]), vocabulary)
    bar_tick = new_bar_ticks(factor * cut, signatures, factor * source.events.ticks_per_quarter)
    note_bar = np.cumsum(rows[:, INSTRUMENT] == vocabulary.bar) - 1 - row_bars
    is_new = (note_bar >= 0) & (rows[:, INSTANCE] >= 0)
    new = list(zip(note_bar[is_new].tolist(), rows[is_new], strict=True))
    parts, index = with_new_parts(source.piece.parts, (_part_id(row) for _, row in new), vocabulary)
    events = [
        *_signature_events(kept, bars, signatures, bar_tick, factor),
        *_tempo_events(kept, cut, header, bar_tick, vocabulary),
    ]
    return join_notes(
        kept.in_finer_ticks(factor).ending_at(int(bar_tick[-1])),
        parts,
        _placed(new, bar_tick, factor * source.events.ticks_per_quarter, index, vocabulary),
        n_bars=bars + len(header),
        begin_before=int(bar_tick[-1]),
        end_tick=np.full(len(source.events.tracks), bar_tick[-1]),
        events=events,
        release_tick=cut if bars == source.piece.n_bars else None,
    )


def with_new_parts(
    parts: tuple[Part, ...], ids: Iterable[PartId], vocabulary: Vocabulary
) -> tuple[tuple[Part, ...], dict[PartId, int]]:
    """Parts, and behind them those of `ids` that are new, in order; and {(instrument, instance): index} of all."""
    index = {part: i for i, part in enumerate(part_ids(parts, vocabulary))}
    added = sorted(set(ids) - set(index))
    index |= {part: i for i, part in enumerate(added, len(parts))}
    return (*parts, *(general_midi_part(part, vocabulary) for part in added)), index


def new_bar_ticks(start: int, signatures: Sequence[tuple[int, int]], ticks_per_quarter: int) -> Ints:
    """(T + 1,) the tick on which each new bar begins, from `start` on, then their end; between two ticks, the later counts."""
    ticks, begin, n_bars = [start], start, 0
    for bar, (n, d) in enumerate(signatures):
        if bar and signatures[bar - 1] != (n, d):
            begin, n_bars = ticks[-1], 0
        n_bars += 1
        ticks.append(begin - (-4 * ticks_per_quarter * n * n_bars) // d)
    return np.array(ticks, dtype=np.int64)


def _factor(source: MidiSource, end_tick: int, vocabulary: Vocabulary) -> int:
    """By which ticks are multiplied: where they are coarse and a step is not a whole number of them, so that it is one.

    1 where no MIDI file that ends at a tick could have ticks as fine, or where a bar line of the file lies between two ticks,
    which would move. In fine ticks the nearest is near enough, and players, which round times, play the kept bars as before.
    """
    if source.piece.ticks_per_quarter >= _FINE_TICKS or _has_bars_between_ticks(source.piece):
        return 1
    return finer_factor(source.events, vocabulary.steps_per_quarter, end_tick)


def _part_id(row: Row | Ints) -> PartId:
    return int(row[INSTRUMENT]), int(row[INSTANCE])


def _placed(
    new: Sequence[NewNote],
    bar_tick: Ints,
    ticks_per_quarter: int,
    part_index: dict[PartId, int],
    vocabulary: Vocabulary,
) -> list[PlacedNote]:
    """New notes in ticks, each time to the nearest; a note beyond its bar's end is dropped.

    Args:
        bar_tick: (T + 1,) the tick on which each bar begins, then the end, which no note outlasts.
    """
    rows = np.array([row for _, row in new], dtype=np.int64).reshape(-1, len(FIELDS))
    bar, steps = np.array([bar for bar, _ in new], dtype=np.int64), vocabulary.steps_per_quarter

    def ticks(position: Ints) -> Ints:
        return np.asarray(bar_tick[bar] + (2 * position * ticks_per_quarter + steps) // (2 * steps))

    onset = ticks(rows[:, POSITION])
    end = np.minimum(ticks(rows[:, POSITION] + np.array(vocabulary.durations)[rows[:, DURATION]]), bar_tick[-1])
    velocity = np.array(vocabulary.velocities)[rows[:, VELOCITY]]
    part = np.array([part_index[_part_id(row)] for row in rows], dtype=np.int64)
    inside = (
        onset + bar_tolerance(ticks_per_quarter) < bar_tick[bar + 1]
    )  # a bar's signature may name it a little too long
    columns = (part, rows[:, PITCH], onset, end, velocity)
    return list(zip(*(column[inside].tolist() for column in columns), strict=True))


def _signature_events(
    kept: KeptMusic,
    bars: int,
    signatures: Sequence[tuple[int, int]],
    bar_tick: Ints,
    factor: int,
) -> list[NewEvent]:
    """Time signatures of new bars, where they change.

    A signature that is in force cannot be said again to cut its bar short: then the last kept bar is named by its true length.
    """
    old = kept.source.piece.bars
    cut, before = int(old.start_tick(bars)), int(np.searchsorted(old.signature_tick, old.start_tick(bars)) - 1)
    said = list(zip(old.signature_tick.tolist(), old.numerator.tolist(), old.denominator.tolist(), strict=True))
    in_force = said[before][1:]
    found, track = [], _holding_track(kept, SIGNATURE_EVENT)
    if signatures[0] == in_force and int(Bars.of(said[: before + 1], old.ticks_per_quarter).start_tick(bars)) != cut:
        start = int(old.start_tick(bars - 1))
        in_force = _name(cut - start, old.ticks_per_quarter)
        found.append((factor * start, in_force))
    for tick, signature in zip(bar_tick.tolist(), signatures, strict=False):
        if signature != in_force:
            found.append((tick, signature))
        in_force = signature
    return [
        NewEvent(track=track, tick=tick, place=BEHIND, data=_signature_event(*signature)) for tick, signature in found
    ]


def _name(ticks: int, ticks_per_quarter: int) -> tuple[int, int]:
    """The time signature of a bar of so many ticks. Raises MeloError where it has none."""
    for d in (4, 8, 16, 32, 64, MOST_DENOMINATOR):
        n, rest = divmod(ticks * d, 4 * ticks_per_quarter)
        if not rest and n < 256:
            return n, d
    raise MeloError(
        "the last of the kept bars is cut short at a length that no time signature has; keep another number of bars",
        field="keep_bars",
    )


def _signature_event(numerator: int, denominator: int) -> bytes:
    clocks = max(1, 96 // denominator)  # of 24 a quarter, from click to click of a metronome
    return meta_event(SIGNATURE_EVENT, bytes([numerator, denominator.bit_length() - 1, clocks, 8]))


def _tempo_events(kept: KeptMusic, cut: int, header: Rows, bar_tick: Ints, vocabulary: Vocabulary) -> list[NewEvent]:
    """Tempos of new bars (T, F), where they change; the first is compared with the one in force at the cut."""
    piece = kept.source.piece
    tempo = header[:, TEMPO].astype(np.int64)
    in_force = nearest_tempo(piece.tempo[piece.tempo_tick < cut][-1:], vocabulary)
    track = _holding_track(kept, TEMPO_EVENT)
    return [
        NewEvent(
            track=track,
            tick=int(bar_tick[bar]),
            place=BEHIND,
            data=meta_event(TEMPO_EVENT, round(60e6 / vocabulary.tempos[tempo[bar]]).to_bytes(3, "big")),
        )
        for bar in np.flatnonzero(np.diff(tempo, prepend=in_force)).tolist()
    ]


def _holding_track(kept: KeptMusic, kind: int) -> int:
    """The track of the last meta event of a kind that stays; the first where there is none."""
    events = kept.source.events
    found = np.flatnonzero((meta_kinds(events) == kind) & kept.keep)
    return int(events.track[found[np.argmax(events.tick[found])]]) if len(found) else 0
