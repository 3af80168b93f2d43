"""Pairs of rows by relation and offset, the unit of a mask's cost, counted without the L×L matrix.

A pair is a row and another (or itself) that is not later in generation order; dense causal attention shows all of them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.arrays import Floats, Ints
from analysis.families import place_in_bar
from analysis.piece import Piece
from masks.spec import MASK_RELATIONS
from masks.tiling.cell_rows import CellRows


@dataclass(frozen=True, kw_only=True)
class PieceRows:
    """Rows in each cell of one piece."""

    rows: Ints
    """(P, T) rows of part p in bar t; parts in generation order, the header rows first as part 0."""

    drums: tuple[int, ...]
    """The parts that are drums."""

    @staticmethod
    def of(piece: Piece) -> "PieceRows":
        """One row a note, and one header row a bar. Notes that the grid would merge are counted apart."""
        order = sorted(range(len(piece.parts)), key=lambda i: place_in_bar(piece.parts[i]))
        rows = np.zeros((1 + len(order), piece.n_bars), dtype=np.int64)
        rows[0] = 1
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(1, len(order) + 1)
        np.add.at(rows, (place[piece.notes.part], piece.note_bar), 1)
        drums = tuple(n for n, i in enumerate(order, 1) if piece.parts[i].is_drum)
        return PieceRows(rows=rows, drums=drums)

    def cells(self) -> CellRows:
        """The cells that are not empty, in generation order."""
        bar, part = np.nonzero(self.rows.T)
        return CellRows(bar=bar, part=part, rows=self.rows[part, bar], drums=frozenset(self.drums))


@dataclass(frozen=True, kw_only=True, eq=False)
class RowPairs:
    """Pairs of rows by relation and offset. They add with +, over pieces of any length."""

    counts: Floats
    """(3, N) pairs for each of MASK_RELATIONS at offsets 0..N − 1; no pair lies further back."""

    pitched: Floats
    """(3, N) those of them that lie between notes with pitch: no headers, no drums."""

    @staticmethod
    def of(piece: PieceRows) -> "RowPairs":
        """The pairs of one piece."""
        return row_pairs(piece.rows, drums=piece.drums, headers=(0,))

    @property
    def total(self) -> float:
        """All pairs: those of dense causal attention."""
        return float(self.counts.sum())

    def normalized(self) -> "RowPairs":
        """Pairs as shares of all pairs, so that pieces have equal weight when they are added."""
        return RowPairs(counts=self.counts / self.total, pitched=self.pitched / self.total)

    def at(self, relation: str, offset: int) -> float:
        """Pairs at one relation (of MASK_RELATIONS) and offset; 0 further back than any piece is long."""
        return float(self.counts[MASK_RELATIONS.index(relation), offset]) if offset < self.counts.shape[1] else 0.0

    def __add__(self, other: "RowPairs") -> "RowPairs":
        return RowPairs(counts=_padded_sum(self.counts, other.counts), pitched=_padded_sum(self.pitched, other.pitched))


def row_pairs(rows: Ints, *, drums: Collection[int] = (), headers: Collection[int] = ()) -> RowPairs:
    """Pairs of rows of one piece, by relation and offset.

    Args:
        rows: (P, T) rows of part p in bar t.
        drums: the parts that are drums.
        headers: the parts that hold no notes.
    """
    parts = range(len(rows))
    undrummed = rows[[p for p in parts if p not in drums]]
    pitched = rows[[p for p in parts if p not in drums and p not in headers]]
    same, different = _same_and_different(rows)
    _, cross = _same_and_different(undrummed)
    pitched_same, pitched_cross = _same_and_different(pitched)
    return RowPairs(
        counts=np.stack([same, cross, different - cross]),
        pitched=np.stack([pitched_same, pitched_cross, np.zeros_like(cross)]),
    )


def mean_pairs(pieces: Sequence[PieceRows]) -> RowPairs:
    """Mean over pieces, at least one, of their pairs as shares: a long piece, whose pairs grow with its length squared, has the
    weight of a short one."""
    shares = [RowPairs.of(piece).normalized() for piece in pieces]
    total = sum(shares[1:], start=shares[0])
    return RowPairs(counts=total.counts / len(shares), pitched=total.pitched / len(shares))


def _same_and_different(rows: Ints) -> tuple[Floats, Floats]:
    """(P, T) rows a cell → (T,) pairs within a part and (T,) pairs of two parts, by offset."""
    same, every = _autocorrelation(rows).sum(axis=0), _autocorrelation(rows.sum(axis=0, keepdims=True))[0]
    different = every - same
    different[0] /= 2  # of two rows of one bar, one comes first
    same[0] = (same[0] + rows.sum()) / 2  # and each is paired with itself
    return same, different


def _autocorrelation(rows: Ints) -> Floats:
    """(P, T) → (P, T): the sum over t of rows[p, t] · rows[p, t − k], for each k. Whole numbers, so rounding makes them exact."""
    bars = rows.shape[1]
    spectrum = np.fft.rfft(rows, 2 * bars, axis=1)
    return np.rint(np.fft.irfft(np.abs(spectrum) ** 2, 2 * bars, axis=1)[:, :bars])


def _padded_sum(a: Floats, b: Floats) -> Floats:
    """(3, N) + (3, M) → (3, the larger of N and M)."""
    n = max(a.shape[1], b.shape[1])
    return np.pad(a, ((0, 0), (0, n - a.shape[1]))) + np.pad(b, ((0, 0), (0, n - b.shape[1])))
