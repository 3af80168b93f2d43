"""Similarity by relation and offset, as a table that adds up.

For each relation and offset the table holds sums alone, in whole numbers, so tables of pieces add up to the same bits in
any order. Relation `same` compares bars b and b − k of one part (k ≥ 1). Relation `cross` compares bar b of one part with
bar b − k of another, in both directions; at offset 0 each pair of parts counts once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analysis.features import PitchClassSets
from analysis.similarity import pc_jaccard

RELATIONS = ("same", "cross")
MAX_OFFSET = 32
"""Offsets 0..32 are measured."""

_UNIT = 1 << 48
"""Sums are kept as whole multiples of 1 / _UNIT; a mean is off by less than 1e-14."""

Key = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class Sums:
    """The sums of one relation and offset; they add with +."""

    pairs: int = 0
    similarity: int = 0
    """Sum over pairs."""

    square: int = 0
    """Sum over pairs of the square."""

    pieces: int = 0
    """Pieces with at least one pair."""

    piece_mean: int = 0
    """Sum over those pieces of the piece's own mean."""

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            pairs=self.pairs + other.pairs,
            similarity=self.similarity + other.similarity,
            square=self.square + other.square,
            pieces=self.pieces + other.pieces,
            piece_mean=self.piece_mean + other.piece_mean,
        )


@dataclass(frozen=True, kw_only=True)
class OffsetRow:
    """One line of a finished table."""

    measure: str
    relation: str
    offset: int
    pairs: int
    mean: float
    """Pooled mean over pairs: the founding diary's number."""

    deviation: float
    """Standard deviation over pairs."""

    pieces: int
    piece_mean: float
    """Mean of the pieces' own means: no long piece rules."""


class OffsetTable:
    """Sums by (relation, offset) of one measure; only keys with pairs are present. Tables add with +."""

    def __init__(self, measure: str, sums: Mapping[Key, Sums] | None = None) -> None:
        self.measure = measure
        self.sums: dict[Key, Sums] = dict(sums or {})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OffsetTable) and (self.measure, self.sums) == (other.measure, other.sums)

    def __add__(self, other: "OffsetTable") -> "OffsetTable":
        if self.measure != other.measure:
            raise ValueError(f"a table of {other.measure} cannot be added to one of {self.measure}")
        keys = self.sums.keys() | other.sums.keys()
        return OffsetTable(self.measure, {k: self.sums.get(k, Sums()) + other.sums.get(k, Sums()) for k in keys})

    def rows(self) -> list[OffsetRow]:
        """Means in reading order: same 1.., then cross 0..."""
        return [
            OffsetRow(
                measure=self.measure,
                relation=relation,
                offset=offset,
                pairs=s.pairs,
                mean=s.similarity / (s.pairs * _UNIT),
                deviation=max(s.square / (s.pairs * _UNIT) - (s.similarity / (s.pairs * _UNIT)) ** 2, 0.0) ** 0.5,
                pieces=s.pieces,
                piece_mean=s.piece_mean / (s.pieces * _UNIT),
            )
            for (relation, offset), s in sorted(self.sums.items(), key=lambda kv: (RELATIONS.index(kv[0][0]), kv[0][1]))
        ]


def measure_piece(sets: PitchClassSets, *, max_offset: int = MAX_OFFSET) -> OffsetTable:
    """pc-jaccard of one piece by relation and offset, from its pitch-class sets of shape (P, T)."""
    n_parts, n_bars = sets.shape
    sums: dict[Key, Sums] = {}
    for offset in range(min(max_offset, n_bars - 1) + 1):
        later, earlier = sets[:, offset:], sets[:, : n_bars - offset]
        if offset:
            sums["same", offset] = _sums(later, earlier)
        across = Sums()
        for p in range(n_parts):
            others = [s for s in range(n_parts) if (s != p if offset else s > p)]
            across += _sums(later[p], earlier[others])
        sums["cross", offset] = across
    return OffsetTable("pc-jaccard", {key: _of_one_piece(s) for key, s in sums.items() if s.pairs})


def _sums(a: npt.NDArray[np.uint16], b: npt.NDArray[np.uint16]) -> Sums:
    """Sums over all pairs of non-empty cells of two arrays that broadcast."""
    similarity = pc_jaccard(a, b)[(a != 0) & (b != 0)]
    return Sums(
        pairs=similarity.size,
        similarity=_whole(float(similarity.sum())),
        square=_whole(float((similarity**2).sum())),
    )


def _of_one_piece(s: Sums) -> Sums:
    return replace(s, pieces=1, piece_mean=round(s.similarity / s.pairs))


def _whole(x: float) -> int:
    return round(x * _UNIT)
