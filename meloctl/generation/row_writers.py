"""Pieces while their new bars are written, side by side: the rows so far, and what the compiled rules know of each piece.

Shape letters: B pieces, G pieces that are not done yet, L rows, F fields, T new bars, C width.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.arrays import Floats, Floats32, Ints
from analysis.errors import MeloError
from meloctl.generation.new_bars import NewBars
from meloctl.generation.options import Sampling
from meloctl.generation.row_sampling import append_rows, sample_rows
from meloctl.model.head_weights import HeadWeights
from meloctl.rows.codec import Rows
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTANCE, INSTRUMENT, TEMPO, TIME_SIGNATURE, Vocabulary
from meloctl.score.editing import NewNote
from meloctl.score.ranges import pitches_in_range

_CHUNK = 256
"""Rows for which there is room at first."""

Records = npt.NDArray[np.void]
"""Structured arrays; compiled loops read and write their fields by name."""

BAR = np.dtype(
    [("time_signature", "i2"), ("tempo", "i2"), ("has_kept_note", "u1"), ("tonic_chord_only", "u1")], align=True
)
"""A new bar, as in `NewBars`; a time signature or tempo is ABSENT where the model chooses it."""


class RowTables(NamedTuple):
    """What the compiled rules must know of the vocabulary."""

    sizes: Ints
    """(F,) values of each field."""

    drums: int
    end: int
    bar_steps: Ints
    """(time signatures,) positions in a bar."""

    quarters: Floats
    """(durations,) their lengths in quarter notes."""

    in_range: npt.NDArray[np.uint8]
    """(instruments, 128) whether an instrument can play a pitch."""


class RowWriters:
    """Writes the new bars of B pieces, each sampled with numbers of its own, so that none depends on the others."""

    def __init__(self, pieces: Sequence[NewBars], random: Sequence[np.random.Generator]) -> None:
        """Writers of pieces without new rows.

        Args:
            pieces: what is to be written; of one vocabulary, and with masked bars in all of them or in none.
            random: B generators.
        """
        self.vocabulary = pieces[0].vocabulary
        self.random = random
        self.first_masked_bar = pieces[0].first_masked_bar
        self.prompts = [piece.before for piece in pieces]
        """(L, F) the rows that each piece begins with."""

        self.going = np.arange(len(pieces))
        """(G,) the pieces that have no end row yet."""

        self.tables = _row_tables(self.vocabulary)
        self.pieces: Records = np.stack([_piece_record(piece) for piece in pieces])
        """(B,) what the compiled rules know of each piece; see `_piece_type`."""

        self.bars: Records = np.zeros((len(pieces), max(len(piece.headers) for piece in pieces)), dtype=BAR)
        """(B, T) what they know of its new bars."""

        for bars, piece in zip(self.bars, pieces, strict=True):
            bars[: len(piece.headers)] = _bar_records(piece)
        self._room = _CHUNK
        self._written = np.full(
            (len(pieces), max(map(len, self.prompts)) + self._room, len(FIELDS)), ABSENT, dtype=np.int16
        )
        for written, prompt in zip(self._written, self.prompts, strict=True):
            written[: len(prompt)] = prompt

    def __len__(self) -> int:
        """Number of pieces (B)."""
        return len(self.pieces)

    def rows(self, piece: int) -> Rows:
        """(L, F) the rows that a piece begins with, and those written behind them."""
        return self._written[piece, : self.pieces["n_rows"][piece]]

    def done(self, piece: int) -> bool:
        """True when the end row of a piece is written."""
        return bool(self.pieces["done"][piece])

    def bars_closed(self, piece: int) -> int:
        """New bars of a piece that are complete."""
        opened = int(self.pieces["bars_opened"][piece])
        return opened if self.done(piece) else max(0, opened - 1)

    def complete_bars(self, piece: int) -> Rows:
        """(L, F) the rows of a piece up to its last complete new bar, without empty bars at the end, and an end row."""
        rows, end = self._complete(piece), np.full((1, len(FIELDS)), ABSENT, dtype=np.int16)
        end[0, INSTRUMENT] = self.vocabulary.end
        with_notes = np.flatnonzero(rows[:, INSTANCE] != ABSENT)
        return np.concatenate([rows[: with_notes[-1] + 1 if len(with_notes) else 0], end])

    def new_notes(self, piece: int) -> list[NewNote]:
        """The notes of a piece's complete new bars, each with its bar, the first new one being 0."""
        rows = self._complete(piece)[len(self.prompts[piece]) :]
        bar = np.cumsum(rows[:, INSTANCE] == ABSENT) - 1
        return [(b, row) for b, row in zip(bar.tolist(), rows, strict=True) if row[INSTANCE] != ABSENT]

    def _complete(self, piece: int) -> Rows:
        """(L, F) the rows of a piece up to its last complete new bar, without an end row."""
        rows, new = self.rows(piece), len(self.prompts[piece])
        opened = new + np.flatnonzero(rows[new:, INSTANCE] == ABSENT)  # the end row closes a bar too
        return rows[: opened[-1] if len(opened) else new]

    def sample(self, states_GC: Floats32, heads: HeadWeights, sampling: Sampling) -> Ints:
        """(G, F) the next row of each piece that is not done.

        Args:
            states_GC: that predict these rows.

        Raises:
            MeloError: the model gives no finite probabilities.
        """
        rows_GF = np.empty((len(self.going), len(FIELDS)), dtype=np.int64)
        uniform_GF = np.empty(rows_GF.shape)
        for uniform, piece in zip(uniform_GF, self.going.tolist(), strict=True):
            self.random[piece].random(out=uniform)
        choice = (float(sampling.temperature), float(sampling.top_p), sampling.top_k or 0)
        memory = (self.pieces, self.bars)
        if not sample_rows(states_GC, self.going, *memory, uniform_GF, self.tables, heads, choice, rows_GF):
            raise MeloError("the model gives no finite probabilities; its weights are damaged: train again")
        return rows_GF

    def append(self, rows_GF: Ints) -> int:
        """Add a row (F,) to each piece that is not done, and return how many bars that closes."""
        if self._room == 0:
            self._room = self._written.shape[1]
            self._written = np.concatenate([self._written, np.full_like(self._written, ABSENT)], axis=1)
        self._room -= 1
        return append_rows(rows_GF, self.going, self.pieces, self.bars, self.tables, self._written)

    def drop_done(self) -> list[int]:
        """Let go of the pieces that are done; which of those that were `going` are left."""
        left = np.flatnonzero(self.pieces["done"][self.going] == 0)
        self.going = self.going[left]
        return left.tolist()


