"""A piece that goes on: what a model hears of its kept bars, and new bars behind them. Kept bars stay as they are."""

import math
from dataclasses import dataclass, replace

import numpy as np

from analysis.arrays import Bools, Ints
from analysis.errors import MeloError
from analysis.piece import DENOMINATORS, Bars, Notes, Part, Piece
from meloctl.generation.parse_options import nearest_tempo
from meloctl.rows.codec import TICKS_PER_QUARTER, Rows, decode, encode
from meloctl.rows.parts import part_fields
from meloctl.rows.vocabulary import INSTANCE, INSTRUMENT, TEMPO, TIME_SIGNATURE, Vocabulary
from meloctl.score.playable import playable

_MOST_TICKS = 32_767
"""A quarter, in a MIDI file."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """The first bars of a piece."""

    piece: Piece
    """With the notes of the kept bars alone, and ticks fine enough for rows."""

    bars: int
    """Kept, as the file counts them."""

    end_tick: int
    """Where they end."""

    rows: Rows
    """(L, 8) what the model hears of them, without an end row; a bar that rows cannot name is several there."""

    @property
    def row_bars(self) -> int:
        """Bars among the rows."""
        return int((self.rows[:, TIME_SIGNATURE] >= 0).sum())


def prompt_of(piece: Piece, bars: int | None, vocabulary: Vocabulary) -> Prompt:
    """The first bars of a piece, as a prompt.

    Args:
        bars: how many are kept; None keeps all.

    Raises:
        MeloError: the piece has fewer bars, or no note in them; its ticks cannot be made fine enough.
    """
    piece = finer(piece, vocabulary)
    bars = piece.n_bars if bars is None else bars
    if not 1 <= bars <= piece.n_bars:
        raise MeloError(
            f"--keep-bars {bars}: the prompt has {piece.n_bars} bars; give a number from 1 to {piece.n_bars}"
        )
    end = int(piece.bars.start_tick(bars))
    kept, before = _some(piece, piece.notes.onset_tick < end), piece.tempo_tick < end
    kept = replace(kept, tempo_tick=piece.tempo_tick[before], tempo=piece.tempo[before])
    if not len(kept.notes):
        raise MeloError(f"--keep-bars {bars}: the prompt has no note in its first bars; keep more of them")
    return Prompt(piece=kept, bars=bars, end_tick=end, rows=heard(kept, end, vocabulary))


def continued(prompt: Prompt, rows: Rows, vocabulary: Vocabulary) -> Piece:
    """The kept bars with new ones behind them, in the ticks of the prompt.

    A new note on a pitch that still sounds from before begins where that ends; one for which nothing is left then is left out.

    Args:
        rows: (L, 8) of the whole piece: the prompt's, then the new bars', then an end row.
    """
    whole = decode(rows, vocabulary)
    header = rows[rows[:, TIME_SIGNATURE] >= 0]
    starts = whole.bars.start_tick(np.arange(len(header) + 1))
    began, tpq = int(starts[prompt.row_bars]), prompt.piece.ticks_per_quarter

    def ticks(there: Ints) -> Ints:
        """A place in the new bars, in the prompt's ticks."""
        return np.asarray(prompt.end_tick + (there - began) * tpq // TICKS_PER_QUARTER)  # without a rest, see `finer`

    new_bars = ticks(starts[prompt.row_bars : -1])
    trimmed = playable(whole, len(header)).notes
    mine = trimmed.onset_tick >= began
    onset, end = ticks(trimmed.onset_tick[mine]), ticks((trimmed.onset_tick + trimmed.duration_tick)[mine])
    parts, places = _parts(prompt, whole, rows, vocabulary)
    part, pitch = places[trimmed.part[mine]], trimmed.pitch[mine]
    onset = np.maximum(onset, _sounding_until(prompt, part, pitch))
    left = end > onset
    old = prompt.piece.notes
    notes = Notes.of(
        np.append(old.onset_tick, onset[left]),
        np.append(old.duration_tick, (end - onset)[left]),
        np.append(old.pitch, pitch[left]),
        np.append(old.velocity, trimmed.velocity[mine][left]),
        np.append(old.part, part[left]),
    )
    tempo = header[prompt.row_bars :, TEMPO].astype(np.int64)
    changes = np.flatnonzero(np.diff(tempo, prepend=nearest_tempo(float(prompt.piece.tempo[-1]), vocabulary)))
    piece = Piece(
        parts=parts,
        notes=notes,
        bars=_bars(prompt, header[prompt.row_bars :], new_bars, vocabulary),
        tempo_tick=np.concatenate([prompt.piece.tempo_tick, new_bars[changes]]),
        tempo=np.concatenate([prompt.piece.tempo, np.array(vocabulary.tempos)[tempo[changes]]]),
    )
    return _some(piece, np.ones(len(notes), dtype=np.bool_))


def finer(piece: Piece, vocabulary: Vocabulary) -> Piece:
    """The same piece in ticks, as many times as fine as is needed for every step and every bar of rows to begin on one."""
    tpq = piece.ticks_per_quarter
    finest = math.lcm(vocabulary.steps_per_quarter, max(DENOMINATORS) // 4)
    times = finest // math.gcd(finest, tpq)
    if times == 1:
        return piece
    if times * tpq > _MOST_TICKS:
        raise MeloError(
            f"the prompt has {tpq} ticks a quarter, which rows cannot go on in; give it in a multiple of {finest}, such as 480"
        )
    notes, bars = piece.notes, piece.bars
    signatures = zip(
        (times * bars.stretch_tick).tolist(), bars.numerator.tolist(), bars.denominator.tolist(), strict=True
    )
    return replace(
        piece,
        notes=replace(notes, onset_tick=times * notes.onset_tick, duration_tick=times * notes.duration_tick),
        bars=Bars.of(signatures, times * tpq),
        tempo_tick=times * piece.tempo_tick,
    )


def heard(piece: Piece, end: int, vocabulary: Vocabulary) -> Rows:
    """The rows of all bars before a tick, whether they hold notes or not; a note that the grid moves behind it is not heard."""
    step = piece.ticks_per_quarter / vocabulary.steps_per_quarter
    near = 2 * (end - piece.notes.onset_tick) <= step
    last = Part(program=127, is_drum=False)  # its one note opens the last bar; its rows are taken out again
    at = max(int(piece.bars.start_tick(piece.bars.bar_of(end - 1))), int(end - step))
    notes, n = piece.notes, len(piece.parts)
    columns = (notes.onset_tick, notes.duration_tick, notes.pitch, notes.velocity, notes.part)
    marked = Notes.of(*(np.append(c[~near], more) for c, more in zip(columns, (at, 1, 0, 1, n), strict=True)))
    rows, _ = encode(replace(piece, parts=(*piece.parts, last), notes=marked), vocabulary)
    instrument, number = part_fields((*piece.parts, last), vocabulary)
    mark = (rows[:, INSTRUMENT] == instrument[-1]) & (rows[:, INSTANCE] == number[-1])
    return rows[~mark & (rows[:, INSTRUMENT] != vocabulary.end)]


def _some(piece: Piece, chosen: Bools) -> Piece:
    """A piece of some of its notes, and of the parts that have any."""
    notes = piece.notes
    used, part = np.unique(notes.part[chosen], return_inverse=True)
    kept = Notes.of(
        notes.onset_tick[chosen], notes.duration_tick[chosen], notes.pitch[chosen], notes.velocity[chosen], part
    )
    return replace(piece, parts=tuple(piece.parts[i] for i in used), notes=kept)


def _parts(prompt: Prompt, whole: Piece, rows: Rows, vocabulary: Vocabulary) -> tuple[tuple[Part, ...], Ints]:
    """The prompt's parts and the new ones behind them; of each part of the decoded piece, its place among them."""
    instrument, number = part_fields(prompt.piece.parts, vocabulary)
    old = (instrument * vocabulary.instances + number).tolist()
    note = rows[rows[:, INSTANCE] >= 0].astype(np.int64)
    keys = np.unique(
        note[:, INSTRUMENT] * vocabulary.instances + note[:, INSTANCE]
    ).tolist()  # in the order of `decode`
    parts, places = list(prompt.piece.parts), []
    for key, part in zip(keys, whole.parts, strict=True):
        if key in old:
            places.append(old.index(key))
        else:
            places.append(len(parts))
            parts.append(part)
    return tuple(parts), np.array(places, dtype=np.int64)


def _sounding_until(prompt: Prompt, part: Ints, pitch: Ints) -> Ints:
    """(N,) where the last kept note of a part and pitch ends; 0 where there is none."""
    notes = prompt.piece.notes
    until = np.zeros((len(prompt.piece.parts) + int(part.max(initial=0)) + 1, 128), dtype=np.int64)
    np.maximum.at(until, (notes.part, notes.pitch), notes.onset_tick + notes.duration_tick)
    return until[part, pitch]


def _bars(prompt: Prompt, header: Rows, starts: Ints, vocabulary: Vocabulary) -> Bars:
    """The prompt's signatures up to its end, and those of the new bars, header (T, 8) at ticks (T,)."""
    bars = prompt.piece.bars
    old = zip(bars.stretch_tick.tolist(), bars.numerator.tolist(), bars.denominator.tolist(), strict=True)
    signatures = [s for s in old if s[0] < prompt.end_tick]
    for i, tick in enumerate(starts.tolist()):
        if i == 0 or header[i, TIME_SIGNATURE] != header[i - 1, TIME_SIGNATURE]:
            signatures.append((tick, *vocabulary.signatures[header[i, TIME_SIGNATURE]]))
    return Bars.of(signatures, bars.ticks_per_quarter)