def _row_tables(vocabulary: Vocabulary) -> RowTables:
    return RowTables(
        sizes=np.array(vocabulary.sizes),
        drums=vocabulary.drums,
        end=vocabulary.end,
        bar_steps=np.array(vocabulary.bar_steps),
        quarters=np.array(vocabulary.durations) / vocabulary.steps_per_quarter,
        in_range=pitches_in_range(vocabulary).astype(np.uint8),
    )


def _bar_records(piece: NewBars) -> Records:
    """(T,) BAR"""
    bars = np.zeros(len(piece.headers), dtype=BAR)
    bars["time_signature"] = piece.headers[:, TIME_SIGNATURE]
    bars["tempo"] = piece.headers[:, TEMPO]
    bars["has_kept_note"] = piece.has_kept_note
    bars["tonic_chord_only"] = piece.tonic_chord_only
    return bars


def _piece_type(vocabulary: Vocabulary) -> np.dtype[np.void]:
    """What the compiled rules know of a piece: first what changes as rows are written, then what it must be."""
    parts = (len(vocabulary.instruments), vocabulary.instances)
    return np.dtype(
        [
            ("n_rows", "i8"),  # so far, those before the new bars too
            ("bars_before", "i8"),  # bars of the rows before
            ("bars_opened", "i8"),  # new bars so far
            ("notes_in_bar", "i8"),  # new notes of the open bar
            ("new_notes", "i8"),
            ("empty_bars", "i8"),  # bars without a note that were closed last, one after the other
            ("steps", "i8"),  # positions in the open bar
            ("least", "i8", (4,)),  # smallest (instrument, instance, position, pitch) of the open bar's next note
            ("done", "u1"),
            ("may_play", "u1", parts),  # parts that may play whatever else does
            ("last_instance", "i8", parts[:1]),  # of each instrument, the last that may play; -1 for none
            ("free_parts", "i8"),  # how many others may enter
            ("free_pitched", "i8"),  # how many of these other than drums
            ("required", "u1", parts),  # parts that must still get a note
            ("n_required", "i8"),
            ("quarters", "f8", (12,)),  # summed length of the new notes of each pitch class, drums apart
            ("header", "i8", (2,)),  # time signature and tempo of the bar before; ABSENT where there is none
            ("header_changes", "f8", (2,)),  # probabilities that a bar has others; 2 leaves that to the model
            ("n_bars", "i8"),
            ("opener", "i8"),
            ("parts_are_given", "u1"),
            ("drums_fit", "u1"),  # whether drums may be one of the others
            ("needs_note", "u1"),
            ("last_bar_needs_note", "u1"),
            ("has_key", "u1"),
            ("key_pitches", "u1", (2, 128)),  # the key's scale, and its tonic chord
            ("key_shares", "f8", (12,)),
        ],
        align=True,
    )


def _piece_record(piece: NewBars) -> Any:
    """A record of `_piece_type` without new rows."""
    record = np.zeros((), dtype=_piece_type(piece.vocabulary))
    may_play = piece.room.own if piece.parts is None else piece.parts
    for name, some in (("may_play", may_play), ("required", piece.required_parts)):
        for part in some:
            record[name][part] = True
    instances = np.arange(1, piece.vocabulary.instances + 1)
    values = {
        "n_rows": len(piece.before),
        "bars_before": int((piece.before[:, TIME_SIGNATURE] != ABSENT).sum()),
        "empty_bars": piece.empty_bars,
        "last_instance": (record["may_play"] * instances).max(axis=1) - 1,
        "free_parts": piece.room.parts,
        "free_pitched": piece.room.pitched,
        "n_required": len(piece.required_parts),
        "header": _last_header(piece.before),
        "header_changes": piece.header_changes or (2.0, 2.0),
        "n_bars": len(piece.headers),
        "opener": piece.opener,
        "parts_are_given": piece.parts is not None,
        "drums_fit": piece.room.drums,
        "needs_note": piece.needs_note,
        "last_bar_needs_note": piece.last_bar_needs_note,
        "has_key": piece.key is not None,
    }
    for name, value in values.items():
        record[name] = value
    if piece.key is not None:
        record["key_pitches"] = piece.key.scale, piece.key.chord
        record["key_shares"] = piece.key.shares
    return record


def _last_header(before: Rows) -> Rows:
    """(2,) time signature and tempo of the last bar of rows (L, F); ABSENT where there is none."""
    headers = before[before[:, TIME_SIGNATURE] != ABSENT]
    return headers[-1, [TIME_SIGNATURE, TEMPO]] if len(headers) else np.full(2, ABSENT, dtype=np.int16)
